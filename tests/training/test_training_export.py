"""Exported files are rewritten into what ONNX Runtime computes faster, with the same results."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from training.export import fold_padding

from cleanplate.hub.registry import MODELS
from cleanplate.hub.store import read_file
from cleanplate.runtime.session import Session

pytestmark = pytest.mark.slow  # loads PyTorch

SAME = {3: [0, 0, 0, 0, 0, 0, 1, 1], 5: [0, 0, 1, 1, 0, 0, 2, 2]}
"""TensorFlow's padding of an even size before a convolution of stride 2, by its kernel."""


@pytest.fixture
def padded_file(tmp_path):
    """Write two convolutions of stride 2 with their zeros added before, and one of stride 1."""
    rng = np.random.default_rng(0)
    nodes, tensors, value = [], [], "rgb"
    for number, (side, stride) in enumerate(((3, 2), (5, 2), (3, 1))):
        weights = rng.standard_normal((3, 3, side, side)).astype(np.float32)
        pads = np.array(SAME[side], np.int64)
        tensors += [
            numpy_helper.from_array(weights, f"w{number}"),
            numpy_helper.from_array(pads, f"p{number}"),
        ]
        nodes += [
            helper.make_node("Pad", [value, f"p{number}"], [f"padded{number}"]),
            helper.make_node(
                "Conv",
                [f"padded{number}", f"w{number}"],
                [f"y{number}"],
                kernel_shape=[side, side],
                strides=[stride, stride],
                pads=[0, 0, 0, 0],
            ),
        ]
        value = f"y{number}"
    sides = ["N", 3, "H", "W"]
    graph = helper.make_graph(
        nodes,
        "padded",
        [helper.make_tensor_value_info("rgb", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["N", 3, "h", "w"])],
        tensors,
    )
    path = tmp_path / "padded.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path
    )
    return path


@pytest.mark.parametrize("size_hw", [(32, 32), (64, 96)])
def test_folded_padding_computes_the_same(padded_file, size_hw):
    planes = np.random.default_rng(1).random((1, 3, *size_hw), dtype=np.float32)
    before = Session(padded_file.read_bytes(), name="padded", device="cpu").run(planes)
    assert fold_padding(padded_file) == 2
    after = Session(padded_file.read_bytes(), name="folded", device="cpu").run(planes)
    np.testing.assert_array_equal(before, after)


def test_only_padding_before_stride_2_is_folded_and_what_it_needed_goes(padded_file):
    fold_padding(padded_file)
    graph = onnx.load(padded_file).graph
    assert [node.op_type for node in graph.node] == ["Conv", "Conv", "Pad", "Conv"]
    assert {tensor.name for tensor in graph.initializer} == {"w0", "w1", "w2", "p2"}
    assert fold_padding(padded_file) == 0


def test_the_built_in_segmenter_pads_nowhere():
    graph = onnx.load_from_string(read_file(MODELS["deeplabv3plus_lite2.voc"], "segment")).graph
    assert "Pad" not in {node.op_type for node in graph.node}
