"""The generated pages are in step with what they are generated from."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from cleanplate.hub.registry import MODELS

ROOT = Path(__file__).parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["generate_cli", "generate_models"])
def test_page_is_in_step(name):
    script = load(name)
    shown = script.TARGET.read_text(encoding="utf-8")
    assert shown == script.render(), f"run 'just generate', or python docs/{name}.py"


def test_page_of_options_does_not_depend_on_the_terminal(monkeypatch):
    render = load("generate_cli").render
    plain = render()
    for variable, value in {"COLUMNS": "30", "FORCE_COLOR": "1", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(variable, value)
    assert render() == plain
    assert "\x1b" not in plain


def test_page_of_options_holds_every_option_that_help_shows():
    from typer.testing import CliRunner

    from cleanplate.cli import app

    page = load("generate_cli").render()
    for command in (["run"], ["labels"], ["models", "list"], ["models", "pull"]):
        wide = {"COLUMNS": "200", "TERMINAL_WIDTH": "200", "NO_COLOR": "1", "TERM": "dumb"}
        help_text = CliRunner().invoke(app, [*command, "--help"], env=wide).output
        options = set(re.findall(r"(?<=\s)--[a-z-]+", help_text)) - {"--help"}
        assert options
        section = page.split(f"## cleanplate {' '.join(command)}\n")[1].split("\n## ")[0]
        assert options <= set(re.findall(r"--[a-z-]+", section))


def test_page_of_models_holds_every_model_and_label():
    page = load("generate_models").render()
    rows = {
        line.split("`")[1]: line for line in page.splitlines() if line.startswith(("| [", "| `"))
    }
    assert list(rows) == list(MODELS)
    for model in MODELS.values():
        assert model.advice in rows[model.name]
        assert f"{model.licence.commercial} ({model.licence.words})" in rows[model.name]
        assert ", ".join(model.labels) in page
