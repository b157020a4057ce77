"""The page in a real browser, against a real server."""

import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from server_standins import PERSON, serving

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

    def note(told):
        if told.type == "error" and "Failed to load resource" not in told.text:
            faults.append(told.text)

    def open_page(server=running, **settings):
        context = browser.new_context(**{"viewport": WIDE, **settings})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", note)
        ticket = server.app.access.new_ticket()
        page.goto(f"http://127.0.0.1:{server.port}/?token={ticket}")
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


def test_everything_works_by_keyboard(opened, photo):
    page = opened()
    give(page, photo)
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.object"):
            break
    page.keyboard.press("Space")
    assert page.locator("[data-object]").is_checked()
    assert "person" in page.locator("#objects").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_selector("#result-panel:not([hidden])")
    page.keyboard.press("c")
    page.locator("#border").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#border").input_value() == "499"
    page.keyboard.press("?")
    assert "Ctrl+Z" in page.locator("#keys-dialog").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("#keys-dialog").is_visible()
    with page.expect_download():
        page.keyboard.press("Control+s")


def test_a_reloaded_page_goes_on(opened, photo):
    page = opened()
    give(page, photo)
    page.locator("[data-object]").check()
    page.reload()
    page.wait_for_selector("#objects li")
    assert page.locator("[data-object]").is_checked()


def test_a_fill_can_be_cancelled(opened, photo, running):
    page = opened()
    give(page, photo)
    page.locator("[data-object]").check()
    running.inpainter.released.clear()
    page.locator("#remove").click()
    running.inpainter.begun.acquire(timeout=20)
    page.locator("#cancel").click()
    page.wait_for_selector("#remove:not([hidden])")
    running.inpainter.released.set()
    assert page.locator("#results").is_hidden()
    while running.app.queue:  # until the cancelled one has noticed
        page.wait_for_timeout(50)
    page.locator("#remove").click()
    page.wait_for_selector("#result-panel:not([hidden])")


def test_names_stay_text(opened, photo):
    page = opened()
    name = "<img src=x onerror=document.title='gone'>.png"
    give(page, photo, name)
    assert page.locator("#name").inner_text() == name
    assert page.title() != "gone"
    assert page.locator("img[src=x]").count() == 0


def test_errors_say_what_to_do(opened):
    page = opened()
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": b"no photo"})
    page.wait_for_selector("#error:not([hidden])")
    assert "a.png" in page.locator("#error-text").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_in_one_direction_and_axe_finds_nothing(opened, photo, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not here").Axe
    page = opened(viewport=PHONE, has_touch=True, is_mobile=True, color_scheme=scheme)

    def check(state):
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, state
        found = axe().run(page)
        assert found.violations_count == 0, (state, found.generate_report())

    check("empty")
    give(page, photo)
    page.locator("[data-object]").check()
    page.locator("[data-tool=brush]").tap()
    check("brush")
    page.locator("#remove").click()
    page.wait_for_selector("#result-panel:not([hidden])")
    page.locator("#compare").click()
    check("result")
    page.locator("#help").click()
    check("keys")


@pytest.fixture
def folder(tmp_path, photo) -> Path:
    (tmp_path / "in").mkdir()
    first = tmp_path / "in/0000.png"
    first.write_bytes(photo)
    for number in range(1, 5000):
        (tmp_path / f"in/{number:04}.png").hardlink_to(first)
    return tmp_path


FRAMES = """async (box) => {
  const times = [];
  let last = performance.now(), most = 0;
  for (let step = 0; step < 60; step += 1) {
    box.scrollTop += 6000;
    await new Promise(requestAnimationFrame);
    times.push(performance.now() - last);
    last = performance.now();
    most = Math.max(most, box.querySelectorAll('.list-row').length);
  }
  return [Math.max(...times), most];
}"""


def test_a_folder_of_5000_is_reviewed(opened, folder, fake_segmenter_class):
    with serving(fake_segmenter_class(), root=folder) as running:
        page = opened(running)
        page.locator("#view-folder").click()
        page.locator("#folders button").click()
        page.locator("#labels").fill("person")
        page.locator("#start .primary").click()
        page.locator("#run-stop").click()
        page.wait_for_selector("#run-resume:not([hidden])")
        page.wait_for_selector(".list-row")
        assert "5000" in page.locator("#list-count").inner_text().replace(",", "")

        slowest_ms, most_rows = page.locator("#list").evaluate(FRAMES)
        print(f"review of 5000: slowest frame {slowest_ms:.0f} ms, {most_rows} rows at once")
        assert most_rows < 40
        page.locator("#list").evaluate("box => box.scrollTop = 0")
        page.locator("#list").focus()
        page.locator("[data-index='0']", has_text="0000.png").click()
        page.keyboard.press("a")
        page.keyboard.press("r")
        page.locator("[data-index='2'][aria-selected=true]").wait_for()
        page.locator("[data-index='1'] .mark.rejected").wait_for()
        page.locator("#filter-show").select_option("review=rejected")
        page.get_by_text("1 photos").wait_for()
        assert "0001.png" in page.locator(".list-row").inner_text()
        page.keyboard.press("Control+z")
