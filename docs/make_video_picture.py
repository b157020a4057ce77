"""Make docs/images/video.jpg: three frames of a clip before and after, the camera panning.

The clip is composed: the astronaut crosses the view of a tower. Both photos come with Python
packages: run `pip install scikit-image scikit-learn` first, and install the extra `video`.

- astronaut: NASA, public domain; in scikit-image.
- china.jpg: danielbuechele, CC BY 2.0; in scikit-learn.
"""

import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import sklearn.datasets
from make_picture import SCENE_ROWS
from make_rules_picture import cut_person_and_cat, lay_out, paste

from cleanplate import Remover, RGBImage
from cleanplate.video import remove_from_video

TARGET = Path(__file__).parent / "images" / "video.jpg"
FRAMES, SHOWN = 36, (4, 17, 30)
VIEW_PX, PAN_PX = 480, 120  # width of a frame, and how far the camera moves in the clip
QUALITY = 80


def main() -> None:
    """Compose the clip, clean it, and write the sheet."""
    remover = Remover()
    frames = compose(remover)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "clip.mp4", Path(folder) / "clean.mp4"
        write_clip(source, frames)
        done = remove_from_video(source, target, ["person"], remover=remover)
        print(f"filled {done.filled_px:,} px, {done.from_frames_px:,} of them from other frames")
        before, after = read_clip(source), read_clip(target)
    tiles = {}
    for number in SHOWN:
        tiles[f"frame {number}"] = before[number]
        tiles[f"frame {number}, person removed"] = after[number]
    sheet = lay_out(tiles)
    sheet.save(TARGET, quality=QUALITY, optimize=True)
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes")


def compose(remover: Remover) -> list[RGBImage]:
    """Return the frames: the view moves to the right, the person to the left."""
    scene = np.asarray(sklearn.datasets.load_sample_image("china.jpg"))[SCENE_ROWS]
    (portrait, figure), _ = cut_person_and_cat(remover)
    frames = []
    for number in range(FRAMES):
        photo = scene.astype(np.float32)
        left = round(360 - 200 * number / FRAMES)
        paste(photo, portrait, figure, scale=0.4, left=left)
        start = round(PAN_PX * number / FRAMES)
        view = photo[:, start : start + VIEW_PX]
        frames.append(np.ascontiguousarray(np.clip(np.rint(view), 0, 255), np.uint8))
    return frames


def write_clip(path: Path, frames: list[RGBImage]) -> None:
    """Write frames as H.264 at 12 frames a second."""
    with av.open(path, "w") as clip:
        stream = clip.add_stream("libx264", rate=Fraction(12), options={"crf": "16"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            clip.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        clip.mux(stream.encode())


def read_clip(path: Path) -> list[RGBImage]:
    """Return the frames of a clip."""
    with av.open(path) as clip:
        return [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]


if __name__ == "__main__":
    main()
