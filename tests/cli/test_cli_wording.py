from pathlib import Path

import pytest

from cleanplate.batch.records.results import FoundObject, PhotoResult
from cleanplate.cli.messages import cause_of, count_of, describe_photo


def outcome(status, *found, **more):
    return PhotoResult(
        status=status,
        source=Path("a.jpg"),
        target=Path("out/a.jpg"),
        size_hw=(100, 200),
        found=found,
        timings_s={"total": 1.26},
        **more,
    )


def found(label, score, *, chosen=True):
    return FoundObject(1, label, score, (0, 0, 1, 1), 1, chosen)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            outcome("removed", found("person", 0.91), found("person", 0.5), mask_area_px=840),
            "removed 2 people (0.91, 0.50), 4.2 % of the photo, 1.3 s",
        ),
        (
            outcome("removed", *map(found, ("bus", "cat", "bus"), (0.9, 0.8, 0.7)), mask_area_px=1),
            "removed 2 buses (0.90, 0.70) and 1 cat (0.80), under 0.1 % of the photo, 1.3 s",
        ),
        (
            outcome("removed", found("dog", 0.9), found("cat", 0.3, chosen=False), mask_area_px=20),
            "removed 1 dog (0.90), 0.1 % of the photo, 1.3 s; kept 1 cat (0.30)",
        ),
        (outcome("removed", mask_area_px=8000), "filled the mask, 40.0 % of the photo, 1.3 s"),
        (outcome("would-remove"), "would fill the mask"),
        (outcome("would-copy", notes=("the mask is empty",)), "the mask is empty, would be copied"),
        (outcome("failed", error="a.jpg: cause; advice"), "failed: cause; advice"),
        (outcome("failed", error="m.png: cause; advice"), "failed: m.png: cause; advice"),
    ],
)
def test_a_photo_in_one_line(given, line):
    """Scripts read these lines, which the docs show: their format is pinned here."""
    assert describe_photo(given) == f"a.jpg: {line}"


@pytest.mark.parametrize("kept_by", ["skip", "copy"])
def test_a_skipped_photo_says_so(kept_by):
    line = describe_photo(outcome("untouched", skipped="done", kept_by=kept_by))
    assert line.startswith("a.jpg: skipped, ")
    assert "done before" in line


def test_a_cause_leads_with_the_photo_and_names_the_file_at_fault():
    assert cause_of(outcome("failed", error="a.jpg: cause; advice")) == "a.jpg: cause; advice"
    assert cause_of(outcome("failed", error="m.png: cause; x")) == "a.jpg: m.png: cause; x"


@pytest.mark.parametrize(
    ("count", "noun", "message"),
    [(1, "bus", "1 bus"), (2, "bus", "2 buses"), (2, "sheep", "2 sheep"), (0, "car", "0 cars")],
)
def test_counting(count, noun, message):
    assert count_of(count, noun) == message
