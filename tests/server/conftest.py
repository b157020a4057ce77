"""A server for the tests, and a photo."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from server_standins import GREY, PERSON, RED, Running, serving

from cleanplate.types import RGBImage


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
