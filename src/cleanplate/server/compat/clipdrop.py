"""Clipdrop's cleanup: photo and mask in, PNG out.

References:
    The OpenAPI description of cleanup.pictures at github.com/api-evangelist/cleanup-pictures, and
    the client pyclipdrop 1.0.1.
"""

from io import BytesIO
from typing import Annotated

from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, Response

from cleanplate.io import Photo, encode_photo
from cleanplate.server.answers import add_error_answers
from cleanplate.server.compat.filling import UnequalSizesError, fill_light
from cleanplate.server.state import App
from cleanplate.server.work import Ticket
from cleanplate.types import Removal, RGBImage


def add_clipdrop(app: FastAPI) -> None:
    """Add the address /cleanup/v1."""
    shared: App = app.state.app
    api = FastAPI(title="Clipdrop", docs_url=None, redoc_url=None, openapi_url=None)
    add_error_answers(api, lambda text: {"error": text})

    @api.exception_handler(UnequalSizesError)
    async def answer_sizes(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 400)

    @api.post("/v1")
    async def clean_up(
        request: Request,
        image_file: Annotated[UploadFile, File()],
        mask_file: Annotated[UploadFile, File()],
        mode: Annotated[str, Form()] = "fast",
    ) -> Response:
        def work(ticket: Ticket) -> Response:
            content = image_file.file.read()
            photo, removal = fill_light(shared, content, mask_file.file.read(), ticket)
            return Response(_as_png(content, photo, removal), media_type="image/png")

        return await shared.work(work, request)

    app.mount("/cleanup", api)


def _as_png(content: bytes, photo: Photo, removal: Removal[RGBImage]) -> bytes:
    """Return a result as PNG; of a PNG with its metadata, of others with their colour profile."""
    if photo.format == "PNG":
        return encode_photo(photo, removal.image, removal.mask)
    from PIL import Image

    with Image.open(BytesIO(content)) as source:
        profile = source.info.get("icc_profile") if source.mode == "RGB" else None
    stream = BytesIO()
    Image.fromarray(removal.image).save(stream, "PNG", icc_profile=profile)
    return stream.getvalue()
