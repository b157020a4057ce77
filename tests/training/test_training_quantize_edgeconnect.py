"""EdgeConnect's generators are rewritten into equal ones, and then computed with 8 bits."""

import runpy
import sys

import numpy as np
import onnx
import pytest
from training.export import export_edgeconnect
from training.networks import Generator
from training.quantize import load_in_single
from training.quantize_edgeconnect import equalise, simplify

from cleanplate.runtime.session import Session

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow  # loads PyTorch

CHANNELS = {"edges": 3, "fill": 4}


@pytest.fixture
def folder(tmp_path):
    """Write both generators, narrow and untrained, with channels of very different ranges."""
    torch.manual_seed(0)
    generators = {"edges": Generator(3, 1, 8, (1, 2)), "fill": Generator(4, 3, 8, (1, 2))}
    for generator in generators.values():
        for module in generator.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                torch.nn.init.normal_(module.bias)
                module.weight.data *= 10
        first = generator.encoder[3].weight
        first.data *= torch.logspace(-1, 1, len(first))[:, None, None, None]
    export_edgeconnect(generators, False, tmp_path)
    return tmp_path


def run(model, tensor):
    return Session(model.SerializeToString(), name="network", device="cpu").run(tensor)


@pytest.mark.parametrize("role", CHANNELS)
@pytest.mark.parametrize("size_hw", [(32, 32), (64, 96)])
def test_a_simplified_network_computes_the_same(folder, role, size_hw):
    model = load_in_single(folder / f"edgeconnect_{role}.onnx")
    rng = np.random.default_rng(0)
    tensor = rng.random((2, CHANNELS[role], *size_hw), np.float32)
    expected = run(model, tensor)
    simplify(model)
    np.testing.assert_allclose(run(model, tensor), expected, atol=1e-4)
    assert sum(node.op_type == "ConvTranspose" for node in model.graph.node) == 1
    equalise(model, [rng.random((1, CHANNELS[role], 32, 32), np.float32)])
    np.testing.assert_allclose(run(model, tensor), expected, atol=1e-2)  # epsilon of the norms


def test_equalised_channels_have_one_range(folder):
    model = load_in_single(folder / "edgeconnect_fill.onnx")
    tensor = np.random.default_rng(0).random((1, 4, 64, 64), np.float32)
    value = [node for node in model.graph.node if node.op_type == "Conv"][1].output[0]
    assert "InstanceNormalization" in {node.op_type for node in model.graph.node}

    def ranges():
        content = model.SerializeToString()
        planes = Session(content, name="fill", device="cpu", inner=[value]).run_all(tensor)[1][0]
        return np.ptp(planes, axis=(1, 2))

    before = ranges()
    assert before.max() > 10 * before.min()
    equalise(model, [tensor])
    np.testing.assert_allclose(ranges(), 20, rtol=1e-3)


def test_the_command_writes_both_files(folder, photo_folder, monkeypatch, capsys):
    names = [folder / f"edgeconnect_{role}.onnx" for role in CHANNELS]
    words = ["", *names, "--photos", photo_folder, "--count", 3, "-o", folder]
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    monkeypatch.delitem(sys.modules, "training.quantize_edgeconnect")
    runpy.run_module("training.quantize_edgeconnect", run_name="__main__")
    printed = capsys.readouterr().out
    for role, channels in CHANNELS.items():
        path = folder / f"edgeconnect_{role}_cpu.onnx"
        assert f"{path}: {path.stat().st_size:,} bytes" in printed
        kinds = {tensor.data_type for tensor in onnx.load(path).graph.initializer}
        assert onnx.TensorProto.INT8 in kinds
        tensor = np.random.default_rng(0).random((1, channels, 64, 96), np.float32)
        whole = run(load_in_single(folder / f"edgeconnect_{role}.onnx"), tensor)
        assert np.abs(run(onnx.load(path), tensor) - whole).mean() < 0.05
