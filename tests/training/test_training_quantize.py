"""A network with 8-bit weights computes nearly the same, and its file is smaller."""

import runpy
import sys

import numpy as np
import onnx
import pytest
from training.export import halve_weights
from training.quantize import load_in_single, quantize

from cleanplate.hub.convert.export import export_network
from cleanplate.runtime.session import Session

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow  # loads PyTorch


@pytest.fixture
def network_file(tmp_path):
    """Write what a segmenter consists of: plain, depthwise and pointwise convolutions."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, stride=2, padding=1),
        torch.nn.ReLU6(),
        torch.nn.Conv2d(16, 16, 3, padding=1, groups=16),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(32, 32, 3, padding=1, groups=32),
        torch.nn.ReLU(),
        torch.nn.Conv2d(32, 32, 1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(32, 5, 1),
    ).eval()
    path = tmp_path / "network.onnx"
    export_network(
        network,
        path,
        inputs={"rgb": torch.rand(1, 3, 64, 64)},
        outputs=["logits"],
        dynamic={"rgb": (0, 2, 3)},
        trials=[],
    )
    halve_weights(path)
    return path


def test_it_computes_nearly_the_same(network_file, tmp_path, cat):
    photo = cat[:288, :448].astype(np.float32).transpose(2, 0, 1)[None] / 255
    small = tmp_path / "small.onnx"
    quantize(load_in_single(network_file), iter([photo, photo[..., ::-1].copy()]), small)

    whole, eight = (
        Session(path.read_bytes(), name="network", device="cpu") for path in (network_file, small)
    )
    expected, found = whole.run(photo), eight.run(photo)
    assert not np.array_equal(found, expected)
    assert np.abs(found - expected).mean() < 0.02 * expected.std()
    graph = onnx.load(small).graph
    kept = {tensor.data_type for tensor in graph.initializer if np.prod(tensor.dims) > 64}
    assert onnx.TensorProto.INT8 in kept
    assert onnx.TensorProto.FLOAT16 not in kept


def test_the_command_takes_photos(network_file, tmp_path, photo_folder, monkeypatch, capsys):
    out = tmp_path / "eight.onnx"
    words = ["", network_file, "--photos", photo_folder, "-o", out]
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    monkeypatch.delitem(sys.modules, "training.quantize")
    runpy.run_module("training.quantize", run_name="__main__")
    assert f"{out}: {out.stat().st_size:,} bytes" in capsys.readouterr().out
    planes = np.random.default_rng(0).random((1, 3, 96, 160), np.float32)
    assert Session(out.read_bytes(), name="eight", device="cpu").run(planes).shape == (1, 5, 48, 80)
