"""Whether the files of an installed model take and return what the registry states."""

from cleanplate.hub import MODELS, find_file
from cleanplate.hub.install import _values_match
from cleanplate.runtime import interface_of


def check_interface(name: str) -> None:
    """Compare all ONNX files of an installed or built-in model with the registry."""
    model = MODELS[name]
    for file in model.files:
        if file.filename.endswith(".onnx"):
            inputs, outputs = interface_of(find_file(model, file.role), name=file.filename)
            for found, stated in ((inputs, file.inputs), (outputs, file.outputs)):
                assert _values_match(found, stated), (file.filename, found, stated)
