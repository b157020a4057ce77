"""A server for the tests, and a photo."""

import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from page_steps import WIDE
from PIL import Image
from server_standins import GREY, PERSON, RED, Running, serving

from cleanplate.types import RGBImage

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def running(fake_segmenter_class) -> Iterator[Running]:
    with serving(fake_segmenter_class()) as started:
        yield started


@pytest.fixture(scope="session")
def pixels() -> RGBImage:
    rng = np.random.default_rng(0)
    image = np.clip(GREY + rng.normal(0, 6, (90, 120, 3)), 31, 255).astype(np.uint8)
    image[PERSON] = RED
    return image


@pytest.fixture(scope="session")
def photo(pixels) -> bytes:
    """Return a PNG with a comment and a red object."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Author", "Ann")
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


@pytest.fixture(scope="module")  # no longer: while it lives, asyncio cannot run in this thread
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")
    found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    with api.sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        if found is None and not own.exists():
            pytest.skip("no Chromium: install chromium, or run 'playwright install chromium'")
        arguments = ["--no-sandbox", "--disable-gpu"]  # nothing to draw on but memory
        started = playwright.chromium.launch(executable_path=found or own, args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="module")
def tab(browser):
    """Return a page on a wide screen, for one test after the other: a new one takes 2 s."""
    context = browser.new_context(viewport=WIDE)
    yield context.new_page()
    context.close()


@pytest.fixture
def opened(browser, tab, running):
    """Return a function that opens the page; afterwards nothing may have gone wrong in it."""
    contexts, faults = [], []

    def note(answered):
        if answered.type == "error" and "Failed to load resource" not in answered.text:
            faults.append(answered.text)

    def fail(error):
        faults.append(str(error))

    def open_page(server=running, **settings):
        page = tab
        if settings:
            contexts.append(browser.new_context(**{"viewport": WIDE, **settings}))
            page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", fail)
        page.on("console", note)
        ticket = server.app.access.new_ticket()
        page.goto(f"http://127.0.0.1:{server.port}/?token={ticket}")
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    tab.goto("about:blank")
    tab.remove_listener("pageerror", fail)
    tab.remove_listener("console", note)
    tab.unroute_all()
    tab.context.clear_cookies()
    tab.context.clear_permissions()
    tab.emulate_media(color_scheme="light", reduced_motion="no-preference")
    tab.set_viewport_size(WIDE)
    assert faults == []
