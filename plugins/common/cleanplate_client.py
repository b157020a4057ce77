"""Talk to the cleanplate server of this computer: find or start it, send a photo, get it back.

A copy lies in every plug-in, beside `install.json`, which 'cleanplate plugins install' wrote. Only
the standard library is used: the host's Python has nothing else.
"""

import contextlib
import json
import os
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
import zlib
from pathlib import Path

_STARTS_WITHIN_S = 60
_IDLE_MIN = 30  # then a server that a plug-in has started ends
_ANSWERS_WITHIN_S = 1800  # a fill of a large photo on a slow computer
_HERE = Path(__file__).resolve().parent


class CleanplateError(Exception):
    """Its message is one sentence for the user; nothing was changed."""


class Client:
    """A server that answers.

    Args:
        tell: called with a word on what is done now.
    """

    def __init__(self, tell=lambda text: None):
        self._tell = tell
        self._install = _read(_HERE / "install.json")
        if self._install is None:
            raise CleanplateError(
                "The plug-in is incomplete; run 'cleanplate plugins install' again."
            )
        if not self._connect():
            self._tell("Starting cleanplate")
            self._start()

    def remove(self, photo, labels, options=None):
        """Return the photo's file without the named objects, and its mask as PNG; None: none found.

        Args:
            photo: content of an image file; the result has its format, size and depth.
            labels: names such as "person,car".
            options: fields of RemovalOptions.
        """
        with self._session(photo) as session:
            edits, count = self._find(session, labels, options)
            if not count:
                return None
            self._tell(f"Filling {count} object{'s' if count > 1 else ''}")
            number = self._call(session + "/fill", {"edits": edits})["n"]
            result = f"{session}/result/{number}"
            return self._call(result), self._call(result + "?kind=mask")

    def find(self, photo, labels):
        """Return a mask of the named objects as PNG, perhaps reduced, and their number."""
        with self._session(photo) as session:
            edits, count = self._find(session, labels)
            return self._call(session + "/mask", {"edits": edits}), count

    def fill(self, photo, mask):
        """Return the photo's file with the white of a mask, a PNG of its size, filled."""
        self._tell("Filling the selection")
        return self._send("/v1/fill", {"image": photo, "mask": mask})

    @contextlib.contextmanager
    def _session(self, photo):
        """Send a photo, and forget it in the end."""
        self._tell("Sending the photo")
        session = "/v1/sessions/" + self._send("/v1/sessions", {"image": photo})["id"]
        try:
            yield session
        finally:
            with contextlib.suppress(CleanplateError):
                self._call(session, method="DELETE")

    def _find(self, session, labels, options=None):
        """Return what to remove, and how many objects that are."""
        self._tell("Finding objects")
        asked = {"labels": [word.strip() for word in labels.split(",") if word.strip()]}
        if options:
            asked["options"] = options
        found = self._call(session + "/find", asked)["objects"]
        chosen = {one["id"]: True for one in found if one["selected"]}
        return {"objects": chosen}, len(chosen)

    def _connect(self):
        """Return whether the server that `server.json` names answers."""
        known = _read(self._install["state"])
        if not known:
            return False
        self._address, self._token = f"http://127.0.0.1:{known['port']}", known["token"]
        try:
            known = self._call("/v1/info", within_s=10)
        except CleanplateError:  # it has ended, or the file is that of another
            return False
        if known["version"] != self._install["version"]:
            raise CleanplateError(
                f"The plug-in belongs to cleanplate {self._install['version']}, but "
                f"{known['version']} runs; run 'cleanplate plugins install' again, and end the "
                "running one."
            )
        self._most_bytes = known["limits"]["body_bytes"]
        return True

    def _start(self):
        command = [*self._install["command"], "serve", "--no-browser", "--port", "0"]
        command += ["--idle-exit", str(_IDLE_MIN)]
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")  # those of the host
        }
        log = Path(self._install["state"]).with_name("server.log")
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as stream:
                started = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            raise CleanplateError(f"cleanplate cannot be started: {error}.") from error
        end = time.monotonic() + _STARTS_WITHIN_S
        while time.monotonic() < end:
            if self._connect():
                return
            if started.poll() is not None:
                said = log.read_text("utf-8", "replace").strip().splitlines() or ["no message"]
                raise CleanplateError(f"cleanplate cannot be started: {said[-1]}")
            time.sleep(0.2)
        raise CleanplateError(f"cleanplate does not start; its messages are in {log}.")

    def _send(self, path, parts):
        """Post files."""
        boundary = uuid.uuid4().hex
        body = b"".join(
            b'--%s\r\nContent-Disposition: form-data; name="%s"; filename="%s.png"\r\n\r\n%s\r\n'
            % (boundary.encode(), name.encode(), name.encode(), content)
            for name, content in parts.items()
        )
        body += b"--%s--\r\n" % boundary.encode()
        if len(body) > self._most_bytes:
            raise CleanplateError(
                f"The photo has {len(body) >> 20} MiB, and cleanplate takes "
                f"{self._most_bytes >> 20}; start it with a larger --max-upload."
            )
        return self._call(path, body, kind=f"multipart/form-data; boundary={boundary}")

    def _call(
        self, path, body=None, *, kind="application/json", method=None, within_s=_ANSWERS_WITHIN_S
    ):
        """Return the answer: what its JSON says, or its bytes."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        request = urllib.request.Request(self._address + path, body, headers, method=method)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=within_s) as answer:
                content = answer.read()
                is_json = answer.headers.get_content_type() == "application/json"
        except urllib.error.HTTPError as error:
            raise CleanplateError(_sentence(error)) from error
        except OSError as error:
            raise CleanplateError(f"cleanplate does not answer: {error}.") from error
        return json.loads(content) if is_json and content else content


class Background:
    """Calls `work(tell)` in a thread of its own, so that the host can go on drawing.

    Args:
        work: its argument takes a word on what is done now.
    """

    def __init__(self, work):
        self.said = "Starting"
        self._work, self._result, self._error = work, None, None
        self._thread = threading.Thread(target=self._call, daemon=True)
        self._thread.start()

    def is_running(self, within_s=0.0):
        """Return whether it still runs after so long."""
        self._thread.join(within_s)
        return self._thread.is_alive()

    def result(self):
        """Return what the work returned, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._result

    def _tell(self, text):
        self.said = text

    def _call(self):
        try:
            self._result = self._work(self._tell)
        except BaseException as error:  # raised by result
            self._error = error


def grey_png(width, height, values):
    """Return a PNG of (height, width) values of one byte each."""
    rows = b"".join(b"\0" + values[at : at + width] for at in range(0, width * height, width))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 1)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _sentence(error):
    """Return what an error of the server says."""
    try:
        return json.loads(error.read())["detail"]
    except (ValueError, KeyError, TypeError, OSError):
        return f"cleanplate answers {error.code} {error.reason}."


def _read(path):
    """Return what a JSON file says; None if there is none."""
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError):
        return None
