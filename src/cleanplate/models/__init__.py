"""Model files: what is registered, where it lies, what runs it."""

from cleanplate.models.registry import MODELS, Model, ModelFile, get_model
from cleanplate.models.runtime import DEVICES, Session
from cleanplate.models.store import find_file, verify_file

__all__ = [
    "DEVICES",
    "MODELS",
    "Model",
    "ModelFile",
    "Session",
    "find_file",
    "get_model",
    "verify_file",
]
