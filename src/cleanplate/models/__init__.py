"""Model files: what is registered, where it lies, how it gets there, what runs it."""

from cleanplate.models.devices import DEVICES
from cleanplate.models.obtain import import_model, pull_model
from cleanplate.models.registry import MODELS, Model, get_model, model_names
from cleanplate.models.runtime import Session
from cleanplate.models.store import find_file, is_here, verify_file

__all__ = [
    "DEVICES",
    "MODELS",
    "Model",
    "Session",
    "find_file",
    "get_model",
    "import_model",
    "is_here",
    "model_names",
    "pull_model",
    "verify_file",
]
