# Tasks of this project; `just` alone runs the tests and the linter.

default: test lint

# Install the package and its tools into the current environment
install:
    pip install -e ".[dev]"
    pre-commit install

# Fast tests; three processes keep two cores busy, since some wait
test *arguments:
    pytest -n 3 {{ arguments }}

# All tests; the slow ones build the wheel and new environments
test-all:
    pytest -n 2 -m "slow or not slow" --durations=15

# Lint and check the format
lint:
    ruff check .
    ruff format --check .

# Repair what can be repaired
format:
    ruff check --fix .
    ruff format .

# Check the types
types:
    mypy

# Serve the documentation at http://127.0.0.1:8000
docs: generate
    mkdocs serve

# Regenerate docs/cli.md and docs/models.md
generate:
    python docs/generate_cli.py
    python docs/generate_models.py

# Measure start, speed and memory
bench:
    python benchmarks/speed.py

# Everything, in a new environment
ci:
    .ci/run
