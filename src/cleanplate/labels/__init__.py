"""Class names, their published ids, and the everyday words that mean them."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from cleanplate.errors import InputError, UnknownNameError
from cleanplate.labels.class_names import (
    ADE20K_LABELS,
    ADE20K_STUFF,
    COCO_IDS,
    COCO_LABELS,
    VOC_LABELS,
)
from cleanplate.labels.words import GROUPS

__all__ = [
    "ADE20K_LABELS",
    "ADE20K_STUFF",
    "ALL",
    "COCO_IDS",
    "COCO_LABELS",
    "VOC_LABELS",
    "aliases_of",
    "label_id",
    "label_ids",
    "resolve_labels",
]

ALL = "all"
"""The word that stands for every object a segmenter knows: not for wall, sky and the like."""

_BACKGROUND = frozenset({"0", "background", "backgrounds"})

_VOC_IDS: Mapping[str, int] = MappingProxyType(
    {label: number for number, label in enumerate(VOC_LABELS, start=1)}
)
_ADE20K_IDS: Mapping[str, int] = MappingProxyType(
    {label: number for number, label in enumerate(ADE20K_LABELS, start=1)}
)


def resolve_labels(names: Iterable[str], known: Collection[str] = VOC_LABELS) -> tuple[str, ...]:
    """Return the canonical labels that `names` mean, in the order of `known`, each once.

    Args:
        names: label names, plurals, everyday words, published ids ("15"; see `label_ids`), or
            "all". One string may hold several, separated by commas; case, spaces, hyphens,
            slashes and underscores do not matter.
        known: canonical labels that may be chosen. None at all: the segmenter takes any words, and
            each of `names` is one of its labels.

    Raises:
        UnknownNameError: a name means none of `known`; the message lists them.
        InputError: no name at all, or the background; "all" of any words.
    """
    words = [" ".join(word.split()) for name in names for word in name.split(",") if word.strip()]
    if not words:
        raise InputError("no label given; name what to remove, e.g. person or car, or 'all'")
    if not known:
        return _phrases(words)
    chosen: set[str] = set()
    for word in words:
        if _normalise(word) == ALL:
            stuff = ADE20K_STUFF if tuple(known) == ADE20K_LABELS else ()
            chosen.update(label for label in known if label not in stuff)
        else:
            chosen.add(_resolve(word, known))
    return tuple(label for label in known if label in chosen)


def label_ids(known: Collection[str]) -> Mapping[str, int]:
    """Return label -> published id of a label set.

    Ids of COCO's categories for COCO's labels, 1 to 150 for ADE20K's; of any other set, the labels
    that VOC has have their VOC ids. An id of the background is not among them.
    """
    if tuple(known) == COCO_LABELS:
        return COCO_IDS
    if tuple(known) == ADE20K_LABELS:
        return _ADE20K_IDS
    return {label: number for label, number in _VOC_IDS.items() if label in known}


def label_id(label: str, known: Collection[str] = VOC_LABELS) -> int | None:
    """Return the published id of a label of the set `known`, or None for one without; see above."""
    return label_ids(known).get(label)


def aliases_of(label: str, known: Collection[str] = VOC_LABELS) -> tuple[str, ...]:
    """Return the everyday words that mean `label` among `known`, in the order they are listed."""
    own = _normalise(label)
    group = next((group for group in GROUPS if own in map(_normalise, group)), ())
    return tuple(
        word
        for word in group
        if _normalise(word) != own and _find(_normalise(word), known) == label
    )


def _phrases(words: Iterable[str]) -> tuple[str, ...]:
    phrases = tuple(dict.fromkeys(word.casefold() for word in words))
    if ALL in phrases:
        raise InputError("this segmenter accepts any words and has no 'all'; name what to remove")
    return phrases


def _resolve(word: str, known: Collection[str]) -> str:
    plain = _normalise(word)
    if plain in _BACKGROUND:
        raise InputError(
            f"label {word!r} is the background, which cannot be removed; name an object instead"
        )
    if word.isdecimal():  # "1-5" is not 15
        by_id = {str(number): label for label, number in label_ids(known).items()}
        if word.lstrip("0") in by_id:
            return by_id[word.lstrip("0")]
    for candidate in _singulars(plain):
        label = _find(candidate, known)
        if label is not None:
            return label
    usable = [word for label in known for word in aliases_of(label, known)]
    raise UnknownNameError("label", word, known, also=usable)


def _find(plain: str, known: Collection[str]) -> str | None:
    """Return the label that a normalised word is, or the first of its group."""
    by_plain = {_normalise(label): label for label in known}
    if plain in by_plain:
        return by_plain[plain]
    for group in GROUPS:
        names = [_normalise(name) for name in group]
        if plain in names:
            return next((by_plain[name] for name in names if name in by_plain), None)
    return None


def _normalise(word: str) -> str:
    return "".join(character for character in word.casefold() if character not in " -_/\t")


def _singulars(word: str) -> tuple[str, ...]:
    """Return the word itself and what it could be the regular English plural of."""
    candidates = [word]
    if word.endswith("s"):
        candidates.append(word[:-1])
    if word.endswith("es"):
        candidates.append(word[:-2])
    if word.endswith("ies"):
        candidates.append(word[:-3] + "y")
    return tuple(candidates)
