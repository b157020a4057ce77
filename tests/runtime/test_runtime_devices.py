"""Devices: which there are, and what is said when one is not there."""

import ctypes
import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from cleanplate.errors import DeviceError, UnknownNameError
from cleanplate.runtime import devices
from cleanplate.runtime.devices import (
    DEVICES,
    INSTALL,
    is_shared,
    providers_for,
    resolve_device,
    usable_cores,
)
from cleanplate.runtime.session import Session, unavailable_reason
from runtime_standins import CPU, CUDA


@pytest.fixture
def driver(monkeypatch):
    """Return a function that lets NVIDIA's driver be installed, answering `cuInit` with a code."""
    real = ctypes.CDLL

    def make(code: int) -> None:
        def load(name, *args, **kwargs):
            if str(name) == devices._DRIVER:
                return SimpleNamespace(cuInit=lambda _: code)
            return real(name, *args, **kwargs)

        monkeypatch.setattr(ctypes, "CDLL", load)

    return make


@pytest.mark.parametrize(
    ("device", "match"),
    [
        ("gpu", "unknown device 'gpu'; known: auto, coreml, cpu, cuda, cuda-fp16, directml, openv"),
        ("cudda", r"unknown device 'cudda'; .*\. Did you mean 'cuda'\?"),
        ("CPU", "unknown device 'CPU'"),
        ("", "unknown device ''"),
    ],
)
def test_an_unknown_device_brings_the_known_ones(device, match):
    with pytest.raises(UnknownNameError, match=match):
        resolve_device(device)


@pytest.mark.parametrize(
    ("device", "advice"),
    [
        ("cuda", r'needs an NVIDIA GPU, and .*onnxruntime-gpu\[cuda,cudnn\]"'),
        ("cuda-fp16", r"needs an NVIDIA GPU, and .*, and 'pip install onnx'"),
        ("openvino", "'pip uninstall onnxruntime' and then 'pip install onnxruntime-openvino'"),
        ("coreml", "needs macOS"),
        ("directml", "needs Windows and 'pip install onnxruntime-directml'"),
    ],
)
def test_a_device_it_was_not_built_with_is_an_error_with_the_way_out(fake_runtime, device, advice):
    fake = fake_runtime([CPU], [CPU])
    match = f"device '{device}' cannot be used: the installed ONNX Runtime has no .*{advice}"
    with pytest.raises(DeviceError, match=match) as caught:
        Session(b"", name="edges", device=device)
    assert str(caught.value).endswith("or use --device cpu")
    assert fake.calls == []


def test_every_device_but_cpu_and_auto_has_its_advice():
    assert set(DEVICES) - {"auto", "cpu"} == set(INSTALL)


def test_cuda_without_the_driver_names_it(fake_runtime):
    fake_runtime([CUDA, CPU], [CPU])
    match = rf"'cuda' cannot be used: NVIDIA's driver is not installed \(.*{devices._DRIVER}.*\)"
    with pytest.raises(DeviceError, match=match):
        resolve_device("cuda")


def test_a_driver_without_a_gpu_is_reported_by_number(fake_runtime, driver):
    fake_runtime([CUDA, CPU], [CPU])
    driver(100)
    with pytest.raises(DeviceError, match=r"finds no usable GPU \(cuInit: error 100\)"):
        resolve_device("cuda-fp16")


@pytest.mark.skipif(sys.platform != "linux", reason="words of the loader of Linux")
def test_a_library_that_is_missing_is_named(fake_runtime, driver, tmp_path):
    fake = fake_runtime([CUDA, CPU], [CPU])
    driver(0)
    fake.__file__ = str(tmp_path / "__init__.py")
    (tmp_path / "capi").mkdir()
    (tmp_path / "capi" / "libonnxruntime_providers_cuda.so").write_bytes(b"no library")
    match = r"its libraries could not be loaded \(.*providers_cuda\.so: .*\); 'pip install "
    with pytest.raises(DeviceError, match=match):
        resolve_device("cuda")


def test_with_all_there_cuda_is_taken_and_its_libraries_are_looked_for_quietly(
    fake_runtime, driver, capsys
):
    fake = fake_runtime([CUDA, CPU], [CUDA, CPU])
    driver(0)
    assert [resolve_device(device) for device in ("auto", "cuda", "cuda-fp16", "cpu")] == [
        "cuda", "cuda", "cuda-fp16", "cpu",
    ]  # fmt: skip
    assert fake.calls == ["preload_dlls"]
    assert capsys.readouterr().out == ""


def test_auto_goes_on_with_the_cpu_and_says_so_once(fake_runtime, caplog):
    fake_runtime([CUDA, CPU], [CPU])
    with caplog.at_level(logging.WARNING):
        assert [resolve_device("auto") for _ in range(3)] == ["cpu"] * 3
    assert caplog.text.count("the GPU is not used: NVIDIA's driver is not installed") == 1
    assert "the networks run on the CPU" in caplog.text


def test_auto_says_nothing_where_nobody_asked_for_a_gpu(fake_runtime, caplog):
    fake_runtime([CPU], [CPU])
    with caplog.at_level(logging.WARNING):
        assert resolve_device("auto") == "cpu"
    assert not caplog.text


def test_accelerators_are_shared_and_what_cannot_be_used_is_not(fake_runtime, driver):
    fake_runtime([CUDA, CPU], [CUDA, CPU])
    driver(0)
    assert {device for device in DEVICES if is_shared(device)} == {"auto", "cuda", "cuda-fp16"}


def test_sizes_that_differ_are_no_reason_to_try_all_algorithms():
    (name, options), rest = providers_for("cuda", 2)
    assert (name, rest) == (CUDA, CPU)
    assert options["cudnn_conv_algo_search"] == "HEURISTIC"


@pytest.mark.parametrize("threads", [1, 3])
def test_openvino_gets_threads_and_to_keep_the_precision(threads):
    (_, options), rest = providers_for("openvino", threads)
    assert rest == CPU
    assert options == {
        "device_type": "CPU", "precision": "ACCURACY", "num_of_threads": str(threads),
    }  # fmt: skip


def test_absence_is_reported_or_is_none(network_file, fake_runtime):
    assert unavailable_reason("cpu", network_file) is None
    fake_runtime([CPU], [CPU])
    assert "has no CUDAExecutionProvider" in (unavailable_reason("cuda", b"") or "")


def test_cores_are_counted():
    assert usable_cores() >= 1


@pytest.mark.parametrize(
    ("message", "most"),
    [
        ("max 100000", None),
        ("150000 100000", 2),
        ("100000 100000", 1),
        ("10000 100000", 1),
        ("", None),
        ("5 0", None),
    ],
)
def test_a_containers_share_of_the_cores_counts(tmp_path, monkeypatch, message, most):
    unlimited = tmp_path / "absent"
    monkeypatch.setattr(devices, "_CGROUP_CPU_MAX", unlimited)
    cores = usable_cores()
    path = tmp_path / "cpu.max"
    path.write_text(message)
    monkeypatch.setattr(devices, "_CGROUP_CPU_MAX", path)
    assert usable_cores() == min(cores, most or cores)


def test_onnx_runtime_reports_nothing(tmp_path):
    environment = {key: it for key, it in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    # Its telemetry leaves an identifier of the device in the user's folder before it reports.
    subprocess.run(
        [
            sys.executable,
            "-c",
            "from cleanplate.runtime.devices import import_runtime; import_runtime()",
        ],
        env={**environment, "HOME": str(tmp_path)},
        check=True,
    )
    assert list(tmp_path.iterdir()) == []
