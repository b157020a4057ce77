"""Inference server: one process runs the networks of others on the same machine.

A GPU is best used by one process: each further one takes hundreds of megabytes for the same
networks, and only calls within one process can be batched. So the process that started the workers
owns the networks, and they send it tensors.
"""

import pickle
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection as connections
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

import numpy as np

from cleanplate.errors import CleanplateError, DeviceError
from cleanplate.io import hash_bytes
from cleanplate.runtime.network import Network, Tensor

Content = bytes | Path
"""Of an ONNX file; or its path, if its weights are in another file beside it."""

Load = Callable[[Content, str, str, int | None], Network]
"""Loads a network: content, name, device, threads; see `cleanplate.runtime.load_network`."""

_SECRET_BYTES = 32
_BACKLOG = 128  # connections not yet accepted; macOS refuses further ones
_OPEN_FILES = 8192  # one per connection: about ten per worker
_CLOSE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Address:
    """Address of a server, and its authentication key."""

    place: Any  # as `multiprocessing.connection` gives it
    secret: bytes


class Server:
    """Runs networks for connected processes; one thread per connection.

    Args:
        load: loads a requested network. A network requested several times is loaded once.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._networks: dict[str, Network] = {}
        self._loading = threading.Lock()
        _permit_open_files()
        self._listener = _listener()
        self._open = True
        self._pending = 0  # requests
        self._changed = threading.Condition()
        self.address = Address(self._listener.address, secrets.token_bytes(_SECRET_BYTES))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening, wait for pending requests, and release the networks."""
        with self._changed:
            self._open = False
        with suppress(OSError):  # `accept` waits for one
            connections.Client(self.address.place).close()
        self._listener.close()
        with self._changed:  # exiting while ONNX Runtime computes would abort the process
            self._changed.wait_for(lambda: not self._pending, _CLOSE_TIMEOUT_S)
        self._networks.clear()

    def _accept(self) -> None:
        while self._open:
            try:
                connection = self._listener.accept()
            except OSError:  # a broken connection, or the listener was closed
                continue
            if not self._open:
                connection.close()
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        with connection, suppress(EOFError, OSError):  # the client disconnected
            if not secrets.compare_digest(
                connection.recv_bytes(_SECRET_BYTES), self.address.secret
            ):
                return  # never unpickle unauthenticated data
            while True:
                request, *arguments = connection.recv()
                with self._changed:
                    if not self._open:
                        return
                    self._pending += 1
                try:
                    answer = self._load_for if request == "load" else self._run_for
                    answer(connection, *arguments)
                finally:
                    with self._changed:
                        self._pending -= 1
                        self._changed.notify_all()

    def _load_for(
        self, connection: Connection, key: str, name: str, device: str, threads: int | None
    ) -> None:
        with self._loading:
            network = self._networks.get(key)
            if network is None:
                _put(connection, "content")
                content = connection.recv()
                try:
                    network = self._load(content, name, device, threads)
                except Exception as error:
                    _put(connection, _sendable(error))
                    return
                self._networks[key] = network
        _put(connection, (network.provider, network.input_shapes, network.max_concurrency))

    def _run_for(self, connection: Connection, key: str, count: int) -> None:
        tensors = [_receive(connection) for _ in range(count)]
        try:
            outputs = self._networks[key].run(tensors)
        except Exception as error:
            _put(connection, _sendable(error))
            return
        _put(connection, len(outputs))
        for output in outputs:
            _send(connection, output)


class Client:
    """Client of a `Server`, in a worker process.

    Args:
        address: of the server.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: list[Connection] = []  # connections not in use by a thread

    def load(self, content: Content, name: str, device: str, threads: int | None) -> Network:
        """Return a network that runs on the server; arguments and errors are those of `Load`.

        Raises:
            DeviceError: the server does not respond.
        """
        unique = hash_bytes(content) if isinstance(content, bytes) else content
        key = f"{unique} {device} {threads}"
        with self._connection(device) as connection:
            _put(connection, ("load", key, name, device, threads))
            answer = connection.recv()
            if answer == "content":
                _put(connection, content)
                answer = connection.recv()
        if isinstance(answer, Exception):
            raise answer

        def run(tensors: Sequence[Tensor]) -> list[Tensor]:
            with self._connection(device) as connection:
                _put(connection, ("run", key, len(tensors)))
                for tensor in tensors:
                    _send(connection, tensor)
                answer = connection.recv()
                if not isinstance(answer, Exception):
                    return [_receive(connection) for _ in range(answer)]
            raise answer

        provider, input_shapes, max_concurrency = answer
        return Network(provider, input_shapes, max_concurrency, run)

    @contextmanager
    def _connection(self, device: str) -> Iterator[Connection]:
        """Yield a connection for this thread only; it is reused unless it failed."""
        connection = None
        try:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = _connect(self._address)
            yield connection
        except (EOFError, OSError) as error:
            cause = "the process that runs the networks does not respond"
            raise DeviceError(device, f"{cause} ({type(error).__name__})") from error
        else:
            self._idle.append(connection)
            connection = None
        finally:
            if connection is not None:
                connection.close()


def _listener() -> Listener:
    try:
        return Listener(backlog=_BACKLOG)
    except OSError:  # the folder for temporary files is missing, or its path too long for a socket
        abstract = f"\0cleanplate-{secrets.token_hex(8)}"  # Linux has abstract sockets
        place = abstract if sys.platform == "linux" else ("127.0.0.1", 0)
        return Listener(place, backlog=_BACKLOG)


def _permit_open_files() -> None:
    """Raise the limit of open files of this process, where permitted.

    Connections beyond it would wait for ever, and the usual limit, 1,024, is reached with a hundred
    workers.
    """
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(_OPEN_FILES, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _connect(address: Address) -> Connection:
    connection = connections.Client(address.place)
    connection.send_bytes(address.secret)
    return connection


def _put(connection: Connection, message: object) -> None:
    """Send what `Connection.recv` returns.

    `Connection.send` keeps a view of a buffer, of which Python 3.13 complains on stderr if sending
    fails.
    """
    connection.send_bytes(pickle.dumps(message))


def _send(connection: Connection, tensor: Tensor) -> None:
    _put(connection, (tensor.dtype.str, tensor.shape))
    connection.send_bytes(_bytes_of(np.ascontiguousarray(tensor)))


def _receive(connection: Connection) -> Tensor:
    dtype, shape = connection.recv()
    tensor = np.empty(shape, dtype)
    connection.recv_bytes_into(_bytes_of(tensor))
    return tensor


def _bytes_of(tensor: Tensor) -> memoryview:
    return tensor.reshape(-1).view(np.uint8).data


def _sendable(error: Exception) -> Exception:
    """Return an error that the client can unpickle, whatever it has imported."""
    if isinstance(error, CleanplateError | ValueError):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")
