"""The nodes. IMAGE: (B, H, W, C) float in [0, 1]; MASK: (B, H, W) float, 1 = selected."""

import io as streams
from functools import cache

import numpy as np
import torch
from comfy_api.latest import io
from PIL import Image

from .cleanplate_client import CleanplateError, Client

_CATEGORY = "image/cleanplate"
_CLASSES = "what to remove, such as person,car"


class InProcess:
    """Calls the package, if it is installed beside ComfyUI."""

    def __init__(self):
        import cleanplate

        self._remover = cleanplate.Remover()

    def find(self, pixels, classes):
        """Return the (H, W) bool mask of the objects, and their number."""
        plan = self._remover.plan(pixels, classes)
        return plan.mask, len(plan.instances)

    def remove(self, pixels, classes):
        """Return the (H, W, 3) uint8 pixels without the objects, and the mask."""
        removal = self._remover(pixels, classes)
        return removal.image, removal.mask

    def fill(self, pixels, mask):
        """Return the pixels with the mask filled."""
        return self._remover.fill(pixels, mask).image


class ByServer:
    """Calls the server of this computer."""

    def __init__(self):
        self._client = Client()

    def find(self, pixels, classes):
        """As `InProcess`; of images larger than the server's preview, outlines are coarse."""
        mask, count = self._client.find(_png(pixels), classes)
        size_wh = pixels.shape[1::-1]
        found = Image.open(streams.BytesIO(mask)).convert("L").resize(size_wh, Image.NEAREST)
        return np.asarray(found) > 0, count

    def remove(self, pixels, classes):
        """As `InProcess`."""
        found = self._client.remove(_png(pixels), classes)
        if found is None:
            return pixels, np.zeros(pixels.shape[:2], bool)
        return _pixels(found[0]), np.asarray(Image.open(streams.BytesIO(found[1])).convert("L")) > 0

    def fill(self, pixels, mask):
        """As `InProcess`."""
        return _pixels(self._client.fill(_png(pixels), _png(mask)))


@cache
def backend():
    """Return what computes: the package if it is installed here, otherwise the server.

    Raises:
        RuntimeError: neither can be used; ComfyUI shows the message.
    """
    try:
        return InProcess()
    except ImportError as error:
        try:
            return ByServer()
        except CleanplateError as failure:
            raise RuntimeError(
                f"{failure} Or install cleanplate in ComfyUI's Python ({error})."
            ) from None


class FindObjects(io.ComfyNode):
    """Image and class names in, mask and count out."""

    @classmethod
    def define_schema(cls):
        """Return inputs and outputs."""
        return io.Schema(
            node_id="CleanplateFindObjects",
            display_name="Find Objects",
            category=_CATEGORY,
            description="Finds objects by name, with a margin, shadows and reflections.",
            inputs=[
                io.Image.Input("image"),
                io.String.Input("classes", default="person", tooltip=_CLASSES),
            ],
            outputs=[io.Mask.Output(display_name="mask"), io.Int.Output(display_name="count")],
        )

    @classmethod
    def execute(cls, image, classes):
        """Return the masks, and the number of objects in all images."""
        found = [backend().find(one, _names(classes)) for one in _to_uint8(image)]
        masks = torch.from_numpy(np.stack([mask for mask, _ in found]).astype(np.float32))
        return io.NodeOutput(masks, sum(count for _, count in found))


class RemoveObjects(io.ComfyNode):
    """Image, class names and a mask in, image and mask out."""

    @classmethod
    def define_schema(cls):
        """Return inputs and outputs."""
        return io.Schema(
            node_id="CleanplateRemoveObjects",
            display_name="Remove Objects",
            category=_CATEGORY,
            description="Removes objects by name, and what the mask shows; other pixels stay.",
            inputs=[
                io.Image.Input("image"),
                io.String.Input("classes", default="person", tooltip=_CLASSES),
                io.Mask.Input("mask", optional=True),
            ],
            outputs=[io.Image.Output(display_name="image"), io.Mask.Output(display_name="mask")],
        )

    @classmethod
    def execute(cls, image, classes, mask=None):
        """Return the images and what was filled in them."""
        filled, holes = [], []
        for pixels, given in zip(_to_uint8(image), _masks(mask, image), strict=True):
            hole = given
            if names := _names(classes):
                pixels, found = backend().remove(pixels, names)  # noqa: PLW2901
                hole = found | given
            if given.any():
                pixels = backend().fill(pixels, given)  # noqa: PLW2901
            filled.append(pixels)
            holes.append(hole)
        return io.NodeOutput(*_merge(image, filled, holes))


class Fill(io.ComfyNode):
    """Image and mask in, image out."""

    @classmethod
    def define_schema(cls):
        """Return inputs and outputs."""
        return io.Schema(
            node_id="CleanplateFill",
            display_name="Fill",
            category=_CATEGORY,
            description="Fills what the mask shows; other pixels stay.",
            inputs=[io.Image.Input("image"), io.Mask.Input("mask")],
            outputs=[io.Image.Output(display_name="image")],
        )

    @classmethod
    def execute(cls, image, mask):
        """Return the filled images."""
        holes = _masks(mask, image)
        filled = [
            backend().fill(pixels, hole) if hole.any() else pixels
            for pixels, hole in zip(_to_uint8(image), holes, strict=True)
        ]
        return io.NodeOutput(_merge(image, filled, holes)[0])


NODES = [FindObjects, RemoveObjects, Fill]


def _names(text):
    return ",".join(word.strip() for word in text.split(",") if word.strip())


def _to_uint8(image):
    """Return the images as (H, W, 3) uint8."""
    values = image[..., :3].clamp(0, 1).cpu().numpy() * 255
    return list(np.ascontiguousarray(np.rint(values).astype(np.uint8)))


def _masks(mask, image):
    """Return an (H, W) bool mask for each image; one mask serves all of them.

    Raises:
        ValueError: sizes or numbers differ.
    """
    count, height, width = image.shape[:3]
    if mask is None:
        return [np.zeros((height, width), bool)] * count
    masks = mask.reshape(-1, *mask.shape[-2:]).cpu().numpy() > 0.5
    if masks.shape[1:] != (height, width) or len(masks) not in (1, count):
        raise ValueError(
            f"the masks are {tuple(masks.shape)}, the images {tuple(image.shape)}; make them equal"
        )
    return list(masks) if len(masks) == count else [masks[0]] * count


def _merge(image, filled, holes):
    """Return the images with new values in the holes only, and the holes as a MASK."""
    holes = torch.from_numpy(np.stack(holes)).to(image.device)
    new = torch.from_numpy(np.stack(filled).astype(np.float32) / 255).to(image)
    merged = image.clone()
    merged[..., :3] = torch.where(holes[..., None], new, image[..., :3])
    return merged, holes.float()


def _png(array):
    """Return a PNG of (H, W, 3) uint8, or of an (H, W) bool mask."""
    stream = streams.BytesIO()
    Image.fromarray(array).convert("L" if array.dtype == bool else "RGB").save(stream, "PNG")
    return stream.getvalue()


def _pixels(content):
    return np.asarray(Image.open(streams.BytesIO(content)).convert("RGB"))
