"""Sessions: what runs them, and what is said when something is not there."""

import _thread
import builtins
import logging
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
import pytest

from cleanplate.errors import DeviceError, InputError, MissingRuntimeError, WeightsError
from cleanplate.hub.registry import MODELS
from cleanplate.hub.store import read_file
from cleanplate.inpainting import create_inpainter
from cleanplate.runtime.devices import available_providers, usable_cores
from cleanplate.runtime.interrupts import interruptible
from cleanplate.runtime.session import Session, _share_arena, check_finite
from cleanplate.segmentation import create_segmenter
from cleanplate.segmentation.components import Divider, Outliner, Recognizer
from cleanplate.segmentation.effects import EffectsDetector
from runtime_standins import CPU, CUDA, OPENVINO


@pytest.fixture(scope="module")
def edges_file() -> bytes:
    return read_file(MODELS["edgeconnect.photos"], "edges")


# --- the real one


@pytest.mark.parametrize(
    "name",
    [name for name, model in MODELS.items() if model.is_built_in],
)
def test_every_network_loads_on_the_cpu_and_says_so(name):
    create = {
        "segmenter": create_segmenter,
        "inpainter": create_inpainter,
        "effects": EffectsDetector,
        "divider": lambda _, device: Divider(device=device),
        "recognizer": lambda _, device: Recognizer(device=device),
        "outliner": lambda _, device: Outliner(device=device),
    }[MODELS[name].kind]
    assert create(name, device="cpu").provider == CPU


def test_runs_and_returns_the_first_output(edges_file):
    session = Session(edges_file, name="edges", device="cpu", threads=1)
    drawn = session.run(np.zeros((1, 3, 32, 48), np.float32))
    assert (drawn.shape, drawn.dtype) == ((1, 1, 32, 48), np.float32)
    assert np.isfinite(drawn).all()


def test_a_wrong_number_of_inputs_is_not_ignored(edges_file):
    session = Session(edges_file, name="edges", device="cpu", threads=1)
    tensor = np.zeros((1, 3, 32, 32), np.float32)
    with pytest.raises(ValueError, match="argument 2 is longer"):
        session.run(tensor, tensor)


def test_auto_takes_what_is_there(edges_file):
    assert Session(edges_file, name="edges").provider in (CPU, CUDA)


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x07"])
def test_a_broken_file_names_model_and_cause(content):
    match = r"edges: ONNX Runtime [\d.]+ cannot load it \(.+\); run 'cleanplate models verify'"
    with pytest.raises(WeightsError, match=match):
        Session(content, name="edges", device="cpu")


@pytest.fixture
def endless(tmp_path):
    """Return the session of a network, large by its file, that computes for hours."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    step = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Sin", ["x"], ["y"])],
        "step",
        [
            helper.make_tensor_value_info("n", onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("go", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", kind, [1000]),
        ],
        [
            helper.make_tensor_value_info("on", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", kind, [1000]),
        ],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["times", "", "in"], ["out"], body=step)],
        "endless",
        [helper.make_tensor_value_info("in", kind, [1000])],
        [helper.make_tensor_value_info("out", kind, [1000])],
        [helper.make_tensor("times", onnx.TensorProto.INT64, [], [1 << 40])],
    )
    path = tmp_path / "endless.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return Session(path, name="endless", device="cpu", threads=1)


def test_a_large_network_ends_in_the_middle_when_it_is_cancelled(endless):
    calls = []

    def check():
        calls.append(None)
        if len(calls) == 2:
            raise ConnectionError("cancelled")

    with interruptible(check), pytest.raises(ConnectionError, match="cancelled"):
        endless.run(np.zeros(1000, np.float32))
    assert len(calls) == 2


def test_ctrl_c_ends_a_large_network(endless):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & ignores it
    try:
        threading.Timer(0.15, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            endless.run(np.zeros(1000, np.float32))
    finally:
        signal.signal(signal.SIGINT, before)


# --- devices


@pytest.mark.parametrize("create", [create_segmenter, create_inpainter])
def test_models_by_name_do_not_fall_back(create, fake_runtime):
    fake_runtime([CPU], [CPU])
    with pytest.raises(DeviceError, match="device 'cuda' cannot be used"):
        create(device="cuda")


@pytest.fixture
def broken_cuda(fake_runtime, monkeypatch):
    """Let CUDA be there, and refuse the network "not on CUDA"."""
    fake = fake_runtime([CUDA, CPU], [CUDA, CPU])
    monkeypatch.setattr("cleanplate.runtime.devices._cuda_unavailable_reason", lambda: None)
    return fake


def test_asks_for_the_devices_provider_first(broken_cuda):
    for device, first in (("cuda", CUDA), ("auto", CUDA), ("cpu", CPU)):
        assert Session(b"x", name="edges", device=device).provider == first
        names = [one if isinstance(one, str) else one[0] for one in broken_cuda.asked]
        assert names == ([CUDA, CPU] if first == CUDA else [CPU])


def test_a_device_that_cannot_load_a_good_network_is_to_blame(broken_cuda, capsys):
    match = r"device 'cuda' cannot be used: it cannot load edges \(CUDA failure 2: out of memory\)"
    with pytest.raises(DeviceError, match=match):
        Session(b"not on CUDA", name="edges", device="cuda")
    assert capsys.readouterr().out == ""


def test_a_network_that_nothing_can_load_is_to_blame_itself(broken_cuda):
    with pytest.raises(WeightsError, match=r"edges: ONNX Runtime 9\.9 cannot load it"):
        Session(b"no network", name="edges", device="cuda")


def test_auto_goes_on_with_the_cpu_where_the_gpu_cannot_load_it(broken_cuda, caplog):
    with caplog.at_level(logging.WARNING):
        session = Session(b"not on CUDA", name="edges", device="auto")
    assert session.provider == CPU
    records = "cuda is not used: it cannot load edges (CUDA failure 2: out of memory); the CPU runs"
    assert records in caplog.text


def test_a_runtime_that_falls_back_in_silence_is_an_error(fake_runtime, monkeypatch):
    fake_runtime([CUDA, CPU], [CPU])
    monkeypatch.setattr("cleanplate.runtime.devices._cuda_unavailable_reason", lambda: None)
    with pytest.raises(DeviceError, match="needs an NVIDIA"):
        Session(b"x", name="edges", device="cuda")


# --- a device of which there is one


def test_the_gpu_computes_what_the_cpu_does_with_inputs_kept_on_it(edges_file, pretended_cuda):
    planes = np.random.default_rng(0).random((4, 1, 3, 32, 48), dtype=np.float32)
    alone, bound = (Session(edges_file, name="edges", device=d) for d in ("cpu", "cuda"))
    expected = [alone.run(tensor) for tensor in planes]
    before = planes.copy()
    for tensor, right in zip(planes, expected, strict=True):
        np.testing.assert_array_equal(bound.run(tensor), right)
    np.testing.assert_array_equal(planes, before)
    other = np.zeros((1, 3, 64, 32), np.float32)[:, :, :, ::2].repeat(2, axis=3)
    np.testing.assert_array_equal(bound.run(other), alone.run(other))
    assert [session.get_providers()[0] for session in pretended_cuda.sessions] == [CPU, CUDA]
    assert len(pretended_cuda.sessions[1].ran) == 5


def test_calls_from_threads_are_computed_together(edges_file, pretended_cuda):
    session = Session(edges_file, name="edges", device="cuda")
    alone = Session(edges_file, name="edges", device="cpu")
    planes = np.random.default_rng(0).random((24, 1, 3, 32, 32), dtype=np.float32)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(session.run, planes))
    for tensor, drawn in zip(planes, found, strict=True):
        np.testing.assert_allclose(drawn, alone.run(tensor), atol=1e-5)
    batches = [shapes[0][0] for shapes in pretended_cuda.sessions[0].ran]
    assert sum(batches) == 24
    assert max(batches) > 1
    assert session.max_concurrency > 1


@pytest.mark.parametrize(("threads", "most"), [(1, 1), (2, 2), (8, 2)])
def test_a_small_network_runs_twice_at_once_on_several_cores(edges_file, threads, most):
    session = Session(edges_file, name="edges", device="cpu", threads=threads)
    assert session.max_concurrency == most


def network_of(operator, shape):
    """Return a file with one operator from `values` to `results`."""
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in ("values", "results")
    ]
    node = helper.make_node(operator, ["values"], ["results"])
    model = helper.make_model(
        helper.make_graph([node], "graph", ends[:1], ends[1:]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return model.SerializeToString()


def test_a_number_stays_a_number_on_the_gpu(pretended_cuda):
    session = Session(network_of("Neg", []), name="negative", device="cuda")
    assert session.run(np.float32(2.5).reshape(())).shape == ()


def test_a_network_that_takes_no_batches_runs_once_at_a_time(pretended_cuda, monkeypatch):
    inside, most = [], []

    def run(tensors):
        inside.append(1)
        most.append(len(inside))
        threading.Event().wait(0.01)
        inside.pop()
        return list(tensors)

    # DirectML's sessions must not run twice at once, and have no binding of ours.
    monkeypatch.setattr("cleanplate.runtime.session._Binding", lambda *_: run)
    session = Session(network_of("Neg", [1, 3]), name="negative", device="cuda")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(session.run, np.ones((12, 1, 3), np.float32)))
    assert session.max_concurrency == 1
    assert set(most) == {1}


def test_values_inside_the_graph_come_out_of_the_gpu_too(edges_file, pretended_cuda):
    onnx = pytest.importorskip("onnx")

    graph = onnx.load_model_from_string(edges_file).graph
    inner = next(node.output[0] for node in graph.node if node.op_type == "Relu")
    tensor = np.random.default_rng(0).random((1, 3, 32, 32), dtype=np.float32)
    on_cpu, on_gpu = (
        Session(edges_file, name="edges", device=device, inner=[inner]).run_all(tensor)
        for device in ("cpu", "cuda")
    )
    assert len(on_gpu) == 2
    for one, other in zip(on_cpu, on_gpu, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_gpu_that_fails_is_reported_without_the_names_of_source_files(edges_file, pretended_cuda):
    session = Session(edges_file, name="edges", device="cuda")

    def fail(_):
        text = "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv"
        raise RuntimeError(f"{text} CUDA failure 209: no kernel image ; GPU=0 ; hostname=x")

    pretended_cuda.sessions[0].run_with_iobinding = fail
    match = r"'cuda' cannot be used: it cannot run edges \(CUDA failure 209: no kernel image\), or"
    with pytest.raises(DeviceError, match=match):
        session.run(np.zeros((1, 3, 32, 32), np.float32))


def test_a_gpu_whose_memory_does_not_suffice_is_reported_with_the_size(edges_file, pretended_cuda):
    session = Session(edges_file, name="edges", device="cuda")

    def fail(_):
        raise RuntimeError("CUDA failure 2: out of memory ; GPU=0 ; hostname=x")

    pretended_cuda.sessions[0].run_with_iobinding = fail
    match = "'cuda' cannot be used: out of memory for edges on 1x3x32x32 values, or"
    with pytest.raises(DeviceError, match=match):
        session.run(np.zeros((1, 3, 32, 32), np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_gpu_that_computes_no_numbers_is_reported(pretended_cuda, value):
    session = Session(network_of("Neg", ["N", 3]), name="negative", device="cuda")
    match = r"'cuda' cannot be used: negative computes NaN or inf.* driver, or use --device cpu"
    with pytest.raises(DeviceError, match=match):
        session.run(np.array([[0, value, 0]], np.float32))


def test_no_numbers_in_a_batch_are_only_its_callers_error(pretended_cuda):
    session = Session(network_of("Log", ["N", 100]), name="logarithm", device="cuda")

    def run(value):
        try:
            return session.run(np.full((1, 100), value, np.float32))[0, 0]
        except DeviceError:
            return None

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(run, [1, -1, 0] * 20))
    assert found == [0, None, None] * 20
    assert sum(shapes[0][0] for shapes in pretended_cuda.sessions[0].ran) == 60


def test_weights_that_compute_no_numbers_on_the_cpu_are_reported():
    session = Session(network_of("Log", [1]), name="logarithm", device="cpu")
    match = "logarithm: computes NaN or infinity on the CPU; run 'cleanplate models verify'"
    for value in (-1, 0):
        with pytest.raises(WeightsError, match=match):
            session.run(np.array([value], np.float32))


def test_half_precision_that_does_not_suffice_is_said_to():
    with pytest.raises(DeviceError, match="use --device cuda, or use --device cpu"):
        check_finite(np.array([np.inf], np.float16), device="cuda-fp16", name="x")
    check_finite(np.array([65504], np.float16), device="cuda-fp16", name="x")
    check_finite(np.array([1, 2]), device="cpu", name="x")


@pytest.mark.skipif(
    OPENVINO not in available_providers(), reason="needs the package onnxruntime-openvino"
)
@pytest.mark.parametrize(
    ("model", "role", "planes"),
    [
        ("deeplabv3plus_lite2.voc", "segment", 3),
        ("edgeconnect.photos", "edges", 3),
        ("edgeconnect.photos", "fill", 4),
    ],
)
def test_openvino_computes_what_the_cpu_does(model, role, planes):
    content = read_file(MODELS[model], role)
    tensor = np.random.default_rng(0).random((1, planes, 64, 96), dtype=np.float32)
    expected, found = (
        Session(content, name=role, device=device).run(tensor) for device in ("cpu", "openvino")
    )
    np.testing.assert_allclose(found, expected, atol=2e-3)


# --- threads and options


@pytest.mark.parametrize("threads", [0, -1])
def test_less_than_one_thread_is_refused(edges_file, threads):
    with pytest.raises(InputError, match=f"threads must be at least 1, got {threads}"):
        Session(edges_file, name="edges", threads=threads)


@pytest.mark.parametrize(("threads", "expected"), [(1, 1), (3, 3), (None, usable_cores())])
def test_threads_reach_the_runtime(fake_runtime, threads, expected):
    fake = fake_runtime([CPU], [CPU])
    Session(b"x", name="edges", device="cpu", threads=threads)
    assert fake.options.intra_op_num_threads == expected


# --- not installed


@pytest.fixture
def no_runtime(monkeypatch):
    """Let `import onnxruntime` fail, as on a machine without it."""
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.partition(".")[0] == "onnxruntime":
            raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)


@pytest.mark.usefixtures("no_runtime")
@pytest.mark.parametrize(
    "use",
    [
        available_providers,
        create_segmenter,
        create_inpainter,
        lambda: Session(b"", name="edges"),
        lambda: create_segmenter(device="cuda"),
    ],
)
def test_a_missing_runtime_says_in_one_line_what_to_install(use):
    match = r"ONNX Runtime is not installed; run 'pip install onnxruntime'.*onnxruntime-gpu"
    with pytest.raises(MissingRuntimeError, match=match) as caught:
        use()
    assert "\n" not in str(caught.value)


def test_half_a_runtime_says_how_to_repair_it(monkeypatch):
    # What is left when one of two packages that share the module is uninstalled.
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
    with pytest.raises(MissingRuntimeError, match="only partly installed; run 'pip install --for"):
        Session(b"", name="edges")


@pytest.mark.usefixtures("no_runtime")
def test_methods_without_a_model_need_no_runtime():
    assert create_inpainter("telea").provider == "OpenCV"


def test_networks_share_one_arena(fake_runtime):
    fake = fake_runtime([CPU], [CPU])
    Session(b"x", name="edges", device="cpu")
    assert vars(fake.options)["session.use_env_allocators"] == "1"
    assert fake.options.enable_cpu_mem_arena


def test_waiting_threads_leave_the_core_to_others(fake_runtime):
    fake = fake_runtime([CPU], [CPU])
    Session(b"x", name="edges", device="cpu")
    assert vars(fake.options)["session.intra_op.allow_spinning"] == "0"


def test_a_process_that_has_its_own_arena_keeps_it(monkeypatch):
    import onnxruntime

    def refuse(memory, arena):
        raise RuntimeError("an allocator is registered already")

    _share_arena.cache_clear()
    monkeypatch.setattr(onnxruntime, "create_and_register_allocator", refuse)
    try:
        assert not _share_arena()
    finally:
        _share_arena.cache_clear()
