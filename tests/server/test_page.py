"""The page in a real browser, against a real server."""

import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import PERSON

pytestmark = pytest.mark.slow

api = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> Iterator["api.Browser"]:
    found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    with api.sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        if found is None and not own.exists():
            pytest.skip("no Chromium: install chromium, or run 'playwright install chromium'")
        started = playwright.chromium.launch(executable_path=found or own, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser, running):
    """Return a function that opens the page; afterwards nothing may have gone wrong in it."""
    contexts, faults = [], []

    def open_page(**settings):
        context = browser.new_context(**{"viewport": WIDE, **settings})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda told: told.type == "error" and faults.append(told.text))
        ticket = running.app.access.new_ticket()
        page.goto(f"http://127.0.0.1:{running.port}/?token={ticket}")
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def give(page, content: bytes, name: str = "photo.png") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": content})
    page.wait_for_selector("#objects li")


def place(page, x: float, y: float) -> tuple[float, float]:
    """Return where a point of the photo of 120 x 90 px is on the screen when it is fitted."""
    box = page.locator("#marks").bounding_box()
    scale = min((box["width"] - 48) / 120, (box["height"] - 48) / 90, 4)
    return (
        box["x"] + (box["width"] - 120 * scale) / 2 + x * scale,
        box["y"] + (box["height"] - 90 * scale) / 2 + y * scale,
    )


def downloaded(page, button: str) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        page.locator(button).click()
    return waiting.value.suggested_filename, waiting.value.path().read_bytes()


def pixels_of(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(content)))


def test_a_photo_from_upload_to_download(opened, photo, pixels):
    page = opened()
    give(page, photo)
    person = page.locator("#objects [data-object]")
    assert not person.is_checked()  # the only person is the main subject
    page.mouse.click(*place(page, 50, 50))
    assert person.is_checked()

    page.keyboard.press("b")
    page.mouse.move(*place(page, 10, 10))
    page.mouse.down()
    page.mouse.move(*place(page, 30, 10), steps=4)
    page.mouse.up()
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("Control+z")
    assert page.locator("#undo").is_enabled()
    page.locator("#remove").click()
    page.wait_for_selector("#result-panel:not([hidden])")

    page.locator("#compare").click()
    assert page.locator("#border").is_visible()
    name, content = downloaded(page, "#download")
    mask_name, mask_content = downloaded(page, "#download-mask")
    assert (name, mask_name) == ("photo-clean.png", "photo-mask.png")
    mask = pixels_of(mask_content) > 0
    result = pixels_of(content)
    assert mask[PERSON].all()
    assert not mask[5:15, 5:35].any()  # the stroke was undone
    assert (result[~mask] == pixels[~mask]).all()
    assert (result[PERSON] != pixels[PERSON]).any()
    assert Image.open(BytesIO(content)).text == {"Author": "Ann"}
