"""Other services' addresses, asked as their clients ask.

Clipdrop by pyclipdrop; IOPaint as its front end, 1.6.0, was recorded to ask in a browser.
"""

import base64
import json
import threading
import time
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from server_standins import PLAIN

from cleanplate.remover import Remover
from cleanplate.server import ServerConfig, create_app

HOLE = np.s_[10:20, 10:30]


def data_uri(content, kind="image/png"):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def pixels_of(content):
    return np.asarray(Image.open(BytesIO(content)).convert("RGB"))


def png(array):
    stream = BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def strokes():
    """Return a mask as IOPaint's canvas makes it: white on nothing."""
    mask = np.zeros((90, 120, 4), np.uint8)
    mask[HOLE] = 255
    return png(mask)


@pytest.fixture(scope="module")
def grey_mask():
    mask = np.zeros((90, 120), np.uint8)
    mask[HOLE] = 255
    return png(mask)


def check_filled(result, before):
    changed = (result != before).any(axis=2)
    assert changed[HOLE].any()
    changed[HOLE] = False
    assert not changed.any()


def test_other_services_are_answered_only_where_asked_for():
    app = create_app(Remover(), ServerConfig())
    paths = {getattr(route, "path", "") for route in app.routes}
    assert paths.isdisjoint({"/api/v1", "/cleanup", "/predictions"})
    app.state.app.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/server-config"),
        ("POST", "/api/v1/inpaint"),
        ("POST", "/cleanup/v1"),
        ("POST", "/predictions"),
        ("GET", "/health-check"),
    ],
)
def test_other_services_need_the_token_too(running, method, path):
    url = f"http://127.0.0.1:{running.port}{path}"
    assert httpx.request(method, url, **PLAIN).status_code == 401
    wrong = {"x-api-key": "x"}
    assert httpx.request(method, url, headers=wrong, **PLAIN).status_code == 401
    assert httpx.request(method, url, auth=("", "x"), **PLAIN).status_code == 401
    broken = {"Authorization": "Basic %%%"}
    assert httpx.request(method, url, headers=broken, **PLAIN).status_code == 401


def test_the_token_may_be_the_password_in_the_address(running):
    url = f"http://any:{running.app.access.token}@127.0.0.1:{running.port}/api/v1/server-config"
    config = httpx.get(url, **PLAIN).json()
    assert config["modelInfos"][0]["name"] == "slow"
    assert config["plugins"] == []


def test_iopaint_inpaints_in_the_photos_own_format(running, photo, pixels, strokes):
    request = {
        "image": data_uri(photo),
        "mask": data_uri(strokes),
        "ldm_steps": 30,
        "hd_strategy": "Crop",
        "sd_seed": 7,
        "use_extender": False,
    }
    answer = running.client.post("/api/v1/inpaint", json=request)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-seed"] == "7"
    check_filled(pixels_of(answer.content), pixels)
    assert Image.open(BytesIO(answer.content)).text["Author"] == "Ann"


def test_iopaint_fills_with_the_seed_and_tells_it(running, photo, strokes):
    def filled(seed):
        body = {"image": data_uri(photo), "mask": data_uri(strokes), "sd_seed": seed}
        answer = running.client.post("/api/v1/inpaint", json=body)
        return answer.headers["X-Seed"], answer.content

    assert filled(1) == filled(1)
    assert filled(1)[1] != filled(2)[1]
    assert filled(1)[0] == "1"
    assert 0 <= int(filled(-1)[0]) < 100_000_000


def test_notes_of_encoding_come_with_the_answers(running, pixels, strokes, monkeypatch):
    from cleanplate.io.formats.jpeg import JpegContainer

    monkeypatch.setattr(JpegContainer, "_is_unchanged", lambda *_: False)  # as if damaged
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    photo = data_uri(stream.getvalue(), "image/jpeg")
    request = {"image": photo, "mask": data_uri(strokes)}
    answer = running.client.post("/api/v1/inpaint", json=request)
    (note,) = json.loads(answer.headers["X-Cleanplate-Notes"])
    assert "damaged" in note
    wanted = {"input": {"image_path": photo, "objects_to_remove": "person"}}
    assert running.client.post("/predictions", json=wanted).json()["logs"] == note


def test_iopaint_takes_base64_without_a_prefix_and_an_empty_mask_changes_nothing(running, photo):
    image = base64.b64encode(photo).decode()
    mask = base64.b64encode(png(np.zeros((90, 120), np.uint8))).decode()
    answer = running.client.post("/api/v1/inpaint", json={"image": image, "mask": mask})
    assert answer.content == photo


def test_iopaint_errors_have_its_members(running, photo):
    mask = data_uri(png(np.zeros((9, 12), np.uint8)))
    answer = running.client.post("/api/v1/inpaint", json={"image": data_uri(photo), "mask": mask})
    assert answer.status_code == 400
    assert "12 x 9" in answer.json()["errors"]
    bad = running.client.post("/api/v1/inpaint", json={"image": "data:x;base64,é", "mask": mask})
    assert bad.status_code == 422
    assert "base64" in bad.json()["errors"]


def test_iopaint_addresses_that_its_front_end_asks_at_its_start(running, photo):
    assert running.client.get("/api/v1/model").json()["need_prompt"] is False
    assert running.client.get("/api/v1/inputimage").status_code == 404
    info = running.client.post("/api/v1/gen-info", files={"file": ("a.png", photo)})
    assert info.json() == {"prompt": "", "negative_prompt": ""}
    same = running.client.post("/api/v1/model", json={"name": "slow"})
    assert same.json()["name"] == "slow"
    other = running.client.post("/api/v1/model", json={"name": "lama"})
    assert other.status_code == 422
    assert "--inpainter" in other.json()["detail"]


@pytest.mark.parametrize("path", ["run_plugin_gen_mask", "run_plugin_gen_image"])
def test_iopaint_plugins_that_are_not_here_are_refused(running, photo, path):
    wanted = {"name": "RemoveBG", "image": data_uri(photo), "clicks": []}
    assert running.client.post(f"/api/v1/{path}", json=wanted).status_code == 422


@pytest.mark.parametrize(("operate", "grown"), [("expand", 1), ("shrink", -1), ("reverse", 0)])
def test_iopaint_masks_grow_shrink_and_reverse(running, strokes, operate, grown):
    wanted = {"mask": data_uri(strokes), "operate": operate, "kernel_size": 2}
    answer = running.client.post("/api/v1/adjust_mask", json=wanted)
    painted = np.asarray(Image.open(BytesIO(answer.content)))[..., 3] > 0
    before = 200
    if grown:
        assert (painted.sum() - before) * grown > 0
        assert painted[15, 20]
    else:
        assert painted.sum() == 90 * 120 - before


def test_clipdrops_client_cleans_up(running, pixels, grey_mask, tmp_path, monkeypatch):
    pyclipdrop = pytest.importorskip("pyclipdrop")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    names = [str(tmp_path / name) for name in ("a.png", "m.png", "out.png")]
    for name, content in zip(names, (png(pixels), grey_mask), strict=False):
        Path(name).write_bytes(content)
    address = f"http://127.0.0.1:{running.port}"
    client = pyclipdrop.ClipdropClient(running.app.access.token, base_url=address)
    client.cleanup(names[0], names[1], output_file=names[2])
    check_filled(pixels_of(Path(names[2]).read_bytes()), pixels)
    client = pyclipdrop.ClipdropClient("not the token", base_url=address)
    with pytest.raises(pyclipdrop.exceptions.APIRequestError, match="token"):
        client.cleanup(names[0], names[1], output_file=names[2])


def test_clipdrop_gives_png_for_jpeg_with_its_colour_profile(running, pixels, grey_mask):
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90, icc_profile=b"a profile")
    answer = running.client.post(
        "/cleanup/v1", files={"image_file": stream.getvalue(), "mask_file": grey_mask}
    )
    result = Image.open(BytesIO(answer.content))
    assert result.format == "PNG"
    assert result.info["icc_profile"] == b"a profile"
    check_filled(np.asarray(result), pixels_of(stream.getvalue()))


def test_clipdrop_errors_have_its_member(running, photo):
    mask = png(np.zeros((9, 12), np.uint8))
    answer = running.client.post("/cleanup/v1", files={"image_file": photo, "mask_file": mask})
    assert answer.status_code == 400
    assert "12 x 9" in answer.json()["error"]


def test_cog_removes_objects_by_name(running, photo, pixels):
    wanted = {"input": {"image_path": data_uri(photo), "objects_to_remove": "person, car"}}
    answer = running.client.post("/predictions", json=wanted).json()
    assert answer["status"] == "succeeded"
    kind, _, encoded = answer["output"].partition(",")
    assert kind == "data:image/png;base64"
    result = pixels_of(base64.b64decode(encoded))
    assert (result != pixels).any(axis=2)[35:65, 45:55].all()
    assert running.client.get("/health-check").json()["status"] == "READY"


@pytest.mark.parametrize(
    ("input", "webhook", "keyword"),
    [
        ({"image_path": "http://169.254.169.254/x", "objects_to_remove": "person"}, None, "data:"),
        ({"image_path": "PHOTO", "objects_to_remove": "persn"}, None, "person"),
        ({"image_path": "PHOTO", "objects_to_remove": "person"}, "http://evil.example", "webhook"),
        ({"image_path": "PHOTO"}, None, "objects_to_remove"),
    ],
)
def test_cog_fetches_nothing_and_says_what_is_wrong(running, photo, input, webhook, keyword):
    if input["image_path"] == "PHOTO":
        input = {**input, "image_path": data_uri(photo)}
    answer = running.client.post("/predictions", json={"input": input, "webhook": webhook})
    assert answer.status_code == 422
    assert keyword in answer.json()["detail"]


def test_cog_predictions_can_be_cancelled(running, photo):
    wanted = {"input": {"image_path": data_uri(photo), "objects_to_remove": "person"}}
    while running.inpainter.begun.acquire(blocking=False):
        pass  # of earlier tests
    running.inpainter.hold()
    answers = []
    caller = threading.Thread(
        target=lambda: answers.append(running.client.put("/predictions/mine", json=wanted))
    )
    caller.start()
    assert running.inpainter.begun.acquire(timeout=20)
    again = running.client.put("/predictions/mine", json=wanted)
    assert again.status_code == 409
    assert running.client.get("/health-check").json()["status"] == "BUSY"
    assert running.client.post("/predictions/mine/cancel").status_code == 200
    running.inpainter.released.set()
    caller.join(20)
    assert answers[0].json()["status"] == "canceled"
    deadline = time.monotonic() + 10
    while running.app.queue and time.monotonic() < deadline:
        time.sleep(0.01)
    assert running.client.post("/predictions/mine/cancel").status_code == 404
