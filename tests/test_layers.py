"""Imports point down the layers of the design, never up, and never in a circle."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import cleanplate

ROOT = Path(cleanplate.__file__).parent

LAYERS = {
    "errors": 0, "types": 0, "labels": 0, "algebra": 0, "lanes": 0,
    "images": 1, "masks": 1, "windows": 1,
    "resampling": 1, "compositing": 1, "synthesis": 1,
    "texture": 1, "metrics": 1, "guided": 1, "edges": 1, "shadows": 1, "subjects": 1, "rle": 1,
    "matching": 1, "likeness": 1, "contours": 1,
    "models": 2,
    "segmenters": 3, "inpainters": 3, "prompters": 3, "verification": 3, "selection": 3,
    "drafts": 3,
    "filling": 4, "pipeline": 4, "api": 4,
    "batch": 5, "datasets": 5, "ray": 5, "doctor": 5, "evaluation": 5,
    "video": 5,
    "cli": 6, "web": 6, "__main__": 6,
}  # fmt: skip

FRAMEWORKS = {
    "onnxruntime", "onnx", "torch", "torchvision", "transformers", "safetensors", "tensorflow",
    "jax",
}  # fmt: skip


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(source: str, module: str, modules: set[str]) -> set[str]:
    """Return what a module imports anywhere in it, as module names."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in modules else str(node.module))
    return found


PATHS = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}
IMPORTS = {
    name: imported_by(path.read_text(encoding="utf-8"), name, set(PATHS))
    for name, path in PATHS.items()
}


def layer_of(module: str) -> int:
    return LAYERS[module.split(".")[1]]


def own(modules: set[str]) -> set[str]:
    """Keep the package's modules; its root holds lazy names and the version only."""
    return {name for name in modules if name.startswith("cleanplate.")}


@pytest.mark.parametrize("module", sorted(own(set(PATHS))))
def test_imports_point_down_or_sideways(module):
    upwards = {name for name in own(IMPORTS[module]) if layer_of(name) > layer_of(module)}
    assert not upwards, f"{module} of layer {layer_of(module)} imports {sorted(upwards)}"


def test_every_module_has_a_layer():
    assert {name.split(".")[1] for name in own(set(PATHS))} <= set(LAYERS)


def test_no_module_imports_itself_in_a_circle():
    graph = {module: own(IMPORTS[module]) - {module} for module in own(set(PATHS))}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports go round in a circle: {' -> '.join(error.args[1])}")


def test_nothing_but_the_command_line_imports_the_root_for_its_names():
    users = {module for module, names in IMPORTS.items() if "cleanplate" in names}
    assert all(layer_of(module) >= 5 for module in users)


def test_onnxruntime_is_imported_where_devices_are_and_training_frameworks_where_checkpoints_are():
    users = {
        (module, name.split(".")[0])
        for module, names in IMPORTS.items()
        for name in names
        if name.split(".")[0] in FRAMEWORKS
        and not module.startswith("cleanplate.models.convert.")  # imported when converting only
    }
    assert users == {
        ("cleanplate.models.devices", "onnxruntime"),
        ("cleanplate.models.half", "onnx"),  # to halve networks for a GPU
        ("cleanplate.models.half", "onnxruntime"),
    }


def test_no_star_imports_and_no_drawers_for_odds_and_ends():
    for module, path in PATHS.items():
        assert "import *" not in path.read_text(encoding="utf-8"), module
        assert path.stem not in ("utils", "helpers", "common", "misc"), module


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f():\n    import onnxruntime.capi", {"onnxruntime.capi"}),
        ("from cleanplate import pipeline, __version__", {"cleanplate.pipeline", "cleanplate"}),
        ("from cleanplate.images import read_photo", {"cleanplate.images"}),
        ("if True:\n    from cleanplate.images.exif import x", {"cleanplate.images.exif"}),
    ],
)
def test_the_parser_of_this_test_sees_imports(source, expected):
    assert imported_by(source, "m", set(PATHS)) == expected
