"""Running networks: devices, ONNX Runtime sessions, batching."""

from cleanplate.runtime.devices import DEVICES, is_shared, usable_cores
from cleanplate.runtime.preprocessing import (
    resize,
    sigmoid,
    softmax,
    to_tensor,
)
from cleanplate.runtime.server import Address, Server
from cleanplate.runtime.session import Session, absence_of, load_network, use_server

__all__ = [
    "DEVICES",
    "Address",
    "Server",
    "Session",
    "absence_of",
    "is_shared",
    "load_network",
    "resize",
    "sigmoid",
    "softmax",
    "to_tensor",
    "usable_cores",
    "use_server",
]
