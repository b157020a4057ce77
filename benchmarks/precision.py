"""What half and quarter precision would save, and what they would cost in masks and fills.

    python benchmarks/precision.py --scenes DIR --objects DIR

OBJECTS are photos with something to find: the masks of the reduced segmenter are compared with
those of the whole one. SCENES show nothing to remove: object-shaped holes in them are filled by
both, and compared with what is there. bf16 is measured with OpenVINO, where it is installed; int8
with ONNX Runtime's static quantisation of all convolutions, calibrated on every fourth photo; fp16
is what a GPU does with `--device cuda-fp16`, computed here in single precision and rounded after
every operator, so that its time says nothing. CPU seconds are of the networks alone, of all threads
together. Needs the package onnx.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: as the command line does
sys.path.insert(0, str(Path(__file__).parent / "quality"))

import numpy as np
import onnxruntime
from cases import Case, cut_silhouettes, make_cases, read_folder

from cleanplate import Remover
from cleanplate.evaluation.features import FeatureExtractor
from cleanplate.evaluation.scoring import FillScorer
from cleanplate.hub.registry import MODELS
from cleanplate.hub.store import read_file
from cleanplate.ops.masks import rasterize
from cleanplate.runtime import session as runtime
from cleanplate.runtime.devices import available_providers
from cleanplate.runtime.session import Session
from cleanplate.types import RGBImage
from overlap import intersection_over_union
from rounding import largest_value, rounded_to_half

_ROLES = {
    "segment": "deeplabv3plus_lite2.voc",
    "edges": "edgeconnect.photos",
    "fill": "edgeconnect.photos",
}
_EVERY = 4  # photo that calibrates
_HALF = json.dumps({"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}})

Sessions = dict[str, Session]


def whole() -> Sessions:
    """Return the networks as they are, on the CPU."""
    return {role: Session(_file(role), name=role, device="cpu") for role in _ROLES}


def half() -> Sessions:
    """Return the networks in bf16."""
    reported = ("OpenVINOExecutionProvider", {"device_type": "CPU", "load_config": _HALF})
    with mock.patch.object(runtime, "providers_for", return_value=[reported]):
        return {role: Session(_file(role), name=role, device="openvino") for role in _ROLES}


def rounded() -> Sessions:
    """Return the networks as they are in fp16, in which only the time differs."""
    return {role: Session(rounded_to_half(_file(role)), name=role, device="cpu") for role in _ROLES}


def quarter(inputs: dict[str, list[np.ndarray]]) -> Sessions:
    """Return the networks in int8, calibrated on what they were given."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    sessions = {}
    with tempfile.TemporaryDirectory() as folder:
        for role in _ROLES:
            plain, small = Path(folder) / f"{role}.onnx", Path(folder) / f"{role}_int8.onnx"
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
            options.optimized_model_filepath = str(plain)
            session = onnxruntime.InferenceSession(
                _file(role), options, providers=["CPUExecutionProvider"]
            )
            quantize_static(
                plain,
                small,
                _Calibration(session.get_inputs()[0].name, inputs[role]),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QUInt8,
            )
            sessions[role] = Session(small.read_bytes(), name=role, device="cpu")
    return sessions


class _Calibration:
    """Gives inputs to ONNX Runtime's quantisation."""

    def __init__(self, name: str, inputs: Sequence[np.ndarray]) -> None:
        self._feeds = iter([{name: tensor} for tensor in inputs])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next input."""
        return next(self._feeds, None)

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return self._feeds


def _file(role: str) -> bytes:
    return read_file(MODELS[_ROLES[role]], role)


class Meter:
    """Counts the CPU seconds of networks, and keeps what they are given."""

    def __init__(self) -> None:
        self.cpu_s = dict.fromkeys(_ROLES, 0.0)
        self.inputs: dict[str, list[np.ndarray]] = {role: [] for role in _ROLES}
        self.keeps = False

    def watch(self, role: str, session: Session) -> Session:
        """Return the session, with its runs measured."""
        run_all: Callable[..., Any] = session.run_all

        def measured(*tensors: np.ndarray) -> Any:
            if self.keeps:
                self.inputs[role].append(tensors[0])
            start = time.process_time()
            outputs = run_all(*tensors)
            self.cpu_s[role] += time.process_time() - start
            return outputs

        session.run_all = measured  # type: ignore[method-assign]
        return session


def remover_of(sessions: Sessions, meter: Meter) -> Remover:
    """Return a remover that runs these networks."""
    remover = Remover(device="cpu")
    segmenter: Any = remover.segmenter
    inpainter: Any = remover.inpainter
    watched = {role: meter.watch(role, session) for role, session in sessions.items()}
    segmenter._networks = {"segment": watched["segment"]}
    inpainter._networks = {"edges": watched["edges"], "fill": watched["fill"]}
    return remover


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--objects", type=Path, required=True)
    parser.add_argument("--most", type=int, default=1000, help="photos of each kind")
    arguments = parser.parse_args()
    plain = Remover(device="cpu")
    objects = [photo for _, photo in read_folder(arguments.objects)]
    scenes = list(read_folder(arguments.scenes))
    objects, scenes = _thinned(objects, arguments.most), _thinned(scenes, arguments.most)
    shapes = cut_silhouettes(arguments.objects, plain)
    cases = make_cases(scenes, shapes, plain, per_photo=1, seed=1)
    features = FeatureExtractor(device="cpu")
    meters = {"float32": Meter()}
    removers = {"float32": remover_of(whole(), meters["float32"])}
    meters["float32"].keeps = True
    for photo in objects[::_EVERY]:
        removers["float32"].find(photo, plain.segmenter.labels)
    for case in cases[::_EVERY]:
        removers["float32"].fill(case.truth, case.mask)
    meters["float32"].keeps = False
    meters["int8"] = Meter()
    removers["int8"] = remover_of(quarter(meters["float32"].inputs), meters["int8"])
    if "OpenVINOExecutionProvider" in available_providers():
        meters["bf16"] = Meter()
        removers["bf16"] = remover_of(half(), meters["bf16"])
    meters["fp16"] = Meter()
    removers["fp16"] = remover_of(rounded(), meters["fp16"])
    for meter in meters.values():
        meter.cpu_s = dict.fromkeys(_ROLES, 0.0)
    masks = {
        name: [_mask(remover, photo) for photo in objects] for name, remover in removers.items()
    }
    scores = {name: _scores(remover, cases, features) for name, remover in removers.items()}
    print(
        "| | CPU s: segmenter | edges | fill | IoU of masks, mean | least | Perceptual | PSNR, dB |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, meter in meters.items():
        overlaps = [
            intersection_over_union(a, b)
            for a, b in zip(masks["float32"], masks[name], strict=True)
        ]
        perceptual, psnr = np.mean(scores[name], axis=0)
        spent = " | ".join("" if name == "fp16" else f"{meter.cpu_s[role]:.2f}" for role in _ROLES)
        print(
            f"| {name} | {spent} | {np.mean(overlaps):.3f} | {np.min(overlaps):.3f} "
            f"| {perceptual:.3f} | {psnr:.2f} |",
            flush=True,
        )
    for name in removers:
        worse = np.array(scores[name])[:, 0] - np.array(scores["float32"])[:, 0]
        print(
            f"{name}: perceptually worse by {worse.mean():+.3f} (standard error "
            f"{worse.std() / np.sqrt(len(worse)):.3f}), worse in {np.mean(worse > 0):.0%} of "
            f"{len(worse)}"
        )

    _print_differences(meters["float32"].inputs)


def _print_differences(inputs: dict[str, list[np.ndarray]]) -> None:
    """Tell how far the networks' own outputs are off in fp16, on what they were given."""
    print(
        "\n| fp16 | inputs | largest value inside | largest difference | mean "
        "| values off by > 0.01 |"
    )
    print("|---|---|---|---|---|---|")
    exact, half_ones = whole(), rounded()
    for role, tensors in inputs.items():
        off = np.concatenate(
            [np.abs(exact[role].run(one) - half_ones[role].run(one)).ravel() for one in tensors]
        )
        largest = largest_value(_file(role), tensors[:: max(1, len(tensors) // 8)])
        print(
            f"| {role} | {len(tensors)} | {largest:.0f} | {off.max():.4f} | {off.mean():.6f} "
            f"| {np.mean(off > 0.01):.4%} |"
        )


def _thinned(items: list[Any], most: int) -> list[Any]:
    if len(items) <= most:
        return items
    return [items[index * len(items) // most] for index in range(most)]


def _mask(remover: Remover, photo: RGBImage) -> np.ndarray:
    found, _ = remover.find(photo, remover.segmenter.labels)
    return rasterize(found, photo.shape)


def _scores(
    remover: Remover, cases: Sequence[Case], features: FeatureExtractor
) -> list[tuple[float, float]]:
    scores = []
    for case in cases:
        scorer = FillScorer(case.mask, features, truth=case.truth)
        score = scorer.against_truth(remover.fill(case.truth, case.mask).image)
        assert score is not None  # a case has its truth
        scores.append((score.perceptual, score.psnr_db))
    return scores


if __name__ == "__main__":
    main()
