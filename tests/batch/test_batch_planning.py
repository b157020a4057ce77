"""What a run would read and write; nothing is opened here, so empty files will do."""

import os
from pathlib import Path

import pytest

from cleanplate.batch.planning.photo_list import mask_name, plan_photos
from cleanplate.errors import InputError


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def pairs(plan):
    return [(photo.source.as_posix(), photo.target.as_posix()) for photo in plan.photos]


def plan(*inputs, output="out", **options):
    paths = {key: Path(value) for key, value in options.items() if isinstance(value, str)}
    return plan_photos([Path(name) for name in inputs], Path(output), **{**options, **paths})


def test_a_file_goes_to_the_output_folder_itself(touch):
    touch("in/sub/a.jpg")
    assert pairs(plan("in/sub/a.jpg")) == [("in/sub/a.jpg", "out/a.jpg")]


def test_a_named_file_is_tried_whatever_its_suffix(touch):
    touch("in/a.dat", "in/b")
    assert pairs(plan("in/a.dat", "in/b")) == [("in/a.dat", "out/a.dat"), ("in/b", "out/b")]


def test_a_list_gives_the_files_and_folders_that_it_names(touch):
    touch("in/a.jpg", "in/b.jpg", "more/c.jpg", "@d.jpg")
    Path("list.txt").write_text("in/b.jpg\n\nmore\n@d.jpg\n")
    expected = [("in/b.jpg", "out/b.jpg"), ("more/c.jpg", "out/c.jpg"), ("@d.jpg", "out/@d.jpg")]
    assert pairs(plan("@list.txt")) == expected
    assert pairs(plan("@d.jpg")) == expected[2:]
    with pytest.raises(InputError, match=r"none\.txt: no such list"):
        plan("@none.txt")


def test_a_folder_gives_its_direct_photos_in_order_and_counts_the_rest(touch):
    touch("in/b.JPG", "in/a.png", "in/notes.txt", "in/.hidden.jpg", "in/sub/c.jpg")
    found = plan("in")
    assert pairs(found) == [("in/a.png", "out/a.png"), ("in/b.JPG", "out/b.JPG")]
    assert found.ignored == 2


def test_sub_folders_are_mirrored(touch):
    touch("in/z.jpg", "in/sub/deep/a.jpg", "in/sub/b.webp", "in/.thumbnails/c.jpg")
    assert pairs(plan("in", recursive=True)) == [
        ("in/z.jpg", "out/z.jpg"),
        ("in/sub/b.webp", "out/sub/b.webp"),
        ("in/sub/deep/a.jpg", "out/sub/deep/a.jpg"),
    ]


def test_folders_of_thumbnails_and_deleted_photos_are_ignored_and_counted(touch):
    touch("in/a.jpg", "in/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "in/#recycle/b.jpg")
    touch("in/sub/@eaDir/c.jpg/THUMB.jpg", "in/.thumbnails/d.jpg")
    found = plan("in", recursive=True)
    assert pairs(found) == [("in/a.jpg", "out/a.jpg")]
    (note,) = found.notes
    assert note.startswith("4 folders")
    assert "#recycle, .thumbnails, @eaDir" in note
    assert plan("in").notes == ()  # not entered anyway
    named = plan("in/#recycle", recursive=True)
    assert pairs(named) == [("in/#recycle/b.jpg", "out/b.jpg")]


def test_several_folders_count_from_each(touch):
    touch("one/x/a.jpg", "two/b.jpg")
    found = plan("two", "one", recursive=True)
    assert pairs(found) == [("two/b.jpg", "out/b.jpg"), ("one/x/a.jpg", "out/x/a.jpg")]


@pytest.mark.parametrize(
    ("pattern", "targets"),
    [
        ("in/*.jpg", ["out/a.jpg", "out/b.jpg"]),
        ("in/[b-z].jpg", ["out/b.jpg"]),
        ("in/**/*.jpg", ["out/a.jpg", "out/b.jpg", "out/sub/a.jpg", "out/sub/deep/c.jpg"]),
        ("in/sub/**", ["out/a.jpg", "out/deep/c.jpg"]),
        ("in/*/?.jpg", ["out/sub/a.jpg"]),
        ("i*/sub", ["out/in/sub/a.jpg"]),
        ("*/a.jpg", ["out/in/a.jpg"]),
    ],
)
def test_a_pattern_counts_from_the_folder_before_its_first_wildcard(touch, pattern, targets):
    touch("in/a.jpg", "in/b.jpg", "in/c.txt", "in/sub/a.jpg", "in/sub/deep/c.jpg")
    assert [target for _, target in pairs(plan(pattern))] == targets


def test_a_folder_that_a_pattern_matches_is_taken_whole_with_recursive(touch):
    touch("in/a.jpg", "in/sub/a.jpg", "in/sub/deep/c.jpg", "out2/b.jpg")
    found = plan("in/s*", recursive=True)
    assert [target for _, target in pairs(found)] == ["out/sub/a.jpg", "out/sub/deep/c.jpg"]


def test_a_folder_called_like_a_pattern_is_that_folder(touch):
    touch("in [1]/a.jpg", "in [1]/sub/b.jpg", "in 1/c.jpg")
    assert pairs(plan("in [1]/*.jpg")) == [("in [1]/a.jpg", "out/a.jpg")]
    assert pairs(plan("in [1]/**/b.jpg")) == [("in [1]/sub/b.jpg", "out/sub/b.jpg")]
    with pytest.raises(InputError, match=r"in \[1\]/b\.jpg: no such file or folder"):
        plan("in [1]/b.jpg")


def test_a_file_called_like_a_pattern_is_that_file(touch):
    touch("in/a[1].jpg", "in/a1.jpg")
    assert pairs(plan("in/a[1].jpg")) == [("in/a[1].jpg", "out/a[1].jpg")]


def test_a_photo_named_twice_is_done_once(touch):
    touch("in/a.jpg", "in/b.jpg")
    found = plan("in", "in/a.jpg", "in/../in/b.jpg", "in/*.jpg")
    assert pairs(found) == [("in/a.jpg", "out/a.jpg"), ("in/b.jpg", "out/b.jpg")]


def test_two_inputs_for_one_output_are_refused_and_both_named(touch):
    touch("one/a.jpg", "two/a.jpg")
    with pytest.raises(InputError, match=r"one/a\.jpg and two/a\.jpg .* to out/a\.jpg"):
        plan("one", "two")


@pytest.mark.parametrize("name", ["in", "in/", "in/../in", "link"])
def test_the_output_cannot_be_an_input_folder(touch, name):
    touch("in/a.jpg")
    Path("link").symlink_to("in")
    with pytest.raises(InputError, match="in: is an input and also --output"):
        plan("in", output=name)


@pytest.mark.parametrize("option", ["masks", "own_masks", "edges", "intermediate"])
def test_a_folder_of_masks_cannot_be_an_input_folder(touch, option):
    touch("in/a.jpg")
    with pytest.raises(
        InputError, match=r"in: is an input and also --(masks?|edges|save-intermediate)"
    ):
        plan("in", **{option: "in"})


@pytest.mark.parametrize("name", ["in/a.jpg", "in/*.jpg"])
def test_an_input_is_never_its_own_output(touch, name):
    touch("in/a.jpg")
    with pytest.raises(InputError, match=r"in/a\.jpg: .*its own output"):
        plan(name, output="in")


def test_no_input_is_the_output_of_another(touch):
    touch("in/sub/a.jpg", "out/sub/a.jpg")
    with pytest.raises(InputError, match=r"out/sub/a\.jpg: would .* output of in/sub/a\.jpg"):
        plan("in", "out/sub", recursive=True)


def test_an_input_under_another_name_of_the_same_folder_is_not_overwritten(touch):
    touch("in/a.jpg", "in/sub/b.jpg")
    os.link("in/a.jpg", "in/b.jpg")  # as a.jpg and A.JPG are where case is ignored
    with pytest.raises(InputError, match="overwritten by the output of in/sub/b"):
        plan("in/sub/b.jpg", "in/a.jpg", output="in")


def test_a_hard_link_to_the_input_is_an_output_like_any_other(touch):
    touch("in/a.jpg", "out/placeholder")
    os.link("in/a.jpg", "out/a.jpg")
    assert pairs(plan("in")) == [("in/a.jpg", "out/a.jpg")]


def test_folders_of_the_run_inside_an_input_are_left_out_and_said(touch):
    touch("in/a.jpg", "in/out/a.jpg", "in/masks/a.png", "in/own/a.png", "in/sub/b.jpg")
    found = plan("in", output="in/out", masks="in/masks", own_masks="in/own", recursive=True)
    assert pairs(found) == [("in/a.jpg", "in/out/a.jpg"), ("in/sub/b.jpg", "in/out/sub/b.jpg")]
    assert found.notes == tuple(
        f"in/{name}: used by this run itself, excluded from the inputs"
        for name in ("masks", "out", "own")
    )


def test_an_input_inside_the_output_is_fine(touch):
    touch("all/in/a.jpg")
    assert pairs(plan("all/in", output="all")) == [("all/in/a.jpg", "all/a.jpg")]


@pytest.mark.parametrize(("option", "word"), [("output", "--output"), ("masks", "--masks")])
def test_a_file_is_no_folder_for_results(touch, option, word):
    touch("in/a.jpg", "file")
    with pytest.raises(InputError, match=f"file: is a file; {word} takes a folder"):
        plan("in", **{"output": "out", option: "file"})


def test_missing_inputs_and_masks_are_named(touch):
    touch("in/a.jpg")
    with pytest.raises(InputError, match=r"in/b\.jpg: no such file or folder"):
        plan("in/a.jpg", "in/b.jpg")
    with pytest.raises(InputError, match=r"in/\*\.png: no photo matches this pattern"):
        plan("in/*.png")
    with pytest.raises(InputError, match=r"no/\*\.png: no photo matches this pattern"):
        plan("no/*.png")
    with pytest.raises(InputError, match="none: no such file or folder; --mask takes"):
        plan("in", own_masks="none")


def test_no_photo_at_all_is_an_error_that_knows_of_sub_folders(touch):
    touch("in/a.txt", "in/sub/deep/a.jpg", "empty/b.txt")
    with pytest.raises(InputError, match=r"in: no photos here \(1 file .*add -r"):
        plan("in")
    with pytest.raises(InputError, match="empty: no photos found"):
        plan("empty", recursive=True)


def test_a_pipe_is_not_read(touch):
    touch("in/b.jpg")
    os.mkfifo("in/a.jpg")
    assert pairs(plan("in")) == [("in/b.jpg", "out/b.jpg")]
    with pytest.raises(InputError, match=r"in/a\.jpg: is neither a file nor a folder"):
        plan("in/a.jpg")


def test_links_to_folders_are_said_and_not_followed(touch):
    touch("in/a.jpg", "in/sub/b.jpg", "else/c.jpg")
    Path("in/sub/loop").symlink_to("..", target_is_directory=True)
    Path("in/more").symlink_to("../else", target_is_directory=True)
    for found in (plan("in", recursive=True), plan("in/**/*.jpg")):
        assert pairs(found) == [("in/a.jpg", "out/a.jpg"), ("in/sub/b.jpg", "out/sub/b.jpg")]
        assert found.notes == (
            "in/more: a link to a folder, not followed; name it as an input to include it",
            "in/sub/loop: a link to a folder, not followed; name it as an input to include it",
        )
    assert pairs(plan("in/more")) == [("in/more/c.jpg", "out/c.jpg")]


def test_links_to_photos_are_photos_and_broken_ones_are_tried(touch):
    touch("in/a.jpg")
    Path("in/b.jpg").symlink_to("a.jpg")
    Path("in/c.jpg").symlink_to("nowhere.jpg")
    Path("in/d.jpg").symlink_to("d.jpg")
    names = [photo.source.name for photo in plan("in").photos]
    assert names == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


def test_an_unreadable_folder_is_one_failure_and_not_the_end(touch, monkeypatch):
    touch("in/a.jpg", "in/locked/b.jpg", "in/open/c.jpg")
    scandir = os.scandir

    def locked(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    found = plan("in", recursive=True)
    assert [source for source, _ in pairs(found)] == ["in/a.jpg", "in/open/c.jpg"]
    assert [(folder.source, folder.cause) for folder in found.unreadable] == [
        (Path("in/locked"), "Permission denied")
    ]


def test_names_that_are_no_text_are_planned(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    with open(os.fsencode(folder) + b"/\xff.jpg", "wb"):  # noqa: PTH123 - bytes are the point
        pass
    assert pairs(plan("in")) == [("in/\udcff.jpg", "out/\udcff.jpg")]


def test_masks_take_the_whole_name_where_stems_are_shared(touch):
    touch("in/a.jpg", "in/a.png", "in/b.jpg", "in/sub/a.jpg")
    names = {
        photo.relative.as_posix(): mask_name(photo).as_posix()
        for photo in plan("in", recursive=True, masks="masks").photos
    }
    assert names == {
        "a.jpg": "a.jpg.png",
        "a.png": "a.png.png",
        "b.jpg": "b.png",
        "sub/a.jpg": "sub/a.png",
    }


def test_neither_masks_nor_report_may_meet_other_files(touch):
    touch("in/a.jpg", "in/b.png", "in/masks/a.png", "lists/report.jsonl")
    with pytest.raises(InputError, match=r"out/masks/a\.png: the mask would overwrite"):
        plan("in", masks="out/masks", recursive=True)
    with pytest.raises(InputError, match=r"in/a\.jpg: the report .* input"):
        plan("in", report="in/a.jpg")
    with pytest.raises(InputError, match=r"out/a\.jpg: the report .* result of in"):
        plan("in", report="out/a.jpg")
    with pytest.raises(InputError, match="lists: is a folder; --report takes a file"):
        plan("in", report="lists")
    assert len(plan("in", report="lists/report.jsonl").photos) == 2


def test_saved_pictures_never_replace_photos_or_masks(touch):
    touch("in/a.jpg", "in/a_masked.png", "in/sub/b.jpg")
    with pytest.raises(InputError, match=r"in/a_masked\.png: the saved masked picture .* input"):
        plan("in/a.jpg", "in/a_masked.png", intermediate="in")
    with pytest.raises(InputError, match=r"out/a_masked\.png: .* overwrite the result of in/a_m"):
        plan("in", intermediate="out")
    records = "the mask of in/a_masked.png and the saved masked picture of in/a.jpg"
    with pytest.raises(InputError, match=records):
        plan("in", masks="steps", intermediate="steps")
    found = plan("in", recursive=True, edges="in/sub", intermediate="in/steps")
    assert [source for source, _ in pairs(found)] == ["in/a.jpg", "in/a_masked.png"]


def test_two_masks_never_share_a_name(touch):
    touch("in/a.jpg", "in/a.png", "in/a.jpg.png")
    records = (
        r"the mask of in/a\.jpg and the mask of in/a\.jpg\.png would both be written to "
        r"masks/a\.jpg\.png; rename one of them"
    )
    with pytest.raises(InputError, match=records):
        plan("in", masks="masks")


def test_a_mask_and_the_report_never_share_a_name(touch):
    touch("in/a.jpg")
    records = r"the mask of in/a\.jpg and the report would both be written to masks/a\.png; rename"
    with pytest.raises(InputError, match=records):
        plan("in", masks="masks", report="masks/a.png")


def test_a_raw_comes_back_as_a_tiff_and_is_copied_under_its_own_name(touch):
    touch("in/a.nef", "in/b.jpg", "in/c.CR3")
    found = plan("in").photos
    assert [photo.target.as_posix() for photo in found] == ["out/a.tif", "out/b.jpg", "out/c.tif"]
    assert [photo.copy_target.as_posix() for photo in found] == [
        "out/a.nef", "out/b.jpg", "out/c.CR3",
    ]  # fmt: skip
    assert [mask_name(photo).as_posix() for photo in found] == ["a.png", "b.png", "c.png"]
    as_jpeg = plan_photos([Path("in")], Path("out"), raw_output="jpeg").photos
    assert as_jpeg[0].target == Path("out/a.jpg")


@pytest.mark.parametrize(
    ("names", "options", "targets"),
    [
        (["a.nef", "a.tif"], {}, ["a.nef.tif", "a.tif"]),
        (["a.nef", "a.TIF"], {}, ["a.TIF", "a.nef.tif"]),
        (["a.dng", "a.nef"], {}, ["a.dng.tif", "a.nef.tif"]),
        (["a.jpg", "a.nef"], {}, ["a.jpg", "a.tif"]),
        (["a.jpg", "a.nef"], {"raw_output": "jpeg"}, ["a.jpg", "a.nef.jpg"]),
        (["a.nef", "sub/a.tif"], {"recursive": True}, ["a.tif", "sub/a.tif"]),
    ],
)
def test_a_raw_gives_way_to_another_photo_of_its_name(touch, names, options, targets):
    touch(*(f"in/{name}" for name in names))
    found = plan_photos([Path("in")], Path("out"), **options).photos
    assert sorted(photo.target.as_posix() for photo in found) == [f"out/{t}" for t in targets]


def test_a_raw_that_would_still_be_written_over_another_photo_is_refused(touch):
    touch("in/a.nef", "in/a.tif", "in/a.nef.tif")
    with pytest.raises(InputError, match=r"would both be written to out/a\.nef\.tif"):
        plan("in")


def test_a_raw_is_not_copied_over_itself(touch):
    touch("in/a.nef")
    with pytest.raises(InputError, match=r"in/a\.nef: .*its own output"):
        plan("in/a.nef", output="in")
