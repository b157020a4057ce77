"""Compare `cleanplate video` with removal frame by frame, on clips with known truth.

A person cut out of a photo moves before another photo, seen by a camera that stands still, pans, or
is held by hand; in one clip with a shadow on the wall behind. Printed per clip and method: PSNR to
the truth where the person was, flicker there from frame to frame with the camera's true motion
taken out, and the time of a frame. Both results are encoded alike; "truth" is the clip without the
person, encoded alike, too.

    python benchmarks/video.py [--frames 30] [--clip still ...] [--sheets FOLDER]
    python benchmarks/video.py --memory     peak memory on a clip and on one of ten times its length
"""

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from fractions import Fraction
from importlib.resources import as_file, files
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image

from cleanplate import Remover
from cleanplate.evaluation.metrics import psnr_db
from cleanplate.types import Instance, Mask, RGBImage
from cleanplate.video import flicker
from cleanplate.video.removing import remove_from_video
from cleanplate.video.writing import DEFAULT_CRF

SIZE_WH = (480, 270)
FIGURE_PX = 190  # height
CLIPS = ("still", "panned", "handheld", "swaying", "exposure", "shadow")
ABOUT = {
    "still": "the camera stands, the person crosses",
    "panned": "the camera pans by 3 px a frame",
    "handheld": "it is held by hand: shifts, turns, zooms",
    "swaying": "it stands, and the person stays: half of what is behind is never seen",
    "exposure": "it pans while the exposure drifts by 30 %",
    "shadow": "it stands, a shadow follows the person; measured in the shadow alone",
}


def photo(name: str) -> RGBImage:
    with as_file(files("skimage") / "data" / name) as path, Image.open(path) as image:
        return np.array(image.convert("RGB"))


def cut_out(remover: Remover) -> tuple[RGBImage, np.ndarray]:
    """Return a person and their (H, W) opacity."""
    image = photo("astronaut.png")
    mask = np.zeros(image.shape[:2], bool)
    for instance in remover.find(image, ["person"])[0]:
        instance.paint_on(mask)
    image, mask = image[:430, 20:440], mask[:430, 20:440]
    size_wh = (round(FIGURE_PX * image.shape[1] / image.shape[0]), FIGURE_PX)
    soft = cv2.resize(mask.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA)
    return cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), soft


def camera(kind: str, frames: int) -> list[np.ndarray]:
    """Return, by frame, the 3 x 3 transform from its px to the backdrop's."""
    rng = np.random.default_rng(7)
    steps = np.cumsum(rng.normal(0, 0.8, (frames, 2)), axis=0)
    turns, zooms = (np.cumsum(rng.normal(0, s, frames)) for s in (0.0015, 0.002))
    result = []
    for number in range(frames):
        x, y, angle, zoom = 60.0, 60.0, 0.0, 1.0
        if kind in ("panned", "exposure"):
            x += 3 * number
        if kind == "handheld":
            x, y = x + 1.5 * number + steps[number, 0], y + steps[number, 1]
            angle, zoom = float(turns[number]), 1 + float(zooms[number])
        cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
        result.append(np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1.0]]))
    return result


def make(
    kind: str, frames: int, figure: tuple[RGBImage, np.ndarray]
) -> tuple[list[RGBImage], list[RGBImage], list[Mask], list[np.ndarray]]:
    """Return frames with the person, without, what is measured, and the camera."""
    behind = photo("brick.png" if kind == "shadow" else "coffee.png")
    backdrop = cv2.resize(behind, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_AREA)
    image, opacity = figure
    height, width = opacity.shape
    moves = camera(kind, frames)
    shown, truth, masks = [], [], []
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC
    for number, move in enumerate(moves):
        view = cv2.warpPerspective(
            backdrop, move, SIZE_WH, flags=flags, borderMode=cv2.BORDER_REFLECT_101
        )
        if kind == "exposure":
            view = np.clip(view * (0.85 + 0.3 * number / frames), 0, 255).astype(np.uint8)
        share = number / max(frames - 1, 1)
        x = 40 + (SIZE_WH[0] - width - 60) * share
        if kind == "swaying":
            x = 140 + 30 * math.sin(number / 5)
        place = np.array([[1, 0, x], [0, 1, SIZE_WH[1] - height]])
        alpha = cv2.warpAffine(opacity, place, SIZE_WH)[..., None]
        light, where = np.ones_like(alpha), alpha[..., 0] > 0.02
        if kind == "shadow":
            beside = place + np.array([[0, 0, 55], [0, 0, 10]])
            shadow = cv2.GaussianBlur(cv2.warpAffine(opacity, beside, SIZE_WH), (0, 0), 3)
            light = 1 - 0.5 * shadow[..., None]
            where = (light[..., 0] < 0.95) & ~where
        person = cv2.warpAffine(image, place, SIZE_WH)
        shown.append(np.rint(alpha * person + (1 - alpha) * light * view).astype(np.uint8))
        truth.append(view)
        masks.append(where)
    return shown, truth, masks, moves


def write(path: Path, frames: Iterable[RGBImage], crf: int) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=30, options={"crf": str(crf)})
        stream.pix_fmt = "yuv420p"
        for number, image in enumerate(frames):
            if not number:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = number, Fraction(1, 30)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def read(path: Path) -> list[RGBImage]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def measure(
    result: list[RGBImage], truth: list[RGBImage], masks: list[Mask], moves: list[np.ndarray]
) -> tuple[float, float]:
    """Return PSNR in dB over all frames' holes, and flicker in grey levels."""
    psnr = [psnr_db(*three) for three in zip(result, truth, masks, strict=True)]
    luma = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in result]
    changes = [
        flicker(luma[n - 1], luma[n], np.linalg.inv(moves[n - 1]) @ moves[n], masks[n])[0]
        for n in range(1, len(luma))
    ]
    return float(np.mean(psnr)), float(np.nanmean(changes))


def timed(work: Callable[[], object], frames: int) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) / frames


class WhereItWas:
    """Stands in for the segmenter: finds the person where the clip was made to show them."""

    name, labels, provider = "known", ("person",), "NumPy"

    def __init__(self) -> None:
        self._number = 0

    def segment(self, image: RGBImage, labels: Collection[str]) -> list[Instance]:
        """Return one person, who moves by 15 px a frame."""
        height, width = image.shape[:2]
        left = (self._number * 15) % (width - 60)  # everywhere within 39 frames
        self._number += 1
        box = (left, height - 100, left + 50, height)
        return [Instance(1, "person", 1.0, box, np.ones((100, 50), bool))]


def one_length(frames: int) -> None:
    """Run a clip of 640 x 360 without networks, and print this process's peak memory."""
    backdrop = cv2.resize(photo("coffee.png"), (800, 533), interpolation=cv2.INTER_AREA)

    def views() -> Iterator[RGBImage]:
        for number in range(frames):
            left = round(75 + 75 * math.sin(number / 6))
            yield np.ascontiguousarray(backdrop[50:410, left : left + 640])

    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "in.mp4"
        write(source, views(), 12)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        remover = Remover(segmenter=WhereItWas(), inpainter="telea")
        start = time.perf_counter()
        result = remove_from_video(source, Path(name) / "out.mp4", ["person"], remover=remover)
        spent = (time.perf_counter() - start) / frames
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"640 x 360, {frames:5} frames, {result.segments} key frame(s): peak {peak:.0f} MB "
        f"({before:.0f} MB before it began), {spent:.2f} s a frame without networks"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--clip", action="append", choices=CLIPS)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        one_length(arguments.memory_of)
        return
    if arguments.memory:
        for frames in (120, 1200):  # the encoder alone holds up to 60
            subprocess.run([sys.executable, __file__, "--memory-of", str(frames)], check=True)
        return
    remover = Remover()
    figure = cut_out(remover)
    crf = DEFAULT_CRF["h264"]
    print(f"{SIZE_WH[0]} x {SIZE_WH[1]}, {arguments.frames} frames, person; PSNR in dB, flicker in")
    print("grey levels, both where the person was; seconds a frame")
    print(f"{'clip':9} {'method':15} {'PSNR':>6} {'flicker':>8} {'s':>6}  filled from")
    for kind in arguments.clip or CLIPS:
        shown, truth, masks, moves = make(kind, arguments.frames, figure)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            source = folder / "in.mp4"
            write(source, shown, 10)
            write(folder / "truth.mp4", truth, crf)
            reported = []

            def video(
                source: Path = source, folder: Path = folder, reported: list = reported
            ) -> None:
                reported.append(
                    remove_from_video(source, folder / "video.mp4", ["person"], remover=remover)
                )

            def by_frame(source: Path = source, folder: Path = folder) -> None:
                write(
                    folder / "frames.mp4",
                    [remover(image, ["person"]).image for image in read(source)],
                    crf,
                )

            spent = {"video": timed(video, len(shown)), "frames": timed(by_frame, len(shown))}
            rows = (("video", "cleanplate video"), ("frames", "frame by frame"), ("truth", "truth"))
            for key, words in rows:
                result = read(folder / f"{key}.mp4")
                psnr, change = measure(result, truth, masks, moves)
                seconds = f"{spent[key]:6.2f}" if key in spent else " " * 6
                where = ""
                if key == "video":
                    made = reported[0]
                    where = (
                        f"frames {made.share(made.from_frames_px):.0%}, network once "
                        f"{made.share(made.by_network_px):.0%}, each frame "
                        f"{made.share(made.by_frame_px):.0%}; own flicker {made.flicker:.2f}, "
                        f"around {made.flicker_around:.2f}"
                    )
                print(
                    f"{kind:9} {words:15.15} {psnr:6.2f} {change:8.2f} {seconds}  {where}",
                    flush=True,
                )
            if arguments.sheets is not None:
                arguments.sheets.mkdir(parents=True, exist_ok=True)
                clips = [read(folder / f"{key}.mp4") for key in ("in", "video", "frames", "truth")]
                picked = np.linspace(0, len(shown) - 1, 6).round().astype(int)
                sheet = np.vstack([np.hstack([clip[n] for clip in clips]) for n in picked])
                Image.fromarray(sheet).save(arguments.sheets / f"{kind}.jpg", quality=90)


if __name__ == "__main__":
    main()
