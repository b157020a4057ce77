"""Half precision: the same inputs and outputs, the weights and sums in float16."""

import builtins

import numpy as np
import pytest

from cleanplate.errors import DeviceError
from cleanplate.hub.registry import MODELS
from cleanplate.hub.store import network_roles, read_file
from cleanplate.runtime.half import in_half_precision
from cleanplate.runtime.session import Session
from runtime_standins import CUDA

onnx = pytest.importorskip("onnx")

BUILT_IN = [
    (model.name, role)
    for model in MODELS.values()
    if model.is_built_in
    for role in network_roles(model, on_cpu=False).values()
]


def kinds_of(content):
    """Return the dtypes of a network's values."""
    graph = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(content)).graph
    return {value.type.tensor_type.elem_type for value in graph.value_info}


@pytest.mark.parametrize(("name", "role"), BUILT_IN)
def test_takes_and_gives_what_the_whole_one_does(name, role):
    whole = read_file(MODELS[name], role)
    half = in_half_precision(whole, device="cuda-fp16")
    before, after = (onnx.load_model_from_string(content).graph for content in (whole, half))
    for ends in ("input", "output"):
        assert getattr(before, ends) == getattr(after, ends)
    # In between nothing is single but what sizes are computed from.
    halved = [node for node in after.node if node.op_type in ("Conv", "ConvTranspose")]
    assert halved
    inferred = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(half)).graph
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    for node in halved:
        assert types[node.output[0]] == onnx.TensorProto.FLOAT16


@pytest.mark.parametrize(("name", "role"), BUILT_IN)
@pytest.mark.slow
def test_computes_nearly_the_same(name, role, pretended_cuda):
    content = read_file(MODELS[name], role)
    planes = onnx.load_model_from_string(content).graph.input[0].type.tensor_type.shape.dim[1]
    tensor = np.random.default_rng(0).random((1, planes.dim_value, 64, 96), dtype=np.float32)
    whole, half = (Session(content, name=role, device=device) for device in ("cuda", "cuda-fp16"))
    expected, found = whole.run(tensor), half.run(tensor)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert half.provider == CUDA
    assert pretended_cuda.sessions[1].content != pretended_cuda.sessions[0].content


def test_without_the_package_it_says_what_to_install(network_file, pretended_cuda, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "onnx":
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    match = "device 'cuda-fp16' cannot be used: No module named 'onnx'; it needs 'pip install onnx'"
    with pytest.raises(DeviceError, match=match):
        Session(network_file, name="edges", device="cuda-fp16")
