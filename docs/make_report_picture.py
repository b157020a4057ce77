"""Make docs/images/report.jpg, a report's page of three photos from scikit-image, with Chromium.

Photos: astronaut by NASA, public domain; chelsea by Stefan van der Walt and coffee by Rachel
Michetti, CC0.
"""

import subprocess
import tempfile
from pathlib import Path

from PIL import Image
from skimage import data

TARGET = Path(__file__).with_name("images") / "report.jpg"
SIZE_WH = (1120, 640)


def main() -> None:
    """Clean the photos, and take a picture of the page."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "photos").mkdir()
        for name in ("astronaut", "cat", "coffee"):
            Image.fromarray(getattr(data, name)()).save(folder / f"photos/{name}.jpg", quality=92)
        command = ["cleanplate", "run", "photos", "-o", "clean", "-q", "--remove", "person,cat"]
        subprocess.run([*command, "--report", "clean/report.html"], cwd=folder, check=True)
        shot = folder / "page.png"
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--screenshot={shot}"]
        size = "--window-size={},{}".format(*SIZE_WH)
        subprocess.run(
            ["chromium", *options, size, (folder / "clean/report.html").as_uri()], check=True
        )
        Image.open(shot).convert("RGB").save(TARGET, quality=84)


if __name__ == "__main__":
    main()
