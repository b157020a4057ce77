"""Exceptions: which is which, and what they say."""

import pickle

import pytest

from cleanplate import errors
from cleanplate.errors import PhotoError, ShapeMismatchError, UnknownNameError


@pytest.mark.parametrize(
    ("name", "parents"),
    [
        ("InputError", (errors.CleanplateError, ValueError)),
        ("ShapeMismatchError", (errors.InputError,)),
        ("UnknownNameError", (errors.InputError,)),
        ("DeviceError", (errors.InputError,)),
        ("LicenceError", (errors.InputError,)),
        ("PhotoError", (errors.CleanplateError, OSError)),
        ("MissingExtraError", (errors.CleanplateError, ImportError)),
        ("MissingRuntimeError", (errors.CleanplateError, ImportError)),
        ("WeightsError", (errors.CleanplateError, RuntimeError)),
        ("ChecksumError", (errors.WeightsError,)),
    ],
)
def test_can_be_caught_as(name, parents):
    for parent in parents:
        assert issubclass(getattr(errors, name), parent)


def test_a_photos_error_is_not_the_callers():
    for name in ("PhotoError", "MissingRuntimeError", "WeightsError"):
        assert not issubclass(getattr(errors, name), errors.InputError)


def test_shape_mismatch_states_both_sizes():
    error = ShapeMismatchError((4, 6), (5, 6))
    assert "(4, 6)" in str(error)
    assert "(5, 6)" in str(error)
    assert (error.image_hw, error.mask_hw) == ((4, 6), (5, 6))


def test_shape_mismatch_sees_a_transposed_mask():
    assert "transposed" in str(ShapeMismatchError((4, 6), (6, 4)))
    assert "transposed" not in str(ShapeMismatchError((4, 6), (4, 7)))


def test_unknown_name_lists_the_known_ones_sorted_and_the_nearest():
    error = UnknownNameError("label", "persn", ["person", "dog"])
    assert "known: dog, person. Did you mean 'person'?" in str(error)
    assert (error.kind, error.name, error.known) == ("label", "persn", ["dog", "person"])


def test_unknown_name_suggests_nothing_far_fetched():
    assert "mean" not in str(UnknownNameError("label", "xyz", ["dog"]))


def test_unknown_name_may_suggest_what_it_does_not_list():
    message = str(UnknownNameError("label", "kittn", ["cat"], also=["kitten"]))
    assert "known: cat. Did you mean 'kitten'?" in message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("persn", ". Did you mean 'person'?"),
        ("red car", ". Did you mean 'car'? Take another"),
        ("unicorn", ". Take another"),
    ],
)
def test_what_to_do_otherwise_is_reported_unless_it_is_a_misspelling(name, words):
    error = UnknownNameError("label", name, ["car", "person"], otherwise="Take another")
    assert str(error).endswith(f"known: car, person{words}")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_photo_error_names_file_cause_and_advice(tmp_path):
    error = PhotoError(tmp_path / "a.jpg", "the file is empty", "take another one")
    assert str(error) == f"{tmp_path / 'a.jpg'}: the file is empty; take another one"
    assert error.path == str(tmp_path / "a.jpg")
    assert (error.cause, error.advice) == ("the file is empty", "take another one")


def test_messages_are_one_line(tmp_path):
    for error in (
        ShapeMismatchError((4, 6), (6, 4)),
        UnknownNameError("label", "persn", ["person", "dog"]),
        PhotoError(tmp_path, "broken", "mend it"),
    ):
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "error",
    [
        PhotoError("a.jpg", "cut off", "get another copy"),
        UnknownNameError("label", "persn", ["dog"], also=["person"]),
        ShapeMismatchError((2, 3), (3, 2)),
    ],
)
def test_errors_pass_between_processes(error):
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
