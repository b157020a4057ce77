"""Class names, their VOC ids, and the everyday words that mean them."""

from collections.abc import Collection, Iterable
from types import MappingProxyType

from cleanplate.errors import InputError, UnknownNameError

VOC_LABELS = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""PASCAL VOC 2012 classes in their published order; id = position + 1, 0 is the background.

Source: Everingham et al., The PASCAL Visual Object Classes Challenge, IJCV 2010.
"""

ALL = "all"
"""The word that stands for every label of a segmenter."""

_BACKGROUND = frozenset({"0", "background", "backgrounds"})

# Words people use, by the canonical name they mean. Plurals are listed where they are irregular;
# regular ones are found by `_singulars`.
_WORDS = {
    "aeroplane": "airplane plane aircraft jet airliner",
    "bicycle": "bike cycle pushbike",
    "bird": "pigeon seagull gull duck goose geese",
    "boat": "ship sailboat yacht vessel dinghy canoe kayak ferry",
    "bottle": "",
    "bus": "coach minibus",
    "car": "automobile auto van taxi cab suv",
    "cat": "kitten kitty",
    "chair": "armchair stool seat",
    "cow": "cattle bull calf calves ox oxen",
    "diningtable": "table desk",
    "dog": "puppy puppies pup hound",
    "horse": "pony ponies foal",
    "motorbike": "motorcycle scooter moped",
    "person": "people human pedestrian man men woman women child children kid boy girl baby babies "
    "guy lady ladies tourist passerby passersby crowd",
    "pottedplant": "plant houseplant flowerpot",
    "sheep": "lamb ram ewe",
    "sofa": "couch couches settee",
    "train": "locomotive tram",
    "tvmonitor": "tv television telly monitor screen display",
}

ALIASES = MappingProxyType(
    {word: label for label, words in _WORDS.items() for word in words.split()}
)
"""Everyday word -> canonical label."""


def resolve_labels(
    names: Iterable[str], known: Collection[str] = VOC_LABELS, *, ids: bool = True
) -> tuple[str, ...]:
    """Return the canonical labels that `names` mean, in the order of `known`, each once.

    Args:
        names: label names, plurals, everyday words, VOC ids ("15"), or "all". One string may hold
            several, separated by commas; case, spaces, hyphens and underscores do not matter.
        known: canonical labels that may be chosen.
        ids: whether "1" ... "20" mean the VOC classes.

    Raises:
        UnknownNameError: a name means none of `known`; the message lists them.
        InputError: no name at all, or the background.
    """
    words = [word.strip() for name in names for word in name.split(",") if word.strip()]
    if not words:
        raise InputError("no label given; name what to remove, e.g. person or car, or 'all'")
    chosen: set[str] = set()
    for word in words:
        if _normalise(word) == ALL:
            chosen.update(known)
        else:
            chosen.add(_resolve(word, known, ids=ids))
    return tuple(label for label in known if label in chosen)


def label_id(label: str) -> int | None:
    """Return the VOC id, 1 to 20, of a canonical label, or None for one that is not in VOC."""
    return VOC_LABELS.index(label) + 1 if label in VOC_LABELS else None


def aliases_of(label: str) -> tuple[str, ...]:
    """Return the everyday words that mean `label`, in the order they are listed above."""
    return tuple(word for word, target in ALIASES.items() if target == label)


def _resolve(word: str, known: Collection[str], *, ids: bool) -> str:
    plain = _normalise(word)
    if plain in _BACKGROUND:
        raise InputError(
            f"label {word!r} is the background, which is what stays; name an object instead"
        )
    if ids and word.isdecimal() and 1 <= int(word) <= len(VOC_LABELS):  # "1-5" is not 15
        plain = VOC_LABELS[int(word) - 1]
    by_plain = {_normalise(label): label for label in known}
    for candidate in _singulars(plain):
        label = by_plain.get(candidate) or by_plain.get(ALIASES.get(candidate, ""))
        if label is not None:
            return label
    usable = [alias for alias, label in ALIASES.items() if label in known]
    raise UnknownNameError("label", word, known, also=usable)


def _normalise(word: str) -> str:
    return "".join(character for character in word.casefold() if character not in " -_\t")


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
