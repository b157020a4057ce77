"""The pictures of docs/serve.md, made by using the page with the built-in models.

CLEANPLATE_SCREENSHOTS=docs/images pytest -m slow tests/server/test_page_pictures.py
"""

import os
from pathlib import Path

import pytest
from page_steps import PHONE, give, pixels_of
from PIL import Image
from server_standins import serving

from cleanplate.remover import Remover

pytestmark = pytest.mark.slow

DESKTOP = {"width": 1000, "height": 640}
MOST_BYTES = 150_000
FOLDER = os.environ.get("CLEANPLATE_SCREENSHOTS")


@pytest.fixture
def root(tmp_path, astronaut, cat, coffee) -> Path:
    """Return a folder with a folder of photos; of half the size if nobody is to see them."""
    (tmp_path / "photos").mkdir()
    step = 1 if FOLDER else 2
    for name, photo in (("astronaut", astronaut), ("cat", cat), ("coffee", coffee)):
        Image.fromarray(photo[::step, ::step]).save(tmp_path / f"photos/{name}.png")
    return tmp_path


def keep(page, path: Path) -> None:
    """Write what is on the screen, once the pictures in it have come."""
    page.mouse.move(0, 0)
    if FOLDER:
        page.wait_for_timeout(3000)  # and messages have gone
    content = page.screenshot(path=path, type="jpeg", quality=84)
    assert len(content) < MOST_BYTES
    assert pixels_of(content).std() > 20  # it shows something


def remove(page) -> None:
    page.locator("#remove").click()
    page.wait_for_selector("#result-panel:not([hidden])", timeout=120_000)


def test_pictures_for_the_docs(opened, root):
    folder = Path(FOLDER or root)
    content = (root / "photos/astronaut.png").read_bytes()
    with serving(Remover(), root=root) as running:
        page = opened(running)
        page.set_viewport_size(DESKTOP)
        give(page, content, "astronaut.png")
        page.locator("[data-object]").first.check()
        keep(page, folder / "page.jpg")

        page.emulate_media(color_scheme="dark")
        remove(page)
        page.keyboard.press("c")
        keep(page, folder / "page_compare.jpg")

        page = opened(running, viewport=PHONE, has_touch=True, is_mobile=True, color_scheme="dark")
        give(page, (root / "photos/cat.png").read_bytes(), "cat.png")
        page.locator("[data-object]").first.check()
        keep(page, folder / "page_phone.jpg")

        page = opened(running)
        page.emulate_media(color_scheme="light")
        page.locator("#view-folder").click()
        page.locator("#folders button").click()
        page.locator("#labels").fill("person, cat")
        page.locator("#start .primary").click()
        page.get_by_text("3 of 3 · done").wait_for(timeout=120_000)
        for key, index in (("a", 1), ("r", 2), ("ArrowUp", 1), ("ArrowUp", 0)):
            page.keyboard.press(key)
            page.locator(f"[data-index='{index}'][aria-selected=true]").wait_for()
        keep(page, folder / "page_review.jpg")
