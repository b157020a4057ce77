"""The one place that knows ONNX Runtime: sessions, their options, and the device that runs them."""

import ctypes
import functools
import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, cast

import numpy.typing as npt

from cleanplate.errors import (
    DeviceError,
    InputError,
    MissingRuntimeError,
    UnknownNameError,
    WeightsError,
)

logger = logging.getLogger(__name__)

Tensor = npt.NDArray[Any]
"""An input or output of a network, of the dtype its file names."""

_PROVIDERS = MappingProxyType(
    {
        "cpu": "CPUExecutionProvider",
        "cuda": "CUDAExecutionProvider",
        "openvino": "OpenVINOExecutionProvider",
        "coreml": "CoreMLExecutionProvider",
        "directml": "DmlExecutionProvider",
    }
)

DEVICES = ("auto", *_PROVIDERS)
"""What `--device` takes. "auto" is CUDA where it works, the CPU otherwise."""

# What brings each provider, for the message when it is absent.
_INSTALL = MappingProxyType(
    {
        "cuda": "needs an NVIDIA GPU, and 'pip install \"onnxruntime-gpu[cuda,cudnn]\"' instead of "
        "onnxruntime",
        "openvino": "needs 'pip uninstall onnxruntime' and then 'pip install "
        "onnxruntime-openvino', for both bring the same module",
        "coreml": "needs macOS",
        "directml": "needs Windows and 'pip install onnxruntime-directml' instead of onnxruntime",
    }
)

_CGROUP_CORES = Path("/sys/fs/cgroup/cpu.max")  # microseconds of computing per so many


class Session:
    """One network, loaded and ready to run; safe to call from several threads.

    Args:
        content: bytes of an ONNX file.
        name: what to call it in messages.
        device: one of `DEVICES`.
        threads: threads of one run on the CPU; None takes every core this process may use.
        inner: names of values inside the graph to return as well, after the file's own outputs.

    Raises:
        MissingRuntimeError: ONNX Runtime is not installed.
        UnknownNameError: `device` is none of `DEVICES`.
        DeviceError: the device was asked for and cannot be used.
        WeightsError: the file is no network that this ONNX Runtime can load.
    """

    def __init__(
        self,
        content: bytes,
        *,
        name: str,
        device: str = "auto",
        threads: int | None = None,
        inner: Sequence[str] = (),
    ) -> None:
        runtime = _import_runtime()
        content += b"".join(_extra_output(value) for value in inner)
        wanted = _wanted_providers(device, available_providers())
        options = _session_options(runtime, threads)
        if "CUDAExecutionProvider" in wanted and hasattr(runtime, "preload_dlls"):
            runtime.preload_dlls()  # finds the CUDA and cuDNN libraries that pip installed
        try:
            self._session = runtime.InferenceSession(
                content, options, providers=[_with_options(name, threads) for name in wanted]
            )
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise WeightsError(
                f"{name}: ONNX Runtime {runtime.__version__} cannot load it ({reason}); "
                "run 'cleanplate models verify'"
            ) from error
        self.provider: str = self._session.get_providers()[0]
        if self.provider != wanted[0]:  # ONNX Runtime only logs it when a library is missing
            cause = _loading_failure(runtime, wanted[0])
            if device != "auto":
                raise DeviceError(device, f"{cause}; it {_INSTALL[device]}")
            logger.warning("%s is not used: %s; %s runs %s", wanted[0], cause, self.provider, name)
        inputs = self._session.get_inputs()
        self._inputs = tuple(node.name for node in inputs)
        # What the file says of each input: a number, or a name where any size will do.
        self.input_shapes: tuple[tuple[int | str, ...], ...] = tuple(
            tuple(getattr(node, "shape", ())) for node in inputs
        )

    def run(self, *tensors: Tensor) -> Tensor:
        """Return the network's first output for its inputs, given in the file's order.

        Args:
            tensors: mostly (N, C, H, W) float32; the caller knows the network's dtypes and ranges.
        """
        return self.run_all(*tensors)[0]

    def run_all(self, *tensors: Tensor) -> list[Tensor]:
        """Return all of the network's outputs, the file's own first, then the `inner` ones.

        Args:
            tensors: as for `run`.
        """
        feeds = dict(zip(self._inputs, tensors, strict=True))
        return cast("list[Tensor]", self._session.run(None, feeds))


def _extra_output(value: str) -> bytes:
    """Return what, appended to an ONNX file, makes a value inside its graph an output.

    A protocol buffer's parts may stand one after another: their repeated fields add up. This is a
    ModelProto with a graph (7) with an output (12) with a name (1).
    """
    message = value.encode()
    for field in (1, 12, 7):
        message = _varint(field << 3 | 2) + _varint(len(message)) + message
    return message


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def available_providers() -> tuple[str, ...]:
    """Return the providers that the installed ONNX Runtime was built with.

    Raises:
        MissingRuntimeError: ONNX Runtime is not installed.
    """
    return tuple(_import_runtime().get_available_providers())


@functools.cache
def _share_arena() -> bool:
    """Let all networks of this process take turns in one arena instead of each keeping its own.

    Measured with the three built-in networks: 346 instead of 505 MB at 256 px, 629 instead of 1,007
    at 512 px, at the same speed.
    """
    runtime = _import_runtime()
    memory = runtime.OrtMemoryInfo(
        "Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
    )
    try:
        # No limit, growing by powers of two, ONNX Runtime's own defaults for the rest.
        runtime.create_and_register_allocator(memory, runtime.OrtArenaCfg(0, 0, -1, -1))
    except Exception as error:
        logger.info("the networks keep arenas of their own: %s", error)
        return False
    return True


def usable_cores() -> int:
    """Return how many processor cores this process may keep busy.

    A container that is given two of a server's cores may run on all of them, but only two at a
    time; more threads than that are stopped in the middle of their work.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _cores_of_group() or cores))


def _cores_of_group() -> int | None:
    """Return the cores that the process's control group (version 2) may use; None if not told."""
    try:
        quota, period = _CGROUP_CORES.read_text(encoding="ascii").split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # no such group, or "max"
        return None


def _import_runtime() -> ModuleType:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingRuntimeError(
            "ONNX Runtime is not installed; run 'pip install onnxruntime', or on a machine with "
            "an NVIDIA GPU 'pip install \"onnxruntime-gpu[cuda,cudnn]\"'"
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        # Its packages lie in one folder: uninstalling one of two takes files from the other.
        raise MissingRuntimeError(
            "ONNX Runtime is installed in part only; run 'pip install --force-reinstall --no-deps' "
            "with the one package of it that you use: onnxruntime, onnxruntime-gpu, "
            "onnxruntime-openvino or onnxruntime-directml"
        )
    return cast("ModuleType", onnxruntime)


def _wanted_providers(device: str, available: tuple[str, ...]) -> list[str]:
    if device not in DEVICES:
        raise UnknownNameError("device", device, DEVICES)
    if device == "auto":
        return [p for p in (_PROVIDERS["cuda"], _PROVIDERS["cpu"]) if p in available]
    provider = _PROVIDERS[device]
    if provider not in available:
        cause = f"the installed ONNX Runtime has no {provider}"
        raise DeviceError(device, f"{cause}; it {_INSTALL[device]}")
    # Operators that an accelerator lacks run on the CPU, as ONNX Runtime intends.
    return [provider] if device == "cpu" else [provider, _PROVIDERS["cpu"]]


def _with_options(provider: str, threads: int | None) -> str | tuple[str, dict[str, str]]:
    """Return a provider with what it has to be told, as ONNX Runtime takes it."""
    if provider != _PROVIDERS["openvino"]:
        return provider
    # "ACCURACY" keeps the file's precision, also where the processor could take half of it.
    told = {"device_type": "CPU", "precision": "ACCURACY"}
    return provider, {**told, "num_of_threads": str(threads or usable_cores())}


def absence_of(device: str, content: bytes) -> str | None:
    """Return why a device cannot be used on this machine, in one line; None if it can.

    Args:
        device: one of `DEVICES`.
        content: bytes of an ONNX file to try it with.

    Raises:
        MissingRuntimeError: ONNX Runtime is not installed.
    """
    try:
        Session(content, name="trial", device=device)
    except DeviceError as error:
        return error.reason
    return None


def _loading_failure(runtime: ModuleType, provider: str) -> str:
    """Return why the libraries of a provider do not load, naming the first that is missing."""
    stem = provider.removesuffix("ExecutionProvider").lower()
    folder = Path(getattr(runtime, "__file__", None) or "").parent / "capi"
    for library in sorted(folder.glob(f"*providers_{stem}*")):
        try:
            # The library leans on this one for a symbol; ONNX Runtime loads it first too.
            for shared in folder.glob("libonnxruntime_providers_shared*"):
                ctypes.CDLL(str(shared), mode=getattr(ctypes, "RTLD_GLOBAL", 0))
            ctypes.CDLL(str(library))
        except OSError as error:
            return f"its libraries could not be loaded ({error})"
    return "its libraries could not be loaded"


def _session_options(runtime: ModuleType, threads: int | None) -> Any:
    if threads is not None and threads < 1:
        raise InputError(f"threads must be at least 1, got {threads}")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1  # the graphs are chains; there is nothing to run side by side
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Without the arena every run maps its memory anew: 1.2 to 2.2 times as slow here.
    options.enable_cpu_mem_arena = True
    options.enable_mem_pattern = False  # a plan for one input size only; ours differ
    # A thread that waits for its share of an operator sleeps instead of turning in a loop: as fast
    # on an idle machine, and 1.3 to 1.9 times as fast where something else wants a core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if _share_arena():
        options.add_session_config_entry("session.use_env_allocators", "1")
    options.log_severity_level = 3  # errors only; what matters is raised or logged by us
    return options
