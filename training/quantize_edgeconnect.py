r"""Write EdgeConnect's networks with 8-bit weights and activations, for the CPU: half the time.

    python -m training.quantize_edgeconnect run/edgeconnect_edges.onnx run/edgeconnect_fill.onnx \
        --photos PHOTOS --silhouettes silhouettes.npy --output run/

run/ gets edgeconnect_edges_cpu.onnx and edgeconnect_fill_cpu.onnx. The range of every activation is
taken from crops of PHOTOS with holes, as in training. The first convolution, the last and the
second transposed one stay in single precision: in 8 bits the second one alone makes the fill differ
by 0.027 of the range of levels, everything else together by 0.010 (15 holes, inside them). With
ranges from 40 holes instead of 160, holes far deeper than the networks reach get pale spots.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import helper, numpy_helper

from cleanplate.runtime.session import Session
from training.config import EdgeConnectConfig, Run
from training.edgeconnect import edge_input, fill_input
from training.export import drop_unused
from training.photos import Batches, Photos, load_silhouettes
from training.quantize import load_in_single, quantize

_REACH = 10.0  # of the channels before a normalisation: far above its epsilon
# Row and column of a transposed convolution's 4 x 4 weights, stride 2, padding 1, for the even and
# the odd pixels of its result: which of a 3 x 3 convolution's weights they are.
_TAPS = (((0, 3), (1, 1)), ((1, 2), (2, 0)))

Tensor = npt.NDArray[np.float32]


def simplify(model: onnx.ModelProto) -> None:
    """Replace two slow operators by equal ones, in place.

    The first transposed convolution becomes one that computes four channels for each, and those
    are interleaved: 8 bits are for plain convolutions. The last, of few channels and many weights,
    becomes one along rows, whose results are added down columns: a processor computes 16 channels
    at once, needed or not.
    """
    graph = model.graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    transposed = next(node for node in graph.node if node.op_type == "ConvTranspose")
    last = [node for node in graph.node if node.op_type == "Conv"][-1]
    nodes = []
    for node in graph.node:
        if node is transposed:
            nodes += _as_convolution(graph, node, *(tensors[name] for name in node.input[1:]))
        elif node is last:
            nodes += _by_rows(graph, node, tensors[node.input[1]])
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unused(graph)


def _as_convolution(
    graph: onnx.GraphProto, node: onnx.NodeProto, weights: Tensor, bias: Tensor
) -> list[onnx.NodeProto]:
    before, after = weights.shape[:2]
    phases = np.zeros((2, 2, after, before, 3, 3), np.float32)
    for down in (0, 1):
        for across in (0, 1):
            for y, from_y in _TAPS[down]:
                for x, from_x in _TAPS[across]:
                    phases[down, across, ..., y, x] = weights[..., from_y, from_x].T
    names = [f"{node.output[0]}_{part}" for part in ("weight", "bias", "phases")]
    _add(graph, names[0], phases.reshape(4 * after, before, 3, 3))
    _add(graph, names[1], np.tile(bias, 4))
    return [
        helper.make_node(
            "Conv", [node.input[0], *names[:2]], names[2:], kernel_shape=[3, 3], pads=[1, 1, 1, 1]
        ),
        helper.make_node("DepthToSpace", names[2:], node.output, blocksize=2, mode="DCR"),
    ]


def _by_rows(graph: onnx.GraphProto, node: onnx.NodeProto, weights: Tensor) -> list[onnx.NodeProto]:
    after, before, side, _ = weights.shape
    margin = side // 2
    names = [f"{node.output[0]}_{part}" for part in ("weight", "sum", "rows")]
    _add(graph, names[0], weights.transpose(2, 0, 1, 3).reshape(side * after, before, 1, side))
    total = np.einsum("oi,rk->orik", np.eye(after), np.eye(side))
    _add(graph, names[1], total.reshape(after, side * after, side, 1))
    return [
        helper.make_node(
            "Conv", [node.input[0], names[0]], names[2:],
            kernel_shape=[1, side], pads=[0, margin, 0, margin],
        ),
        helper.make_node(
            "Conv", [names[2], names[1], *node.input[2:]], node.output,
            kernel_shape=[side, 1], pads=[margin, 0, margin, 0],
        ),
    ]  # fmt: skip


def equalise(model: onnx.ModelProto, inputs: Sequence[Tensor]) -> None:
    """Give all channels before an instance normalisation one range, in place.

    The normalisation undoes it, and 8 bits are then enough for channels of small range too.
    """
    graph = model.graph
    after = {name: node for node in graph.node for name in node.input}
    found = []  # convolutions before a normalisation, and how many of their channels become one
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        follower, phases = after[node.output[0]], 1
        if follower.op_type == "DepthToSpace":
            follower, phases = after[follower.output[0]], 4
        if follower.op_type == "InstanceNormalization":
            found.append((node, phases))
    lows, highs = _ranges(model, [node.output[0] for node, _ in found], inputs)
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for (node, phases), low, high in zip(found, lows, highs, strict=True):
        least = np.tile(low.reshape(phases, -1).min(0), phases)
        most = np.tile(high.reshape(phases, -1).max(0), phases)
        scale = 2 * _REACH / np.maximum(most - least, 1e-6)
        weights, bias = (tensors[name] for name in node.input[1:])
        names = [f"{node.output[0]}_{part}_equal" for part in ("weight", "bias")]
        _add(graph, names[0], weights * scale[:, None, None, None])
        _add(graph, names[1], (bias - (least + most) / 2) * scale)
        node.input[1], node.input[2] = names
    drop_unused(graph)


def _ranges(
    model: onnx.ModelProto, values: Sequence[str], inputs: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the least and the largest of every channel of inner values, over all inputs."""
    session = Session(model.SerializeToString(), name="network", device="cpu", inner=values)
    lows = [np.full((), np.inf, np.float32)] * len(values)
    highs = [np.full((), -np.inf, np.float32)] * len(values)
    for tensor in inputs:
        planes = session.run_all(tensor)[1:]
        lows = [np.minimum(low, one.min((0, 2, 3))) for low, one in zip(lows, planes, strict=True)]
        highs = [
            np.maximum(high, one.max((0, 2, 3))) for high, one in zip(highs, planes, strict=True)
        ]
    return lows, highs


def _add(graph: onnx.GraphProto, name: str, values: npt.NDArray[np.floating]) -> None:
    graph.initializer.append(
        numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name)
    )


def make_inputs(
    edges: Path, fill: Path, photos: Photos, silhouettes: Path | None, count: int
) -> dict[str, list[Tensor]]:
    """Return what both networks are given for `count` holes: (1, 3 or 4, 256, 256) float32."""
    config = replace(EdgeConnectConfig(), run=Run(steps=count, batch=1))
    batches = Batches(photos, load_silhouettes(silhouettes), config)
    drawing = Session(edges.read_bytes(), name="edges", device="cpu")
    channels = Session(fill.read_bytes(), name="fill", device="cpu").input_shapes[0][1]
    made: dict[str, list[Tensor]] = {"edges": [], "fill": []}
    for step in range(count):
        batch = batches[step]
        made["edges"].append(edge_input(batch).numpy())
        drawn = torch.from_numpy(drawing.run(made["edges"][-1]))
        map_ = torch.where(batch.hole > 0, drawn, batch.edges)
        made["fill"].append(fill_input(batch, map_, sees_mask=channels == 5).numpy())
    return made


def main() -> None:
    """Parse the command line, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("edges", type=Path)
    parser.add_argument("fill", type=Path)
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders, or a pack")
    parser.add_argument("--silhouettes", type=Path, help="outlines for holes")
    parser.add_argument("--count", type=int, default=160, help="holes to take; default: 160")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a folder")
    arguments = parser.parse_args()
    paths = {"edges": arguments.edges, "fill": arguments.fill}
    photos = Photos(arguments.photos)
    made = make_inputs(
        arguments.edges, arguments.fill, photos, arguments.silhouettes, arguments.count
    )
    for role, path in paths.items():
        model = load_in_single(path)
        simplify(model)
        equalise(model, made[role])
        output = arguments.output / f"edgeconnect_{role}_cpu.onnx"
        quantize(model, iter(made[role]), output, first=1, last=2, convolutions_only=True)
        print(f"{output}: {output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
