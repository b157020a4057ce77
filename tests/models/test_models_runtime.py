"""Sessions: what runs them, and what is said when something is not there."""

import builtins
import logging
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from cleanplate.errors import (
    DeviceError,
    InputError,
    MissingRuntimeError,
    UnknownNameError,
    WeightsError,
)
from cleanplate.inpainters import create_inpainter
from cleanplate.models import runtime
from cleanplate.models.registry import MODELS
from cleanplate.models.runtime import (
    DEVICES,
    Session,
    _share_arena,
    absence_of,
    available_providers,
    usable_cores,
)
from cleanplate.models.store import read_file
from cleanplate.segmenters import create_segmenter

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"


@pytest.fixture(scope="module")
def edges_file() -> bytes:
    return read_file(MODELS["edgeconnect.photos"], "edges")


class FakeOptions(SimpleNamespace):
    """Session options that remember what is set."""

    def add_session_config_entry(self, key: str, value: str) -> None:
        setattr(self, key, value)


class FakeRuntime:
    """ONNX Runtime as it behaves elsewhere.

    Args:
        built_with: the providers it has.
        working: those whose libraries load; it falls back to the others in silence.
    """

    __version__ = "9.9"
    GraphOptimizationLevel = SimpleNamespace(ORT_ENABLE_ALL=99)
    SessionOptions = FakeOptions

    def __init__(self, built_with: list[str], working: list[str]) -> None:
        self.built_with, self.working = built_with, working
        self.calls: list[str] = []

    def get_available_providers(self) -> list[str]:
        return self.built_with

    def preload_dlls(self) -> None:
        self.calls.append("preload_dlls")

    def InferenceSession(self, content, options, providers):  # noqa: N802
        self.calls.append("InferenceSession")
        self.content, self.options, self.asked = content, options, providers
        names = [one if isinstance(one, str) else one[0] for one in providers]
        running = [name for name in names if name in self.working]
        return SimpleNamespace(
            get_providers=lambda: running, get_inputs=lambda: [SimpleNamespace(name="planes")]
        )


@pytest.fixture
def install(monkeypatch):
    def make(built_with: list[str], working: list[str]) -> FakeRuntime:
        fake = FakeRuntime(built_with, working)
        monkeypatch.setitem(sys.modules, "onnxruntime", fake)
        monkeypatch.setattr("cleanplate.models.runtime._share_arena", lambda: True)
        return fake

    return make


# --- the real one


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.is_built_in])
def test_every_network_loads_on_the_cpu_and_says_so(name):
    create = create_segmenter if MODELS[name].kind == "segmenter" else create_inpainter
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


def test_cores_are_counted():
    assert usable_cores() >= 1


# --- devices


@pytest.mark.parametrize(
    ("device", "match"),
    [
        ("gpu", "unknown device 'gpu'; known: auto, coreml, cpu, cuda, directml, openvino"),
        ("cudda", r"unknown device 'cudda'; .*\. Did you mean 'cuda'\?"),
        ("CPU", "unknown device 'CPU'"),
        ("", "unknown device ''"),
    ],
)
def test_an_unknown_device_brings_the_known_ones(edges_file, device, match):
    with pytest.raises(UnknownNameError, match=match):
        Session(edges_file, name="edges", device=device)


@pytest.mark.parametrize(
    ("device", "advice"),
    [
        ("cuda", r'needs an NVIDIA GPU, and .*onnxruntime-gpu\[cuda,cudnn\]"'),
        ("openvino", "'pip uninstall onnxruntime' and then 'pip install onnxruntime-openvino'"),
        ("coreml", "needs macOS"),
        ("directml", "needs Windows and 'pip install onnxruntime-directml'"),
    ],
)
def test_a_device_it_was_not_built_with_is_an_error_with_the_way_out(install, device, advice):
    fake = install([CPU], [CPU])
    match = f"device '{device}' cannot be used: the installed ONNX Runtime has no .*{advice}"
    with pytest.raises(DeviceError, match=match) as caught:
        Session(b"", name="edges", device=device)
    assert str(caught.value).endswith("or use --device cpu")
    assert fake.calls == []


def test_every_device_but_cpu_and_auto_has_its_advice():
    assert set(DEVICES) - {"auto", "cpu"} == set(runtime._INSTALL)


@pytest.mark.parametrize("create", [create_segmenter, create_inpainter])
def test_models_by_name_do_not_fall_back(create, install):
    install([CPU], [CPU])
    with pytest.raises(DeviceError, match="device 'cuda' cannot be used"):
        create(device="cuda")


@pytest.mark.parametrize(
    ("device", "asked"),
    [("cuda", [CUDA, CPU]), ("auto", [CUDA, CPU]), ("cpu", [CPU])],
)
def test_asks_for_the_devices_provider_first(install, device, asked):
    fake = install([CUDA, CPU], [CUDA, CPU])
    session = Session(b"x", name="edges", device=device)
    assert fake.asked == asked
    assert session.provider == asked[0]
    preloads = ["preload_dlls"] if CUDA in asked else []
    assert fake.calls == [*preloads, "InferenceSession"]


@pytest.mark.parametrize(("threads", "told"), [(3, "3"), (None, str(usable_cores()))])
def test_openvino_is_told_threads_and_to_keep_the_precision(install, threads, told):
    fake = install([OPENVINO, CPU], [OPENVINO, CPU])
    session = Session(b"x", name="edges", device="openvino", threads=threads)
    (name, options), rest = fake.asked
    assert (name, rest, session.provider) == (OPENVINO, CPU, OPENVINO)
    assert options == {"device_type": "CPU", "precision": "ACCURACY", "num_of_threads": told}


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


def test_a_device_whose_libraries_do_not_load_is_an_error(install):
    install([CUDA, CPU], [CPU])
    with pytest.raises(DeviceError, match="'cuda' cannot be used: its libraries could not be load"):
        Session(b"x", name="edges", device="cuda")


def test_auto_goes_on_with_the_cpu_and_says_so(install, caplog):
    install([CUDA, CPU], [CPU])
    with caplog.at_level(logging.WARNING):
        session = Session(b"x", name="edges", device="auto")
    assert session.provider == CPU
    told = f"{CUDA} is not used: its libraries could not be loaded; {CPU} runs edges"
    assert told in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="words of the loader of Linux")
def test_a_library_that_is_missing_is_named(install, tmp_path):
    fake = install([CUDA, CPU], [CPU])
    fake.__file__ = str(tmp_path / "__init__.py")
    (tmp_path / "capi").mkdir()
    (tmp_path / "capi" / "libonnxruntime_providers_cuda.so").write_bytes(b"no library")
    with pytest.raises(
        DeviceError, match=r"could not be loaded \(.*providers_cuda\.so: .*\); it needs"
    ):
        Session(b"x", name="edges", device="cuda")


def test_absence_is_told_or_none(edges_file, install):
    assert absence_of("cpu", edges_file) is None
    install([CPU], [CPU])
    assert "has no CUDAExecutionProvider" in (absence_of("cuda", b"") or "")


# --- threads and options


@pytest.mark.parametrize("threads", [0, -1])
def test_less_than_one_thread_is_refused(edges_file, threads):
    with pytest.raises(InputError, match=f"threads must be at least 1, got {threads}"):
        Session(edges_file, name="edges", threads=threads)


@pytest.mark.parametrize(("threads", "expected"), [(1, 1), (3, 3), (None, usable_cores())])
def test_threads_reach_the_runtime(install, threads, expected):
    fake = install([CPU], [CPU])
    Session(b"x", name="edges", device="cpu", threads=threads)
    assert fake.options.intra_op_num_threads == expected


@pytest.mark.parametrize(
    ("told", "most"),
    [
        ("max 100000", None),
        ("150000 100000", 2),
        ("100000 100000", 1),
        ("10000 100000", 1),
        ("", None),
        ("5 0", None),
    ],
)
def test_a_containers_share_of_the_cores_counts(tmp_path, monkeypatch, told, most):
    unlimited = tmp_path / "absent"
    monkeypatch.setattr(runtime, "_CGROUP_CORES", unlimited)
    cores = usable_cores()
    path = tmp_path / "cpu.max"
    path.write_text(told)
    monkeypatch.setattr(runtime, "_CGROUP_CORES", path)
    assert usable_cores() == min(cores, most or cores)


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
    with pytest.raises(MissingRuntimeError, match="installed in part only; run 'pip install --for"):
        Session(b"", name="edges")


@pytest.mark.usefixtures("no_runtime")
def test_methods_without_a_model_need_no_runtime():
    assert create_inpainter("telea").provider == "OpenCV"


def test_networks_share_one_arena(install):
    fake = install([CPU], [CPU])
    Session(b"x", name="edges", device="cpu")
    assert vars(fake.options)["session.use_env_allocators"] == "1"
    assert fake.options.enable_cpu_mem_arena


def test_waiting_threads_leave_the_core_to_others(install):
    fake = install([CPU], [CPU])
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
