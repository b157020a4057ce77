"""What other services have in common: base64 in JSON, and masks as each client paints them."""

import base64
import binascii

import cv2
import numpy as np

from cleanplate.errors import InputError
from cleanplate.io import Photo, read_photo
from cleanplate.server.sessions import stoppable
from cleanplate.server.state import App
from cleanplate.server.work import Ticket
from cleanplate.types import Mask, Removal, RGBImage


class UnequalSizesError(InputError):
    """A mask has another size than its photo."""


def decode_base64(name: str, text: str) -> bytes:
    """Return what base64 says, with or without `data:...,` before it.

    Raises:
        InputError: it is not base64, or is an address.
    """
    if text.startswith(("http://", "https://")):
        raise InputError(f"{name}: URLs are not fetched; send the file as a data: URI")
    try:
        return base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{name}: is not valid base64; send the file as a data: URI") from error


def read_light(content: bytes, max_pixels: int) -> Mask:
    """Return where an image is lighter than the middle, whatever its transparency.

    Editors paint in white on nothing: what `read_mask` must refuse, because it cannot know which
    is meant, is defined here.
    """
    pixels = read_photo(content, max_pixels=max_pixels).pixels
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) > 127)


def fill_light(
    app: App, content: bytes, drawn: bytes, ticket: Ticket, *, seed: int = 0
) -> tuple[Photo, Removal[RGBImage]]:
    """Fill a photo where a mask is light.

    Raises:
        PhotoError: one of them cannot be read.
        UnequalSizesError: they differ in size.
        CancelledError: it was cancelled.
    """
    photo = read_photo(content, max_pixels=app.max_pixels)
    mask = read_light(drawn, app.max_pixels)
    if mask.shape != photo.size_hw:
        (height, width), (mask_height, mask_width) = photo.size_hw, mask.shape
        raise UnequalSizesError(
            f"the mask is {mask_width} x {mask_height} px but its photo is {width} x {height} px; "
            "send both at the photo's size"
        )
    removal: Removal[RGBImage] = stoppable(app.remover, ticket).fill(photo, mask, seed=seed)
    ticket.check()
    return photo, removal
