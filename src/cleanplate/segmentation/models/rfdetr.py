"""RF-DETR-Seg: the 80 COCO classes, instance segmentation.

Preprocessing and decoding follow the authors' package: the photo is resized to a square without
antialiasing; a query is an object of a class where the sigmoid of its logit is above 0.5, and its
mask is where its mask logits, enlarged to the photo, are positive.

Reference:
    Robinson et al., RF-DETR: Neural Architecture Search for Real-Time Detection Transformers, 2025,
    arXiv:2511.09554; `rfdetr` 1.11, `detr.py` and `models/postprocess.py`.
"""

import math

import numpy as np
import numpy.typing as npt

from cleanplate.ops import resample
from cleanplate.runtime import sigmoid
from cleanplate.segmentation.base import NetworkSegmenter
from cleanplate.segmentation.instances import Candidate, separate_instances
from cleanplate.types import Instance, RGBImage

_SURE = 0.5  # score above which a query is an object; the default of `RFDETR.predict`


class RfDetrSegmenter(NetworkSegmenter):
    """Finds the objects of the 80 COCO classes in photos of any size.

    Args:
        name: a registered model of this family.
        device: one of `cleanplate.runtime.DEVICES`.
        threads: CPU threads of one run; None uses every available core.
    """

    def _find(self, image: RGBImage, asked: tuple[str, ...]) -> list[Instance]:
        logits, masks = self._networks["segment"].run_all(self._input(image))
        scores = sigmoid(logits[0][:, self._channels(asked)])  # (Q, C) of the asked classes
        candidates = []
        for query, index in np.argwhere(scores > _SURE).tolist():
            score = float(scores[query, index])
            candidate = _enlarged(masks[0, query], asked[index], score, image.shape[:2])
            if candidate is not None:
                candidates.append(candidate)
        return separate_instances(candidates, image.shape[:2])


def _enlarged(
    logits: npt.NDArray[np.float32], label: str, score: float, size_hw: tuple[int, int]
) -> Candidate | None:
    """Return an instance at the size of the photo, or None if its mask is empty.

    Args:
        logits: (h, w) over the full photo, positive on the object.
        label: of the object.
        score: likewise.
        size_hw: px of the photo.
    """
    rows, columns = (
        np.flatnonzero((logits > 0).any(axis=1)),
        np.flatnonzero((logits > 0).any(axis=0)),
    )
    if not rows.size:
        return None
    down, across = logits.shape[0] / size_hw[0], logits.shape[1] / size_hw[1]  # cells per px
    # Linear between cells, it is positive at most one cell beyond those that are.
    top = max(0, math.floor((rows[0] - 1) / down))
    left = max(0, math.floor((columns[0] - 1) / across))
    bottom = min(size_hw[0], math.ceil((rows[-1] + 2) / down))
    right = min(size_hw[1], math.ceil((columns[-1] + 2) / across))
    enlarged = resample(
        np.ascontiguousarray(logits, np.float32),
        start_yx=(top * down, left * across),
        step_yx=(down, across),
        size_hw=(bottom - top, right - left),
    )
    mask = enlarged > 0
    return Candidate(label, score, (left, top, right, bottom), mask) if mask.any() else None
