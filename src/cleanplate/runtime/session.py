"""Loading and running networks with ONNX Runtime."""

import functools
import logging
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from types import ModuleType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from cleanplate.errors import CleanplateError, DeviceError, WeightsError
from cleanplate.ops import Levels
from cleanplate.runtime.batching import MAX_IN_BATCH, Batcher
from cleanplate.runtime.devices import (
    ACCELERATORS,
    CPU,
    CUDA,
    INSTALL,
    check_device,
    import_runtime,
    provider_of,
    providers_for,
    resolve_device,
    usable_cores,
)
from cleanplate.runtime.half import in_half_precision
from cleanplate.runtime.interrupts import check_interrupted
from cleanplate.runtime.network import Network, Run, Tensor
from cleanplate.runtime.server import Address, Client, Content, Load

TensorInfo = tuple[str, tuple[int | str | None, ...]]
"""An input or output of a file: dtype, and shape: a name or None where a size is not fixed."""

# As ONNX Runtime names them -> as NumPy does.
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int64)": "int64",
}

logger = logging.getLogger(__name__)

_HALF = "cuda-fp16"
_MAX_CONCURRENCY = 8  # of a photo's tiles or windows, on a device that takes batches
# One small input does not keep two cores busy: of 192x192 px, two at once take 0.62 of the time.
_CONCURRENCY_ON_CPU = 2
_SMALL_BYTES = 16 << 20  # of a file: two runs of a larger network need much more memory than one
_POLL_S = 0.1  # while a large network runs
_OUT_OF_MEMORY = ("out of memory", "failed to allocate", "bad_alloc", "alloc_failed")  # lower case

# Such as "CUDA failure 35: driver is too old", amid the names of source files and C++ types.
_FAILURE = re.compile(r"\b(?:CUDA|CUDNN|CUBLAS|CUFFT|CURAND)\w* failure [^;\n]*")


class Session:
    """One loaded network; thread-safe.

    In a worker process whose run shares a GPU, the process that owns the GPU runs it.

    Args:
        content: bytes of an ONNX file; or its path, if its weights are in another file beside it,
            as they must be beyond 2 GB.
        name: for messages.
        device: one of `cleanplate.runtime.DEVICES`.
        threads: threads of one run on the CPU; None uses every available core.
        inner: names of internal values of the graph to return after the file's outputs.

    Raises:
        InputError: `device` or `threads` is of another type or out of range.
        MissingRuntimeError: ONNX Runtime is not installed.
        UnknownNameError: `device` is none of `DEVICES`.
        DeviceError: the requested device cannot be used.
        WeightsError: this ONNX Runtime cannot load the file.
    """

    def __init__(
        self,
        content: Content,
        *,
        name: str,
        device: str = "auto",
        threads: int | None = None,
        inner: Sequence[str] = (),
    ) -> None:
        check_device(device, threads)
        if isinstance(content, bytes):
            content += b"".join(_extra_output(value) for value in inner)
        self._network = _loader(content, name, device, threads)

    @property
    def provider(self) -> str:
        """ONNX Runtime execution provider, e.g. "CPUExecutionProvider"."""
        return self._network.provider

    @property
    def input_shapes(self) -> tuple[tuple[int | str, ...], ...]:
        """Shape of each input: a number, or a name for a dynamic axis."""
        return self._network.input_shapes

    @property
    def max_concurrency(self) -> int:
        """Useful number of concurrent calls: 1 where one call saturates the device."""
        return self._network.max_concurrency

    def run(self, *tensors: Tensor) -> Tensor:
        """Return the network's first output for its inputs, given in the file's order.

        Args:
            tensors: mostly (N, C, H, W) float32; the caller knows the network's dtypes and ranges.

        Raises:
            DeviceError: the device is out of memory or fails, or its outputs are not finite.
            WeightsError: the CPU's outputs are not finite: the weights are damaged.
        """
        return self.run_all(*tensors)[0]

    def run_all(self, *tensors: Tensor) -> list[Tensor]:
        """Return all of the network's outputs, the file's first, then the `inner` ones.

        Args:
            tensors: as for `run`.

        Raises:
            DeviceError, WeightsError: as for `run`.
        """
        return self._network.run(tensors)


def use_server(address: Address | None) -> None:
    """Run all networks that this process loads from now on on a server; None: locally."""
    global _loader  # noqa: PLW0603  # one per process
    _loader = load_network if address is None else Client(address).load


def runs_on_cpu(device: str) -> bool:
    """Return whether the networks that this process loads from now on run on the CPU.

    Only accelerators have a server: with one, "auto" is that, and this process need not load ONNX
    Runtime or try CUDA to know.

    Args:
        device: one of `DEVICES`.

    Raises:
        CleanplateError: as `resolve_device`, where there is no server.
    """
    return (resolve_device(device) if _loader is load_network else device) == "cpu"


def load_network(content: Content, name: str, device: str, threads: int | None) -> Network:
    """Load a network into this process; arguments and errors are those of `Session`."""
    chosen = resolve_device(device)
    try:
        return _load(content, name, chosen, threads)
    except DeviceError as error:
        if device != "auto" or chosen == "cpu":
            raise
        logger.warning("%s is not used: %s; the CPU runs %s", chosen, error.reason, name)
        return _load(content, name, "cpu", threads)


_loader: Load = load_network  # of this process


def _load(content: Content, name: str, device: str, threads: int | None) -> Network:
    runtime = import_runtime()
    provider = provider_of(device)
    try:
        session = _without_fallback(runtime.InferenceSession)(
            in_half_precision(content, device=device)
            if device == _HALF and isinstance(content, bytes)
            else content,
            _session_options(runtime, threads),
            providers=providers_for(device, threads or usable_cores()),
        )
    except CleanplateError:
        raise
    except Exception as error:
        found = _FAILURE.search(str(error))
        lines = str(error).splitlines() or [type(error).__name__]
        reason = found[0].strip() if found else lines[0]
        if provider != CPU and _loads_on_the_cpu(runtime, content):
            raise DeviceError(device, f"it cannot load {name} ({reason})") from error
        raise WeightsError(
            f"{name}: ONNX Runtime {runtime.__version__} cannot load it ({reason}); "
            "run 'cleanplate models verify'"
        ) from error
    if session.get_providers()[0] != provider:  # ONNX Runtime only logs it
        cause = "ONNX Runtime does not say why it was not used"
        raise DeviceError(device, f"{cause}; it {INSTALL[device]}")
    inputs, outputs = session.get_inputs(), session.get_outputs()
    names = tuple(node.name for node in inputs)
    compute: Run
    if provider == CUDA:
        compute = _Binding(runtime, session, names, "cuda")
    elif isinstance(content, bytes):
        compute = _plain(session, names)
    else:
        compute = _interruptible(runtime, session, names)
    run = _translate_errors(compute, device, name)
    one_user = device in ACCELERATORS  # DirectML's sessions must not run twice at once
    batched = one_user and _takes_batches([*inputs, *outputs])
    is_small = isinstance(content, bytes) and len(content) <= _SMALL_BYTES
    most = 1
    if batched:
        most = _MAX_CONCURRENCY
    elif provider == CPU and is_small:
        most = min(_CONCURRENCY_ON_CPU, threads or usable_cores())
    return Network(
        provider=provider,
        input_shapes=tuple(tuple(node.shape) for node in inputs),
        max_concurrency=most,
        run=_require_finite(
            Batcher(run, most=MAX_IN_BATCH if batched else 1) if one_user else run, device, name
        ),
    )


@functools.cache
def _without_fallback(session_type: Any) -> Any:
    """Return ONNX Runtime's session class with the fallback to other providers disabled.

    The fallback prints to standard output. Older versions, 1.21 among them, have no argument
    to disable it, and set the attribute themselves.
    """
    never = property(lambda _: False, lambda *_: None)
    return type(session_type.__name__, (session_type,), {"_enable_fallback": never})


def _loads_on_the_cpu(runtime: ModuleType, content: Content) -> bool:
    try:
        session_type = _without_fallback(runtime.InferenceSession)
        session_type(content, _session_options(runtime, 1), providers=[CPU])
    except Exception:
        return False
    return True


def _takes_batches(nodes: Sequence[Any]) -> bool:
    """Return whether the file calls the first axis of all inputs and outputs by the same name."""
    axes = {(node.shape or [None])[0] for node in nodes}
    return len(axes) == 1 and isinstance(axes.pop(), str)


def _plain(session: Any, names: Sequence[str]) -> Run:
    def run(tensors: Sequence[Tensor]) -> list[Tensor]:
        feeds = dict(zip(names, tensors, strict=True))
        return cast("list[Tensor]", session.run(None, feeds))

    return run


def _interruptible(runtime: ModuleType, session: Any, names: Sequence[str]) -> Run:
    """Return a run that `interruptible` and Ctrl-C end between two operators of the graph."""

    def run(tensors: Sequence[Tensor]) -> list[Tensor]:
        feeds, options = dict(zip(names, tensors, strict=True)), runtime.RunOptions()
        with ThreadPoolExecutor(1) as pool:  # Python handles Ctrl-C only between its own steps
            running = pool.submit(session.run, None, feeds, options)
            try:
                while not wait([running], _POLL_S).done:
                    check_interrupted()
            except BaseException:
                options.terminate = True
                raise
        return cast("list[Tensor]", running.result())

    return run


class _Binding:
    """Runs a network with its inputs in device memory that is reused between calls.

    Not thread-safe; a `Batcher` makes one call at a time.

    Args:
        runtime: the module.
        session: its session.
        names: of the inputs.
        where: the device's memory, as ONNX Runtime calls it.
    """

    def __init__(self, runtime: ModuleType, session: Any, names: Sequence[str], where: str) -> None:
        self._runtime, self._session, self._names, self._where = runtime, session, names, where
        self._outputs = [node.name for node in session.get_outputs()]
        self._kept: dict[str, tuple[object, Any]] = {}  # name -> (shape and dtype, value)

    def __call__(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        binding = self._session.io_binding()
        for name, tensor in zip(self._names, tensors, strict=True):
            value = self._on_device(name, np.asarray(tensor, order="C"))
            binding.bind_ortvalue_input(name, value)
        for name in self._outputs:
            binding.bind_output(name, self._where)
        binding.synchronize_inputs()
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return cast("list[Tensor]", binding.copy_outputs_to_cpu())

    def _on_device(self, name: str, tensor: Tensor) -> Any:
        kind = (tensor.shape, tensor.dtype)
        if name in self._kept and self._kept[name][0] == kind:
            value = self._kept[name][1]
            value.update_inplace(tensor)
            return value
        value = self._runtime.OrtValue.ortvalue_from_numpy(tensor, self._where)
        self._kept[name] = (kind, value)
        return value


def _translate_errors(run: Run, device: str, name: str) -> Run:
    """Return `run`, raising DeviceError where the user can act on the cause."""

    def run_checked(tensors: Sequence[Tensor]) -> list[Tensor]:
        try:
            return run(tensors)
        except Exception as error:
            text = str(error)
            found = _FAILURE.search(text)
            if any(words in text.lower() for words in _OUT_OF_MEMORY):
                sizes = " and ".join("x".join(map(str, tensor.shape)) for tensor in tensors)
                cause = f"out of memory for {name} on {sizes} values"
            elif found:
                cause = f"it cannot run {name} ({found[0].strip()})"
            else:
                raise
            raise DeviceError(device, cause) from error

    return run_checked


def _require_finite(run: Run, device: str, name: str) -> Run:
    """Return `run`, raising for outputs that are not finite."""

    def run_checked(tensors: Sequence[Tensor]) -> list[Tensor]:
        outputs = run(tensors)
        for output in outputs:
            check_finite(output, device=device, name=name)
        return outputs

    return run_checked


def check_finite(output: Tensor, *, device: str, name: str) -> None:
    """Raise if a network's output has NaN or infinities: nothing found, or a black fill.

    Takes 0.8 ms for (21, 512, 512) float32.

    Args:
        output: of any shape and numeric dtype.
        device: that computed it, other than "auto".
        name: the model's.

    Raises:
        DeviceError: it has; an accelerator computed it.
        WeightsError: it has; the CPU computed it.
    """
    if np.isfinite(output).all():
        return
    cause = "computes NaN or infinity"
    if device == "cpu":
        raise WeightsError(
            f"{name}: {cause} on the CPU; run 'cleanplate models verify', or use other weights"
        )
    advice = "use --device cuda" if device == _HALF else "update its driver"
    raise DeviceError(device, f"{name} {cause} on it; {advice}")


def _extra_output(value: str) -> bytes:
    """Return bytes that, appended to an ONNX file, make an internal value an output.

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


@functools.cache
def _share_arena() -> bool:
    """Share one memory arena between all networks of this process.

    Measured with the three built-in networks: 346 instead of 505 MB at 256 px, 629 instead of 1,007
    at 512 px, at the same speed.
    """
    runtime = import_runtime()
    memory = runtime.OrtMemoryInfo(
        "Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
    )
    try:
        # No limit, growing by powers of two, ONNX Runtime's own defaults for the rest.
        runtime.create_and_register_allocator(memory, runtime.OrtArenaCfg(0, 0, -1, -1))
    except Exception as error:
        logger.info("the networks keep separate arenas: %s", error)
        return False
    return True


def interface_of(
    content: Content, *, name: str
) -> tuple[Sequence[TensorInfo], Sequence[TensorInfo]]:
    """Return what the inputs and the outputs of an ONNX file are, in its order.

    Args:
        content: of the file; its path permits weights in another file beside it.
        name: for errors.

    Raises:
        MissingRuntimeError: ONNX Runtime is not installed.
        WeightsError: ONNX Runtime cannot load it.
    """
    runtime = import_runtime()
    try:
        session = runtime.InferenceSession(content, _session_options(runtime, 1), providers=[CPU])
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(
            f"{name}: ONNX Runtime {runtime.__version__} cannot load it ({reason}); give an ONNX "
            "file"
        ) from error
    inputs, outputs = (
        [(_DTYPES.get(node.type, node.type), tuple(node.shape)) for node in nodes]
        for nodes in (session.get_inputs(), session.get_outputs())
    )
    return inputs, outputs


def unavailable_reason(device: str, content: bytes) -> str | None:
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


def _session_options(runtime: ModuleType, threads: int | None) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1  # the graphs are sequential
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Without the arena every run maps its memory anew: 1.2 to 2.2 times as slow here.
    options.enable_cpu_mem_arena = True
    options.enable_mem_pattern = False  # planned for one input size; ours vary
    # A thread that waits for its share of an operator sleeps instead of spinning: as fast
    # on an idle machine, and 1.3 to 1.9 times as fast where something else wants a core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if _share_arena():
        options.add_session_config_entry("session.use_env_allocators", "1")
    options.log_severity_level = 3  # errors only
    return options


def to_tensor(
    image: Levels,
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
    std: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> npt.NDArray[np.float32]:
    """Return an (H, W, 3) image as (1, 3, H, W) float32, contiguous.

    Args:
        image: (H, W, 3) uint8 or float32, RGB in [0, 255]. Not modified.
        mean: subtracted from R, G and B in [0, 1].
        std: what that is divided by.
    """
    tensor = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)
    tensor /= 255
    if any(mean):
        tensor -= np.array(mean, np.float32)[:, None, None]
    if any(value != 1 for value in std):
        tensor /= np.array(std, np.float32)[:, None, None]
    return tensor


def sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the sigmoid of independent logits, float32 of any shape: probabilities in [0, 1]."""
    return np.asarray((1 + np.tanh(logits / 2)) / 2, np.float32)  # does not overflow


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the softmax over the channels.

    Args:
        logits: (C, h, w) float32; overwritten.

    Returns:
        (C, h, w) float32 in [0, 1]; over the channels they sum to 1.
    """
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits
