"""What importing costs: nothing heavy until something is done."""

import subprocess
import sys

HEAVY = ("onnxruntime", "cv2", "PIL", "numpy", "torch", "scipy", "skimage", "ray", "pyarrow")


def loaded_after(code: str) -> set[str]:
    """Return which heavy packages a fresh Python has loaded after some code."""
    script = f"import sys\n{code}\nprint('LOADED', *(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_after("import cleanplate; dir(cleanplate); cleanplate.__version__") == set()


def test_help_loads_no_network_runtime_no_arrays_and_no_images():
    code = """
from cleanplate.cli import main
for words in ("--help", "run --help", "ray --help", "models --help", "--version", "labels"):
    assert main(words.split()) == 0
"""
    assert loaded_after(code) == set()


def test_types_load_numpy_only():
    assert loaded_after("from cleanplate import Instance, Removal") == {"numpy"}


def test_a_remover_loads_its_runtime_when_it_is_used():
    code = "from cleanplate import Remover; Remover()"
    assert "onnxruntime" not in loaded_after(code)


def test_this_test_sees_what_is_loaded():
    assert "numpy" in loaded_after("import cv2")
