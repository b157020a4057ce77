"""What a person does on the page, for the tests in a browser."""

from io import BytesIO

import numpy as np
from PIL import Image

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}


def give(page, content: bytes, name: str = "photo.png", found: str = "confidence") -> None:
    """Open a photo, and wait until some words say what was found."""
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": content})
    page.locator("#edit-panel", has_text=found).wait_for(timeout=120_000)


def place(page, x: float, y: float) -> tuple[float, float]:
    """Return where a point of the photo of 120 x 90 px is on the screen when it is fitted."""
    box = page.locator("#marks").bounding_box()
    scale = min((box["width"] - 48) / 120, (box["height"] - 48) / 90, 4)
    return (
        box["x"] + (box["width"] - 120 * scale) / 2 + x * scale,
        box["y"] + (box["height"] - 90 * scale) / 2 + y * scale,
    )


def downloaded(page, button: str) -> tuple[str, bytes]:
    """Return name and content of what a button downloads."""
    with page.expect_download() as waiting:
        page.locator(button).click()
    return waiting.value.suggested_filename, waiting.value.path().read_bytes()


def pixels_of(content: bytes) -> np.ndarray:
    """Return the pixels of a file."""
    return np.asarray(Image.open(BytesIO(content)))


def check_accessible(page, state: str) -> None:
    """Check that axe finds nothing, light and dark, and that the page fits the screen's width."""
    from axe_playwright_python.sync_playwright import Axe

    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"], state
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # no half faded text
        found = Axe().run(page)
        assert found.violations_count == 0, (state, scheme, found.generate_report())


CONTROLS = """() => [...document.querySelectorAll("button, a[href], input, select, [tabindex='0']")]
  .filter((it) => !it.disabled && it.tabIndex >= 0 && it.checkVisibility())
  .filter((it) => it.type !== "radio" || it.checked)
  .map((it) => it.outerHTML.slice(0, 80))"""

FOCUSED = """() => {
  const { activeElement: it } = document;
  const shown = it.type === "radio" ? it.parentElement : it; // its label is drawn instead
  return [it.outerHTML.slice(0, 80), getComputedStyle(shown).outlineStyle !== "none"];
}"""


def check_keyboard(page, state: str) -> None:
    """Check that Tab reaches all that can be pressed, and that each shows that it has the focus."""
    controls = set(page.evaluate(CONTROLS))
    reached = set()
    for _ in range(2 * len(controls) + 4):  # once round, from wherever it starts
        page.keyboard.press("Tab")
        control, is_shown = page.evaluate(FOCUSED)
        assert is_shown or control not in controls, (state, control)
        reached.add(control)
    assert controls <= reached, (state, controls - reached)
