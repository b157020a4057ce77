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
    ("given", "told"),
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
            outcome("untouched", skipped="done", kept_by="skip"),
            "skipped, done before: nothing found, not written",
        ),
        (
            outcome("untouched", skipped="done", kept_by="copy"),
            "skipped, out/a.jpg was done before",
        ),
        (
            outcome("would-remove", *map(found, ("cow", "sheep", "dog"), (0.9, 0.8, 0.7))),
            "would remove 1 cow (0.90), 1 sheep (0.80) and 1 dog (0.70)",
        ),
        (
            outcome("removed", found("dog", 0.9), found("cat", 0.3, chosen=False), mask_area_px=20),
            "removed 1 dog (0.90), 0.1 % of the photo, 1.3 s; kept 1 cat (0.30)",
        ),
        (outcome("removed", mask_area_px=8000), "filled the mask, 40.0 % of the photo, 1.3 s"),
        (outcome("would-remove"), "would fill the mask"),
        (outcome("would-copy", notes=("the mask is empty",)), "the mask is empty, would be copied"),
        (outcome("failed", error="a.jpg: broken; mend it"), "failed: broken; mend it"),
        (outcome("failed", error="m.png: broken; mend it"), "failed: m.png: broken; mend it"),
    ],
)
def test_a_photo_in_one_line(given, told):
    assert describe_photo(given) == f"a.jpg: {told}"


def test_a_cause_leads_with_the_photo_and_names_the_file_at_fault():
    assert cause_of(outcome("failed", error="a.jpg: broken; mend it")) == "a.jpg: broken; mend it"
    assert cause_of(outcome("failed", error="m.png: no; x")) == "a.jpg: m.png: no; x"


@pytest.mark.parametrize(
    ("count", "noun", "told"),
    [(1, "bus", "1 bus"), (2, "bus", "2 buses"), (2, "sheep", "2 sheep"), (0, "car", "0 cars")],
)
def test_counting(count, noun, told):
    assert count_of(count, noun) == told
