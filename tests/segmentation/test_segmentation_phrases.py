"""Byte-pair encoding, with lists of merges made by hand."""

import numpy as np
import pytest

from cleanplate.errors import InputError, WeightsError
from cleanplate.segmentation.models.clip_text import LONGEST, PhraseEncoder, split_words

MERGES = b"#version: 0.2\nr e\nre d</w>\nc a\nca r</w>\ni n\nin g</w>\nt h\nth e</w>\ne d</w>\n"
FIRST = 512  # ids of single bytes stand before those of merges


@pytest.fixture(scope="module")
def encoder():
    return PhraseEncoder(MERGES)


def test_pairs_are_joined_in_the_order_of_the_list(encoder):
    # "red": r e is before e d</w>, then re d</w>
    assert encoder.encode("red") == [encoder.start, FIRST + 1, encoder.end]
    assert encoder.encode("red car") == [encoder.start, FIRST + 1, FIRST + 3, encoder.end]
    # "bed": only e d</w> is in the list; b is the byte 0x62, the 66th visible one
    assert encoder.encode("bed") == [encoder.start, 0x62 - 0x21, FIRST + 8, encoder.end]


def test_start_and_end_come_after_everything_else(encoder):
    assert (encoder.start, encoder.end, encoder.size) == (FIRST + 9, FIRST + 10, FIRST + 11)


@pytest.mark.parametrize("other", ["RED CAR", "  red \t car\n", "Red car"])
def test_case_and_spaces_do_not_matter(encoder, other):
    assert encoder.encode(other) == encoder.encode("red car")


def test_a_sign_at_the_end_of_a_word_is_not_the_sign_inside_it(encoder):
    inside, end = encoder.encode("xz")[1:-1]
    assert end - inside == ord("z") - ord("x") + 256


def test_every_byte_of_other_scripts_has_an_id(encoder):
    ids = encoder.encode("汽车 🚗 é")
    assert len(ids) == 2 + 6 + 4 + 2
    assert max(ids) == encoder.end


@pytest.mark.parametrize(
    ("phrase", "words"),
    [
        ("the dog's bone", ["the", "dog", "'s", "bone"]),
        ("it'll", ["it", "'ll"]),
        ("3 people in 2024", ["3", "people", "in", "2", "0", "2", "4"]),
        ("red-brown!?", ["red", "-", "brown", "!?"]),
        ("cafe\u0301", ["caf\u00e9"]),
        ("a_b", ["a", "_", "b"]),
        ("", []),
    ],
)
def test_words_are_runs_of_letters_of_other_signs_and_single_digits(phrase, words):
    assert split_words(phrase) == words


@pytest.mark.parametrize("phrase", ["", "   ", "\n\t"])
def test_an_empty_phrase_is_refused(encoder, phrase):
    with pytest.raises(InputError, match=r"is empty; describe"):
        encoder.encode(phrase)


def test_a_phrase_that_is_too_long_tells_how_long_it_is(encoder):
    assert len(encoder.encode("car " * (LONGEST - 2))) == LONGEST
    with pytest.raises(InputError, match=r"phrase 'car car .*'\.\.\. is 76 tokens long, at most"):
        encoder.encode("car " * (LONGEST - 1))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "a line that is not a pair"),
        (b"#version: 0.2\n", "a line that is not a pair"),
        (b"a b\na b c\n", "a line that is not a pair"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
    ],
)
def test_other_files_are_refused(content, match):
    with pytest.raises(WeightsError, match=match):
        PhraseEncoder(content)


@pytest.mark.slow  # loads transformers
def test_ids_are_those_of_transformers_tokenizer(encoder):
    tokenizers = pytest.importorskip("transformers")
    words = sorted(encoder._id, key=encoder._id.__getitem__)
    marks = {"<|startoftext|>": encoder.start, "<|endoftext|>": encoder.end}
    tokenizer = tokenizers.CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)} | marks,
        merges=[tuple(line.split()) for line in MERGES.decode().splitlines()[1:]],
    )
    rng = np.random.default_rng(0)
    signs = list("rdcaingtheRED '\u2019s019½éü汽🚗.,!-_\t\u0301")
    phrases = ["red car", "It's the red-ed thing", "naïve"]
    phrases += ["".join(rng.choice(signs, rng.integers(1, 30))) + "x" for _ in range(300)]
    for phrase in phrases:
        assert encoder.encode(phrase) == tokenizer(phrase)["input_ids"], phrase
