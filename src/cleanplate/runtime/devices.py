"""Devices: their names, ONNX Runtime providers, why one is unavailable; free memory.

The one place that imports ONNX Runtime; of its tools, `half` has one.
"""

import ctypes
import functools
import io
import logging
import math
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import cast

from cleanplate.errors import DeviceError, InputError, MissingRuntimeError, UnknownNameError
from cleanplate.options import check_type, invalid

logger = logging.getLogger(__name__)

CPU, CUDA, OPENVINO = "CPUExecutionProvider", "CUDAExecutionProvider", "OpenVINOExecutionProvider"

_PROVIDERS = MappingProxyType(
    {
        "cpu": CPU,
        "cuda": CUDA,
        "cuda-fp16": CUDA,
        "openvino": OPENVINO,
        "coreml": "CoreMLExecutionProvider",
        "directml": "DmlExecutionProvider",
    }
)

DEVICES = ("auto", *_PROVIDERS)
"""Values of `--device`. "auto" is CUDA where it works, the CPU otherwise; "cuda-fp16" is CUDA with
the networks in half precision."""

ACCELERATORS = ("cuda", "cuda-fp16", "coreml", "directml")
"""Devices of which a machine has one or a few, whatever the number of its processor cores."""

# What brings each provider, for the message when it is absent.
_CUDA_INSTALL = (
    "needs an NVIDIA GPU, and 'pip install \"onnxruntime-gpu[cuda,cudnn]\"' instead of onnxruntime"
)
INSTALL = MappingProxyType(
    {
        "cuda": _CUDA_INSTALL,
        "cuda-fp16": f"{_CUDA_INSTALL}, and 'pip install onnx'",
        "openvino": "needs 'pip uninstall onnxruntime' and then 'pip install "
        "onnxruntime-openvino', since both contain the same module",
        "coreml": "needs macOS",
        "directml": "needs Windows and 'pip install onnxruntime-directml' instead of onnxruntime",
    }
)

_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

# For CUDA: an algorithm is chosen by rule and not by trying all of them, since the sizes of windows
# and tiles differ from photo to photo and every new one would be tried; memory grows by what is
# asked for and not by powers of two, since a GPU has less of it.
_CUDA_OPTIONS = MappingProxyType(
    {"cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"}
)

_CGROUP_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")  # quota and period in microseconds


def import_runtime() -> ModuleType:
    """Return the module `onnxruntime`, which from 1.32 on would report its use to Microsoft.

    Whoever wants that sets ORT_DISABLE_TELEMETRY=0.

    Raises:
        MissingRuntimeError: it is not installed, or incomplete.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingRuntimeError(
            "ONNX Runtime is not installed; run 'pip install onnxruntime', or on a machine with "
            "an NVIDIA GPU 'pip install \"onnxruntime-gpu[cuda,cudnn]\"'"
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        # Its packages share one folder: uninstalling one of two takes files from the other.
        raise MissingRuntimeError(
            "ONNX Runtime is only partly installed; run 'pip install --force-reinstall --no-deps' "
            "with the package that you use: onnxruntime, onnxruntime-gpu, "
            "onnxruntime-openvino or onnxruntime-directml"
        )
    return cast("ModuleType", onnxruntime)


def available_providers() -> tuple[str, ...]:
    """Return the providers that the installed ONNX Runtime was built with.

    Raises:
        MissingRuntimeError: ONNX Runtime is not installed.
    """
    return tuple(import_runtime().get_available_providers())


def check_device(device: str, threads: int | None) -> None:
    """Raise unless a network may be asked to run so; whether it can is for `resolve_device`.

    Args:
        device: one of `DEVICES`.
        threads: CPU threads of one run, 1 or more; None: every available core.

    Raises:
        InputError: another type or number.
        UnknownNameError: `device` is none of `DEVICES`.
    """
    check_type("device", device, str, f"one of {', '.join(DEVICES)}")
    if device not in DEVICES:
        raise UnknownNameError("device", device, DEVICES)
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int)):
        raise invalid("threads", "a whole number, or None", threads)
    if threads is not None and threads < 1:
        raise InputError(f"threads must be at least 1, got {threads}")


def resolve_device(device: str) -> str:
    """Return what computes, for "auto": CUDA where it works, else the CPU, which is logged.

    Args:
        device: one of `DEVICES`.

    Raises:
        InputError: `device` is not a string.
        MissingRuntimeError: ONNX Runtime is not installed.
        UnknownNameError: `device` is none of `DEVICES`.
        DeviceError: the device was requested and cannot be used, as far as known without a
            network.
    """
    check_device(device, None)
    available = available_providers()
    if device == "auto":
        return "cuda" if CUDA in available and _cuda_works() else "cpu"
    provider = _PROVIDERS[device]
    if provider not in available:
        reason = f"the installed ONNX Runtime has no {provider}; it {INSTALL[device]}"
        raise DeviceError(device, reason)
    if provider == CUDA and (cause := _cuda_unavailable_reason()) is not None:
        raise DeviceError(device, cause)
    return device


def is_shared(device: str) -> bool:
    """Return whether several processes should share a device through one server.

    Args:
        device: one of `DEVICES`; one that cannot be used is not shared: who loads a network for it
            gets the reason.
    """
    try:
        return resolve_device(device) in ACCELERATORS
    except (MissingRuntimeError, DeviceError):
        return False


def provider_of(device: str) -> str:
    """Return the name of the execution provider for a device other than "auto"."""
    return _PROVIDERS[device]


def providers_for(device: str, threads: int) -> list[str | tuple[str, dict[str, str]]]:
    """Return the providers for a device other than "auto", as ONNX Runtime takes them.

    Operators that an accelerator lacks run on the CPU, as ONNX Runtime intends.
    """
    provider = _PROVIDERS[device]
    if provider == CPU:
        return [CPU]
    if provider == CUDA:
        return [(CUDA, dict(_CUDA_OPTIONS)), CPU]
    if provider == OPENVINO:
        # "ACCURACY" keeps the file's precision, also where the processor could take half of it.
        options = {"device_type": "CPU", "precision": "ACCURACY", "num_of_threads": str(threads)}
        return [(OPENVINO, options), CPU]
    return [provider, CPU]


@functools.cache
def _cuda_works() -> bool:
    """Return whether CUDA can be used; log once why not, if it is installed."""
    cause = _cuda_unavailable_reason()
    if cause is not None:
        logger.warning("the GPU is not used: %s; the networks run on the CPU", cause)
    return cause is None


@functools.cache
def _cuda_unavailable_reason() -> str | None:
    """Return why CUDA cannot be used on this machine, naming what is missing; None if it can."""
    runtime = import_runtime()
    if hasattr(runtime, "preload_dlls"):
        with redirect_stdout(io.StringIO()):  # it prints what it does not find
            runtime.preload_dlls()  # finds the CUDA and cuDNN libraries that pip installed
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError as error:
        return f"NVIDIA's driver is not installed ({error}); CUDA needs it, and an NVIDIA GPU"
    if (code := driver.cuInit(0)) != 0:
        return f"NVIDIA's driver finds no usable GPU (cuInit: error {code})"
    folder = Path(getattr(runtime, "__file__", None) or "").parent / "capi"
    for library in sorted(folder.glob("*providers_cuda*")):
        try:
            # The library needs a symbol of this one; ONNX Runtime loads it first too.
            for shared in folder.glob("libonnxruntime_providers_shared*"):
                ctypes.CDLL(str(shared), mode=getattr(ctypes, "RTLD_GLOBAL", 0))
            ctypes.CDLL(str(library))
        except OSError as error:
            return (
                f"its libraries could not be loaded ({error}); 'pip install "
                '"onnxruntime-gpu[cuda,cudnn]"\' installs them'
            )
    return None


def usable_cores() -> int:
    """Return the number of processor cores available to this process.

    A container that is given two of a server's cores may run on all of them, but only two at a
    time; further threads would be throttled.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _cgroup_core_limit() or cores))


def _cgroup_core_limit() -> int | None:
    """Return the cores that the process's control group (version 2) may use; None if not stated."""
    try:
        quota, period = _CGROUP_CPU_MAX.read_text(encoding="ascii").split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # no such group, or "max"
        return None


def free_memory() -> int | None:
    """Return the memory in bytes that can be used without swapping; None if unknown."""
    known = [free for free in (_machine_free_bytes(), _cgroup_free_bytes()) if free is not None]
    return min(known, default=None)


def _machine_free_bytes() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    try:  # macOS: half of the total
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return None


def _cgroup_free_bytes() -> int | None:
    """Return the free memory of a container in bytes (Linux, control groups version 2)."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = (group / "memory.current").read_text(encoding="ascii").strip()
        return None if limit == "max" else max(0, int(limit) - int(used))
    except (OSError, ValueError):
        return None
