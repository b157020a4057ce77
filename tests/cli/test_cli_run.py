"""`cleanplate run`, called in this process."""

import errno
import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from cleanplate import remover as pipeline
from cleanplate.errors import MissingRuntimeError
from cleanplate.inpainting import DEFAULT_INPAINTER, METHODS
from cleanplate.options import DEFAULT_MIN_SCORE
from cleanplate.runtime.devices import DEVICES
from cleanplate.segmentation import DEFAULT_SEGMENTER
from tiff_builders import dng

pytestmark = pytest.mark.usefixtures("without_networks")


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def hashes(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and ".cleanplate" not in path.parts
    }


def test_the_main_job(cli, make_photo):
    make_photo("in/a.png", "person")
    make_photo("in/b.png")
    make_photo("in/c.png", "car")
    Path("in/notes.txt").touch()
    before = hashes("in")

    ran = cli("run", "in", "-o", "out", "--remove", "people,cars")

    assert ran.code == 0
    lines = ran.out.splitlines()
    assert re.fullmatch(
        r"in/a\.png: removed 1 person \(0\.91\), \d+\.\d % of the photo, \d+\.\d s", lines[0]
    )
    assert lines[1] == "in/b.png: nothing found, copied"
    assert lines[2] == "in/c.png: nothing to remove, copied; kept 1 car (0.30)"
    assert re.fullmatch(
        r"3 photos: 1 removed, 2 copied unchanged; \d+\.\d s, \d+\.\d photos/s", lines[3]
    )
    models, summary = ran.err.splitlines()
    assert re.fullmatch(r"segmenter .+ on .+, inpainter .+ on .+", models)
    assert summary.startswith("3 photos, 1 other file ignored, ")
    after = hashes("out")
    assert hashes("in") == before
    assert after["a.png"] != before["a.png"]
    assert (after["b.png"], after["c.png"]) == (before["b.png"], before["c.png"])


@pytest.mark.parametrize(
    "options", [["--remove", "15,7"], ["--remove", "15", "--remove", "cars"], ["--remove", "all"]]
)
def test_labels_can_be_given_in_every_way(cli, make_photo, options):
    make_photo("in/a.png", "person", "car")
    ran = cli("run", "in", "-o", "out", *options, "--min-score", "0")
    assert ran.code == 0
    assert "in/a.png: removed 1 person (0.91) and 1 car (0.30), " in ran.out


def test_limits_are_handed_on(cli, make_photo):
    make_photo("in/a.png", "person")
    ran = cli("run", "in", "-o", "out", "--remove", "person", "--min-area", 401)
    assert "nothing to remove, copied; kept 1 person (0.91)" in ran.out
    ran = cli("run", "in", "-o", "out2", "--remove", "person", "--min-area", 400)
    assert "removed 1 person" in ran.out


def test_a_seed_gives_another_fill_with_labels_and_with_masks(cli, make_photo):
    make_photo("in/a.png", "person")
    cli("run", "in", "-o", "out", "--remove", "person", "--masks", "masks", "--seed", "3")
    cli("run", "in", "-o", "again", "--mask", "masks", "--seed", "3")
    mask = np.asarray(Image.open("masks/a.png")) > 0
    for out in ("out", "again"):
        assert (np.asarray(Image.open(f"{out}/a.png"))[mask] == 131).all()


def test_a_failure_is_listed_with_its_cause_and_the_rest_is_done(cli, make_photo):
    Path("in").mkdir()
    Path("in/a.jpg").write_text("no photo")
    make_photo("in/b.png", "person")
    ran = cli("run", "in", "-o", "out", "--remove", "person")
    assert ran.code == 1
    assert ran.out.startswith("in/a.jpg: failed: ")
    assert "2 photos: 1 removed, 1 failed; " in ran.out
    assert "cleanplate: error: 1 failed:\n  in/a.jpg: " in ran.err
    assert list(hashes("out")) == ["b.png"]


def test_fail_fast_says_how_many_were_not_tried(cli, make_photo):
    Path("in").mkdir()
    Path("in/a.jpg").write_text("no photo")
    make_photo("in/b.png", "person")
    make_photo("in/c.png", "person")
    ran = cli("run", "in", "-o", "out", "--remove", "person", "--fail-fast")
    assert ran.code == 1
    assert "3 photos: 1 failed, 2 not processed; " in ran.out
    assert hashes("out") == {}


def test_existing_outputs_are_skipped_unless_overwritten(cli, make_photo):
    make_photo("in/a.png", "person")
    run = ("run", "in", "-o", "out", "--remove", "person")
    assert cli(*run).code == 0
    ran = cli(*run)
    assert ran.code == 0
    assert ran.out.startswith(
        "in/a.png: skipped, out/a.png was done before\n1 photo: 1 skipped (done before); "
    )
    assert cli(*run, "--overwrite").out.startswith("in/a.png: removed 1 person")


def test_changed_photos_keep_their_time_when_asked(cli, make_photo):
    make_photo("in/a.png", "person")
    os.utime("in/a.png", (1e9, 1e9))
    assert cli("run", "in", "-o", "now", "--remove", "person").code == 0
    assert Path("now/a.png").stat().st_mtime > 1e9
    assert cli("run", "in", "-o", "then", "--remove", "person", "--preserve-times").code == 0
    assert Path("then/a.png").stat().st_mtime == 1e9
    assert Path("then/a.png").read_bytes() == Path("now/a.png").read_bytes()


@pytest.mark.parametrize("orientation", ["upright", "stored"])
def test_saved_masks_are_turned_as_asked(cli, make_photo, orientation):
    path = make_photo("in/a.jpg", "person")
    image = Image.open(path)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.rotate(90, expand=True).save(path, quality=95, exif=exif)
    run = ("run", "in", "-o", "out", "--masks", "masks", "--mask-orientation", orientation)
    assert cli(*run, "--remove", "person").code == 0
    with Image.open("masks/a.png") as mask, Image.open(path) as photo:
        assert mask.size == (photo.size if orientation == "stored" else photo.size[::-1])
        assert mask.getexif().get(0x0112, 1) == (6 if orientation == "stored" else 1)
        upright = ImageOps.exif_transpose(mask)
    left, top, right, bottom = upright.getbbox()
    assert left < 20 < right
    assert top < 30 < bottom
    assert cli("run", "in", "-o", "again", "--mask", "masks").code == 0
    assert cli(*run[:-4], "--mask-orientation", "stored").code == 2


def test_a_dry_run_tells_and_writes_only_the_report(cli, make_photo):
    make_photo("in/a.png", "person")
    make_photo("in/b.png")
    options = ("--dry-run", "--masks", "masks", "--report", "report.jsonl")
    ran = cli("run", "in", "-o", "out", "--remove", "person", *options)
    assert ran.code == 0
    assert ran.out.splitlines()[:2] == [
        "in/a.png: would remove 1 person (0.91)",
        "in/b.png: nothing found, would be copied",
    ]
    assert ran.err.splitlines()[0] == "segmenter colours on NumPy"
    assert list(hashes(".")) == ["in/a.png", "in/b.png", "report.jsonl"]
    message = [json.loads(line) for line in Path("report.jsonl").read_text().splitlines()]
    assert [line["status"] for line in message] == ["would-remove", "would-copy"]
    assert message[0]["models"] == {"segmenter": "colours", "inpainter": None}


def test_masks_are_saved_and_used_again(cli, make_photo):
    make_photo("in/sub/a.png", "person")
    make_photo("in/b.png")
    masked = ("run", "in", "-r", "--remove", "person", "--dilate", 0, "--masks", "masks")
    assert cli(*masked, "-o", "out").code == 0
    assert list(hashes("masks")) == ["b.png", "sub/a.png"]

    ran = cli("run", "in", "-r", "-o", "out2", "--mask", "masks", "--report", "report.jsonl")

    assert ran.code == 0
    assert "segmenter" not in ran.err
    assert ran.out.splitlines()[0] == "in/b.png: the mask is empty, copied"
    assert ran.out.splitlines()[1].startswith("in/sub/a.png: filled the mask, ")
    assert hashes("out2") == hashes("out")
    first, second = map(json.loads, Path("report.jsonl").read_text().splitlines())
    assert first["models"] == {"segmenter": None, "inpainter": "grey"}
    assert (second["found"], second["mask_area_px"] >= 400) == ([], True)


def test_quiet_prints_errors_only(cli, make_photo):
    make_photo("in/a.png", "person")
    ran = cli("run", "in", "-o", "out", "--remove", "person", "-q")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    Path("in/b.jpg").write_text("no photo")
    ran = cli("run", "in", "-o", "out", "--remove", "person", "-q")
    assert (ran.code, ran.out) == (1, "")
    assert re.fullmatch(r"cleanplate: error: in/b\.jpg: .*\n", ran.err)


def test_verbose_adds_boxes_times_and_notes(cli, make_photo):
    make_photo("in/a.png", "person", "car")
    ran = cli("run", "in", "-o", "out", "--remove", "person,car", "-v")
    assert "  removed 1: person 0.91, box 10 20 30 40, 400 px\n" in ran.out
    assert "  kept 2: car 0.30, box 50 20 70 40, 400 px (score below 0.5)\n" in ran.out
    assert re.search(r"\n  read \d+\.\d\d s, .*, write \d+\.\d\d s, total \d+\.\d\d s\n", ran.out)


def test_verbose_shows_where_an_internal_error_happened(cli, make_photo, monkeypatch):
    make_photo("in/a.png", "person")

    class Broken:
        def __init__(self, **_):
            self.segmenter = self.inpainter = type("Model", (), {"name": "x", "provider": "y"})
            self.segmenter.labels = ("person",)
            self.config = self.segmenter, self.inpainter, "cpu"

        def prompter_for(self, *_):
            return None

        def plan(self, *_, **__):
            raise KeyError("deep inside")

    monkeypatch.setattr(pipeline, "Remover", Broken)
    run = ("run", "in", "-o", "out", "--remove", "person")
    ran = cli(*run)
    assert ran.code == 1
    assert "internal error (KeyError: 'deep inside'); please report it" in ran.err
    assert "Traceback" not in ran.out + ran.err
    assert "  Traceback (most recent call last):\n" in cli(*run, "-v").out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "Missing argument 'IN...'"),
        (["in"], "give --output DIR"),
        (["in", "-o", "-", "--remove", "car"], "give --output DIR"),
        (["in", "-o", "out"], "nothing to remove; give --remove, such as --remove person,car, or"),
        (["in", "-o", "out", "--remove", ","], "no label given"),
        (["in", "-o", "out", "--remove", "persn"], "unknown label 'persn'; known: .*'person'"),
        (["in", "-o", "out", "--remove", "21"], "unknown label '21'; known: "),
        (["in", "-o", "out", "--remove", "0"], "label '0' is the background"),
        (["in", "-o", "in", "--remove", "car"], "in: is an input and also --output"),
        (["no", "-o", "out", "--remove", "car"], "no: no such file or folder"),
        (["in", "-o", "out", "--remove", "3", "15"], "15: no such .*, write --remove 3,15"),
        (["in", "cars", "-o", "out", "--remove", "a, b,"], "cars: no .* --remove a,b,cars"),
        (["in", "-o", "out", "--remove", "car", "--mask", "in"], "--mask and --remove exclude"),
        (
            ["in", "-o", "out", "--mask", "m", "--keep", "1"],
            "--keep and --mask exclude each other",
        ),
        (["in", "-o", "out", "--remove", "car", "--device", "gpu"], "unknown device 'gpu'; known:"),
        (["in", "-o", "out", "--remove", "car", "--segmenter", "sam"], "unknown segmenter 'sam'"),
        (["in", "-o", "out", "--mask", "in/a.png", "--inpainter", "x"], "unknown inpainter 'x'; k"),
        (["in", "-o", "out", "--remove", "car", "--min-score", "1.5"], "'--min-score': "),
        (["in", "-o", "out", "--remove", "car", "--dilate", "-1"], "'--dilate': "),
        (["in", "-o", "out", "--remove", "car", "-q", "-v"], "-q and -v exclude each other"),
        (["in", "-o", "out", "--remove", "car", "-x"], "No such option:? '?-x"),
        (["in", "-o", "out", "--remove", "car", "--report", "in/a.png"], "report would overwrite"),
        (["in", "-o", "", "--remove", "car"], "an argument is empty"),
        (["", "-o", "out", "--remove", "car"], "an argument is empty"),
        (["in", "--output=", "--remove", "car"], "an argument is empty"),
        (["in", "-o", "out", "--remove", "car", "--report", "x.png"], "replace a photo or mask"),
        (["in", "-o", "out", "--mask", "x.png", "--report", "x.png"], "replace a photo or mask"),
        (["in", "-o", "out", "--mask", "m.j", "--report", "m.j"], "m.j: the report would overwr"),
        (["in", "-o", "out", "--mask", "out/a.png", "--overwrite"], "out/a.png: the mask would be"),
        (
            ["in", "-o", "out", "--mask", "m", "--masks", "m"],
            "m: contains your masks and is also --masks",
        ),
        (["in", "-o", "m", "--mask", "m"], "m: contains your masks and is also --output"),
    ],
)
def test_wrong_use_is_one_line_and_does_nothing(cli, make_photo, args, message):
    make_photo("in/a.png", "person")
    make_photo("out/a.png")
    make_photo("m/a.png")
    make_photo("x.png").rename("m.j")
    make_photo("x.png")
    before = hashes(".")
    ran = cli("run", *args)
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(rf"cleanplate: error: .*{message}.*\n", ran.err)
    assert hashes(".") == before


def test_a_photo_in_a_closed_folder_is_not_taken_for_a_wrong_label(cli, make_photo, monkeypatch):
    make_photo("in/a.png", "person")
    look = Path.stat

    def refuse(self, **options):
        if self.name == "a.png":
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(self))
        return look(self, **options)

    monkeypatch.setattr(Path, "stat", refuse)
    ran = cli("run", "in/a.png", "-o", "out", "--remove", "person")
    assert ran.code == 2
    assert "in/a.png: permission denied" in ran.err


def test_masks_that_a_later_run_does_not_make_are_reported(cli, make_photo):
    make_photo("in/a.png", "person")
    make_photo("in/b.png")
    run = ("run", "in", "-o", "out", "--remove", "person")
    assert "not saved" not in cli(*run, "--masks", "m").out
    assert "not saved" not in cli(*run, "--masks", "m").out
    Path("m/a.png").unlink()
    message = "1 mask not saved"
    assert message in cli(*run, "--masks", "m").out
    assert "2 masks not saved, " in cli(*run, "--masks", "other").out
    assert "not saved" not in cli(*run, "--masks", "other", "--overwrite").out


def test_all_labels_are_not_listed_one_by_one(cli, make_photo):
    make_photo("in/a.png", "person", "car")
    ran = cli("run", "in", "-o", "out", "--remove", "all")
    assert "1 photo, removing all known objects\n" in ran.err


def test_interrupted_while_loading_nothing_is_claimed(cli, make_photo, monkeypatch):
    make_photo("in/a.png", "person")
    monkeypatch.setattr(pipeline, "Remover", lambda **_: (_ for _ in ()).throw(KeyboardInterrupt))
    ran = cli("run", "in", "-o", "out", "--remove", "person")
    assert (ran.code, ran.out) == (130, "")
    assert re.fullmatch(r"cleanplate: error: interrupted, .*run the same command again\n", ran.err)


def test_a_missing_runtime_is_one_line_and_exit_1(cli, make_photo, monkeypatch):
    make_photo("in/a.png")

    def fail(**_):
        raise MissingRuntimeError

    monkeypatch.setattr(pipeline, "Remover", fail)
    ran = cli("run", "in", "-o", "out", "--remove", "person")
    assert (ran.code, ran.out) == (1, "")
    assert re.fullmatch(r"cleanplate: error: .*\n", ran.err)


def test_a_report_that_cannot_be_written_does_not_stop_the_run(cli, make_photo):
    if not Path("/dev/full").exists():
        pytest.skip("needs a disk that is full")
    make_photo("in/a.png", "person")
    make_photo("in/b.png", "person")
    ran = cli("run", "in", "-o", "out", "--remove", "person", "--report", "/dev/full")
    assert ran.code == 1
    assert "/dev/full: " in ran.err
    assert list(hashes("out")) == ["a.png", "b.png"]


@pytest.mark.parametrize("name", ["[bold]a[red].png", "a b.png", "ä" * 80 + ".png", "-a.png"])
def test_names_are_printed_as_they_are(cli, make_photo, name):
    make_photo(f"in/{name}", "person")
    ran = cli("run", "in", "-o", "out", "--remove", "person")
    assert ran.code == 0
    assert ran.out.startswith(f"in/{name}: removed 1 person")


def test_control_characters_in_names_are_escaped(cli, make_photo):
    make_photo("in/a\n\x1b[2J.png", "person")
    ran = cli("run", "in", "-o", "out", "--remove", "person")
    assert ran.code == 0
    assert ran.out.startswith("in/a\\x0a\\x1b[2J.png: removed")


def test_the_help_tells_the_devices_and_defaults_there_are(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    ran = cli("run", "--help")
    assert ran.code == 0
    for word in (*DEVICES, *METHODS, "cleanplate models list"):
        assert word in ran.out
    for default in (DEFAULT_SEGMENTER, DEFAULT_INPAINTER, DEFAULT_MIN_SCORE):
        assert f"[default: ({default})]" in ran.out
    shorts = set(re.findall(r" (-\w)\b", ran.out))
    assert shorts == {"-o", "-r", "-v", "-q"}


@pytest.fixture
def best(monkeypatch):
    """Remember what a remover is made of, and install nothing of the preset `best`."""
    used = {}
    make = pipeline.Remover
    monkeypatch.setattr(pipeline, "Remover", lambda **models: used.update(models) or make(**models))
    monkeypatch.setattr("cleanplate.hub.is_available", lambda model: model.is_built_in)
    monkeypatch.setattr("cleanplate.hub.presets.is_available", lambda model: model.is_built_in)
    return used


def test_a_preset_takes_only_the_models_that_are_used(cli, make_photo, best):
    make_photo("in/a.png", "person")
    Image.new("L", (96, 64), 255).save("mask.png")
    run = ("run", "in", "-o", "out", "--preset")
    assert cli(*run, "quick", "--remove", "person").code == 2
    assert cli(*run, "fast", "--remove", "person").code == 0
    assert (best["segmenter"], best["inpainter"]) == (
        "deeplabv3plus_lite2.voc",
        "edgeconnect.photos",
    )
    for words, missing in (
        (("run", "--remove", "person", "--inpainter", "telea"), ["rfdetr_seg_large.coco"]),
        (("run", "--remove", "person", "--dry-run"), ["rfdetr_seg_large.coco"]),
        (("plan", "--remove", "person"), ["rfdetr_seg_large.coco"]),
        (("run", "--mask", "mask.png"), ["lama.places"]),
        (("run", "--remove", "person", "--segmenter", "deeplabv3plus_lite2"), ["lama.places"]),
        (("run", "--remove", "person"), ["rfdetr_seg_large.coco", "lama.places"]),
    ):
        ran = cli(words[0], "in", "-o", "none", "--preset", "best", *words[1:])
        assert ran.code == 1, words
        assert re.findall(r"models pull ([\w.]+)", ran.err) == missing
        assert not Path("none").exists()


@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_preset_is_pulled_when_asked_for_once(cli, make_photo, best, monkeypatch, answer):
    make_photo("in/a.png", "person")
    asked, pulled = [], []
    monkeypatch.setattr("cleanplate.cli.installing.is_terminal", lambda stream: True)
    monkeypatch.setattr("cleanplate.cli.installing.can_move_cursor", lambda: True)
    monkeypatch.setattr("cleanplate.cli.installing.pull_and_report", pulled.append)
    monkeypatch.setattr("cleanplate.hub.check_can_convert", lambda model: None)
    monkeypatch.setattr(
        "typer.confirm", lambda text, err: bool(asked.append(text)) or answer == "y"
    )
    ran = cli("run", "in", "-o", "out", "--remove", "person", "--preset", "best")
    [question] = asked
    for fact in ("rfdetr_seg_large.coco", "145 MB", "Apache-2.0", "lama.places", "208 MB"):
        assert fact in question
    if answer == "y":
        assert ran.code == 0
        assert [model.name for model in pulled] == ["rfdetr_seg_large.coco", "lama.places"]
        assert (best["segmenter"], best["inpainter"]) == ("rfdetr_seg_large.coco", "lama.places")
    else:
        assert (ran.code, pulled) == (1, [])
        assert "cleanplate models pull lama.places" in ran.err


def test_short_names_of_models_are_completed(cli, make_photo, best):
    make_photo("in/a.png", "person")
    words = ("--segmenter", "rfdetr", "--inpainter", "edgeconnect.photos")
    assert cli("run", "in", "-o", "out", "--remove", "person", *words).code == 0
    assert best["segmenter"] == "rfdetr_seg_large.coco"


def test_a_mask_file_serves_all_photos(cli, make_photo):
    make_photo("in/a.png", "person")
    make_photo("in/b.png", "person")
    Image.new("L", (96, 64), 255).save("mask.png")
    ran = cli("run", "in", "-o", "out", "--mask", "mask.png")
    assert ran.code == 0
    assert ran.out.count("filled the mask, 100.0 % of the photo") == 2


def test_photos_without_a_mask_are_copied_and_counted(cli, make_photo):
    for name in ("a", "b", "c"):
        make_photo(f"in/{name}.png", "person")
    marked = np.zeros((64, 96), np.uint8)
    marked[20:40, 10:30] = 15
    Path("masks").mkdir()
    Image.fromarray(marked + np.uint8(7)).save("masks/a_m.png")
    words = ("run", "in", "-o", "out", "--mask", "masks", "--mask-name", "{stem}_m.png")
    ran = cli(*words, "--mask-label", "22", "--report", "r.jsonl")
    assert ran.code == 0
    assert "2 photos without a mask" in ran.out
    assert "in/b.png: it has no mask, copied" in ran.out.replace("\\", "/")
    changed = np.asarray(Image.open("out/a.png")) != np.asarray(Image.open("in/a.png"))
    assert changed.any(axis=2).sum() == 400
    assert Path("out/b.png").read_bytes() == Path("in/b.png").read_bytes()
    settings = json.loads(Path("r.jsonl").read_text().splitlines()[0])["settings"]
    assert (settings["mask_name"], settings["mask_label"]) == ("{stem}_m.png", [22])
    Path("list.txt").write_text("in/a.png\n")
    before = Path("out/a.png").read_bytes()
    assert cli("redo", "out", "--list", "list.txt", "--from", "r.jsonl").code == 0
    assert Path("out/a.png").read_bytes() == before
    # Another reading is another setting.
    assert "made with other settings" in cli(*words, "--mask-label", "7").out
    ran = cli("run", "in", "-o", "none", "--mask", "masks")
    assert ran.code == 2
    assert "--mask-name" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--remove", "person", "--invert-mask"], "--invert-mask belongs to --mask"),
        (["--mask", "m.png", "--mask-label", "x"], "--mask-label takes values"),
        (["--mask", "m.png", "--mask-label", "1", "--mask-alpha"], "exclude each other"),
        (["--mask", "m.png", "--mask-name", "{x}"], "--mask-name takes"),
    ],
)
def test_options_of_masks_that_cannot_be_used(cli, make_photo, words, said):
    make_photo("in/a.png")
    Image.new("L", (96, 64)).save("m.png")
    ran = cli("run", "in", "-o", "out", *words)
    assert ran.code == 2
    assert said in ran.err
    assert not Path("out").exists()


def test_own_masks_are_dilated_on_request(cli, make_photo):
    make_photo("in/a.png", "person")
    marked = np.zeros((64, 96), np.uint8)
    marked[20:40, 10:30] = 255
    Image.fromarray(marked).save("m.png")
    words = ("run", "in", "-o", "out", "--mask", "m.png", "--masks", "saved", "--effects", "off")
    assert cli(*words, "--dilate", "3").code == 0
    saved = np.asarray(Image.open("saved/a.png"))
    assert saved[17:43, 20].all()
    assert saved[30, 7:33].all()
    assert not saved[:17].any()
    assert not saved[43:].any()
    assert "made with other settings" in cli(*words).out


def test_a_mask_that_fills_most_of_a_photo_may_be_inverse(cli, make_photo):
    make_photo("in/a.png", "person")
    marked = np.full((64, 96), 255, np.uint8)
    marked[20:40, 10:30] = 0
    Image.fromarray(marked).save("m.png")
    assert "--invert-mask" in cli("run", "in", "-o", "out", "--mask", "m.png").out
    ran = cli("run", "in", "-o", "other", "--mask", "m.png", "--invert-mask")
    assert "filled the mask, 6.5 % of the photo" in ran.out
    assert "--invert-mask" not in ran.out


def test_a_raw_is_written_as_what_raw_output_says(cli):
    pytest.importorskip("rawpy", reason="the extra `raw` is not installed")
    scene = np.full((60, 80, 3), 235, np.uint8)
    Path("in").mkdir()
    Path("in/b.dng").write_bytes(dng(scene))
    scene[16:36, 8:28] = (220, 20, 20)
    Path("in/a.dng").write_bytes(dng(scene))

    ran = cli("run", "in", "-o", "out", "--remove", "person", "-v", "--report", "r.jsonl")
    assert ran.code == 0
    assert "written as 16-bit TIFF" in ran.out + ran.err
    assert sorted(hashes("out")) == ["a.tif", "b.dng"]
    assert hashes("out")["b.dng"] == hashes("in")["b.dng"]
    written = [json.loads(line)["output"] for line in Path("r.jsonl").read_text().splitlines()]
    assert written == ["out/a.tif", "out/b.dng"]

    assert cli("run", "in", "-o", "as", "--remove", "person", "--raw-output", "jpeg").code == 0
    assert sorted(hashes("as")) == ["a.jpg", "b.dng"]


def test_another_raw_output_is_refused(cli, make_photo):
    make_photo("in/a.png")
    ran = cli("run", "in", "-o", "out", "--remove", "person", "--raw-output", "png")
    assert ran.code == 2
    assert "unknown raw output 'png'; known: jpeg, tiff" in ran.err
    assert not Path("out").exists()


def test_heic_goes_in_and_comes_out(cli, make_photo):
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra `heif` is not installed")
    for name, things in (("a", ["person"]), ("b", [])):
        with Image.open(make_photo(f"{name}.png", *things)) as image:
            Path("in").mkdir(exist_ok=True)
            pillow_heif.from_pillow(image).save(f"in/{name}.heic", quality=90)
            image.save(f"in/{name}.avif", quality=90)
    ran = cli("run", "in", "-o", "out", "--remove", "person")
    assert (ran.code, ran.out.count("removed 1 person"), ran.out.count("copied")) == (0, 2, 3)
    before, after = hashes("in"), hashes("out")
    assert list(before) == list(after)
    assert [name for name in before if before[name] == after[name]] == ["b.avif", "b.heic"]
