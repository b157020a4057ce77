"""ComfyUI's nodes on the CPU, with its `comfy_api` if there is one, else a test double."""

import asyncio
import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import cleanplate
from cleanplate.labels import VOC_LABELS
from cleanplate.remover import Remover
from cleanplate.types import Instance

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytestmark = pytest.mark.slow  # PyTorch's import

PLUGIN = Path(__file__).parents[2] / "plugins/comfyui/cleanplate"
RED = (220, 20, 20)


class RedSegmenter:
    """Takes red for a person."""

    name, provider, labels = "red", "NumPy", VOC_LABELS

    def segment(self, image, labels):
        alike = np.abs(image.astype(int) - RED).max(axis=2) < 60
        if "person" not in labels or not alike.any():
            return []
        rows, columns = np.nonzero(alike)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        mask = alike[box[1] : box[3], box[0] : box[2]]
        return [Instance(1, "person", 0.9, tuple(map(int, box)), mask)]


class GreyInpainter:
    name, provider, working_size = "grey", "NumPy", None

    def inpaint(self, image, mask):
        return np.where(mask[..., None], np.uint8(128), image)


def make_double():
    """Return modules that do what the plug-in uses of `comfy_api.latest`, no more."""

    class Socket:
        def __init__(self, *names, **options):
            self.id, self.options = (*names, None)[0], options

    kind = types.SimpleNamespace(Input=Socket, Output=Socket)

    class NodeOutput:
        def __init__(self, *args):
            self.args = args

    io = types.SimpleNamespace(
        ComfyNode=object, Schema=types.SimpleNamespace, NodeOutput=NodeOutput,
        Image=kind, Mask=kind, String=kind, Int=kind,
    )  # fmt: skip
    latest = types.ModuleType("comfy_api.latest")
    latest.io, latest.ComfyExtension = io, object
    package = types.ModuleType("comfy_api")
    package.latest = latest
    return {"comfy_api": package, "comfy_api.latest": latest}


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Load the plug-in as ComfyUI does: by its path, under another name."""
    if importlib.util.find_spec("comfy_api") is None:
        for name, module in make_double().items():
            monkeypatch.setitem(sys.modules, name, module)
    folder = tmp_path / "cleanplate"
    folder.mkdir()
    for path in [*PLUGIN.glob("*.py"), PLUGIN.parents[1] / "common/cleanplate_client.py"]:
        (folder / path.name).write_bytes(path.read_bytes())
    name = f"plugin_of_{tmp_path.name}"  # another one in each test
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(
        cleanplate, "Remover", lambda: Remover(segmenter=RedSegmenter(), inpainter=GreyInpainter())
    )
    return module


@pytest.fixture
def nodes(plugin):
    async def listed():
        extension = await plugin.comfy_entrypoint()
        return await extension.get_node_list()

    return {node.define_schema().node_id: node for node in asyncio.run(listed())}


@pytest.fixture
def images():
    """Return two images with values between those of 8 bits; a person is in the first."""
    values = np.full((2, 64, 96, 3), 235.4 / 255, np.float32)
    values[0, 20:40, 10:30] = np.array(RED) / 255
    return torch.from_numpy(values)


def test_finds_objects(nodes, images):
    mask, count = nodes["CleanplateFindObjects"].execute(images, "person").args
    assert (mask.shape, mask.dtype, count) == ((2, 64, 96), torch.float32, 1)
    assert (mask[0, 20:40, 10:30] == 1).all()
    assert not mask[0, :, 60:].any()
    assert not mask[1].any()


def test_removes_objects_and_nothing_else(nodes, images):
    before = images.clone()
    result, mask = nodes["CleanplateRemoveObjects"].execute(images, "person").args
    assert torch.equal(images, before)
    assert torch.equal(result[mask == 0], images[mask == 0])
    np.testing.assert_allclose(result[0, 25:35, 15:25], 128 / 255, atol=1e-6)
    assert torch.equal(result[1], images[1])


def test_removes_what_a_mask_shows_too(nodes, images):
    given = torch.zeros(1, 64, 96)
    given[:, 50:60, 70:80] = 1
    execute = nodes["CleanplateRemoveObjects"].execute
    result, mask = execute(images, "person", given).args
    assert (mask[:, 50:60, 70:80] == 1).all()
    assert (mask[0, 20:40, 10:30] == 1).all()
    np.testing.assert_allclose(result[:, 52:58, 72:78], 128 / 255, atol=1e-6)
    only, mask = execute(images, " ", given).args
    assert mask.sum() == 200
    assert torch.equal(only[mask == 0], images[mask == 0])


def test_fills_a_mask_and_keeps_alpha(nodes, images):
    alpha = torch.full((2, 64, 96, 1), 0.3)
    mask = torch.zeros(64, 96)
    mask[5:10, 5:15] = 1
    (result,) = nodes["CleanplateFill"].execute(torch.cat([images, alpha], 3), mask).args
    assert torch.equal(result[..., 3:], alpha)
    changed = (result[..., :3] != images).any(3)
    assert torch.equal(changed, mask.bool().expand(2, -1, -1))


def test_other_sizes_are_refused(nodes, images):
    with pytest.raises(ValueError, match=r"\(1, 5, 5\)"):
        nodes["CleanplateFill"].execute(images, torch.ones(1, 5, 5))


def test_without_the_package_and_a_server_it_says_so(plugin, nodes, images, monkeypatch):
    monkeypatch.setitem(sys.modules, "cleanplate", None)
    with pytest.raises(RuntimeError, match=r"plugins install.*Or install cleanplate"):
        nodes["CleanplateFindObjects"].execute(images, "person")


def test_by_the_server(plugin, nodes, images, monkeypatch):
    module = sys.modules[f"{plugin.__name__}.nodes"]
    grey = module._png(np.full((64, 96, 3), 128, np.uint8))
    hole = np.zeros((64, 96), bool)
    hole[20:40, 10:30] = True

    class Client:
        def find(self, photo, labels):
            return module._png(hole[::2, ::2]), 2

        def remove(self, photo, labels):
            return (grey, module._png(hole)) if labels == "person" else None

    monkeypatch.setitem(sys.modules, "cleanplate", None)
    monkeypatch.setattr(module, "Client", Client)
    mask, count = nodes["CleanplateFindObjects"].execute(images[:1], "person").args
    assert count == 2
    assert np.array_equal(mask[0], hole)
    result, mask = nodes["CleanplateRemoveObjects"].execute(images, "person").args
    assert torch.equal(result[mask == 0], images[mask == 0])
    np.testing.assert_allclose(result[0, 20:40, 10:30], 128 / 255, atol=1e-6)
    result, mask = nodes["CleanplateRemoveObjects"].execute(images, "cat").args
    assert torch.equal(result, images)


def test_the_example_workflow_names_what_there_is(nodes):
    workflow = json.loads((PLUGIN / "example_workflows/remove_people.json").read_text())
    used = [node for node in workflow.values() if node["class_type"] in nodes]
    assert used
    for node in used:
        inputs = {one.id for one in nodes[node["class_type"]].define_schema().inputs}
        assert set(node["inputs"]) <= inputs
