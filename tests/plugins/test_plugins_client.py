"""The client that plug-ins have: it finds or starts a server, and says what failed."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from cleanplate.cli import main

CLIENT = Path(__file__).parents[2] / "plugins/common/cleanplate_client.py"
TOKEN = "secret"

# What a started `cleanplate serve` does, for one request after another.
SERVER = """
import json, sys
sys.path[:0] = {path!r}
from test_plugins_client import make_server
server = make_server()
with open({state!r}, "w") as stream:
    json.dump({{"port": server.server_port, "token": "secret", "pid": 1, "version": "1"}}, stream)
server.timeout = 5
for _ in range({requests}):
    server.handle_request()
"""


class Handler(BaseHTTPRequestHandler):
    """Answers as the server does: an object for each label but "nothing"."""

    def log_message(self, *_):
        pass

    def answer(self, content, status=200):
        is_bytes = isinstance(content, bytes)
        kind = "image/png" if is_bytes else "application/json"
        kind = "application/problem+json" if status >= 400 else kind
        body = content if is_bytes else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.seen.append(f"{self.command} {self.path}")
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.answer({"detail": "no"}, 401)
        elif self.command == "DELETE":
            self.send_response(204)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
        elif self.path == "/v1/info":
            self.answer({"version": "1", "limits": {"body_bytes": 4000}})
        elif self.path == "/v1/sessions":
            if b"text" in body:
                self.answer({"detail": "it is no photo; send one"}, 415)
            else:
                self.answer({"id": "s"}, 201)
        elif self.path.endswith("/find"):
            labels = [word for word in json.loads(body)["labels"] if word != "nothing"]
            self.answer({"objects": [{"id": word, "selected": True} for word in labels]})
        elif self.path.endswith("/s/fill"):
            self.server.seen.append(json.loads(body)["edits"]["objects"])
            self.answer({"n": 3})
        else:
            self.answer(b"mask" if "mask" in self.path else b"filled")

    do_GET = do_POST = do_DELETE = do  # noqa: N815


def make_server():
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.seen = []
    return server


@pytest.fixture
def load(tmp_path):
    """Return a function that loads the client beside an `install.json`; wait for what it starts."""
    started = []

    def start(*args, **options):
        started.append(subprocess.Popen(*args, **options))
        return started[-1]

    def load(command=("no-such-program",), version="1"):
        place = tmp_path / "plug-in"
        place.mkdir(exist_ok=True)
        path = place / CLIENT.name
        path.write_bytes(CLIENT.read_bytes())
        settings = {
            "command": command, "state": str(tmp_path / "state/server.json"), "version": version,
        }  # fmt: skip
        (place / "install.json").write_text(json.dumps(settings))
        spec = importlib.util.spec_from_file_location("cleanplate_client", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.subprocess = types.SimpleNamespace(Popen=start, DEVNULL=subprocess.DEVNULL)
        return module

    yield load
    for process in started:
        process.wait(10)


@pytest.fixture
def server(tmp_path):
    server = make_server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    (tmp_path / "state").mkdir()
    state = {"port": server.server_port, "token": TOKEN, "pid": 1, "version": "1"}
    (tmp_path / "state/server.json").write_text(json.dumps(state))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_removes_and_forgets_the_photo(load, server):
    records = []
    client = load().Client(records.append)
    assert client.remove(b"photo", "person, car") == (b"filled", b"mask")
    assert {"person": True, "car": True} in server.seen
    assert server.seen[-1] == "DELETE /v1/sessions/s"
    assert records[-1] == "Filling 2 objects"
    assert client.remove(b"photo", "nothing") is None
    assert client.find(b"photo", "person") == (b"mask", 1)
    assert client.fill(b"photo", b"mask") == b"filled"


def test_says_what_the_server_says(load, server):
    module = load()
    with pytest.raises(module.CleanplateError, match=r"^it is no photo; send one$"):
        module.Client().remove(b"text", "person")
    with pytest.raises(module.CleanplateError, match="--max-upload"):
        module.Client().fill(b"photo" * 1000, b"mask")


def test_another_version_is_refused(load, server):
    module = load(version="2")
    with pytest.raises(module.CleanplateError, match=r"belongs to cleanplate 2, but 1 runs"):
        module.Client()


def test_a_server_that_is_not_installed(load):
    module = load()
    with pytest.raises(module.CleanplateError, match=r"cannot be started.*no-such-program"):
        module.Client()


def test_a_server_that_fails_says_why(load):
    module = load([sys.executable, "-c", "import sys; sys.exit('install the extra')"])
    with pytest.raises(module.CleanplateError, match="install the extra"):
        module.Client()


@pytest.mark.slow  # starts processes
@pytest.mark.parametrize("state", [None, "{", '{"port": 1, "token": "stale"}'])
def test_a_server_is_started_where_none_answers(load, tmp_path, state):
    if state is not None:
        (tmp_path / "state").mkdir()
        (tmp_path / "state/server.json").write_text(state)
    path = str(tmp_path / "state/server.json")
    code = SERVER.format(path=[str(Path(__file__).parent)], state=path, requests=2)
    module = load([sys.executable, "-c", code])
    assert module.Client().fill(b"photo", b"mask") == b"filled"


def test_a_plugin_that_was_copied_by_hand_is_incomplete(load, tmp_path):
    module = load()
    (tmp_path / "plug-in/install.json").unlink()
    with pytest.raises(module.CleanplateError, match="plugins install"):
        module.Client()


def test_masks_are_written_as_png(load):
    values = np.arange(35, dtype=np.uint8).reshape(5, 7)
    png = np.frombuffer(load().grey_png(7, 5, values.tobytes()), np.uint8)
    np.testing.assert_array_equal(cv2.imdecode(png, cv2.IMREAD_UNCHANGED), values)


@pytest.mark.slow  # starts the real server
def test_an_installed_plugin_starts_the_server_and_another_finds_it(load, tmp_path, monkeypatch):
    pytest.importorskip("fastapi")
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path / "state"))
    assert main(["plugins", "install", "gimp", "--into", str(tmp_path)]) == 0
    settings = json.loads((tmp_path / "cleanplate/install.json").read_text())
    module = load(settings["command"], settings["version"])
    photo = np.full((64, 96, 3), 200, np.uint8)
    photo[20:40, 10:30] = 30
    values = np.zeros((64, 96), np.uint8)
    values[15:45, 5:35] = 255
    sent = cv2.imencode(".png", photo)[1].tobytes()
    mask = module.grey_png(96, 64, values.tobytes())

    first = module.Client()
    filled = first.fill(sent, mask)
    second = module.Client()
    assert second.remove(sent, "person") is None
    with pytest.raises(module.CleanplateError, match="unknown label 'persn'"):
        second.remove(sent, "persn")
    with pytest.raises(module.CleanplateError, match="text file"):
        second.fill(b"no photo at all", mask)

    result = cv2.imdecode(np.frombuffer(filled, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (result[values == 0] == photo[values == 0]).all()
    assert (result[25:35, 15:25] > 100).all()
    state = tmp_path / "state/server.json"
    if sys.platform != "win32":
        assert state.stat().st_mode & 0o077 == 0
    os.kill(json.loads(state.read_text())["pid"], signal.SIGTERM)
