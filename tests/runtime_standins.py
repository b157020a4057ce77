"""ONNX Runtime as it behaves on other machines."""

from types import SimpleNamespace

import numpy as np
import onnxruntime

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"


class FakeOptions(SimpleNamespace):
    """Session options that remember what is set."""

    def add_session_config_entry(self, key: str, value: str) -> None:
        setattr(self, key, value)


class FakeRuntime:
    """A runtime whose sessions compute nothing.

    Args:
        built_with: the providers it has.
        working: those that a session really gets; it falls back to the others in silence.
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
        print("Failed to load libnothing.so")
        self.calls.append("preload_dlls")

    @property
    def InferenceSession(self) -> type:  # noqa: N802
        runtime = self

        class InferenceSession:
            def __init__(self, content, options, providers) -> None:
                self._enable_fallback = True  # as version 1.21 does, whatever the options
                try:
                    self._running = runtime.load(content, options, providers)
                except RuntimeError as error:
                    if not self._enable_fallback:
                        raise
                    print(f"EP Error {error}")
                    self._running = runtime.load(content, options, [CPU])

            def get_providers(self) -> list[str]:
                return self._running

            def get_inputs(self) -> list[SimpleNamespace]:
                return [SimpleNamespace(name="planes", shape=["N", 3])]

            get_outputs = get_inputs

        return InferenceSession

    def load(self, content, options, providers) -> list[str]:
        """Return what runs a network."""
        self.calls.append("InferenceSession")
        self.content, self.options, self.asked = content, options, providers
        names = [one if isinstance(one, str) else one[0] for one in providers]
        if content == b"no network":
            raise RuntimeError("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF\nmore")
        if content == b"not on CUDA" and names[0] == CUDA:
            raise RuntimeError(
                "/src/cuda_call.cc:154 void CudaCall(ERRTYPE) [with ERRTYPE = cudaError] "
                "CUDA failure 2: out of memory ; GPU=-1 ; hostname=x ; expr=cudaSetDevice(0); "
            )
        return [name for name in names if name in self.working]


class PretendedCuda:
    """The real runtime, whose CPU goes by the name of CUDA.

    `sessions` are the sessions made, each with the shapes of the batches that it `ran`.
    """

    def __init__(self) -> None:
        self.sessions: list[PretendedSession] = []

    def __getattr__(self, name):
        return getattr(onnxruntime, name)

    @property
    def OrtValue(self):  # noqa: N802
        return SimpleNamespace(ortvalue_from_numpy=_on_the_device)

    def get_available_providers(self) -> list[str]:
        return [CUDA, CPU]

    @property
    def InferenceSession(self) -> type:  # noqa: N802
        sessions = self.sessions

        class InferenceSession(PretendedSession):
            def __init__(self, content, options, providers) -> None:
                super().__init__(content, options, providers)
                sessions.append(self)

        return InferenceSession


class PretendedSession:
    """A session on the CPU that says it is on CUDA, if it was asked for."""

    def __init__(self, content, options, providers) -> None:
        self.content, self.providers = content, providers
        self.ran: list[tuple[tuple[int, ...], ...]] = []
        self._real = onnxruntime.InferenceSession(content, options, providers=[CPU])

    def __getattr__(self, name):
        return getattr(self._real, name)

    def get_providers(self) -> list[str]:
        return [one if isinstance(one, str) else one[0] for one in self.providers]

    def io_binding(self):
        return PretendedBinding(self._real.io_binding())

    def run_with_iobinding(self, binding) -> None:
        self.ran.append(tuple(binding.shapes))
        self._real.run_with_iobinding(binding.real)


class PretendedBinding:
    def __init__(self, real) -> None:
        self.real, self.shapes = real, []

    def __getattr__(self, name):
        return getattr(self.real, name)

    def bind_ortvalue_input(self, name, value) -> None:
        self.shapes.append(tuple(value.shape()))
        self.real.bind_ortvalue_input(name, value)

    def bind_output(self, name, device) -> None:
        assert device == "cuda"
        self.real.bind_output(name, "cpu")


def _on_the_device(tensor, device):
    assert device == "cuda"
    assert tensor.flags.c_contiguous
    # A copy, as on a device: what is updated later must not be the caller's.
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.array(tensor), "cpu")
