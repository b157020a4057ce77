"""`cleanplate plan` and `cleanplate fill`."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def hashes(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and ".cleanplate" not in path.parts
    }


@pytest.mark.usefixtures("without_networks")
class TestWithoutNetworks:
    def test_both_together_are_a_run(self, cli, make_photo):
        make_photo("in/a.png", "person", "car")
        make_photo("in/a.jpg", "person")
        make_photo("in/sub/b.png")
        options = ("-r", "--remove", "person,car", "--min-score", 0, "--keep", "largest")
        assert cli("run", "in", "-o", "out", *options).code == 0

        masked = cli("plan", "in", "-o", "masks", *options, "--report", "masks.jsonl")
        filled = cli("fill", "in", "-r", "--masks", "masks", "-o", "filled")

        assert (masked.code, filled.code) == (0, 0)
        assert list(hashes("masks")) == [
            "a.jpg.json", "a.jpg.png", "a.png.json", "a.png.png", "sub/b.json", "sub/b.png",
        ]  # fmt: skip
        assert hashes("filled") == hashes("out")
        assert "inpainter" not in masked.err
        assert masked.out.splitlines()[1] == (
            "in/a.png: would remove 1 car (0.30); kept 1 person (0.91)"
        )
        assert "inpainter" in filled.err
        assert filled.out.splitlines()[1].startswith("in/a.png: removed 1 car (0.30), ")
        first = json.loads(Path("masks.jsonl").read_text().splitlines()[0])
        assert (first["output"], first["status"]) == ("masks/a.jpg.png", "would-copy")

    def test_paint_and_switches_count(self, cli, make_photo):
        make_photo("in/a.png", "person", "car")
        cli("plan", "in", "-o", "masks", "--remove", "person,car", "--dilate", 0, "--no-verify")
        text = Path("masks/a.json").read_text()
        assert text.count('"remove": true') == text.count('"remove": false') == 1
        swapped = {"true": "false", "false": "true"}
        Path("masks/a.json").write_text(
            re.sub('(?<="remove": )(true|false)', lambda found: swapped[found[0]], text)
        )
        mask = np.asarray(Image.open("masks/a.png")).copy()
        mask[50:60, 80:90] = 255
        Image.fromarray(mask).save("masks/a.png")

        ran = cli("fill", "in", "--masks", "masks", "-o", "out", "-v")

        assert ran.code == 0
        assert "  kept 1: person 0.91, box 10 20 30 40, 400 px (kept by hand)\n" in ran.out
        changed = (np.asarray(Image.open("out/a.png")) != np.asarray(Image.open("in/a.png"))).any(
            axis=2
        )
        expected = np.zeros_like(changed)
        expected[20:40, 50:70] = expected[50:60, 80:90] = True
        np.testing.assert_array_equal(changed, expected)

    @pytest.mark.parametrize("content", ['{"shapes": []}', "7", "{"])
    def test_another_programs_json_of_the_same_name_stays(self, cli, make_photo, content):
        make_photo("in/a.png", "person")
        make_photo("in/b.png", "person")
        cli("plan", "in/b.png", "-o", "masks", "--remove", "person")
        Path("masks/b.png").unlink()  # as if the run had been killed before
        Path("masks/a.json").write_text(content)
        ran = cli("plan", "in", "-o", "masks", "--remove", "person")
        assert ran.code == 1
        assert "masks/a.json: another file has the plan's name" in ran.err
        assert Path("masks/a.json").read_text() == content
        assert sorted(hashes("masks")) == ["a.json", "b.json", "b.png"]
        assert cli("plan", "in", "-o", "masks", "--remove", "person", "--overwrite").code == 0

    def test_what_was_not_masked_fails_and_the_rest_is_done(self, cli, make_photo):
        make_photo("in/a.png", "person")
        cli("plan", "in", "-o", "masks", "--remove", "person")
        make_photo("in/b.png", "person")
        ran = cli("fill", "in", "--masks", "masks", "-o", "out")
        assert ran.code == 1
        assert "in/b.png: it has no plan; " in ran.err
        assert list(hashes("out")) == ["a.png"]

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            (["plan", "in", "-o", "m"], "nothing to remove; give --remove, such as --remove pers"),
            (["plan", "in", "-o", "in", "--remove", "car"], "in: is an input and also --output"),
            (["plan", "in", "-o", "m", "--remove", "persn"], "unknown label 'persn'"),
            (["plan", "in", "-o", "m", "--remove", "car", "-q", "-v"], "-q and -v exclude each"),
            (["fill", "in", "-o", "out"], "Missing option '--masks'"),
            (["fill", "in", "--masks", "m", "-o", "out"], "m: no such folder; 'cleanplate plan' m"),
            (["fill", "in", "--masks", "in", "-o", "out"], "in: is an input and also --mask"),
        ],
    )
    def test_wrong_use_is_one_line_and_does_nothing(self, cli, make_photo, args, message):
        make_photo("in/a.png", "person")
        before = hashes(".")
        ran = cli(*args)
        assert (ran.code, ran.out) == (2, "")
        assert re.fullmatch(rf"cleanplate: error: .*{message}.*\n", ran.err)
        assert hashes(".") == before


@pytest.mark.usefixtures("without_networks")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "masks"], "masks: contains your masks and is also --output"),
        (["-o", "o", "--report", "masks/a.json"], "masks/a.json: the report would overwrite it"),
    ],
)
def test_drafts_are_never_overwritten(cli, make_photo, options, message):
    make_photo("in/a.png", "person")
    cli("plan", "in", "-o", "masks", "--remove", "person")
    before = hashes(".")
    ran = cli("fill", "in", "--masks", "masks", "--overwrite", *options)
    assert ran.code == 2
    assert message in ran.err
    assert hashes(".") == before


@pytest.mark.slow
def test_both_stages_in_processes_of_their_own_are_a_run(astronaut, rng):
    Path("in").mkdir()
    figure = Image.fromarray(astronaut[:340, 60:350]).resize((109, 128))
    scene = Image.fromarray(rng.integers(90, 110, (166, 300, 3), np.uint8))
    scene.paste(figure, (15, 38))
    scene.paste(figure.resize((55, 64)), (225, 102))
    scene.save("in/a.jpg", quality=92)
    figure.save("in/b.png")

    def call(*args):
        subprocess.run([sys.executable, "-m", "cleanplate", *args, "-q"], check=True, timeout=120)

    options = ("--remove", "person", "--effects", "auto", "--keep", "1", "--device", "cpu")
    call("run", "in", "-o", "out", *options)
    call("plan", "in", "-o", "masks", *options)
    call("fill", "in", "--masks", "masks", "-o", "filled", "--device", "cpu")
    assert hashes("filled") == hashes("out")
    assert hashes("out")["a.jpg"] != hashes("in")["a.jpg"]


@pytest.mark.usefixtures("without_networks")
class TestGoingOn:
    def test_only_what_was_edited_is_filled_again(self, cli, make_photo):
        make_photo("in/a.png", "person", "car")
        make_photo("in/b.png", "person", "car")
        cli("plan", "in", "-o", "masks", "--remove", "person,car", "--dilate", 0, "--no-verify")
        fill = ("fill", "in", "--masks", "masks", "-o", "out")
        assert cli(*fill).code == 0
        assert "2 skipped (done before)" in cli(*fill).out
        text = Path("masks/b.json").read_text()
        Path("masks/b.json").write_text(text.replace('"remove": true', '"remove": false'))
        before = hashes("out")
        again = cli(*fill).out
        assert "1 skipped (done before)" in again
        after = hashes("out")
        assert [name for name in after if after[name] != before[name]] == ["b.png"]

    def test_masks_that_were_painted_on_are_left_alone(self, cli, make_photo):
        make_photo("in/a.png", "person")
        mask = ("plan", "in", "-o", "masks", "--remove", "person")
        cli(*mask)
        painted = np.full((30, 40), 255, np.uint8)
        Image.fromarray(painted).save("masks/a.png")
        assert "1 skipped (output exists" in cli(*mask).out
        assert (np.asarray(Image.open("masks/a.png")) == 255).all()
