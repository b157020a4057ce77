"""Fills one hole with one peer, inside the environment that `peers.py --install` makes.

    python peer_worker.py PEER FOLDER

FOLDER holds image.npy, (H, W, 3) uint8 RGB, and mask.npy, (H, W) bool, True = hole; filled.npy is
written beside them. Nothing of cleanplate is imported here: the peers' packages do not agree with
its own. They are imported by name, for the environment that lints this file lacks them.
"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def frequency_selective(image: Image, mask: Mask, *, quality: str) -> Image:
    """Fill by OpenCV-contrib's frequency selective reconstruction; it takes BGR."""
    return _by_xphoto(image[..., ::-1], mask, f"INPAINT_FSR_{quality}")[..., ::-1]


def shift_map(image: Image, mask: Mask) -> Image:
    """Fill by OpenCV-contrib's shift-map, in CIELab as its documentation asks."""
    cv2: Any = importlib.import_module("cv2")
    filled = _by_xphoto(cv2.cvtColor(image, cv2.COLOR_RGB2Lab), mask, "INPAINT_SHIFTMAP")
    return np.asarray(cv2.cvtColor(filled, cv2.COLOR_Lab2RGB))


def _by_xphoto(image: Image, mask: Mask, algorithm: str) -> Image:
    xphoto: Any = importlib.import_module("cv2").xphoto
    filled = np.empty_like(image, order="C")  # written to; the function returns nothing
    known = np.where(mask, 0, 255).astype(np.uint8)  # here zero marks the hole
    xphoto.inpaint(np.ascontiguousarray(image), known, filled, getattr(xphoto, algorithm))
    return filled


def patchmatch_cython(image: Image, mask: Mask) -> Image:
    """Fill by patchmatch-cython, coarse to fine."""
    package: Any = importlib.import_module("patchmatch_cython")
    return np.asarray(package.inpaint_pyramid(image, mask, seed=0))


def pypatchmatch(image: Image, mask: Mask, *, reach_px: int) -> Image:
    """Fill by PyPatchMatch, with patches of 2 `reach_px` + 1 pixels a side; its seed is fixed."""
    package: Any = importlib.import_module("patchmatch")
    return np.asarray(package.inpaint(image, mask, patch_size=reach_px))


def resynthesizer(image: Image, mask: Mask) -> Image:
    """Fill by GIMP's Resynthesizer; the photo is not a tile, so patches do not wrap around."""
    package: Any = importlib.import_module("resynthesizer")
    pillow: Any = importlib.import_module("PIL.Image")
    parameters = package.getDefaultParams()
    parameters.isMakeSeamlesslyTileableHorizontally = 0
    parameters.isMakeSeamlesslyTileableVertically = 0
    hole = pillow.fromarray(np.where(mask, 255, 0).astype(np.uint8))
    return np.asarray(package.resynthesize(pillow.fromarray(image), hole, parameters))


def criminisi(image: Image, mask: Mask) -> Image:
    """Fill by exemplar-based-inpainting; it takes BGR and a mask of 0 and 255."""
    package: Any = importlib.import_module("exemplar_based_inpainting.inpainter")
    hole = np.where(mask, 255, 0).astype(np.uint8)
    inpainter = package.Inpainter(show_progress_bar=False)
    return np.asarray(inpainter.inpaint(np.ascontiguousarray(image[..., ::-1]), hole))[..., ::-1]


FILLS: MappingProxyType[str, Callable[[Image, Mask], Image]] = MappingProxyType(
    {
        "fsr-fast": lambda image, mask: frequency_selective(image, mask, quality="FAST"),
        "fsr-best": lambda image, mask: frequency_selective(image, mask, quality="BEST"),
        "shift-map": shift_map,
        "criminisi": criminisi,
        "resynthesizer": resynthesizer,
        "patchmatch-cython": patchmatch_cython,
        "pypatchmatch": lambda image, mask: pypatchmatch(image, mask, reach_px=3),
    }
)


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    filled = FILLS[name](np.load(folder / "image.npy"), np.load(folder / "mask.npy"))
    np.save(folder / "filled.npy", np.ascontiguousarray(filled))


if __name__ == "__main__":
    main()
