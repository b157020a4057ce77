"""IOPaint 1.6's addresses under /api/v1, for its front end and for programs written for it.

References:
    github.com/Sanster/IOPaint at 61a759f, `iopaint/api.py` and `iopaint/schema.py` (Apache-2.0).
"""

import asyncio
import secrets
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from fastapi import FastAPI, File, Request, UploadFile
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from cleanplate.errors import InputError
from cleanplate.io import read_photo
from cleanplate.ops import dilate
from cleanplate.server.answers import MEDIA_TYPES, add_error_answers, notes_header
from cleanplate.server.compat.filling import (
    UnequalSizesError,
    decode_base64,
    fill_light,
    read_light,
)
from cleanplate.server.sessions import encode_result
from cleanplate.server.state import App
from cleanplate.server.work import Ticket
from cleanplate.types import Mask

_PLUGIN = "InteractiveSeg"
_PAINT = (255, 203, 0, 186)  # RGBA, the front end's brush
_GROW_PX = 4  # of clicked outlines, as there
_MOST_SEEDS = 100_000_000  # among which one is drawn, as there


class _Inpaint(BaseModel):
    """All else that clients send is about models that are not here, and ignored."""

    image: str
    mask: str
    sd_seed: int = Field(default=42, ge=-1)  # -1: any


class _Plugin(BaseModel):
    name: str
    image: str
    clicks: list[tuple[int, int, int]] = Field(default=[], max_length=100)


class _Adjust(BaseModel):
    mask: str
    operate: Literal["expand", "shrink", "reverse"]
    kernel_size: int = Field(default=5, ge=0, le=200)


class _Name(BaseModel):
    name: str


class _PluginModel(BaseModel):
    plugin_name: str
    model_name: str


def add_iopaint(app: FastAPI) -> None:
    """Add IOPaint's addresses."""
    shared: App = app.state.app
    api = FastAPI(title="IOPaint", docs_url=None, redoc_url=None, openapi_url=None)
    add_error_answers(api, _shape_error)

    @api.exception_handler(UnequalSizesError)
    async def answer_sizes(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse(_shape_error(str(error)), 400)

    @api.get("/server-config")
    async def read_config() -> dict[str, Any]:
        return await asyncio.to_thread(_config, shared)

    @api.get("/model")
    async def read_model() -> dict[str, Any]:
        return await asyncio.to_thread(_model, shared)

    @api.post("/model")
    async def switch_model(wanted: _Name) -> dict[str, Any]:
        current = await asyncio.to_thread(_model, shared)
        _check_same(wanted.name, current["name"], "inpainter")
        return current

    @api.post("/switch_plugin_model")
    async def switch_plugin_model(wanted: _PluginModel) -> None:
        prompter = await asyncio.to_thread(lambda: shared.remover.prompter)
        if wanted.plugin_name != _PLUGIN or prompter is None:
            raise _no_plugin(wanted.plugin_name)
        _check_same(wanted.model_name, prompter.name, "prompter")

    @api.get("/samplers")
    async def read_samplers() -> list[str]:
        return []

    @api.get("/inputimage")
    async def read_input() -> None:
        raise HTTPException(404, "no input image; open one in the page")

    @api.post("/gen-info")
    async def read_generation(file: Annotated[UploadFile, File()]) -> dict[str, str]:
        return {"prompt": "", "negative_prompt": ""}

    @api.post("/inpaint")
    async def inpaint(request: Request, wanted: _Inpaint) -> Response:
        seed = secrets.randbelow(_MOST_SEEDS) if wanted.sd_seed == -1 else wanted.sd_seed

        def work(ticket: Ticket) -> Response:
            content, mask = decode_base64("image", wanted.image), decode_base64("mask", wanted.mask)
            photo, removal = fill_light(shared, content, mask, ticket, seed=seed)
            encoded, notes = encode_result(content, photo, removal)
            return Response(
                encoded,
                media_type=MEDIA_TYPES[photo.format],
                headers={"X-Seed": str(seed), **notes_header(notes)},
            )

        return await shared.work(work, request)

    @api.post("/run_plugin_gen_mask")
    async def outline(request: Request, wanted: _Plugin) -> Response:
        def work(ticket: Ticket) -> Response:
            prompter = shared.remover.prompter
            if wanted.name != _PLUGIN or prompter is None:
                raise _no_plugin(wanted.name)
            content = decode_base64("image", wanted.image)
            photo = read_photo(content, max_pixels=shared.max_pixels)
            ticket.check()
            points = [(x, y, bool(inside)) for x, y, inside in wanted.clicks]
            found = prompter.predict(prompter.set_image(photo.pixels), points=points)
            return _painted(dilate(found.mask, _GROW_PX))

        return await shared.work(work, request)

    @api.post("/run_plugin_gen_image")
    async def change_image(wanted: _Plugin) -> None:
        raise _no_plugin(wanted.name)

    @api.post("/adjust_mask")
    async def adjust(request: Request, wanted: _Adjust) -> Response:
        def work(_: Ticket) -> Response:
            mask = read_light(decode_base64("mask", wanted.mask), shared.max_pixels)
            if wanted.operate == "reverse":
                return _painted(~mask)
            if wanted.operate == "expand":
                return _painted(dilate(mask, wanted.kernel_size))
            return _painted(~dilate(~mask, wanted.kernel_size))

        return await shared.work(work, request)

    app.mount("/api/v1", api)


def _config(app: App) -> dict[str, Any]:
    prompter = app.remover.prompter
    plugin = {"name": _PLUGIN, "support_gen_image": False, "support_gen_mask": True}
    name = "" if prompter is None else prompter.name
    return {
        "plugins": [] if prompter is None else [plugin],
        "modelInfos": [_model(app)],
        "removeBGModel": "",
        "removeBGModels": [],
        "realesrganModel": "",
        "realesrganModels": [],
        "interactiveSegModel": name,
        "interactiveSegModels": [name],
        "enableFileManager": False,
        "enableAutoSaving": False,
        "enableControlnet": False,
        "controlnetMethod": None,
        "disableModelSwitch": True,
        "isDesktop": False,
        "samplers": [],
    }


def _model(app: App) -> dict[str, Any]:
    name = app.remover.inpainter.name
    abilities = ("need_prompt", "support_strength", "support_outpainting", "support_lcm_lora")
    others = ("support_controlnet", "support_brushnet", "support_powerpaint_v2")
    return {
        "name": name,
        "path": name,
        "model_type": "inpaint",
        "is_single_file_diffusers": False,
        "controlnets": [],
        "brushnets": [],
        **dict.fromkeys((*abilities, *others), False),
    }


def _check_same(wanted: str, current: str, option: str) -> None:
    if wanted != current:
        raise InputError(f"{wanted}: this server runs {current}; start it with --{option} {wanted}")


def _no_plugin(name: str) -> InputError:
    return InputError(
        f"{name}: no such plug-in here; clicks need a promptable model, see 'cleanplate models'"
    )


def _shape_error(text: str) -> dict[str, str]:
    return {"error": "cleanplate", "detail": text, "body": "", "errors": text}


def _painted(mask: Mask) -> Response:
    """Return a mask as the front end draws it: painted on nothing."""
    image: npt.NDArray[np.uint8] = np.zeros((*mask.shape, 4), np.uint8)
    image[mask] = _PAINT
    encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA))[1].tobytes()
    return Response(encoded, media_type="image/png")
