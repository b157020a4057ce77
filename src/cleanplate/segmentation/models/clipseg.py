"""CLIPSeg: segmentation by a phrase, such as "the red car"; open vocabulary.

Reference:
    Lüddecke and Ecker, Image Segmentation Using Text and Image Prompts, CVPR 2022,
    arXiv:2112.10003.
"""

import functools
from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from cleanplate.hub import get_model, read_file
from cleanplate.options import as_names
from cleanplate.runtime import sigmoid
from cleanplate.segmentation.base import NetworkSegmenter
from cleanplate.segmentation.components import Divider
from cleanplate.segmentation.instances import find_instances
from cleanplate.segmentation.models.clip_text import PhraseEncoder
from cleanplate.segmentation.multiscale import Probabilities
from cleanplate.types import Instance, RGBImage

_KNOWN_PHRASES = 256  # whose embeddings are kept, 2 kB each
_PHRASES_AT_ONCE = 8  # more take more memory: each has a map of 352 x 352


class ClipSegSegmenter(NetworkSegmenter):
    """Segments objects described by phrases, in photos of any size.

    Where several phrases claim a place, the one with the most evidence has it. The thresholds are
    those of `find_instances`; its lower one, 0.3, is the one at which the paper's masks are cut.

    Args:
        name: a registered model of this architecture.
        device: one of `cleanplate.runtime.DEVICES`.
        threads: CPU threads of one run; None uses every available core.
    """

    def __init__(self, name: str, *, device: str = "auto", threads: int | None = None) -> None:
        super().__init__(name, device=device, threads=threads)
        self.divider = Divider(device=device, threads=threads)
        """Divides touching objects where the network sees them as one."""
        self._encoder = PhraseEncoder(read_file(get_model(name, "segmenter"), "merges"))
        self._embedding = functools.lru_cache(maxsize=_KNOWN_PHRASES)(self._embed)

    def _choose(self, labels: Collection[str]) -> tuple[str, ...]:
        """Return phrases, such as "red car": they become the labels of the instances."""
        return tuple(dict.fromkeys(as_names("labels", labels)))

    def _find(self, image: RGBImage, asked: tuple[str, ...]) -> list[Instance]:
        embeddings = np.concatenate([self._embedding(phrase) for phrase in asked])
        probabilities = self.probabilities(image, embeddings)
        divide = functools.partial(self.divider.divide, image)
        return find_instances(probabilities, asked, image.shape[:2], divide)

    def probabilities(self, part: RGBImage, embeddings: npt.NDArray[np.float32]) -> Probabilities:
        """Return the evidence for each phrase in an image or a part of one.

        Args:
            part: (h, w, 3) uint8, RGB.
            embeddings: (C, 512), one row for each phrase.

        Returns:
            (C, 352, 352) in [0, 1].
        """
        pixels = self._input(part)
        maps = [
            self._networks["segment"].run(pixels, embeddings[start : start + _PHRASES_AT_ONCE])
            for start in range(0, len(embeddings), _PHRASES_AT_ONCE)
        ]
        return sigmoid(np.concatenate(maps))

    def _embed(self, phrase: str) -> npt.NDArray[np.float32]:
        """Return (1, 512) for a phrase."""
        ids = np.array([self._encoder.encode(phrase)], np.int64)
        return np.asarray(self._networks["text"].run(ids), np.float32)
