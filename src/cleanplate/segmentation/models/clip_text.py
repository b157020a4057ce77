"""Phrases as the numbers that CLIP's text encoder reads: byte-pair encoding.

Text is split into words; each word is the bytes of its UTF-8 form; and pairs of neighbouring
symbols are joined, the pair that was most frequent in the training text first, until no pair of the
list is left. The list, `merges.txt`, belongs to the weights and comes with them.

Reference:
    Sennrich, Haddow and Birch, Neural Machine Translation of Rare Words with Subword Units, ACL
    2016, arXiv:1508.07909; on bytes: Radford et al., Language Models are Unsupervised Multitask
    Learners, 2019; lower case and the end-of-word mark: Radford et al., Learning Transferable
    Visual Models From Natural Language Supervision, 2021, arXiv:2103.00020.
"""

import itertools
import unicodedata

from cleanplate.errors import InputError, WeightsError

LONGEST = 77
"""Tokens that CLIP's text encoder reads at most, the two that mark start and end included."""

_END_OF_WORD = "</w>"
_ENDINGS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")  # separate tokens


class PhraseEncoder:
    """Turns phrases into token ids.

    Ids 0 to 255 are the bytes, 256 to 511 the bytes that end a word, then come the joined pairs in
    the order of the list, and at last the marks of start and end: this order is that of the
    published `vocab.json`, which therefore is not needed.

    Args:
        merges: content of a `merges.txt`: one pair a line, most frequent first.

    Raises:
        WeightsError: it is not such a list.
    """

    def __init__(self, merges: bytes) -> None:
        try:
            lines = merges.decode().splitlines()
        except UnicodeDecodeError:
            raise WeightsError(
                "the list of merges is not UTF-8 text; download the file again"
            ) from None
        if lines and lines[0].startswith("#version"):
            lines = lines[1:]
        pairs = [tuple(line.split()) for line in lines if line.strip()]
        if not pairs or any(len(pair) != 2 for pair in pairs):
            raise WeightsError(
                "the list of merges has a line that is not a pair; download the file again"
            )
        self._rank = {(pair[0], pair[1]): rank for rank, pair in enumerate(pairs)}
        self._symbol = _symbols_of_bytes()
        # The published list of bytes starts with those that are visible characters themselves.
        letters = sorted(self._symbol.values(), key=lambda symbol: (ord(symbol) > 255, ord(symbol)))
        words = [*letters, *(letter + _END_OF_WORD for letter in letters), *map("".join, pairs)]
        self._id = {word: number for number, word in enumerate(words)}
        self.start, self.end = len(words), len(words) + 1

    @property
    def size(self) -> int:
        """How many ids there are: rows of the embedding that they index."""
        return self.end + 1

    def encode(self, phrase: str) -> list[int]:
        """Return the ids of a phrase, between the marks of start and end.

        Args:
            phrase: any text; case and repeated spaces do not matter.

        Raises:
            InputError: there is nothing to encode, or too much.
        """
        ids = [self._id[part] for word in split_words(phrase) for part in self._parts(word)]
        if not ids:
            raise InputError(f"phrase {phrase!r} is empty; describe the object in words")
        if len(ids) > LONGEST - 2:
            raise InputError(
                f"phrase {phrase[:40]!r}... is {len(ids)} tokens long, at most {LONGEST - 2} can "
                "be read; shorten it"
            )
        return [self.start, *ids, self.end]

    def _parts(self, word: str) -> list[str]:
        """Return a word's symbols after joining every pair that is in the list."""
        parts = [self._symbol[byte] for byte in word.encode()]
        parts[-1] += _END_OF_WORD
        never = len(self._rank)
        while len(parts) > 1:
            pairs = list(itertools.pairwise(parts))
            best = min(pairs, key=lambda pair: self._rank.get(pair, never))
            if best not in self._rank:
                break
            parts = _joined(parts, best)
        return parts


def _joined(parts: list[str], pair: tuple[str, str]) -> list[str]:
    """Return `parts` with every `pair` as one, from left to right."""
    joined = []
    at = 0
    while at < len(parts):
        if tuple(parts[at : at + 2]) == pair:
            joined.append("".join(pair))
            at += 2
        else:
            joined.append(parts[at])
            at += 1
    return joined


def split_words(phrase: str) -> list[str]:
    """Return the words of a phrase in lower case: runs of letters, digits, or other signs.

    Every digit is a word; so is the ending after an apostrophe.
    """
    text = unicodedata.normalize("NFC", phrase).lower()
    words: list[str] = []
    start = 0
    while start < len(text):
        ending = next((e for e in _ENDINGS if text.startswith(e, start)), None)
        kind = _kind(text[start])
        stop = start + 1
        if ending is not None:
            stop = start + len(ending)
        elif kind != "digit":
            while stop < len(text) and _kind(text[stop]) == kind:
                stop += 1
        if kind != "space":
            words.append(text[start:stop])
        start = stop
    return words


def _kind(character: str) -> str:
    if character.isspace():
        return "space"
    return {"L": "letter", "N": "digit"}.get(unicodedata.category(character)[0], "other")


def _symbols_of_bytes() -> dict[int, str]:
    """Return a visible character for each byte, as the published list of merges writes them.

    A byte that is a visible character of Latin-1 stands for itself; the others are numbered from
    256 on, so that no symbol is a space.
    """
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {
        byte: chr(256 + number) for number, byte in enumerate(hidden)
    }
