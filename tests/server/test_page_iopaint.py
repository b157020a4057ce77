"""IOPaint's own front end in a browser, against our answers to its addresses.

Runs where the package is installed: `pip install --no-deps iopaint==1.6.0`; only its page is used.
"""

import importlib.util
from pathlib import Path

import pytest
from page_steps import pixels_of

FOUND = importlib.util.find_spec("iopaint")  # importing it would need PyTorch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(FOUND is None, reason="iopaint is not installed; see the top of this file"),
]


def test_a_stroke_is_filled(browser, running, photo, pixels):
    front_end = Path(FOUND.origin).with_name("web_app")
    page = browser.new_page()
    page.set_default_timeout(20_000)

    def fulfill(route):
        path = route.request.url.partition(f":{running.port}/")[2].partition("?")[0]
        if path.startswith("api/"):
            route.continue_()
        elif (front_end / (path or "index.html")).is_file():
            route.fulfill(path=front_end / (path or "index.html"))
        else:  # its socket: it works without
            route.abort()

    page.goto(f"http://127.0.0.1:{running.port}/?token={running.app.access.new_ticket()}")
    page.route("**/*", fulfill)
    page.goto(f"http://127.0.0.1:{running.port}/")
    file = {"name": "a.png", "mimeType": "image/png", "buffer": photo}
    page.set_input_files("input[type=file]", file)
    canvas = page.locator("canvas").last
    canvas.wait_for()
    box = canvas.bounding_box()
    y = box["y"] + box["height"] / 6
    with page.expect_response("**/api/v1/inpaint") as waiting:
        page.mouse.move(box["x"] + box["width"] / 4, y)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2, y, steps=5)
        page.mouse.up()
    answer = waiting.value
    assert answer.ok
    sent = {**answer.request.post_data_json, "sd_seed": int(answer.headers["x-seed"])}
    page.close()
    again = running.client.post("/api/v1/inpaint", json=sent)  # a browser keeps the body to itself
    changed = (pixels_of(again.content) != pixels).any(axis=2)
    assert 20 < changed.sum() < changed.size / 2
    assert changed[:45].sum() > 0.9 * changed.sum()  # the stroke is in the upper half
