"""Measures what writing an edited photo costs where nothing was edited, format by format.

    python benchmarks/reencoding.py --photos DIR [--count 8]

Each photo, scaled to at most 1600 px, is first written in a format as cameras and programs write
it, then read, a rectangle in its middle is filled, and the photo is written and read again. What is
compared are the pixels more than 34 px from the rectangle (a JPEG's largest block, and what is
interpolated from it); a pixel differs by its worst channel, in levels of 255. Needs
the extra `heif` for HEIC.
"""

import argparse
import importlib.util
import io
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from cleanplate.io.files import encode_photo, read_photo

SUFFIXES = {".jpg", ".jpeg", ".png"}
LONG_SIDE_PX = 1600
AWAY_PX = 34  # 4:1:1 has blocks of 32 px, and interpolates beyond


def _pillow(name: str, **options: object) -> Callable[[Image.Image], bytes]:
    def encode(image: Image.Image) -> bytes:
        stream = io.BytesIO()
        image.save(stream, name, **options)
        return stream.getvalue()

    return encode


def _heic(image: Image.Image) -> bytes:
    import pillow_heif

    stream = io.BytesIO()
    data = image.tobytes()
    pillow_heif.encode("RGB", image.size, data, stream, quality=50, chroma=420, tile_size=512)
    return stream.getvalue()


def _jpeg(quality: int, factors: str, progressive: bool) -> Callable[[Image.Image], bytes]:
    def encode(image: Image.Image) -> bytes:
        sampling = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{factors}")
        options = {
            cv2.IMWRITE_JPEG_QUALITY: quality,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR: sampling,
            cv2.IMWRITE_JPEG_PROGRESSIVE: int(progressive),
        }
        flat = [number for pair in options.items() for number in pair]
        return cv2.imencode(".jpg", np.asarray(image)[..., ::-1], flat)[1].tobytes()

    return encode


def encoders() -> dict[str, Callable[[Image.Image], bytes]]:
    found = {
        f"JPEG {quality} {factors}{' progr.' * progressive}": _jpeg(quality, factors, progressive)
        for quality in (75, 95)
        for factors in ("444", "422", "420", "440", "411")
        for progressive in (False, True)
    }
    found |= {
        "WebP, quality 80": _pillow("WEBP", quality=80),
        "AVIF, quality 60": _pillow("AVIF", quality=60),
    }
    if importlib.util.find_spec("pillow_heif") is not None:
        found["HEIC, quality 50"] = _heic
    return found


def measure(data: bytes) -> tuple[float, ...]:
    """Return size factor, shares in percent of equal and of close pixels, mean, maximum, s/MP."""
    photo = read_photo(data)
    height, width = photo.size_hw
    mask = np.zeros(photo.size_hw, dtype=bool)
    mask[height // 3 : height // 2, width // 3 : width // 2] = True
    filled = cv2.GaussianBlur(photo.pixels, (0, 0), 12)
    start = time.perf_counter()
    written = encode_photo(photo, filled, mask)
    elapsed_s = time.perf_counter() - start
    near = cv2.dilate(mask.astype(np.uint8), np.ones((2 * AWAY_PX + 1,) * 2, np.uint8)) > 0
    again = read_photo(written).pixels.astype(int)
    change = np.abs(again - photo.pixels).max(axis=2)[~near]
    equal, close = 100 * (change == 0).mean(), 100 * (change <= 2).mean()
    per_megapixel = elapsed_s / (height * width / 1e6)
    return len(written) / len(data), equal, close, change.mean(), change.max(), per_megapixel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--count", type=int, default=8, help="how many of them, evenly chosen")
    options = parser.parse_args()
    paths = sorted(p for p in options.photos.rglob("*") if p.suffix.lower() in SUFFIXES)
    paths = paths[:: max(1, len(paths) // options.count)][: options.count]
    print(f"{len(paths)} photos; means over them, and the worst pixel of all")
    print(
        f"{'original':<18} {'size':>6} {'equal':>7} {'within 2':>9} {'mean':>6} {'worst':>6}  s/MP"
    )
    for name, encode in encoders().items():
        rows = []
        for path in paths:
            with Image.open(path) as opened:
                image = opened.convert("RGB")
            image.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX))
            rows.append(measure(encode(image)))
        size, equal, close, mean, _, seconds = np.mean(rows, axis=0)
        worst = max(row[4] for row in rows)
        print(
            f"{name:<18} {size:5.2f}x {equal:5.1f} % {close:7.1f} % {mean:6.2f} {worst:6.0f}"
            f"  {seconds:4.2f}"
        )


if __name__ == "__main__":
    main()
