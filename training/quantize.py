"""Write a network with 8-bit weights and activations, for the CPU: half the time, half the file.

    python -m training.quantize run/deeplabv3plus.onnx --photos PHOTOS -o deeplabv3plus_cpu.onnx

The network takes `rgb`, (N, 3, H, W) in [0, 1], as `training.segmenter` exports it. The range of
every activation is taken from PHOTOS; use some that it was trained on. Weights have 7 bits: x86
processors without VNNI add pairs of products in 16 bits, which 8 would exceed. The last convolution
stays as it is: probabilities far below 1 % decide where to look again.

Reference:
    Krishnamoorthi, Quantizing deep convolutional networks for efficient inference, 2018,
    arXiv:1806.08342.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from cleanplate.runtime import to_tensor
from cleanplate.segmentation.multiscale import network_size
from training.export import drop_unused, unpack_halves
from training.photos import Photos

_SIDES_PX = (384, 512, 768)  # long sides in turn, as photos are given to the network
# Convolutions that stay in single precision at a segmenter's start: their ranges differ most by
# channel. With them in 8 bits the class of 1.0 % of the cells changes, else of 0.5 % (30 photos of
# VOC train).
_FIRST_IN_SINGLE = 3
_SEED = 0


class _Inputs(CalibrationDataReader):
    """Gives the network's inputs one by one."""

    def __init__(self, inputs: Iterator[npt.NDArray[np.float32]], name: str) -> None:
        self._inputs, self._name = inputs, name

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        """Return the next input, None at the end."""
        tensor = next(self._inputs, None)
        return None if tensor is None else {self._name: tensor}


def quantize(
    model: onnx.ModelProto,
    inputs: Iterator[npt.NDArray[np.float32]],
    output: Path,
    *,
    first: int = _FIRST_IN_SINGLE,
    last: int = 1,
    convolutions_only: bool = False,
) -> None:
    """Write a network with 8-bit weights and activations.

    Args:
        model: with one input and weights in single precision; its nodes are renamed.
        inputs: (N, C, H, W) float32, what it is given.
        output: the file.
        first: convolutions at the start that compute in float32, with all that is before them.
        last: convolutions at the end that do, with all that is after them.
        convolutions_only: nothing but convolutions in 8 bits; what is between them stays exact.
    """
    nodes = list(model.graph.node)
    for number, node in enumerate(nodes):
        node.name = f"{node.op_type}_{number}"
    convolutions = [number for number, node in enumerate(nodes) if node.op_type == "Conv"]
    begin, end = convolutions[first - 1], convolutions[-last]
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.onnx"
        onnx.save(model, whole)
        quantize_static(
            whole,
            output,
            _Inputs(inputs, model.graph.input[0].name),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"] if convolutions_only else None,
            nodes_to_exclude=[node.name for node in (*nodes[: begin + 1], *nodes[end:])],
        )
    model = onnx.load(output)
    drop_unused(model.graph)
    onnx.save(model, output)


def load_in_single(path: Path) -> onnx.ModelProto:
    """Return a network whose weights are in single precision."""
    model = onnx.load(path)
    unpack_halves(model.graph)
    return model


def inputs_from(photos: Photos, count: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yield (1, 3, H, W) float32 in [0, 1], photos as a segmenter is given them."""
    chosen = np.random.default_rng(_SEED).permutation(len(photos))[:count]
    for number, index in enumerate(chosen.tolist()):
        read = photos.read(index)
        if read is None:
            continue
        photo = read[0]
        scale = _SIDES_PX[number % len(_SIDES_PX)] / max(photo.shape[:2])
        height, width = network_size(photo.shape[:2], scale)
        scaled = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
        yield to_tensor(np.asarray(scaled, np.uint8))


def main() -> None:
    """Parse the command line, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", type=Path)
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--count", type=int, default=100, help="photos to take; default: 100")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    inputs = inputs_from(Photos(arguments.photos), arguments.count)
    quantize(load_in_single(arguments.network), inputs, arguments.output)
    size = arguments.output.stat().st_size
    print(f"{arguments.output}: {size:,} bytes")


if __name__ == "__main__":
    main()
