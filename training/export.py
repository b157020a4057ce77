"""Trained networks as ONNX files with half-precision weights, compared with the original."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from cleanplate.hub.convert.export import export_network, largest_difference
from training.networks import EdgeNetwork, FillNetwork

HALF_TOLERANCE = 2e-2
"""Largest difference that half-precision weights may make, for outputs in [0, 1]."""

_MIN_HALVED = 64  # values; smaller tensors are not worth a cast


def export_edgeconnect(
    generators: Mapping[str, nn.Module], sees_mask: bool, folder: Path
) -> dict[str, float]:
    """Write `edgeconnect_edges.onnx` and `edgeconnect_fill.onnx`; return the largest differences.

    Raises:
        WeightsError: a file computes something else.
    """
    fill_inputs = 5 if sees_mask else 4
    plans: dict[str, tuple[type[nn.Module], str, int]] = {
        "edges": (EdgeNetwork, "grey_edges_mask", 3),
        "fill": (FillNetwork, "rgb_edges", fill_inputs),
    }
    differences = {}
    for role, (wrapper, name, channels) in plans.items():
        network = wrapper(generators[role].cpu().float()).eval()
        path = folder / f"edgeconnect_{role}.onnx"
        generator = torch.Generator().manual_seed(0)
        trials = [
            {name: torch.rand(*shape, generator=generator)}
            for shape in ((1, channels, 64, 64), (2, channels, 96, 48))
        ]
        export_network(
            network,
            path,
            inputs=trials[0],
            outputs=["edges" if role == "edges" else "rgb"],
            dynamic={name: (0, 2, 3)},
            trials=trials[1:],
        )
        halve_weights(path)
        differences[role] = largest_difference(network, path, trials, tolerance=HALF_TOLERANCE)
    return differences


def halve_weights(path: Path) -> None:
    """Store the weights of an ONNX file in half precision, cast to single precision on load."""
    model = onnx.load(path)
    kept, casts = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size <= _MIN_HALVED:
            kept.append(tensor)
            continue
        half = f"{tensor.name}_h"
        kept.append(numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(helper.make_node("Cast", [half], [tensor.name], to=TensorProto.FLOAT))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
    onnx.checker.check_model(model)
    onnx.save(model, path)


def unpack_halves(graph: onnx.GraphProto) -> None:
    """Replace weights in half precision, and their casts, by ones in single precision, in place."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in list(graph.node):
        if node.op_type == "Cast" and node.input[0] in tensors:
            half = tensors[node.input[0]]
            values = numpy_helper.to_array(half).astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
            graph.initializer.remove(half)
            graph.node.remove(node)
    assert all(tensor.data_type != TensorProto.FLOAT16 for tensor in graph.initializer)


def fold_padding(path: Path) -> int:
    """Give convolutions of stride 2 the zeros around their input themselves; return how many.

    TensorFlow's "same" padding depends on the size, so that exporters write a chain of operators
    which works out how many zeros to add, and copies the whole picture to add them. At even sizes
    it is always the same: kernel - 2 in all, the smaller half at the top and left. The file
    computes the same to the bit, and no longer takes odd sizes anywhere before such a convolution.
    """
    model = onnx.load(path)
    graph = model.graph
    padded = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Pad"}
    folded = 0
    for node in graph.node:
        if node.op_type != "Conv" or node.input[0] not in padded:
            continue
        facts = {attribute.name: list(attribute.ints) for attribute in node.attribute}
        if facts.get("strides") != [2, 2] or any(facts.get("pads", [])):
            continue
        before = [(side - 2) // 2 for side in facts["kernel_shape"]]
        after = [side - 2 - less for side, less in zip(facts["kernel_shape"], before, strict=True)]
        kept = [attribute for attribute in node.attribute if attribute.name != "pads"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("pads", before + after)])
        node.input[0] = padded[node.input[0]]
        folded += 1
    drop_unused(graph)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return folded


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes and tensors on which no output depends."""
    needed = {output.name for output in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    shapes = [value for value in graph.value_info if value.name in needed]
    for field, kept in (
        (graph.node, nodes[::-1]), (graph.initializer, tensors), (graph.value_info, shapes)
    ):  # fmt: skip
        del field[:]
        field.extend(kept)


def load_generator(generator: nn.Module, path: Path) -> None:
    """Load the weights of an exported generator, to train on from them.

    A generator that sees the mask, exported from one that did not, starts with zero weights there.

    Raises:
        ValueError: the file is of another architecture.
    """
    graph = onnx.load(path).graph
    tensors = {tensor.name.removesuffix("_h"): tensor for tensor in graph.initializer}
    for node in graph.node:  # of equal tensors the exporter writes one
        if node.op_type == "Identity" and node.input[0] in tensors:
            tensors[node.output[0]] = tensors[node.input[0]]
    found = {}
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose"):
            continue
        # By the node: equal biases may have become one tensor, and those of zeros none.
        name = node.input[1].removeprefix("g.").removesuffix(".weight")
        for part, value in zip(("weight", "bias"), node.input[1:], strict=False):
            values = numpy_helper.to_array(tensors[value]).astype(np.float32)
            found[f"{name}.{part}"] = torch.from_numpy(values.copy())
    first = "encoder.0.weight"
    own = generator.state_dict()
    for name in own:
        if name.endswith(".bias") and name.replace(".bias", ".weight") in found:
            found.setdefault(name, torch.zeros(own[name].shape))
    if first in found and found[first].shape[1] < own[first].shape[1]:
        widened = torch.zeros(own[first].shape)
        widened[:, : found[first].shape[1]] = found[first]
        found[first] = widened
    missing = set(own) - set(found)
    if missing or any(own[name].shape != found[name].shape for name in own):
        raise ValueError(f"{path} is not of this architecture: see width and dilations")
    generator.load_state_dict({name: found[name] for name in own})


def export_segmenter(network: nn.Module, path: Path) -> float:
    """Write a segmenter in the package's contract; return the largest difference of its logits.

    Raises:
        WeightsError: the file computes something else.
    """
    return _export_compact(network, path, takes=("rgb", 3), returns="logits")


def export_effects(network: nn.Module, path: Path) -> float:
    """Write a network for effects in the package's contract; return its largest difference.

    Raises:
        WeightsError: the file computes something else.
    """
    whole = nn.Sequential(network, nn.Sigmoid())
    return _export_compact(whole, path, takes=("rgb_mask", 4), returns="effect")


def export_instances(network: nn.Module, path: Path) -> float:
    """Write a network that divides components in the package's contract; return as above.

    Raises:
        WeightsError: the file computes something else.
    """
    return _export_compact(network, path, takes=("rgb_mask", 4), returns="centre_offset")


def export_outlines(network: nn.Module, path: Path) -> float:
    """Write a network that sees all of an object in the package's contract; return as above.

    Raises:
        WeightsError: the file computes something else.
    """
    whole = nn.Sequential(network, nn.Sigmoid())
    return _export_compact(whole, path, takes=("rgb_mask", 4), returns="object")


def export_recognition(network: nn.Module, path: Path) -> float:
    """Write a network that recognizes objects in the package's contract; return as above.

    Raises:
        WeightsError: the file computes something else.
    """
    return _export_compact(network, path, takes=("rgb_mask", 4), returns="logits")


def _export_compact(
    network: nn.Module, path: Path, *, takes: tuple[str, int], returns: str
) -> float:
    """Write a network of images of any size with half-precision weights.

    Args:
        network: (N, C, H, W) -> (N, C', h, w).
        path: the file.
        takes: name of the input, and its channels.
        returns: name of the output.
    """
    network = network.cpu().float().eval()
    name, channels = takes
    generator = torch.Generator().manual_seed(0)
    trials = [
        {name: torch.rand(count, channels, *size_hw, generator=generator)}
        for count, size_hw in ((1, (64, 96)), (2, (96, 64)))
    ]
    export_network(
        network,
        path,
        inputs=trials[0],
        outputs=[returns],
        dynamic={name: (0, 2, 3)},
        trials=trials[1:],
    )
    fold_padding(path)
    halve_weights(path)
    return largest_difference(network, path, trials, tolerance=HALF_TOLERANCE)
