"""The page in a real browser, against a real server."""

import threading
from io import BytesIO

import numpy as np
import pytest
from page_steps import PHONE, check_accessible, check_keyboard, downloaded, give, pixels_of, place
from PIL import Image
from server_standins import PERSON, SquarePrompter, serving

pytestmark = pytest.mark.slow

TOUCH = {"viewport": PHONE, "has_touch": True, "is_mobile": True}


MIDDLE = """() => {
  const canvas = document.getElementById("picture");
  const { width, height } = canvas;
  return [...canvas.getContext("2d").getImageData(width / 2 - 30, height / 2, 1, 1).data];
}"""


COPIED = """async () => {
  const [item] = await navigator.clipboard.read();
  const picture = await createImageBitmap(await item.getType("image/png"));
  return [picture.width, picture.height];
}"""


def fill_again(page, inpainter, n):
    page.locator("#inpainter").select_option(inpainter)
    page.locator("#fill-again").click()
    page.locator(f"#result-list input[value='{n}']:checked").wait_for()


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

    page.locator("#marks").focus()
    page.wait_for_function(f"() => ({MIDDLE})()[0] < 200")  # the result
    page.keyboard.down(" ")
    page.wait_for_function(f"() => ({MIDDLE})()[0] > 200")  # the original
    page.keyboard.up(" ")
    fill_again(page, "telea", 2)
    page.locator("#fill-again").click()  # it draws nothing at random
    page.locator("#error", has_text="another model").wait_for()
    assert page.locator("#before").inner_text() == "Result 1"  # beside the one before
    assert page.locator("#border").is_visible()
    fill_again(page, "slow", 3)
    assert "try 2, slow" in page.locator("#result-list").inner_text()
    assert page.locator("#compare-with").input_value() == "2"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.keyboard.press("Control+c")
    page.locator("#status", has_text="Copied").wait_for()
    assert page.evaluate(COPIED) == [120, 90]
    page.locator("#compare-with").select_option("1")
    assert page.locator("#before").inner_text() == "Result 1"
    page.locator("#result-list input[value='1']").check()
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
    check_keyboard(page, "empty")
    give(page, photo)
    check_keyboard(page, "photo")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.object"):
            break
    page.keyboard.press("Space")
    assert page.locator("[data-object]").is_checked()
    assert "person" in page.locator("#objects").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_selector("#result-panel:not([hidden])")
    check_keyboard(page, "result")
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


@pytest.mark.parametrize("screen", [{}, TOUCH], ids=["wide", "phone"])
def test_axe_finds_nothing_and_a_phone_scrolls_in_one_direction(opened, photo, screen):
    page = opened(**screen)
    check_accessible(page, "empty")
    give(page, photo)
    page.locator("[data-object]").check()
    page.locator("[data-tool=brush]").click()
    check_accessible(page, "brush")
    page.locator("#remove").click()
    page.wait_for_selector("#result-panel:not([hidden])")
    page.locator("#compare").click()
    check_accessible(page, "result")
    page.locator("#help").click()
    check_accessible(page, "keys")


def test_a_click_outlines_what_was_not_found(opened, photo, fake_segmenter_class, monkeypatch):
    monkeypatch.setattr("cleanplate.server.routes.installed_prompter", lambda: "square")
    with serving(fake_segmenter_class(), prompter=SquarePrompter()) as running:
        page = opened(running)
        give(page, photo)
        page.mouse.click(*place(page, 20, 60))
        added = page.locator("#objects li", has_text="object").locator("[data-object]")
        added.wait_for()
        assert added.is_checked()
        page.mouse.click(*place(page, 20, 60))
        assert not added.is_checked()
        page.keyboard.press("Control+z")
        assert added.is_checked()
        page.keyboard.press("Enter")
        page.wait_for_selector("#result-panel:not([hidden])")
        _, content = downloaded(page, "#download-mask")
    mask = pixels_of(content) > 0
    assert mask[50:70, 10:30].all()
    assert not mask[PERSON].any()


def test_photos_are_dropped_and_pasted(opened, photo):
    page = opened()
    for event, property, names in (
        ("paste", "clipboardData", ["a.png"]),
        ("drop", "dataTransfer", ["b.png", "c.png"]),
    ):
        page.evaluate(GIVE, [event, property, names, list(photo)])
        page.wait_for_function("name => document.title.includes(name)", arg=names[0])
    page.keyboard.press("n")
    page.wait_for_function("() => document.title.includes('c.png')")
    assert page.locator("#place").inner_text() == "2 of 2"


GIVE = """([event, property, names, bytes]) => {
  const given = new DataTransfer();
  for (const name of names) {
    given.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
  }
  const made = new Event(event, { bubbles: true });
  made[property] = given;
  document.dispatchEvent(made);
}"""


class Blind:
    """Finds nothing."""

    name, provider, labels = "blind", "NumPy", ("person",)

    def segment(self, image, labels):
        return []


CONTRAST = """() => {
  const canvas = document.getElementById("picture");
  const { width, height } = canvas;
  const row = canvas.getContext("2d").getImageData(width / 2 - 20, height / 2, 40, 1).data;
  const grey = row.filter((_, at) => at % 4 === 0);
  return Math.max(...grey) - Math.min(...grey);
}"""


def touch(page, *steps: tuple[float, ...]) -> None:
    """Put fingers on the photo and move them: x of each from the middle, step by step."""
    box = page.locator("#marks").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)
    fingers = 0
    for xs in (*steps, ()):
        kind = "touchStart" if len(xs) > fingers else "touchMove" if xs else "touchEnd"
        fingers = len(xs)
        points = [{"x": x + at, "y": y, "id": finger} for finger, at in enumerate(xs)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_50_megapixels_are_seen_at_full_size_without_being_loaded(opened):
    width, height = 8660, 5773
    stripes = np.tile(np.array([60, 180], np.uint8), width // 2)  # 1 px wide: gone in a preview
    stream = BytesIO()
    Image.fromarray(np.tile(stripes, (height, 1))).save(stream, "PNG", compress_level=1)
    answers, strokes = [], []
    with serving(Blind()) as running:
        page = opened(running, has_touch=True)
        page.on("response", lambda it: answers.append(it))  # noqa: PLW0108
        give(page, stream.getvalue(), found="Nothing was found")
        page.wait_for_function(f"() => ({CONTRAST})() < 40")

        page.locator("[data-tool=brush]").click()
        touch(page, (-40,), *((-half, half) for half in range(40, 121, 10)))
        page.wait_for_timeout(1000)
        levels = {int(it.url.split("/")[-3]) for it in answers if "/tiles/" in it.url}
        assert levels
        assert 0 not in levels
        assert page.locator("#undo").is_disabled()  # two fingers draw nothing
        touch(page, (0,), (20,), (40,))
        assert page.locator("#undo").is_enabled()  # one does
        page.keyboard.press("Control+z")

        page.keyboard.press("1")
        page.wait_for_function(f"() => ({CONTRAST})() > 80")
        pictures = [it for it in answers if it.headers.get("content-type") == "image/jpeg"]
        sizes = [Image.open(BytesIO(it.body())).size for it in pictures]
        assert max(max(size) for size in sizes) <= 2048
        assert sum(across * down for across, down in sizes) < width * height / 3

        box = page.locator("#marks").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 100, y)
        page.mouse.up()
        page.route("**/fill", lambda it: (strokes.append(it.request.post_data_json), it.abort()))
        page.locator("#remove").click()
        page.wait_for_selector("#error:not([hidden])")
    (stroke,) = strokes[0]["edits"]["strokes"]
    first, last = np.array(stroke["points"][0]), np.array(stroke["points"][-1])
    assert abs(first - (width / 2, height / 2)).max() < 20
    assert abs(last - first - (100, 0)).max() < 1.5  # in px of the photo


@pytest.mark.parametrize("button", ["accept", "dismiss"])
def test_a_command_that_waits_gets_a_result_or_none(opened, photo, running, button):
    session = running.app.sessions.create("a.png", photo)
    accepted, ended = [], threading.Event()

    def accept(content):
        accepted.append(content)
        return {}

    session.accept, session.cancel = accept, ended.set
    page = opened()
    page.goto(f"http://127.0.0.1:{running.port}/#session={session.id}")
    page.reload()
    page.locator("[data-object]").check()
    page.locator("#remove").click()
    page.wait_for_selector("#result-panel:not([hidden])")
    assert page.locator("#download").is_hidden()
    page.locator(f"#{button}").click()
    page.get_by_text("close this page").wait_for()
    assert (len(accepted), ended.is_set()) == ((1, False) if button == "accept" else (0, True))
