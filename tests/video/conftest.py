"""Clips need PyAV; without the extra these tests are left out."""

import numpy as np
import pytest

pytest.importorskip("av")

from video_builders import red

from cleanplate.remover import Remover


@pytest.fixture
def red_segmenter(fake_segmenter_class):
    """Return what takes red for a person, also where coding has spoilt it."""

    class RedSegmenter(fake_segmenter_class):
        def segment(self, image, labels):
            mask = red(image)
            return super().segment(
                np.where(mask[..., None], np.uint8([230, 10, 10]), np.uint8(128)), labels
            )

    return RedSegmenter()


@pytest.fixture
def remover(red_segmenter) -> Remover:
    return Remover(segmenter=red_segmenter, inpainter="telea")
