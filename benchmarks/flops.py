"""How much networks compute, and how fast this machine computes at best."""

import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

MATRIX_SIDE = 2048
_TIMES = 9
_CONVOLUTIONS = {"Conv", "FusedConv"}
_PRODUCTS = {"MatMul", "Gemm", "FusedMatMul", "FusedGemm"}


def flops_of(content: bytes, shapes: tuple[tuple[int, ...], ...]) -> int:
    """Return the multiplications and additions of one run of a network.

    Counted are convolutions, transposed convolutions and matrix products, with the shapes that ONNX
    Runtime meets: it runs the file once, as it is written.

    Args:
        content: bytes of an ONNX file whose inputs are float32.
        shapes: of its inputs.
    """
    return sum(_flops(event["args"]) for event in node_events(content, shapes))


def node_events(
    content: bytes,
    shapes: tuple[tuple[int, ...], ...],
    *,
    threads: int = 1,
    optimised: bool = False,
    runs: int = 1,
) -> list[dict[str, Any]]:
    """Return what ONNX Runtime's profiler writes of each operator, in the order they ran."""
    levels = onnxruntime.GraphOptimizationLevel
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.intra_op_num_threads = threads
        options.graph_optimization_level = (
            levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
        )
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        rng = np.random.default_rng(0)
        feeds = {
            node.name: rng.random(shape, dtype=np.float32)
            for node, shape in zip(session.get_inputs(), shapes, strict=True)
        }
        for _ in range(runs):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return [
        event
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
    ]


def _flops(arguments: dict[str, Any]) -> int:
    inputs, outputs = (
        [next(iter(one.values())) for one in arguments[key]]
        for key in ("input_type_shape", "output_type_shape")
    )
    operator = arguments["op_name"]
    if operator in _CONVOLUTIONS:  # weights: (out, in / groups, ...)
        return 2 * outputs[0][0] * math.prod(outputs[0][2:]) * math.prod(inputs[1])
    if operator == "ConvTranspose":  # weights: (in, out / groups, ...)
        return 2 * inputs[0][0] * math.prod(inputs[0][2:]) * math.prod(inputs[1])
    if operator in _PRODUCTS:
        return 2 * math.prod(outputs[0]) * inputs[0][-1]
    return 0


def best_rate(threads: int) -> float:
    """Return the most FLOPs a second that a large product of float32 matrices reaches here.

    Needs the package onnx, to write that product down.
    """
    from onnx import TensorProto, helper, numpy_helper

    sides = [MATRIX_SIDE, MATRIX_SIDE]
    rng = np.random.default_rng(0)
    first, second = (rng.random(sides, dtype=np.float32) for _ in range(2))
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["first", "second"], ["product"])],
        "product",
        [helper.make_tensor_value_info("first", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("product", TensorProto.FLOAT, sides)],
        [numpy_helper.from_array(second, "second")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    least = math.inf
    for _ in range(_TIMES):
        start = time.perf_counter()
        session.run(None, {"first": first})
        least = min(least, time.perf_counter() - start)
    return 2 * MATRIX_SIDE**3 / least
