"""Every exception the package raises on purpose.

CleanplateError
├── InputError, also ValueError        the caller's array or option (CLI exit 2)
│   ├── ShapeMismatchError             image and mask of different sizes
│   ├── UnknownNameError               label, model or device name
│   ├── DeviceError                    a requested device that is not available
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
        hint = " They seem transposed." if image_hw == mask_hw[::-1] != mask_hw else ""
        super().__init__(f"mask must be (H, W) = {image_hw} like the image, got {mask_hw}.{hint}")

    def __reduce__(
        self,
    ) -> tuple[Callable[..., object], tuple[object, ...]]:  # to pass between processes
        return type(self), (self.image_hw, self.mask_hw)


class UnknownNameError(InputError):
    """No registered entry has this name."""

    def __init__(
        self,
        kind: str,
        name: str,
        known: Iterable[str],
        *,
        also: Iterable[str] = (),
        otherwise: str = "",
    ) -> None:
        """Compose the message.

        Args:
            kind: what has names, such as "label".
            name: the unknown one.
            known: those there are.
            also: names that may be suggested but are not listed.
            otherwise: what to do if the name is not a misspelling of a known one, as a sentence
                without its full stop.
        """
        self.kind, self.name, self.known, self.also = kind, name, sorted(known), tuple(also)
        self.otherwise = otherwise
        usable = [*self.known, *self.also]
        close = difflib.get_close_matches(name, usable, n=1)
        hint = f". Did you mean {close[0]!r}?" if close else ""
        if otherwise and not difflib.get_close_matches(name, usable, cutoff=_MISSPELT):
            hint = f"{hint or '.'} {otherwise}"
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(self.known)}{hint}")

    def __reduce__(
        self,
    ) -> tuple[Callable[..., object], tuple[object, ...]]:  # to pass between processes
        restore = partial(type(self), also=self.also, otherwise=self.otherwise)
        return restore, (self.kind, self.name, self.known)


_MISSPELT = 0.8  # difflib's ratio: 'persn' has 0.91 to 'person', 'red car' 0.6 to 'car'


class DeviceError(InputError):
    """The requested device cannot be used."""

    def __init__(self, device: str, reason: str) -> None:
        self.device, self.reason = device, reason
        super().__init__(device, reason)

    def __str__(self) -> str:
        """Return the message."""
        return f"device {self.device!r} cannot be used: {self.reason}, or use --device cpu"


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
    """ONNX Runtime is not installed."""


class MissingExtraError(CleanplateError, ImportError):
    """A required optional package is not installed."""


class LicenceError(InputError):
    """A model's licence must be accepted first."""


class WeightsError(CleanplateError, RuntimeError):
    """A model file is missing, incomplete or not loadable."""


class ChecksumError(WeightsError):
    """A model file is not the one that was registered."""
