"""Every exception the package raises on purpose.

CleanplateError
├── InputError, also ValueError        the caller's array or option (CLI exit 2)
│   ├── ShapeMismatchError             image and mask of different sizes
│   ├── UnknownNameError               label, model or device name
│   ├── DeviceError                    an asked-for device that this machine does not have
│   └── LicenceError                   a model whose licence was not accepted
├── PhotoError, also OSError           one file: unreadable, unsupported, not writable (CLI exit 1)
├── MissingRuntimeError, also ImportError   ONNX Runtime is not installed (CLI exit 1)
├── MissingExtraError, also ImportError     an optional package is needed (CLI exit 1)
└── WeightsError, also RuntimeError    a model file is missing or broken (CLI exit 1)
    └── ChecksumError
"""

import difflib
from collections.abc import Callable, Iterable
from functools import partial
from os import PathLike, fspath


class CleanplateError(Exception):
    """Base class; its message is one line, fit to be shown to a user."""


class InputError(CleanplateError, ValueError):
    """The caller passed something the function cannot use."""


class ShapeMismatchError(InputError):
    """Image and mask do not cover the same pixels."""

    def __init__(self, image_hw: tuple[int, ...], mask_hw: tuple[int, ...]) -> None:
        self.image_hw, self.mask_hw = image_hw, mask_hw
        hint = " They look transposed." if image_hw == mask_hw[::-1] != mask_hw else ""
        super().__init__(f"mask must be (H, W) = {image_hw} like the image, got {mask_hw}.{hint}")

    def __reduce__(
        self,
    ) -> tuple[Callable[..., object], tuple[object, ...]]:  # to pass between processes
        return type(self), (self.image_hw, self.mask_hw)


class UnknownNameError(InputError):
    """No registered entry has this name."""

    def __init__(
        self, kind: str, name: str, known: Iterable[str], *, also: Iterable[str] = ()
    ) -> None:
        """Compose the message; `also` are names that may be suggested but are not listed."""
        self.kind, self.name, self.known, self.also = kind, name, sorted(known), tuple(also)
        close = difflib.get_close_matches(name, [*self.known, *self.also], n=1)
        hint = f". Did you mean {close[0]!r}?" if close else ""
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(self.known)}{hint}")

    def __reduce__(
        self,
    ) -> tuple[Callable[..., object], tuple[object, ...]]:  # to pass between processes
        return partial(type(self), also=self.also), (self.kind, self.name, self.known)


class DeviceError(InputError):
    """The device that was asked for cannot be used here."""


class PhotoError(CleanplateError, OSError):
    """One photo cannot be read, used or written; the others are not affected."""

    def __init__(self, path: str | PathLike[str], cause: str, advice: str) -> None:
        """Compose the message.

        Args:
            path: the file, as the user named it.
            cause: what is wrong, without a full stop.
            advice: what to do next, without a full stop.
        """
        self.path, self.cause, self.advice = fspath(path), cause, advice
        super().__init__(f"{self.path}: {cause}; {advice}")

    def __reduce__(
        self,
    ) -> tuple[Callable[..., object], tuple[object, ...]]:  # to pass between processes
        return type(self), (self.path, self.cause, self.advice)


class MissingRuntimeError(CleanplateError, ImportError):
    """No ONNX Runtime is installed."""


class MissingExtraError(CleanplateError, ImportError):
    """An optional package is needed and not installed."""


class LicenceError(InputError):
    """The licence of a model has to be accepted first."""


class WeightsError(CleanplateError, RuntimeError):
    """A model file is missing, incomplete or not loadable."""


class ChecksumError(WeightsError):
    """A model file is not the one that was registered."""
