"""Running networks: devices, ONNX Runtime sessions, batching."""

from cleanplate.runtime.devices import (
    CPU,
    DEVICES,
    check_device,
    free_memory,
    is_shared,
    resolve_device,
    usable_cores,
)
from cleanplate.runtime.interrupts import check_interrupted, interruptible
from cleanplate.runtime.server import Address, Server
from cleanplate.runtime.session import (
    Session,
    TensorInfo,
    check_finite,
    interface_of,
    load_network,
    runs_on_cpu,
    sigmoid,
    softmax,
    to_tensor,
    unavailable_reason,
    use_server,
)

__all__ = [
    "CPU",
    "DEVICES",
    "Address",
    "Server",
    "Session",
    "TensorInfo",
    "check_device",
    "check_finite",
    "check_interrupted",
    "free_memory",
    "interface_of",
    "interruptible",
    "is_shared",
    "load_network",
    "resolve_device",
    "runs_on_cpu",
    "sigmoid",
    "softmax",
    "to_tensor",
    "unavailable_reason",
    "usable_cores",
    "use_server",
]
