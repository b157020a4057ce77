"""Networks computed by another process: the same answers, the same errors, and an end."""

import gc
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cleanplate.errors import DeviceError, WeightsError
from cleanplate.runtime.network import Network
from cleanplate.runtime.server import Address, Client, Server, _put
from cleanplate.runtime.session import Session, load_network, use_server


@pytest.fixture
def served():
    """Let a server in this process compute what the test loads."""
    server = Server(load_network)
    use_server(server.address)
    yield server
    use_server(None)
    server.close()


def echo(content, name, device, threads):
    def run(tensors):
        if any(tensor.size == 13 for tensor in tensors):
            raise OverflowError("thirteen")
        if any(tensor.size == 14 for tensor in tensors):
            raise FileNotFoundError("fourteen")
        return list(tensors)

    return Network(f"{name} on {device}", ((1, "H"),), 3, run)


@pytest.fixture
def echoing():
    server = Server(echo)
    yield Client(server.address)
    server.close()


def test_a_served_session_is_like_one_of_ones_own(network_file, served):
    tensor = np.random.default_rng(0).random((1, 3, 32, 48), dtype=np.float32)
    session = Session(network_file, name="edges", device="cpu")
    drawn = session.run(tensor)
    use_server(None)
    own = Session(network_file, name="edges", device="cpu")
    np.testing.assert_array_equal(drawn, own.run(tensor))
    assert (session.provider, session.input_shapes, session.max_concurrency) == (
        own.provider,
        own.input_shapes,
        own.max_concurrency,
    )


def test_its_errors_are_those_of_ones_own(network_file, served):
    with pytest.raises(WeightsError, match=r"edges: ONNX Runtime .* cannot load it"):
        Session(b"no network", name="edges", device="cpu")
    with pytest.raises(DeviceError, match="the installed ONNX Runtime has no"):
        Session(network_file, name="edges", device="coreml")
    session = Session(network_file, name="edges", device="cpu")
    with pytest.raises(ValueError, match="zip"):
        session.run()
    assert session.run(np.zeros((1, 3, 32, 32), np.float32)).shape == (1, 1, 32, 32)


@pytest.mark.parametrize(
    "tensor",
    [
        np.zeros((0, 4), np.float32),
        np.float64(3.5).reshape(()),
        np.arange(24, dtype=np.int64).reshape(2, 3, 4).transpose(2, 0, 1),
        np.array([[True, False]]),
        np.random.default_rng(0).random((1, 3, 700, 700), dtype=np.float32),
    ],
    ids=["nothing", "a number", "not contiguous", "bool", "larger than a pipe"],
)
def test_tensors_of_every_kind_arrive_as_they_were(echoing, tensor):
    (found,) = echoing.load(b"x", "echo", "cpu", None).run([tensor])
    np.testing.assert_array_equal(found, tensor)
    assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)


def test_an_error_that_only_the_server_knows_keeps_its_words(echoing):
    network = echoing.load(b"x", "echo", "cpu", None)
    with pytest.raises(RuntimeError, match="OverflowError: thirteen"):
        network.run([np.zeros(13)])
    with pytest.raises(RuntimeError, match="FileNotFoundError: fourteen"):
        network.run([np.zeros(14)])
    assert network.run([np.ones(2)])[0].sum() == 2


def test_a_network_is_sent_and_loaded_once():
    loads = []

    def load(content, name, device, threads):
        loads.append((content, device))
        return echo(content, name, device, threads)

    server = Server(load)
    try:
        with ThreadPoolExecutor(4) as pool:
            asked = [(b"a", "cpu"), (b"b", "cpu"), (b"a", "cuda")] * 4
            list(pool.map(lambda one: Client(server.address).load(one[0], "x", one[1], 1), asked))
    finally:
        server.close()
    assert sorted(loads) == [(b"a", "cpu"), (b"a", "cuda"), (b"b", "cpu")]


def test_threads_do_not_take_each_others_answers(echoing):
    network = echoing.load(b"x", "echo", "cpu", None)
    with ThreadPoolExecutor(8) as pool:
        numbers = list(range(200))
        found = list(pool.map(lambda n: network.run([np.full((50, 50), n)])[0], numbers))
    assert [int(tensor.mean()) for tensor in found] == numbers
    assert all((tensor == tensor[0, 0]).all() for tensor in found)


def test_who_does_not_know_the_secret_gets_nothing_and_disturbs_nobody(echoing):
    address = echoing._address
    for guess in (b"guessed", b"x" * 32, b"x" * 1000):
        with pytest.raises(DeviceError, match="does not respond"):
            Client(Address(address.place, guess)).load(b"x", "echo", "cpu", None)
    assert echoing.load(b"x", "echo", "cpu", None).provider == "echo on cpu"


def test_a_server_that_is_gone_is_reported(echoing):
    server = Server(echo)
    client = Client(server.address)
    server.close()
    with pytest.raises(
        DeviceError,
        match="does not respond",
    ):
        client.load(b"x", "echo", "cpu", None)


def test_a_closed_server_leaves_no_thread_that_listens():
    before = set(threading.enumerate())
    server = Server(echo)
    new = set(threading.enumerate()) - before
    (listening,) = (thread for thread in new if "_accept" in thread.name)
    server.close()
    listening.join(10)
    assert not listening.is_alive()


def test_closing_waits_for_what_is_being_computed():
    entered, gate, happened = threading.Event(), threading.Event(), []

    def load(*_):
        def run(tensors):
            entered.set()
            assert gate.wait(10)
            happened.append("computed")
            return list(tensors)

        return Network("x", (), 1, run)

    server = Server(load)
    network = Client(server.address).load(b"x", "x", "cpu", None)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(network.run, [np.ones(3)])
        assert entered.wait(10)
        threading.Timer(0.1, gate.set).start()
        server.close()
        happened.append("closed")
        assert answer.result()[0].sum() == 3
    assert happened == ["computed", "closed"]
    with pytest.raises(DeviceError, match="does not respond"):
        network.run([np.ones(3)])


@pytest.mark.skipif(sys.platform == "win32", reason="its pipes have no queue")
def test_many_may_connect_at_once():
    server = Server(echo)
    callers = [socket.socket(socket.AF_UNIX) for _ in range(60)]
    try:
        for caller in callers:
            caller.setblocking(False)
            caller.connect(server.address.place)
    finally:
        for caller in callers:
            caller.close()
        server.close()


def test_a_long_path_to_the_temporary_files_does_not_matter(tmp_path):
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    code = (
        "import numpy as np\n"
        "from cleanplate.runtime.network import Network\n"
        "from cleanplate.runtime.server import Client, Server\n"
        "server = Server(lambda *_: Network('x', (), 1, list))\n"
        "network = Client(server.address).load(b'x', 'x', 'cpu', None)\n"
        "print(network.run([np.ones(3)])[0].sum())\n"
        "server.close()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(folder)},
        check=False,
    )
    assert ran.stdout.decode().strip() == "3.0", ran.stderr.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such limit")
def test_a_low_limit_of_open_files_is_raised_for_many_workers():
    code = (
        "import resource\n"
        "most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, most))\n"
        "from cleanplate.runtime.server import Server\n"
        "Server(None).close()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 40)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert ran.stdout.decode().strip() == "True", ran.stderr.decode()


@pytest.mark.parametrize(
    "loaded",
    [
        "from cleanplate.runtime import Session\n"
        "network = Session(open('network.onnx', 'rb').read(), name='edges')\n"
        "assert network.run(np.zeros((1, 3, 32, 32), np.float32)).shape == (1, 1, 32, 32)\n",
        "from cleanplate.segmentation import create_segmenter\n"
        "segmenter = create_segmenter('deeplabv3plus_lite2.voc')\n"
        "segmenter.segment(np.zeros((64, 64, 3), np.uint8), 'cat')\n",
    ],
    ids=["network", "segmenter"],
)
def test_a_process_that_lets_others_compute_needs_no_onnx_runtime(
    network_file, served, tmp_path, loaded
):
    (tmp_path / "network.onnx").write_bytes(network_file)
    code = (
        "import sys, pickle\n"
        "from cleanplate.runtime import use_server\n"
        "import numpy as np\n"
        "use_server(pickle.load(sys.stdin.buffer))\n"
        f"{loaded}"
        "print('onnxruntime' in sys.modules)\n"
    )
    import pickle

    ran = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(served.address),
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert ran.stdout.decode().strip() == "False", ran.stderr.decode()


def test_a_message_that_cannot_be_sent_leaves_no_complaint(monkeypatch):
    """Python 3.13 complains of a buffer that has views when it is thrown away."""
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    near, far = multiprocessing.Pipe()
    _put(near, ("run", 2))
    assert far.recv() == ("run", 2)
    far.close()
    with pytest.raises(ConnectionError) as failed:
        _put(near, ("run", 2))
    near.close()
    failed.value.itself = failed.value  # a cycle, as where an error is kept
    del failed
    gc.collect()
    assert complaints == []
