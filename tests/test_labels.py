"""Words that users write, and the labels they mean."""

import pytest

from cleanplate.errors import InputError, UnknownNameError
from cleanplate.labels import (
    COCO_LABELS,
    VOC_LABELS,
    aliases_of,
    label_id,
    label_ids,
    resolve_labels,
)
from cleanplate.labels.words import GROUPS

ALIASES = {word: label for label in VOC_LABELS for word in aliases_of(label)}


def test_a_label_means_itself():
    for label in VOC_LABELS:
        assert resolve_labels([label]) == (label,)
        assert resolve_labels([label], known=("dragon", label)) == (label,)


def test_every_alias_means_its_label():
    for word, label in ALIASES.items():
        assert label in VOC_LABELS
        assert resolve_labels([word]) == (label,)


def test_no_alias_is_a_label_or_listed_twice():
    assert not set(ALIASES) & set(VOC_LABELS)
    assert len(ALIASES) > 80
    words = [word.replace(" ", "") for group in GROUPS for word in group]
    once = [word for group in GROUPS for word in {w.replace(" ", "") for w in group}]
    assert sorted(once) == sorted(set(words)), "a word stands in two groups"


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("people", "person"), ("persons", "person"), ("man", "person"), ("women", "person"),
        ("kids", "person"), ("babies", "person"), ("ladies", "person"), ("passersby", "person"),
        ("bikes", "bicycle"), ("bicycles", "bicycle"), ("planes", "aeroplane"),
        ("couches", "sofa"), ("sofas", "sofa"), ("buses", "bus"), ("bus", "bus"),
        ("coaches", "bus"), ("tv", "tvmonitor"), ("TVs", "tvmonitor"),
        ("tv/monitor", "tvmonitor"), ("screens", "tvmonitor"),
        ("plants", "pottedplant"), ("potted plants", "pottedplant"), ("tables", "diningtable"),
        ("dining-tables", "diningtable"), ("ships", "boat"), ("ferries", "boat"),
        ("puppies", "dog"), ("ponies", "horse"), ("geese", "bird"), ("sheep", "sheep"),
        ("calves", "cow"), ("taxis", "car"), ("motorcycles", "motorbike"),
    ],
)  # fmt: skip
def test_everyday_words_and_plurals(word, label):
    assert resolve_labels([word]) == (label,)


def test_ids_are_the_published_ones():
    for number in range(1, 21):
        (label,) = resolve_labels([str(number)])
        assert label == VOC_LABELS[number - 1]
        assert label_id(label) == number


def test_known_ids():
    assert resolve_labels(["3,15"]) == ("bird", "person")
    assert resolve_labels(["1", "20"]) == ("aeroplane", "tvmonitor")
    assert label_id("dragon") is None


@pytest.mark.parametrize("number", ["21", "100"])
def test_other_numbers_are_unknown(number):
    with pytest.raises(UnknownNameError, match=f"unknown label '{number}'"):
        resolve_labels([number])


@pytest.mark.parametrize("word", ["1-5", "-3", "1 5", "1_5"])
def test_a_range_or_sign_is_no_id(word):
    with pytest.raises(UnknownNameError, match=f"unknown label '{word}'"):
        resolve_labels([word])


@pytest.mark.parametrize("word", ["all", "ALL", " All "])
def test_all_is_every_known_label(word):
    assert resolve_labels([word]) == VOC_LABELS
    assert resolve_labels(["cat", word], known=("cat", "dragon")) == ("cat", "dragon")


@pytest.mark.parametrize("word", ["0", "background", "Back-Ground", "person,0"])
def test_the_background_is_refused(word):
    with pytest.raises(InputError, match="is the background, which cannot be removed"):
        resolve_labels([word])


@pytest.mark.parametrize("names", [[], [""], [" , ,"], [",", ""]])
def test_no_label_at_all_is_refused(names):
    with pytest.raises(InputError, match="no label given; name what to remove"):
        resolve_labels(names)


@pytest.mark.parametrize(
    "word", ["potted plant", "Potted-Plant", "POTTED_PLANT", "\tpottedplant ", "pot ted plant"]
)
def test_case_spaces_hyphens_and_underscores_do_not_matter(word):
    assert resolve_labels([word]) == ("pottedplant",)


def test_lists_are_split_at_commas_and_come_in_the_order_known_each_once():
    assert resolve_labels(["person, car", "cats,man", "7"]) == ("car", "cat", "person")
    assert resolve_labels(["person,car"], known=("person", "dog", "car")) == ("person", "car")


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [("persn", "person"), ("Persn", "person"), ("bycicle", "bicycle"), ("kittn", "kitten")],
)
def test_an_unknown_word_brings_the_known_ones_and_the_nearest(word, suggestion):
    match = rf"unknown label '{word}'; known: aeroplane, .*tvmonitor\. Did you mean '{suggestion}'"
    with pytest.raises(UnknownNameError, match=match):
        resolve_labels(["car", word])


def test_only_what_the_segmenter_knows_is_found_or_suggested():
    with pytest.raises(UnknownNameError, match=r"unknown label 'kitten'; known: dog, dragon$"):
        resolve_labels(["kitten"], known=("dragon", "dog"))
    with pytest.raises(UnknownNameError, match="unknown label '15'; known: dog, dragon"):
        resolve_labels(["15"], known=("dragon", "dog"))


def test_labels_outside_voc_have_plurals_too():
    known = ("fire hydrant", "toothbrush")
    assert resolve_labels(["Fire-hydrants", "toothbrushes"], known=known) == known


def test_aliases_are_given_in_the_order_listed():
    assert aliases_of("cat") == ("kitten", "kitty")
    assert aliases_of("bottle") == ()


# --- other label sets


def test_coco_has_eighty_labels_with_their_published_ids():
    assert len(COCO_LABELS) == len(set(COCO_LABELS)) == 80
    ids = label_ids(COCO_LABELS)
    assert (ids["person"], ids["stop sign"], ids["backpack"], ids["toothbrush"]) == (1, 13, 27, 90)
    assert (ids["wine glass"], ids["bed"], ids["toilet"], ids["tv"], ids["book"]) == (
        46, 65, 70, 72, 84,
    )  # fmt: skip
    assert list(ids) == list(COCO_LABELS)


def test_a_coco_label_and_its_id_mean_itself():
    for label in COCO_LABELS:
        assert resolve_labels([label], COCO_LABELS) == (label,)
        assert resolve_labels([str(label_id(label, COCO_LABELS))], COCO_LABELS) == (label,)


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("aeroplane", "airplane"), ("sofas", "couch"), ("tvmonitor", "tv"), ("people", "person"),
        ("motorbikes", "motorcycle"), ("diningtable", "dining table"), ("lorries", "truck"),
        ("phone", "cell phone"), ("doughnuts", "donut"), ("plants", "potted plant"),
        ("ferries", "boat"), ("purse", "handbag"),
    ],
)  # fmt: skip
def test_words_mean_the_label_of_the_set_at_hand(word, label):
    assert resolve_labels([word], COCO_LABELS) == (label,)


@pytest.mark.parametrize("number", ["0", "12", "91", "30"])
def test_ids_that_coco_leaves_out_are_no_labels(number):
    with pytest.raises(InputError, match=r"unknown label|is the background"):
        resolve_labels([number], COCO_LABELS)


def test_a_label_that_the_set_has_is_no_alias_of_another():
    known = ("chair", "armchair", "table", "desk")
    assert resolve_labels(["armchairs"], known) == ("armchair",)
    assert resolve_labels(["stools", "dining table"], known) == ("chair", "table")
    assert aliases_of("chair", known) == ("stool", "seat")


# --- any words


def test_without_known_labels_words_are_labels_themselves():
    names = ["Red  Car, traffic cone", "red car", "3"]
    assert resolve_labels(names, ()) == ("red car", "traffic cone", "3")


def test_all_of_any_words_is_refused():
    with pytest.raises(InputError, match="has no 'all'"):
        resolve_labels(["all"], ())
