"""Imports point down the layers of docs/design.md, and packages speak through their `__init__`."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import cleanplate

ROOT = Path(cleanplate.__file__).parent

LAYERS = (
    ("types", "errors", "labels", "options", "threads"),
    ("ops",),
    ("io", "runtime"),
    ("hub",),
    ("segmentation", "inpainting"),
    ("plan", "remover"),
    ("api",),
    ("batch",),
    ("distributed", "video", "evaluation", "server", "datasets"),
    ("integrations",),
    ("cli", "__main__"),
)
# Public names that several modules define, and why.
SHARED_NAMES = {
    "ENTRIES": "the registry joins the entries of its modules",
    "RemoveObjects": "a transform of that name in each library's style",
    "convert": "the interface of hub/convert's modules",
    "fill": "the Python call, and the route of the HTTP API that makes it",
    "logger": "logging's idiom",
    "remove": "as fill",
}
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Where a framework may be imported; only when it is used.
FRAMEWORKS = {
    "onnxruntime": ("runtime.devices", "runtime.half", "hub.convert"),
    "onnx": ("runtime.half", "hub.convert"),
    "torch": ("hub.convert", "inpainting.models.pipeline", "integrations.torchvision"),
    "diffusers": ("hub.convert", "inpainting.models.pipeline"),
    "torchvision": ("hub.convert", "integrations.torchvision"),
    "albumentations": ("integrations.albumentations",),
    "supervision": (),
    "transformers": ("hub.convert",),
    "safetensors": ("hub.convert",),
    "tensorflow": (),
    "jax": (),
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}
PACKAGES = {name for name, path in PATHS.items() if path.name == "__init__.py"}


def imported_by(tree: ast.Module) -> Iterator[str]:
    """Yield what a module imports anywhere in it, as module names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in PATHS else str(node.module)


def defined_in(module: ast.Module) -> Iterator[str]:
    """Yield the public names that a module defines at its top: classes, functions, constants."""
    for node in module.body:
        names: list[ast.expr] = []
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name
            case ast.Assign():
                names = node.targets
            case ast.AnnAssign():
                names = [node.target]
        yield from (name.id for name in names if isinstance(name, ast.Name))


@pytest.fixture(scope="module")
def read() -> dict[str, tuple[set[str], set[str]]]:
    """Return module -> what it imports and what it defines; trees take long to keep."""
    found = {}
    for module, path in PATHS.items():
        tree = ast.parse(path.read_text("utf-8"))
        found[module] = set(imported_by(tree)), set(defined_in(tree))
    return found


def faults_of(module: str, imported: set[str]) -> Iterator[str]:
    """Yield what is wrong with the imports of a module."""
    home = module if module in PACKAGES else module.rpartition(".")[0]
    for name in sorted(imported):
        top, _, inside = name.partition(".")
        if top in FRAMEWORKS and not module.startswith(
            tuple(f"cleanplate.{place}" for place in FRAMEWORKS[top])
        ):
            yield f"{module} imports {name}"
        if top != "cleanplate" or not inside or module == "cleanplate":
            continue
        if RANK[inside.split(".")[0]] > RANK[module.split(".")[1]]:
            yield f"{module} imports {name}, which is above it"
        package = name.rpartition(".")[0]
        if not f"{home}.".startswith(f"{package}."):
            yield f"{module} imports {name} from inside another package"


def test_modules_import_downwards_and_from_packages_only(read):
    imports = {module: imported for module, (imported, _) in read.items()}
    faults = [fault for module, names in imports.items() for fault in faults_of(module, names)]
    assert not faults, "\n".join(faults)
    graph = {
        module: {name for name in names & set(PATHS) if name not in (module, "cleanplate")}
        for module, names in imports.items()
        if module != "cleanplate"
    }
    inits = {  # a package's own modules do not wait for its `__init__`, which imports them
        module: {name for name in names if not f"{module}.".startswith(f"{name}.")}
        for module, names in graph.items()
    }
    try:
        TopologicalSorter(inits).prepare()
    except CycleError as error:
        pytest.fail(f"imports go round in a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize(
    ("module", "imported", "fault"),
    [
        ("cleanplate.ops.masks", "cleanplate.io", "above"),
        ("cleanplate.batch.records.settings", "cleanplate.io.formats.jpeg", "inside"),
        ("cleanplate.io.formats.jpeg", "cleanplate.io.metadata.exif", "inside"),
        ("cleanplate.io.formats.jpeg", "torch", "imports torch"),
    ],
)
def test_the_test_sees_faults(module, imported, fault):
    assert fault in next(faults_of(module, {imported}))


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("cleanplate.io.formats.jpeg", "cleanplate.io.metadata"),
        ("cleanplate.io.formats.jpeg", "cleanplate.io.photo"),
        ("cleanplate.io.formats.jpeg", "cleanplate.types"),
        ("cleanplate.io", "cleanplate.io.files"),
    ],
)
def test_the_test_permits_the_rest(module, imported):
    assert list(faults_of(module, {imported})) == []


def test_modules_have_names_that_say_what_they_hold():
    drawers = {"utils", "helpers", "common", "misc"}
    assert not drawers & {path.stem for path in PATHS.values()}
    assert not [name for name, path in PATHS.items() if "import *" in path.read_text("utf-8")]


def test_files_of_sibling_packages_have_names_of_their_own():
    homes: dict[tuple[Path, str], list[Path]] = {}
    for path in PATHS.values():
        if path.name not in ("__init__.py", "base.py"):
            homes.setdefault((path.parent.parent, path.name), []).append(path)
    same = [paths for paths in homes.values() if len(paths) > 1]
    assert not same, same


def test_a_public_name_is_defined_once(read):
    homes: dict[str, set[str]] = {}
    for module, (_, defined) in read.items():
        for name in defined:
            if not name.startswith("_"):
                homes.setdefault(name, set()).add(module)
    shared = {name: modules for name, modules in homes.items() if len(modules) > 1}
    assert shared.keys() == SHARED_NAMES.keys(), shared
    assert len(SHARED_NAMES) <= 10
