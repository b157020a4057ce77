"""Measure the report's page: its size, and how long a browser takes to open, sort and search it.

Needs Chromium; scikit-image brings the photos that the thumbnails are made of.

    python benchmarks/report_page.py --photos 5000
"""

import argparse
import html
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage

from cleanplate.batch.records.html_page import PageWriter, make_thumbnails
from cleanplate.batch.records.results import FoundObject, PhotoResult, describe_result
from cleanplate.types import Removal

MODELS = {
    "models": {"segmenter": "deeplabv3plus_lite2.voc", "inpainter": "edgeconnect.photos"},
    "provider": {"segmenter": "CPUExecutionProvider", "inpainter": "CPUExecutionProvider"},
}
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--allow-file-access-from-files",
)  # fmt: skip
PROBE = """<script>
addEventListener("load", () => {
  const figures = { rows: rows.length, open_ms: performance.now() };
  const timed = (name, act) => {
    const start = performance.now(); act(); figures[name] = performance.now() - start;
  };
  const set = (id, value) => { by(id).value = value; by(id).dispatchEvent(new Event("input")); };
  timed("sort_by_area_ms", () => set("sort", "area"));
  timed("sort_by_name_ms", () => set("sort", "name"));
  timed("search_ms", () => set("search", "img_012"));
  figures.found = shown.length;
  timed("filter_ms", () => { set("search", ""); set("label", "dog"); });
  timed("page_ms", () => { set("label", ""); by("next").click(); });
  figures.heap_mb = Math.round(performance.memory.usedJSHeapSize / 1e6);
  document.title = JSON.stringify(figures);
});
</script>
"""


def main() -> None:
    """Write a page, open it, print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--keep", type=Path, help="where to keep the page")
    parser.add_argument("--screenshot", type=Path, help="PNG to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = arguments.keep or Path(folder) / "report.html"
        start = time.perf_counter()
        write_page(page, arguments.photos)
        spent = time.perf_counter() - start
        print(f"{arguments.photos} photos: {page.stat().st_size / 1e6:.1f} MB, {spent:.1f} s")
        probed = Path(folder) / "probed.html"
        probed.write_text(page.read_text() + PROBE)
        browser = shutil.which("chromium") or shutil.which("google-chrome")
        if browser is None:
            raise SystemExit("no Chromium here: not opened")
        command = [browser, *FLAGS, f"--user-data-dir={folder}/profile", "--window-size=1500,1000"]
        start = time.perf_counter()
        dump = subprocess.run(
            [*command, "--dump-dom", probed.as_uri()], capture_output=True, text=True, check=True
        ).stdout
        title = re.search("<title>(.*?)</title>", dump, re.DOTALL)
        print(html.unescape(title[1]) if title else "no title")
        print(f"browser with start and dump: {time.perf_counter() - start:.1f} s")
        if arguments.screenshot:
            shot = f"--screenshot={arguments.screenshot.absolute()}"
            shown = [*command, shot, page.absolute().as_uri()]
            subprocess.run(shown, check=True, stderr=subprocess.DEVNULL)


def write_page(path: Path, photos: int) -> None:
    """Write a page of outcomes like those of a run."""
    rng = np.random.default_rng(0)
    scenes = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()]
    with PageWriter(path, {"segmenter": "example", "labels": "person, dog"}) as page:
        for number in range(photos):
            outcome = make_outcome(number, scenes[number % 3], rng)
            page.write(outcome, describe_result(outcome, MODELS))


def make_outcome(number: int, scene: np.ndarray, rng: np.random.Generator) -> PhotoResult:
    """Return what became of a photo: four of five are changed, one of fifty fails."""
    source = Path(f"photos/2024/img_{number:05d}.jpg")
    target = Path(f"clean/2024/img_{number:05d}.jpg")
    if number % 50 == 7:
        error = f"{source}: the file is cut off; copy it again"
        return PhotoResult(status="failed", source=source, target=target, error=error)
    top, left = rng.integers(0, 60, 2)
    image = np.ascontiguousarray(scene[top : top + 240, left : left + 320])
    mask = np.zeros(image.shape[:2], np.bool_)
    changed = number % 5 != 3
    if changed:
        y, x, height, width = rng.integers((20, 20, 20, 20), (120, 180, 100, 120))
        mask[y : y + height, x : x + width] = True
    filled = np.where(mask[..., None], np.roll(image, 90, axis=1), image)
    removal = Removal(filled, mask)
    labels = ("person", "dog", "car")
    found = tuple(
        FoundObject(
            k + 1, labels[(number + k) % 3], float(rng.uniform(0.4, 1)), (0, 0, 90, 90), 900,
              changed and k < 2, "" if changed and k < 2 else "kept: largest")
        for k in range(1 + number % 3)
    )  # fmt: skip
    return PhotoResult(
        status="removed" if changed else "untouched",
        source=source,
        target=target,
        size_hw=(3000, 4000),
        found=found,
        remaining=found[:1] if changed and number % 20 == 0 else (),
        mask_area_px=int(np.count_nonzero(mask)) * 150,
        timings_s={"total": float(rng.gamma(3, 0.4))},
        thumbnails=make_thumbnails(image, removal),
    )


if __name__ == "__main__":
    main()
