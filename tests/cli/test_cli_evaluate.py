"""`cleanplate evaluate`, with the built-in networks."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cleanplate.cli.commands import evaluate
from cleanplate.evaluation import Evaluation
from cleanplate.evaluation.scoring import NoReferenceScore


@pytest.fixture
def folders(tmp_path, gravel) -> Path:
    truth = np.ascontiguousarray(gravel[:120, :160])
    mask = np.zeros((120, 160), np.bool_)
    mask[40:90, 50:110] = True
    before = np.where(mask[..., None], np.uint8((200, 20, 20)), truth)
    for name, picture in {"photos": before, "results": truth, "masks": mask}.items():
        (tmp_path / name).mkdir()
        Image.fromarray(picture).save(tmp_path / name / "a.png")
    return tmp_path


@pytest.mark.slow
def test_prints_a_table_and_writes_figures_and_sheet(cli, folders):
    ran = cli(
        "evaluate", folders / "results", "--photos", folders / "photos", "--masks",
        folders / "masks", "--truth", folders / "results", "--remove", "person",
        "--json", folders / "out" / "e.json", "--sheet", folders / "out" / "sheet.jpg",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("1 result: 1 with a hole, 0 unchanged\n| Figure | Mean |")
    assert "| share of the hole that still shows objects to remove | 0 |" in ran.out
    records = json.loads((folders / "out" / "e.json").read_text())
    assert records["results"][0]["name"] == "a.png"
    assert records["mean"]["psnr_db"]["mean"] == 100
    with Image.open(folders / "out" / "sheet.jpg") as sheet:
        assert sheet.width > 3 * sheet.height


def test_a_failure_is_reported_with_exit_code_1(cli, folders):
    (folders / "results" / "b.png").write_bytes((folders / "results" / "a.png").read_bytes())
    ran = cli("evaluate", folders / "results", "--masks", folders / "masks")
    assert ran.code == 1
    assert "2 results: 1 with a hole, 0 unchanged, 1 failed" in ran.out
    assert "b.png: it has no mask" in ran.err


def test_wrong_use_is_refused(cli, folders):
    assert cli("evaluate", folders / "results").code == 2
    ran = cli("evaluate", folders / "results", "--masks", folders, "--segmenter", "x")
    assert ran.code == 2
    assert "--remove" in ran.err


@pytest.mark.parametrize("folder", ["results", "photos"])
def test_the_sheet_is_no_photo_of_the_folders(cli, folders, folder):
    sheet = folders / folder / "a.png"
    before = sheet.read_bytes()
    ran = cli("evaluate", folders / "results", "--photos", folders / "photos", "--sheet", sheet)
    assert ran.code == 2
    assert "another place" in ran.err
    assert sheet.read_bytes() == before


def test_what_has_no_figure_does_not_mix_up_the_order():
    def one(name, similarity):
        score = NoReferenceScore(similarity=similarity, sharpness=1, seam=1)
        return Evaluation(name=name, mask_share=0.1, no_reference=score)

    found = [one("b", 0.8), one("none", math.nan), one("a", 0.5), one("c", 0.9)]
    ordered = sorted(found, key=lambda it: -evaluate._rank(it))
    assert [it.name for it in ordered] == ["a", "b", "c", "none"]
