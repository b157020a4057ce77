"""Running networks: devices, ONNX Runtime sessions, batching."""

from cleanplate.runtime.devices import DEVICES, is_shared, usable_cores
from cleanplate.runtime.preprocessing import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    normalise,
    prepare,
    sigmoid,
    softmax,
    unit_tensor,
)
from cleanplate.runtime.server import Address, Server, use_server
from cleanplate.runtime.session import Session, absence_of, load_network

__all__ = [
    "DEVICES",
    "IMAGENET_DEVIATION",
    "IMAGENET_MEAN",
    "Address",
    "Server",
    "Session",
    "absence_of",
    "is_shared",
    "load_network",
    "normalise",
    "prepare",
    "sigmoid",
    "softmax",
    "unit_tensor",
    "usable_cores",
    "use_server",
]
