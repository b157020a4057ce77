"""Attacks on the server, each of which it must refuse."""

import json
import os
import socket
import time
from io import BytesIO
from types import SimpleNamespace

import httpx
import pytest
from PIL import Image
from server_standins import PLAIN

from cleanplate.errors import InputError
from cleanplate.remover import Remover
from cleanplate.server import App, ServerConfig, create_app, serving
from cleanplate.server.security import Access
from cleanplate.server.serving import _write_private


def raw(running, text, timeout=20):
    """Send bytes as they are and return the first line of the answer."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=timeout) as connection:
        connection.sendall(text)
        return connection.recv(4096).split(b"\r\n")[0]


def ask(running, path="/v1/info", method="GET", **headers):
    url = f"http://127.0.0.1:{running.port}{path}"
    return httpx.request(method, url, headers=headers, **PLAIN)


def signed(running, **headers):
    return {"Authorization": f"Bearer {running.app.access.token}", **headers}


@pytest.mark.parametrize("path", ["/v1/info", "/v1/labels", "/openapi.json", "/", "/page/x.js"])
def test_without_the_token_nothing_is_told(running, path):
    assert ask(running, path).status_code == 401
    assert ask(running, path, Authorization="Bearer x").status_code == 401
    assert ask(running, path, Cookie=f"cleanplate-{running.port}=x").status_code == 401
    assert ask(running, path, Cookie='cleanplate="\x7f;;=').status_code == 401


def test_health_needs_no_token(running):
    assert ask(running, "/healthz").json()["status"] == "ok"


def test_a_ticket_becomes_a_cookie_once(running):
    ticket = running.app.access.new_ticket()
    first = ask(running, f"/?token={ticket}")
    assert (first.status_code, first.headers["location"]) == (303, "/")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert ask(running, "/v1/info", Cookie=cookie.partition(";")[0]).status_code == 200
    assert ask(running, f"/?token={ticket}").status_code == 401
    assert ask(running, f"/?token={running.app.access.token}").status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil"])
def test_another_host_is_refused_as_in_dns_rebinding(running, host):
    assert ask(running, **signed(running, Host=host)).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:8765", "LOCALHOST:8000"])
def test_this_computers_names_are_accepted(running, host):
    assert ask(running, **signed(running, Host=host)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/info", "/v1/sessions/x/events"])
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_other_origins_are_refused_also_on_event_streams(running, path, origin):
    assert ask(running, path, **signed(running, Origin=origin)).status_code == 403


def test_the_own_origin_is_accepted(running):
    origin = f"http://127.0.0.1:{running.port}"
    assert ask(running, **signed(running, Origin=origin)).status_code == 200
    assert ask(running, **signed(running, **{"Sec-Fetch-Site": "cross-site"})).status_code == 403


def test_bodies_are_limited_whatever_their_header_says(running):
    head = (
        f"POST /v1/remove HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {running.app.access.token}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n"
    ).encode()
    assert b" 413 " in raw(running, head + b"Content-Length: 999999999\r\n\r\n")
    chunk = b"80000\r\n" + b"x" * 0x80000 + b"\r\n"
    part = b'10000\r\n--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    part += b"x" * (0x10000 - len(part) + 7) + b"\r\n"
    sent = head + b"Transfer-Encoding: chunked\r\n\r\n" + part + 9 * chunk
    assert b" 413 " in raw(running, sent)


@pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
def test_what_is_parsed_at_once_is_short_and_photos_are_not(running, photo, monkeypatch, kind):
    monkeypatch.setattr("cleanplate.server.security._MAX_JSON", 2 << 10)
    session = running.client.post("/v1/sessions", files={"image": ("a.png", photo)}).json()
    path = f"/v1/sessions/{session['id']}/mask"
    stroke = {"tool": "brush", "size": 3, "points": [[1, 2]]}
    headers = {"Content-Type": kind}

    def post(path, strokes, *, stream=False, **more):
        content = json.dumps({"edits": {"strokes": [stroke] * strokes}, **more}).encode()
        sent = iter([content]) if stream else content  # a stream has no Content-Length
        return running.client.post(path, content=sent, headers=headers)

    assert post(path, 10).status_code == (200 if kind == "application/json" else 422)
    for stream in (False, True):
        long = post(path, 100, stream=stream)
        assert long.status_code == 413
        assert long.headers["content-type"] == "application/problem+json"
        assert "multipart" in long.json()["detail"]
    assert post("/api/v1/inpaint", 100).status_code == 422  # photos come as JSON there


def test_a_body_that_does_not_arrive_is_given_up(running, monkeypatch):
    monkeypatch.setattr("cleanplate.server.security._IDLE_S", 0.3)
    head = (
        f"POST /v1/remove HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {running.app.access.token}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100\r\n\r\n--b"
    ).encode()
    start = time.monotonic()
    assert b" 408 " in raw(running, head)
    assert time.monotonic() - start < 15


def test_a_body_that_drips_for_ever_is_given_up(running, monkeypatch):
    monkeypatch.setattr("cleanplate.server.security._BODY_S", 0.3)
    head = (
        f"POST /v1/remove HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {running.app.access.token}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n--b\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(head)
        connection.settimeout(0.1)
        for _ in range(100):
            try:
                connection.sendall(b"x")
                answer = connection.recv(100)
                break
            except TimeoutError:
                continue
    assert b" 408 " in answer


@pytest.fixture(scope="module")
def bomb():
    """Return a PNG of 256 megapixels in 32 kB."""
    stream = BytesIO()
    Image.new("1", (16000, 16000)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "names"),
    [("/v1/fill", ("image", "mask")), ("/cleanup/v1", ("image_file", "mask_file"))],
)
def test_a_mask_may_be_no_bomb_either(running, photo, bomb, path, names):
    answer = running.client.post(path, files=dict(zip(names, (photo, bomb), strict=True)))
    assert answer.status_code == 415
    assert "pixels" in answer.json()["detail"]


@pytest.mark.slow
def test_a_decompression_bomb_is_refused_before_it_is_decoded(running, bomb):
    start = time.monotonic()
    answer = running.client.post(
        "/v1/remove", files={"image": ("a.png", bomb)}, data={"labels": "person"}
    )
    assert answer.status_code == 415
    assert "pixels" in answer.json()["detail"]
    assert time.monotonic() - start < 15


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\x.png", "/etc/shadow", "a\r\nX: y.png"]
)
def test_names_of_uploads_are_never_paths(running, photo, name):
    answer = running.client.post("/v1/sessions", files={"image": (name, photo)})
    assert answer.status_code == 201
    answered = answer.json()["name"]
    assert "/" not in answered
    assert "\\" not in answered
    folder = running.app.sessions.get(answer.json()["id"]).folder
    assert {path.name for path in folder.iterdir()} == {"original", "0.npy", "about.json"}


def test_a_picture_is_never_saved_as_a_page(running, photo):
    files = {"image": ("<img src=x onerror=alert(1)>.html", photo)}
    session = running.client.post("/v1/sessions", files=files)
    assert session.headers["content-type"] == "application/json"
    edits = {"strokes": [{"tool": "brush", "size": 9, "points": [[5, 5]]}]}
    address = f"/v1/sessions/{session.json()['id']}"
    fill = running.client.post(f"{address}/fill", json={"edits": edits})
    answers = [
        running.client.get(f"{address}/result/{fill.json()['n']}"),
        running.client.post("/v1/remove", files=files, data={"labels": "person"}),
    ]
    for answer in answers:
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["content-disposition"].startswith("attachment")
        assert "html" not in answer.headers["content-disposition"]


def test_sessions_may_not_fill_the_disk(photo, monkeypatch):
    app = App(Remover(), ServerConfig())
    first = app.sessions.create("a.png", photo)
    second = app.sessions.create("b.png", photo)
    monkeypatch.setattr("cleanplate.server.sessions._MAX_BYTES", 60_000)
    app.sessions.remove_idle()
    assert not first.folder.exists()
    assert second.original.exists()
    app.close()


def test_the_page_about_the_api_needs_the_token_and_no_other_site(running):
    for path in ("/docs", "/docs/", "/docs/docs.js", "/openapi.json"):
        assert ask(running, path).status_code == 401
    page = running.client.get("/docs", follow_redirects=True)
    assert "docs.js" in page.text
    assert "//" not in page.text.replace("<!doctype", "")
    described = running.client.get("/openapi.json").json()
    answers = described["paths"]["/v1/remove"]["post"]["responses"]
    assert "application/problem+json" in answers["4XX"]["content"]


def test_a_program_may_let_a_browser_in_once(running):
    path = running.client.post("/v1/tickets").json()["path"]
    assert ask(running, "/v1/tickets", "POST").status_code == 401
    assert ask(running, path).status_code == 303
    assert ask(running, path).status_code == 401


def test_a_given_token_must_be_long():
    assert Access("x" * 40).token == "x" * 40
    with pytest.raises(InputError, match="20"):
        Access("short")


@pytest.mark.parametrize(
    "path", ["/..%2f..%2fapp.py", "/../app.py", "/%2e%2e/security.py", "//etc/passwd"]
)
def test_no_file_beside_the_page_is_served(running, path):
    line = raw(
        running,
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Authorization: Bearer {running.app.access.token}\r\n\r\n".encode(),
    )
    assert b" 404 " in line


def test_every_answer_forbids_foreign_scripts_sniffing_and_referrers(running):
    for answer in (ask(running), ask(running, **signed(running)), ask(running, "/healthz")):
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_sessions_lie_in_a_folder_of_their_own_and_go_at_the_end(photo):
    app = App(Remover(), ServerConfig())
    session = app.sessions.create("a.png", photo)
    assert app.sessions.folder.stat().st_mode & 0o77 == 0
    assert session.original.read_bytes() == photo
    app.close()
    assert not app.sessions.folder.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps other users out by the folder")
def test_only_its_user_can_read_the_token(tmp_path):
    path = tmp_path / "server.json"
    path.write_text("old, and readable by all")
    _write_private(path, "secret")
    assert path.read_text() == "secret"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["diffusers-pickle:/tmp/x", "diffusers:/tmp/x"])
def test_a_client_names_no_folder_whose_weights_are_loaded(running, photo, name):
    id = running.client.post("/v1/sessions", files={"image": ("a.png", photo)}).json()["id"]
    edits = {"strokes": [{"tool": "brush", "size": 9, "points": [[5, 5]]}]}
    answer = running.client.post(
        f"/v1/sessions/{id}/fill", json={"edits": edits, "inpainter": name}
    )
    assert answer.status_code == 422
    assert "diffusers" in answer.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": b"Basic \xc3\xa9"}, {"Origin": "http://["}],
)
def test_headers_that_mean_nothing_are_refused_not_internal_errors(running, headers):
    assert ask(running, **headers).status_code in (401, 403)


@pytest.mark.parametrize("settings", [{"host": "fd00::2"}, {"hosts": frozenset({"fd00::2"})}])
def test_the_own_name_may_be_an_ipv6_address(fake_segmenter, fake_inpainter, settings):
    from starlette.testclient import TestClient

    remover = Remover(segmenter=fake_segmenter, inpainter=fake_inpainter)
    app = create_app(remover, ServerConfig(**settings))
    client = TestClient(app, base_url="http://[fd00::2]:8765")
    assert client.get("/healthz").status_code == 200
    app.state.app.close()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_all_addresses_of_ipv6_contain_the_printed_one():
    with (
        serving._listen("::", 0) as listener,
        socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=5),
    ):
        pass


def test_the_time_of_a_fill_is_not_idle(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    access, queue = SimpleNamespace(last_request=0.0), ["a fill"]

    def sleep(seconds):
        clock.now += seconds
        if clock.now > 90:
            queue.clear()

    monkeypatch.setattr(serving, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    server = SimpleNamespace(should_exit=False)
    serving._end_when_idle(server, SimpleNamespace(access=access, queue=queue), 60)
    assert server.should_exit
    assert clock.now >= 149
