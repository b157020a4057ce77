"""Segment Anything 1 and 2: an image encoder, and a decoder of prompts to masks.

References:
    Kirillov et al., Segment Anything, ICCV 2023, arXiv:2304.02643.
    Ravi et al., SAM 2: Segment Anything in Images and Videos, 2024, arXiv:2408.00714.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.errors import InputError
from cleanplate.hub import get_model, read_file
from cleanplate.ops import resize
from cleanplate.runtime import Session, to_tensor
from cleanplate.segmentation.interactive.prompts import (
    Outline,
    Prepared,
    PromptPoint,
    check_prompts,
)
from cleanplate.types import Box, RGBImage, check_image

Logits = npt.NDArray[np.float32]
"""(4, 256, 256) float32, > 0 inside: one mask for clear prompts, then three of growing extent."""

Scores = npt.NDArray[np.float32]
"""(4,) float32, the IoU that the network expects of each of the masks."""

_NEGATIVE, _POSITIVE, _TOP_LEFT, _BOTTOM_RIGHT, _PADDING = 0, 1, 2, 3, -1  # labels of points
# A mask is stable if it hardly changes with the threshold of its logits; values of the published
# configuration of SAM 2.
_STABILITY_SHIFT = 0.05
_MIN_STABILITY = 0.98


class SamPrompter:
    """SAM and its smaller versions.

    Args:
        name: a registered model of this architecture.
        device: one of `cleanplate.runtime.DEVICES`.
        threads: CPU threads of one run; None uses every available core.
    """

    def __init__(self, name: str, *, device: str = "auto", threads: int | None = None) -> None:
        model = get_model(name, "prompter")
        self._model = model
        self._side = model.preprocessing.square_px  # of the networks' input
        self._image, self._prompt = (
            Session(read_file(model, role), name=name, device=device, threads=threads)
            for role in ("image", "prompt")
        )

    @property
    def name(self) -> str:
        """Registered name."""
        return self._model.name

    @property
    def provider(self) -> str:
        """What runs the networks."""
        return self._image.provider

    def set_image(self, image: RGBImage) -> Prepared:
        """Run the image encoder; see `InteractiveSegmenter.set_image`."""
        check_image(image)
        size_hw = image.shape[0], image.shape[1]
        height, width = self._resized_hw(size_hw)
        given = self._model.preprocessing
        scaled = resize(image, (height, width), antialias=given.resampling == "antialiased")
        padded = np.zeros((1, 3, self._side, self._side), np.float32)
        padded[:, :, :height, :width] = to_tensor(scaled, given.mean, given.std)
        features = self._image.run_all(padded)
        return Prepared(self.name, size_hw, tuple(features))

    def predict(
        self, prepared: Prepared, *, points: Sequence[PromptPoint] = (), box_xyxy: Box | None = None
    ) -> Outline:
        """Run the prompt encoder and mask decoder; see `InteractiveSegmenter.predict`."""
        logits, score = self.logits(prepared, points=points, box_xyxy=box_xyxy)
        return Outline(logits > 0, score)

    def logits(
        self, prepared: Prepared, *, points: Sequence[PromptPoint] = (), box_xyxy: Box | None = None
    ) -> tuple[npt.NDArray[np.float32], float]:
        """Return (H, W) float32, > 0 on the object, and its score in [0, 1]; raises as `predict`.

        Args:
            prepared: as for `predict`.
            points: likewise.
            box_xyxy: likewise.
        """
        if prepared.prompter != self.name:
            raise InputError(
                f"the photo was prepared by {prepared.prompter}, not by {self.name}; prepare it "
                "again"
            )
        check_prompts(prepared, points, box_xyxy)
        coordinates, labels = self._encode(prepared.size_hw, points, box_xyxy)
        masks, scores = self._prompt.run_all(*prepared.features, coordinates[None], labels[None])
        is_ambiguous = box_xyxy is None and len(points) == 1
        chosen = self._choose(masks[0], scores[0], is_ambiguous=is_ambiguous)
        score = float(np.clip(scores[0, chosen], 0, 1))
        return self._at_full_size(masks[0, chosen], prepared.size_hw), score

    def _resized_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Return the size in px to which a photo is resized."""
        if not self._model.preprocessing.keeps_aspect:
            return self._side, self._side
        scale = self._side / max(size_hw)
        # At least 1 px: the published code cannot use photos that are narrower.
        return max(1, int(size_hw[0] * scale + 0.5)), max(1, int(size_hw[1] * scale + 0.5))

    def _pads_points(self, box_xyxy: Box | None) -> bool:
        """Whether a padding point ends the prompt, as in training."""
        return box_xyxy is None

    def _choose(self, masks: Logits, scores: Scores, *, is_ambiguous: bool) -> int:
        """Return which of the masks to take: for a single point the best of the last three."""
        return 1 + int(scores[1:].argmax()) if is_ambiguous else 0

    def _at_full_size(
        self, mask: npt.NDArray[np.float32], size_hw: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        """Return (256, 256) logits at the photo's size."""
        height, width = self._resized_hw(size_hw)
        return _scaled(_scaled(mask, (self._side, self._side))[:height, :width], size_hw)

    def _encode(
        self, size_hw: tuple[int, int], points: Sequence[PromptPoint], box_xyxy: Box | None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return (N, 2) float32, x and y in px of the network's input, and (N,) labels."""
        resized = self._resized_hw(size_hw)
        across, down = resized[1] / size_hw[1], resized[0] / size_hw[0]
        coordinates = [(x * across, y * down) for x, y, _ in points]
        labels = [_POSITIVE if inside else _NEGATIVE for _, _, inside in points]
        if box_xyxy is not None:
            left, top, right, bottom = box_xyxy
            coordinates += [(left * across, top * down), (right * across, bottom * down)]
            labels += [_TOP_LEFT, _BOTTOM_RIGHT]
        if self._pads_points(box_xyxy):
            coordinates.append((0, 0))
            labels.append(_PADDING)
        return np.array(coordinates, np.float32), np.array(labels, np.int64)


class Sam2Prompter(SamPrompter):
    """SAM 2 on single photos."""

    def _pads_points(self, box_xyxy: Box | None) -> bool:
        return True

    def _choose(self, masks: Logits, scores: Scores, *, is_ambiguous: bool) -> int:
        """Return which of the masks to take: the first only where it is stable."""
        return 0 if not is_ambiguous and _is_stable(masks[0]) else 1 + int(scores[1:].argmax())

    def _at_full_size(
        self, mask: npt.NDArray[np.float32], size_hw: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        return _scaled(mask, size_hw)


def _is_stable(mask: npt.NDArray[np.float32]) -> bool:
    largest = np.count_nonzero(mask > -_STABILITY_SHIFT)
    return bool(np.count_nonzero(mask > _STABILITY_SHIFT) >= _MIN_STABILITY * largest)


def _scaled(mask: npt.NDArray[np.float32], size_hw: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return a mask's logits at another size, linear between their centres."""
    return np.asarray(cv2.resize(mask, size_hw[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
