"""The classical ways to fill a hole, behind one interface: what a learned one has to beat.

    python benchmarks/quality/peers.py --install    make their environment, from peers.txt
    python benchmarks/quality/peers.py              list those that can be used here, and what the
                                                    others need

OpenCV-contrib and the PatchMatch packages cannot live beside cleanplate's own requirements: they
are installed into benchmarks/quality/.peers, and each call runs peer_worker.py there. G'MIC is a
program of the system. Every call is a process of its own, which costs 0.2 to 0.5 s.

A peer never sees what is under the hole, so that none can peek: the mean colour of the rest is put
there first. The environment is made without dependencies, hence peers.txt lists them all.
"""

import argparse
import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
import venv
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np

from cleanplate.errors import UnknownNameError
from cleanplate.inpainting.models.opencv import DiffusionInpainter
from cleanplate.types import Mask, RGBImage, check_image_and_mask

Fill = Callable[[RGBImage, Mask], RGBImage]
"""(H, W, 3) uint8 RGB and (H, W) bool, True = hole -> (H, W, 3), the same outside the hole."""

_HERE = Path(__file__).resolve().parent
_ENVIRONMENT = _HERE / ".peers"
_PINS = _HERE / "peers.txt"
_WORKER = _HERE / "peer_worker.py"
_INSTALL = "python benchmarks/quality/peers.py --install"
_LIMIT_S = 600.0

_OWN = ("telea", "navier-stokes")
_GMIC = "gmic-matchpatch"
# Peer -> its package, and what it is.
_FOREIGN: Mapping[str, tuple[str, str]] = {
    "fsr-fast": (
        "opencv-contrib-python-headless",
        "frequency selective reconstruction (Genser et al. 2018), fast",
    ),
    "fsr-best": (
        "opencv-contrib-python-headless",
        "frequency selective reconstruction (Genser et al. 2018), best; minutes a photo",
    ),
    "shift-map": (
        "opencv-contrib-python-headless",
        "statistics of patch offsets (He and Sun 2012), in CIELab",
    ),
    "criminisi": (
        "exemplar-based-inpainting",
        "exemplar-based (Criminisi et al. 2004), 9 px patches; minutes a photo",
    ),
    "resynthesizer": (
        "resynthesizer",
        "GIMP's Resynthesizer (Harrison 2005), its defaults, no tiling",
    ),
    "patchmatch-cython": (
        "patchmatch-cython",
        "PatchMatch (Barnes et al. 2009), coarse to fine, its defaults",
    ),
    "pypatchmatch": (
        "pypatchmatch",
        "PatchMatch (Barnes et al. 2009), coarse to fine, patch_size 3",
    ),
}
# Tried on a photo of 1024x768 with a hole of 8 % and excluded:
# advanced-object-remove-cpu 0.2.0  395 s, and leaves a grey silhouette with black specks
# image-inpainting 0.0.1            an empty package
# inpyinting 1.1                    Criminisi's method in Python loops over pixels: hours
# mangascourx 1.0.5.3               its PatchMatch does not compile with numba 0.68
# object-remove 0.2.2               advanced-object-remove-cpu, with PyTorch
# patch-based-inpainting 0.0.3      paves the hole's bounding box with patches that do not fit
# pyinpaint 1.0.0                   averages patches; not done in 560 s at half the size
# text-eraser 0.3.1                 for the strokes of letters: a large hole becomes a mirror image

NAMES = (*_OWN, *_FOREIGN, _GMIC)


@dataclass(frozen=True)
class Peer:
    """A way to fill a hole that can be used on this machine."""

    name: str
    how: str  # what it is, with version and parameters, in one line
    fill: Fill  # raises PeerError


class PeerError(RuntimeError):
    """A peer failed, or took too long; the message is one line and names it."""


def find_peers(
    wanted: Collection[str] | None = None, *, limit_s: float = _LIMIT_S
) -> tuple[list[Peer], dict[str, str]]:
    """Return the usable peers, in the order of `NAMES`, and why each of the others is not.

    Args:
        wanted: names from `NAMES`; None stands for all of them.
        limit_s: a peer that takes longer for one photo raises PeerError.

    Raises:
        UnknownNameError: a wanted name is not in `NAMES`.
    """
    chosen = NAMES if wanted is None else wanted
    for name in chosen:
        if name not in NAMES:
            raise UnknownNameError("peer", name, NAMES)
    pins, installed = _pins(), _installed()
    gmic = shutil.which("gmic")
    usable: list[Peer] = []
    missing: dict[str, str] = {}
    for name in (name for name in NAMES if name in chosen):
        if name in _OWN:
            how = f"cv2.inpaint of OpenCV {cv2.__version__}, radius 3 px"
            run: Fill = DiffusionInpainter(name).inpaint
        elif name == _GMIC:
            if gmic is None:
                missing[name] = "G'MIC is not installed: apt-get install gmic"
                continue
            how = f"inpaint_matchpatch of G'MIC {_gmic_version(gmic)}, its defaults"
            run = partial(_run_gmic, gmic, limit_s)
        else:
            package, what = _FOREIGN[name]
            have, want = installed.get(package), pins[package]
            if have != want:
                missing[name] = f"{package} {want} is needed, {have or 'none'} found: {_INSTALL}"
                continue
            how = f"{what}; {package} {want}"
            run = partial(_run_worker, name, limit_s)
        usable.append(Peer(name, how, partial(_fill, name, run)))
    return usable, missing


def install() -> None:
    """Make the peers' environment from scratch."""
    venv.create(_ENVIRONMENT, clear=True, with_pip=True)
    # Without dependencies: one of them names the OpenCV that lacks the contributed modules.
    pip = [str(_python()), "-m", "pip", "install", "--no-deps", "-r", str(_PINS)]
    subprocess.run(pip, check=True)


def _fill(name: str, run: Fill, image: RGBImage, mask: Mask) -> RGBImage:
    """Return `image` with the hole filled by `run`, and nothing else changed."""
    check_image_and_mask(image, mask)
    if not mask.any():
        return image.copy()
    if mask.all():
        raise PeerError(f"{name}: the photo is all hole; leave some of it")
    ground = np.rint(image[~mask].mean(axis=0)).astype(np.uint8)
    filled = run(np.where(mask[..., None], ground, image), mask)
    if filled.shape != image.shape or filled.dtype != np.uint8:
        raise PeerError(f"{name}: gave {filled.dtype} {filled.shape}, not uint8 {image.shape}")
    return np.where(mask[..., None], filled, image)


def _run_worker(name: str, limit_s: float, image: RGBImage, mask: Mask) -> RGBImage:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        np.save(folder / "image.npy", image)
        np.save(folder / "mask.npy", mask)
        # -I: no PYTHONPATH and no folder of this project shadow the peers' packages
        _run(name, [str(_python()), "-I", str(_WORKER), name, scratch], folder, limit_s)
        filled: RGBImage = np.load(folder / "filled.npy")
        return filled


def _run_gmic(gmic: str, limit_s: float, image: RGBImage, mask: Mask) -> RGBImage:
    command = [gmic, "srand", "1", "image.png", "mask.png", "inpaint_matchpatch[0]", "[1]"]
    command += ["round[0]", "cut[0]", "0,255", "output[0]", "filled.png"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        cv2.imwrite(str(folder / "image.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        cv2.imwrite(str(folder / "mask.png"), np.where(mask, 255, 0).astype(np.uint8))
        # Its threads race: only one gives the same fill every time.
        _run(_GMIC, command, folder, limit_s, {**os.environ, "OMP_NUM_THREADS": "1"})
        filled = cv2.imread(str(folder / "filled.png"))
        if filled is None:
            raise PeerError(f"{_GMIC}: wrote no picture that can be read")
        return cv2.cvtColor(filled, cv2.COLOR_BGR2RGB).astype(np.uint8)


def _run(
    name: str,
    command: list[str],
    folder: Path,
    limit_s: float,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a peer to its end. Whatever stops it, an interrupt too, `subprocess.run` kills it."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PeerError(f"{name}: not done within {limit_s:g} s; raise the limit") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise PeerError(f"{name}: exit {done.returncode}, {said[-1].strip()}")


def _python() -> Path:
    """Return the interpreter of the peers' environment."""
    folder, name = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return _ENVIRONMENT / folder / name


def _pins() -> dict[str, str]:
    """Return package -> version from peers.txt."""
    lines = _PINS.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def _installed() -> dict[str, str]:
    """Return package -> version of what the peers' environment holds."""
    if not _python().exists():
        return {}
    libraries = sysconfig.get_path("purelib", "venv", {"base": str(_ENVIRONMENT)})
    found = metadata.distributions(path=[libraries])
    return {re.sub(r"[-_.]+", "-", one.name).lower(): one.version for one in found}


def _gmic_version(gmic: str) -> str:
    said = subprocess.run([gmic, "version"], capture_output=True, check=False, text=True)
    found = re.search(r"Version (\d[\d.]*)", said.stdout + said.stderr)
    return found[1] if found else "of unknown version"


def main() -> None:
    parser = argparse.ArgumentParser(description="The classical inpainters to compare with.")
    parser.add_argument("--install", action="store_true", help="make their environment")
    if parser.parse_args().install:
        install()
    usable, missing = find_peers()
    for peer in usable:
        print(f"{peer.name:<18} {peer.how}")
    for name, why in missing.items():
        print(f"{name:<18} MISSING: {why}")


if __name__ == "__main__":
    main()
