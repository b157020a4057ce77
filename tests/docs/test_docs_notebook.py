"""The notebook runs from top to bottom, and is stored without outputs."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "quickstart.ipynb"


@pytest.mark.slow
def test_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") for cell in cells)
    namespace: dict[str, object] = {"__name__": "notebook"}
    for number, source in enumerate(sources):
        exec(compile(source, f"{NOTEBOOK.name}, code cell {number}", "exec"), namespace)
    removal, photo = namespace["removal"], namespace["photo"]
    assert (removal.image != photo).any()
