"""Which format a dataset has."""

from pathlib import Path

from cleanplate.datasets.coco import CocoEditor
from cleanplate.datasets.cvat import CvatEditor
from cleanplate.datasets.editor import Editor
from cleanplate.datasets.labelme import LabelMeEditor
from cleanplate.datasets.voc import VocEditor
from cleanplate.datasets.yolo import YoloEditor
from cleanplate.errors import InputError

EDITORS: tuple[type[Editor], ...] = (
    VocEditor,
    YoloEditor,
    CvatEditor,
    CocoEditor,
    LabelMeEditor,
)
"""In the order in which they are tried."""


def open_dataset(path: Path) -> Editor:
    """Return the dataset at a path.

    Raises:
        InputError: there is nothing, or nothing of a known format.
        PhotoError: a file that all images need cannot be read.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; check its spelling")
    for kind in EDITORS:
        found = kind.detect(path)
        if found is not None and found.errors and not found.images:
            raise InputError(found.errors[0])
        if found is not None:
            return found
    known = ", ".join(kind.format for kind in EDITORS)
    raise InputError(
        f"{path}: not a dataset of a known format ({known}); name the folder that holds images and "
        "annotations"
    )
