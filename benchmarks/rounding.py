"""Half precision on a processor that has none: every value is rounded after every operator.

Products are summed in single precision, as the tensor cores of a GPU do. What float16 cannot hold
(above 65,504) is not cut: `largest_value` tells whether there is any.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from cleanplate.runtime.session import Session

# x * (2^13 + 1), less itself, less x: what is left of 24 binary digits are 11 (Veltkamp 1968).
_SPLITTER = 2.0**13 + 1


def rounded_to_half(content: bytes) -> bytes:
    """Return a network that rounds what each operator gives to float16's 11 binary digits.

    Args:
        content: bytes of an ONNX file in single precision.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(content))
    graph = model.graph
    single = _values_in_single_precision(graph)
    nodes = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type in ("Constant", "Cast"):
            continue  # weights, which the built-in files hold in float16
        for index, name in enumerate(node.output):
            if name not in single:
                continue
            exact = f"{name}/exact"
            node.output[index] = exact
            nodes += [
                helper.make_node("Mul", [exact, "splitter"], [f"{name}/large"]),
                helper.make_node("Sub", [f"{name}/large", exact], [f"{name}/rest"]),
                helper.make_node("Sub", [f"{name}/large", f"{name}/rest"], [name]),
            ]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.append(numpy_helper.from_array(np.float32(_SPLITTER), "splitter"))
    rounded: bytes = model.SerializeToString()
    return rounded


def largest_value(content: bytes, tensors: list[np.ndarray]) -> float:
    """Return the largest value, in size, that any operator gives for some inputs.

    Args:
        content: bytes of an ONNX file in single precision.
        tensors: inputs of a network that has one.
    """
    graph = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(content)).graph
    single = _values_in_single_precision(graph) - {value.name for value in graph.output}
    inner = [
        name
        for node in graph.node
        for name in node.output
        if name in single and node.op_type not in ("Constant", "Cast")
    ]
    session = Session(content, name="all values", device="cpu", inner=inner)
    return max(
        float(np.abs(value).max())
        for tensor in tensors
        for value in session.run_all(tensor)
        if value.dtype == np.float32
    )


def _values_in_single_precision(graph: onnx.GraphProto) -> set[str]:
    return {
        value.name
        for value in [*graph.value_info, *graph.output]
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
