"""Load tensors from PyTorch archives that also hold code or other objects, which are never run.

TorchScript files, and checkpoints of training frameworks, are zip archives of raw storages and one
pickle that maps tensors to their storage. Here that pickle is read with every class replaced by an
inert stand-in, but for those that tensors are made of.
"""

import collections
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from cleanplate.errors import WeightsError
from cleanplate.hub.convert.checkpoints import State, load_checkpoint

_DTYPES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
}


def load_tensors(path: Path) -> State:
    """Return all tensors of a checkpoint under the names they have in it, joined by dots.

    Dictionaries, lists and the attributes of objects are followed, each once:
    "model.generator.model.1.weight" in a TorchScript file, "state_dict.generator.model.1.weight" in
    a file of training. Files that are not zip archives are read as `load_checkpoint` does.

    Raises:
        WeightsError: it is not a checkpoint, or is damaged.
    """
    content = _read_archive(path) if zipfile.is_zipfile(path) else load_checkpoint(path)
    return _name_tensors(content)


def _read_archive(path: Path) -> object:
    try:
        with zipfile.ZipFile(path) as archive:
            roots = [
                name.removesuffix("data.pkl")
                for name in archive.namelist()
                if name.endswith("/data.pkl")
            ]
            content = _Reader(archive, roots[0]).load() if len(roots) == 1 else None
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{path}: cannot be read as a PyTorch archive ({reason}); it may be damaged; download "
            "it again"
        ) from None
    if len(roots) != 1:
        raise WeightsError(
            f"{path}: is not a PyTorch archive; if it contains checkpoints, unpack it first"
        )
    return content


class _InertObject:
    """Stands in for an object of any class; keeps its attributes and does nothing."""

    state: object = None

    def __init__(self, *_: object) -> None:
        pass

    def __call__(self, *_: object) -> "_InertObject":
        return _InertObject()

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        pass

    def extend(self, items: object) -> None:
        pass


class _Reader(pickle.Unpickler):
    """Unpickles tensors and plain containers; everything else becomes inert."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}data.pkl")))
        self._archive, self._root = archive, root
        self._storages: dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        return _HARMLESS.get((module, name), _InertObject)

    def persistent_load(self, pid: Any) -> torch.Tensor:
        _, dtype, key, *_ = pid
        if key not in self._storages:
            content = bytearray(self._archive.read(f"{self._root}data/{key}"))
            self._storages[key] = (
                torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
            )
        return self._storages[key]


def _tensor(
    storage: torch.Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> torch.Tensor:
    return storage.as_strided(size, stride, offset)


def _parameter(tensor: torch.Tensor, *_: object) -> torch.Tensor:
    return tensor


_HARMLESS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}


def _name_tensors(content: object) -> State:
    """Return name -> tensor; what is found on several ways has the name of the shortest."""
    found: dict[str, torch.Tensor] = {}
    seen: dict[int, object] = {}  # by identity; keeps what it has seen alive
    ahead = collections.deque([("", content)])
    while ahead:
        name, value = ahead.popleft()
        if isinstance(value, torch.Tensor):
            found[name] = value
            continue
        if id(value) in seen:
            continue
        seen[id(value)] = value
        inner = value.state if isinstance(value, _InertObject) else value
        if isinstance(inner, list | tuple):
            inner = dict(enumerate(inner))
        if isinstance(inner, dict):
            prefix = f"{name}." if name else ""
            ahead.extend((f"{prefix}{key}", part) for key, part in inner.items())
    return found
