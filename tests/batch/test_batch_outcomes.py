"""What became of a photo, packed for the journal and unpacked again."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.batch.planning.photo_list import PlannedPhoto
from cleanplate.batch.records.html_page import Thumbnails
from cleanplate.batch.records.results import (
    FoundObject,
    PhotoResult,
    parse_result,
    serialize_result,
)

PHOTO = PlannedPhoto(Path("in/a.png"), Path("out/a.png"), Path("a.png"))
RAW = PlannedPhoto(Path("in/a.nef"), Path("out/a.tif"), Path("a.nef"), copy=Path("out/a.nef"))
WHOLE = st.integers(0, 1 << 40)
FOUND = st.builds(
    FoundObject,
    id=WHOLE,
    label=st.text(),
    score=st.floats(0, 1),
    box_xyxy=st.tuples(WHOLE, WHOLE, WHOLE, WHOLE),
    area_px=WHOLE,
    chosen=st.booleans(),
    reason=st.text(),
)


@given(
    found=st.lists(FOUND, max_size=3).map(tuple),
    notes=st.lists(st.text(), max_size=3).map(tuple),
    size_hw=st.none() | st.tuples(WHOLE, WHOLE),
    thumbnails=st.none() | st.builds(Thumbnails, st.binary(), st.none() | st.binary()),
)
def test_it_comes_back_as_it_was(found, notes, size_hw, thumbnails):
    outcome = PhotoResult(
        status="removed",
        source=PHOTO.source,
        target=PHOTO.target,
        size_hw=size_hw,
        found=found,
        remaining=found[:1],
        refills=1,
        mask_area_px=12,
        timings_s={"fill": 0.5, "total": 1.0},
        notes=notes,
        thumbnails=thumbnails,
    )
    assert parse_result(serialize_result(outcome), PHOTO) == outcome


def test_paths_are_those_of_today():
    moved = replace(PHOTO, source=Path("elsewhere/a.png"))
    outcome = PhotoResult(status="removed", source=PHOTO.source, target=PHOTO.target)
    assert parse_result(serialize_result(outcome), moved).source == moved.source
    copied = PhotoResult(status="untouched", source=RAW.source, target=RAW.copy, kept_by="copy")
    assert parse_result(serialize_result(copied), RAW).target == RAW.copy


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"status": "removed"}'])
def test_what_is_none_is_refused(text):
    with pytest.raises((KeyError, TypeError, ValueError)):
        parse_result(text, PHOTO)
