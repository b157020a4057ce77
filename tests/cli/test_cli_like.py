"""`--like`: an example instead of a name, with real files from end to end."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

CUP = (300, 190), (160, 130)  # centre and axes of the oval that marks the cup


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def files(coffee, rocket, gravel):
    """Write the example and its mask, and three photos, one with the cup."""
    for folder in ("in", "marked"):
        Path(folder).mkdir()
    mask = np.zeros(coffee.shape[:2], np.uint8)
    cv2.ellipse(mask, *CUP, 0, 0, 360, 255, -1)
    Image.fromarray(coffee).save("marked/cup.jpg", quality=92)
    Image.fromarray(mask).save("marked/cup.png")
    onto = cv2.getRotationMatrix2D(CUP[0], 12, 0.8)
    size_wh = rocket.shape[1::-1]
    there = cv2.warpAffine(mask, onto, size_wh) > 127
    photo = np.where(there[..., None], cv2.warpAffine(coffee, onto, size_wh), rocket)
    Image.fromarray(photo).save("in/with.jpg", quality=92)
    Image.fromarray(rocket).save("in/without.jpg", quality=92)
    Image.fromarray(gravel).save("in/gravel.png")
    return there


LIKE = ("--like", "marked/cup.jpg", "--like-mask", "marked/cup.png")
RUN = ("run", "in", "-o", "out", *LIKE, "--inpainter", "telea")


@pytest.mark.slow
def test_the_marked_object_is_removed_from_the_photos_that_show_it(cli, files):
    ran = cli(*RUN, "--masks", "masks", "--report", "report.jsonl")

    assert ran.code == 0
    assert ran.err.splitlines()[-1] == "3 photos, removing example"
    lines = ran.out.splitlines()
    assert lines[0] == "in/gravel.png: nothing found, copied"
    assert lines[1].startswith("in/with.jpg: removed 1 example (")
    assert lines[2] == "in/without.jpg: nothing found, copied"
    for name in ("gravel.png", "without.jpg"):
        assert Path("out", name).read_bytes() == Path("in", name).read_bytes()
    filled = np.array(Image.open("masks/with.png")) > 0
    assert (filled | ~files).mean() > 0.999
    message = [json.loads(line) for line in Path("report.jsonl").read_text().splitlines()]
    assert [line["status"] for line in message] == ["untouched", "removed", "untouched"]
    (found,) = message[1]["found"]
    assert (found["label"], found["label_id"], found["removed"]) == ("example", None, True)
    assert found["score"] > 0.8
    assert message[1]["remaining"] == []
    assert message[1]["models"]["segmenter"] == "example"


@pytest.mark.slow
def test_the_other_options_hold(cli, files):
    ran = cli(*RUN, "--dry-run", "--min-area", 10**6)
    assert ran.code == 0
    assert "in/with.jpg: nothing to remove, would be copied; kept 1 example" in ran.out
    assert not Path("out").exists()
    assert "removed 1 example" in cli(*RUN, "--dilate", 9, "--effects", "strong", "--no-verify").out


@pytest.mark.slow
def test_examples_are_as_many_as_there_are_masks(cli, files, cat):
    Image.fromarray(cat).save("marked/cat.png")
    Image.new("L", (451, 300), 255).save("marked/all.png")
    more = ("--like", "marked/cat.png", "--like-mask", "marked/all.png")
    Image.fromarray(cat).resize((600, 400)).save("in/cat.png")
    ran = cli(*RUN, *more, "--dry-run")
    assert ran.code == 0
    assert "in/cat.png: would remove 1 example" in ran.out
    assert "in/with.jpg: would remove 1 example" in ran.out


def results(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


@pytest.mark.slow
def test_mask_and_fill_give_exactly_what_run_gives(cli, files):
    assert cli(*RUN).code == 0
    masked = cli("plan", "in", "-o", "masks", *LIKE)
    filled = cli("fill", "in", "--masks", "masks", "-o", "filled", "--inpainter", "telea")

    assert (masked.code, filled.code) == (0, 0), masked.err + filled.err
    assert masked.err.splitlines()[0] == "segmenter example on OpenCV"
    assert filled.err.splitlines()[0] == "segmenter example on OpenCV, inpainter telea on OpenCV"
    assert results("filled") == results("out")
    (example,) = json.loads(Path("masks/with.json").read_text())["like"]
    assert (example["photo"], example["mask"]) == ("marked/cup.jpg", "marked/cup.png")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (
            lambda: Path("marked/cup.png").unlink(),
            r"marked/cup.png: is missing, .*\(--like\) .*restore ",
        ),
        (
            lambda: Image.new("L", (600, 400), 9).save("marked/cup.png"),
            "marked/cup.png: .* has changed ",
        ),
    ],
)
def test_fill_needs_the_example_as_it_was(cli, files, break_it, message):
    cli("plan", "in", "-o", "masks", *LIKE)
    break_it()
    ran = cli("fill", "in", "--masks", "masks", "-o", "filled")
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(f"cleanplate: error: {message}.*\n", ran.err)
    assert not Path("filled").exists()


@pytest.mark.slow
def test_masks_by_other_examples_are_filled_in_runs_of_their_own(cli, files, coffee):
    cli("plan", "in", "-o", "masks", *LIKE)
    mask = np.zeros(coffee.shape[:2], np.uint8)
    mask[60:330, 130:470] = 255
    Image.fromarray(mask).save("marked/more.png")
    again = ("--like", "marked/cup.jpg", "--like-mask", "marked/more.png", "--overwrite")
    cli("plan", "in/with.jpg", "-o", "masks", *again)
    ran = cli("fill", "in", "--masks", "masks", "-o", "out", "--inpainter", "telea")
    assert ran.code == 1
    assert "in/with.jpg: " in ran.err
    assert "other examples" in ran.err


@pytest.mark.slow
def test_redo_goes_by_the_same_example_or_by_what_is_given(cli, files):
    cli(*RUN, "--report", "out/report.jsonl")
    before = Path("out/with.jpg").read_bytes()
    Path("out/with.jpg").write_bytes(b"spoilt")
    Path("list.txt").write_text("in/with.jpg\n")
    redo = ("redo", "out", "--list", "list.txt")

    ran = cli(*redo)
    assert ran.code == 0, ran.err
    assert ran.err.splitlines()[1] == "1 photo, removing example"
    assert Path("out/with.jpg").read_bytes() == before

    ran = cli(*redo, *LIKE, "--min-area", 10**6)
    assert "in/with.jpg: nothing to remove, copied; kept 1 example" in ran.out
    ran = cli(*redo, "--remove", "dog")
    assert ran.err.splitlines()[0].startswith("segmenter deeplabv3plus_lite2.voc on ")

    ran = cli(*redo, "--segmenter", "deeplabv3plus_lite2.voc")
    assert (ran.code, ran.out) == (2, "")
    assert "--segmenter: " in ran.err
    Path("marked/cup.jpg").unlink()
    ran = cli(*redo)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("cleanplate: error: marked/cup.jpg: is missing, an example (--like) ")


@pytest.mark.slow
def test_redo_of_what_was_filled_after_an_example_is_filled_so_again(cli, files):
    cli("plan", "in", "-o", "masks", *LIKE)
    report = ("--report", "filled/report.jsonl")
    cli("fill", "in", "--masks", "masks", "-o", "filled", "--inpainter", "telea", *report)
    before = Path("filled/with.jpg").read_bytes()
    Path("filled/with.jpg").write_bytes(b"spoilt")
    Path("list.txt").write_text("in/with.jpg\n")
    assert cli("redo", "filled", "--list", "list.txt").code == 0
    assert Path("filled/with.jpg").read_bytes() == before
    ran = cli("redo", "filled", "--list", "list.txt", *LIKE)
    assert "--like: " in ran.err


@pytest.mark.parametrize(
    "args",
    [
        ("run", "in", "-o", "marked", "--overwrite"),
        ("run", "in", "-o", "out", "--masks", "marked"),
        ("plan", "in", "-o", "marked", "--overwrite"),
    ],
)
def test_an_example_is_never_written_over(cli, files, cat, args):
    Image.fromarray(cat).save("in/cup.png")
    before = results("marked")
    ran = cli(*args, *LIKE)
    assert (ran.code, ran.out) == (2, "")
    assert "marked/cup.png: the example " in ran.err
    assert results("marked") == before


BLANK_AT = (slice(20, 90), slice(20, 90))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--like", "marked/cup.jpg"], "--like and --like-mask belong together.*got 1 and 0"),
        (["--like-mask", "marked/cup.png"], "--like and --like-mask belong together.*got 0 and 1"),
        ([*LIKE, "--remove", "car"], "--like and --remove exclude each other"),
        ([*LIKE, "--mask", "marked"], "--like and --mask exclude each other"),
        ([*LIKE, "--segmenter", "x"], "--like and --segmenter exclude each other"),
        ([*LIKE, "--report", "marked/cup.png"], "cup.png: the report would overwrite it"),
        (["--like", "no.jpg", "--like-mask", "marked/cup.png"], "no.jpg: "),
        (["--like", "marked/cup.jpg", "--like-mask", "no.png"], "no.png: "),
        (["--like", "in/gravel.png", "--like-mask", "marked/cup.png"], "mask is 600 x 400 px but"),
        (["--like", "marked/cup.jpg", "--like-mask", "black.png"], "black.png: the .* is empty"),
        (["--like", "blank.png", "--like-mask", "blot.png"], "blot.png: .*too little texture to"),
    ],
)
@pytest.mark.slow
def test_wrong_use_is_one_line_and_does_nothing(cli, files, args, message, coffee):
    blank, blot = coffee.copy(), np.zeros(coffee.shape[:2], np.uint8)
    blank[:110, :110], blot[BLANK_AT] = 128, 255
    Image.fromarray(blank).save("blank.png")
    Image.fromarray(blot).save("blot.png")
    Image.new("L", (600, 400)).save("black.png")
    ran = cli("run", "in", "-o", "out", *args)
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(rf"cleanplate: error: .*{message}.*\n", ran.err)
    assert not Path("out").exists()


@pytest.mark.slow
def test_workers_go_by_the_same_example(files):
    results = []
    for workers in ("1", "2"):
        out = Path("out" + workers)
        words = [*RUN[:2], "-o", str(out), *RUN[4:], "--threads", "2", "--workers", workers]
        subprocess.run([sys.executable, "-m", "cleanplate", *words], check=True, timeout=120)
        results.append({path.name: path.read_bytes() for path in out.iterdir() if path.is_file()})
    assert len(results[0]) == 3
    assert results[0] == results[1]
