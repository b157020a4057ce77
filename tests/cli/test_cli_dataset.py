"""`cleanplate dataset`, with models that know colours instead of networks."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from cleanplate.integrations import PlateCache
from dataset_builders import (
    Thing,
    coco_content,
    save_coco,
    save_cvat,
    save_labelme,
    save_voc,
    save_yolo,
)

pytestmark = pytest.mark.usefixtures("without_networks")


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def labels(folder, split="train2017"):
    return json.loads((folder / "annotations" / f"instances_{split}.json").read_bytes())


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".cleanplate" not in path.parts
    }


@pytest.fixture
def coco(tmp_path):
    save_coco(tmp_path / "in")
    return tmp_path


@pytest.fixture
def run(cli, coco):
    def call(*options, out="out", remove="person"):
        words = ["dataset", coco / "in", "-o", coco / out, "--remove", remove, "--workers", "1"]
        return cli(*words, *options)

    return call


def test_images_and_labels_lose_the_same_objects(coco, run):
    (coco / "in/README.md").write_text("about")
    done = run()
    assert done.code == 0, done.err
    assert "3 removed" in done.out
    before, after = coco_content(), labels(coco / "out")
    assert [it["id"] for it in after["annotations"]] == [101, 102, 104]
    kept = [it for it in before["annotations"] if it["category_id"] != 1]
    assert after == {**before, "annotations": kept}
    for name in "abcde":
        old, new = (pixels(coco / folder / "train2017" / f"{name}.png") for folder in ("in", "out"))
        assert (old != new).any() == (name in "acd")
        assert not ((new[..., 0] > 200) & (new[..., 1] < 60)).any()
    old, new = (pixels(coco / folder / "train2017/c.png") for folder in ("in", "out"))
    np.testing.assert_array_equal(old[30:50, 54:84], new[30:50, 54:84])  # the dog is protected
    assert (coco / "out/README.md").read_text() == "about"


def test_a_second_run_changes_nothing_and_a_lost_image_is_made_again(coco, run):
    run()
    first = files_of(coco / "out")
    again = run()
    assert "5 skipped (done before)" in again.out
    assert "3 removed" in again.out
    assert files_of(coco / "out") == first
    (coco / "out/train2017/a.png").unlink()
    run()
    assert files_of(coco / "out") == first


def test_other_rules_do_the_images_again_that_they_concern(coco, run):
    run("--effects", "off")
    done = run("--effects", "off", "--neighbours", "clip", "--dilate", "20")
    assert done.code == 0
    assert "clipped" in done.out
    [dog] = [it for it in labels(coco / "out")["annotations"] if it["id"] == 104]
    assert dog["bbox"][0] > 54
    assert dog["bbox"][2] < 30


def test_neighbours_can_leave_the_image_as_it_is(coco, run):
    run("--neighbours", "skip", "--dilate", "20")
    old, new = ((coco / folder / "train2017/c.png").read_bytes() for folder in ("in", "out"))
    assert old == new
    assert 103 in [it["id"] for it in labels(coco / "out")["annotations"]]


def test_only_training_images_change_unless_told(coco, run):
    save_coco(coco / "in", split="val2017")
    run()
    assert labels(coco / "out", "val2017") == coco_content()
    assert len(labels(coco / "out")["annotations"]) == 3
    run("--all-splits", out="all")
    assert len(labels(coco / "all", "val2017")["annotations"]) == 3


def test_crowds_stay_or_are_filled_as_told(coco, run):
    content = coco_content()
    crowd = {"counts": [30 * 64, 22 * 64, 44 * 64], "size": [64, 96]}
    content["annotations"][-1].update(iscrowd=1, segmentation=crowd)
    save_coco(coco / "in", content)
    dry = run("--dry-run")
    assert "crowd" in dry.out
    assert not (coco / "out").exists()
    run()
    assert 105 in [it["id"] for it in labels(coco / "out")["annotations"]]
    run("--crowds", "fill", out="filled")
    assert 105 not in [it["id"] for it in labels(coco / "filled")["annotations"]]


def test_licences_that_forbid_changes_are_heeded(coco, run):
    content = coco_content()
    content["licenses"].append(
        {"id": 3, "name": "x", "url": "creativecommons.org/licenses/by-nc-nd/2.0/"}
    )
    content["images"][0]["license"] = 3
    save_coco(coco / "in", content)
    run("--report", coco / "report.jsonl")
    assert 100 in [it["id"] for it in labels(coco / "out")["annotations"]]
    lines = [json.loads(line) for line in (coco / "report.jsonl").read_text().splitlines()]
    assert "licence" in "".join(lines[0]["notes"])
    run("--allow-no-derivatives", out="all")
    assert 100 not in [it["id"] for it in labels(coco / "all")["annotations"]]


def test_boxes_alone_take_what_the_segmenter_finds_in_them(coco, run):
    content = coco_content()
    for record in content["annotations"]:
        record["segmentation"] = []
    content["annotations"][-1]["bbox"] = [0, 0, 20, 60]  # nothing is there
    save_coco(coco / "in", content)
    done = run()
    assert "2 removed" in done.out
    assert "1 missed" in done.out
    assert [it["id"] for it in labels(coco / "out")["annotations"]] == [101, 102, 104, 105]


def test_what_is_found_and_not_annotated_is_told_or_filled(tmp_path, cli):
    scenes = {"a": [Thing("person", (10, 10, 30, 50), annotated=False)]}
    save_coco(tmp_path / "in", coco_content(scenes), scenes=scenes)
    words = ["dataset", tmp_path / "in", "--remove", "person"]
    # A file of this dataset names its categories, though no record uses them.
    assert cli(*words, "-o", tmp_path / "out", "--unannotated", "fill").code == 0
    new = pixels(tmp_path / "out/train2017/a.png")
    assert (new[10:50, 10:30] == 128).all()


def test_images_that_show_nothing_else_can_be_left_out(coco, run):
    run("--drop-empty")
    assert [it["id"] for it in labels(coco / "out")["images"]] == [1, 2, 3, 5]
    assert not (coco / "out/train2017/d.png").exists()


def test_bad_input_fails_its_image_alone_and_leaves_no_half(coco, run):
    content = coco_content()
    content["annotations"][0]["bbox"] = "wide"
    save_coco(coco / "in", content)
    (coco / "in/train2017/d.png").unlink()
    done = run()
    assert done.code == 1
    assert "annotation 100" in done.err
    assert "d.png" in done.err
    after = labels(coco / "out")
    assert [it["id"] for it in after["images"]] == [2, 3, 5]
    assert [it["id"] for it in after["annotations"]] == [102, 104]
    assert not (coco / "out/train2017/a.png").exists()


def change_text(path, old, new):
    path.write_text(path.read_text().replace(old, new, 1))


def shrink(path):
    with Image.open(path) as mask:
        mask.resize((90, 60)).save(path)


FAULTS = {
    "the same id twice": (save_coco, "annotations/*.json", '"id": 101', '"id": 100'),
    "not a number": (save_coco, "annotations/*.json", "10.0", "NaN"),
    "beyond any photo": (save_coco, "annotations/*.json", "10.0", "1e300"),
    "edges reversed": (save_voc, "Annotations/a.xml", "<xmax>30<", "<xmax>3<"),
    "mask of another size": (save_voc, "SegmentationClass/a.png", shrink, ""),
    "class out of range": (save_yolo, "labels/train/a.txt", "2 ", "9 "),
    "no number": (save_yolo, "labels/train/a.txt", "2 ", "2 x "),
    "no corners": (save_labelme, "a.json", '"points"', '"point"'),
    "cut off": (save_labelme, "a.json", "}", ""),
    "odd points": (save_cvat, "annotations.xml", '="10.00,', '="'),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_record_is_named_and_costs_its_image_alone(tmp_path, cli, fault):
    save, pattern, old, new = FAULTS[fault]
    save(tmp_path / "in")
    [path] = (tmp_path / "in").glob(pattern)
    if callable(old):
        old(path)
    else:
        change_text(path, old, new)
    before = files_of(tmp_path / "in")
    done = cli("dataset", tmp_path / "in", "-o", tmp_path / "out", "--remove", "person", "-q")
    assert done.code == 1
    assert str(path) in done.err
    assert "internal error" not in done.err
    assert files_of(tmp_path / "in") == before
    after = files_of(tmp_path / "out")
    assert not [name for name in after if name.endswith(("/a.png", "/a.xml", "/a.txt"))]
    assert "a.png" not in after
    assert sum(name.endswith("/c.png") or name == "c.png" for name in after) in (1, 3)


def test_labels_that_somebody_else_wrote_are_not_replaced(coco, run):
    foreign = coco / "out/annotations/instances_train2017.json"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    done = run()
    assert done.code == 1
    assert "--overwrite" in done.err
    assert foreign.read_text() == "mine"
    assert run("--overwrite").code == 0
    assert len(labels(coco / "out")["annotations"]) == 3


def test_the_report_says_what_became_of_each_label(coco, run):
    run("--report", coco / "report.html")
    lines = [json.loads(line) for line in (coco / "report.jsonl").read_text().splitlines()]
    a = next(line for line in lines if line["photo"].endswith("a.png"))
    assert a["annotations"] == [
        {"annotation": "annotation 100", "label": "person", "outcome": "removed", "filled_share": 1}
    ]
    assert (a["annotations_kept"], a["split"]) == (1, "train2017")
    assert len(a["sha256_before"]) == len(a["sha256_after"]) == 64 != a["sha256_before"]
    assert a["dataset_options"]["classes"] == ["person"]
    assert (coco / "report.html").read_text().count("data:image/webp") >= 9


def test_a_dry_run_prints_a_table_and_writes_nothing(coco, run):
    done = run("--dry-run", remove="person,dog")
    assert done.out.splitlines()[0].split() == [
        "split",
        "images",
        "to",
        "change",
        "person",
        "labels",
        "dog",
        "labels",
    ]
    assert done.out.splitlines()[1].split() == ["train2017", "5", "4", "3", "2"]
    assert not (coco / "out").exists()


def test_a_cache_has_plates_masks_and_what_is_gone_and_nothing_else(coco, run):
    done = run("--cache")
    assert done.code == 0, done.err
    names = files_of(coco / "out").keys()
    images = {f"train2017/{name}.png" for name in "acd"}
    assert names == {*images, *(f"masks/{name}.png" for name in images), "plates.json"}
    plates = PlateCache(coco / "out")
    plate = plates.find("a.png")
    assert plate.dropped.tolist() == [[10, 10, 30, 50]]
    assert plate.mask[10:50, 10:30].all()
    np.testing.assert_array_equal(plate.image, pixels(coco / "out/train2017/a.png"))
    assert plates.find(2) is None
    first = files_of(coco / "out")
    assert "5 skipped" in run("--cache").out
    assert files_of(coco / "out") == first


def test_voc_images_xml_masks_and_lists_change_together(tmp_path, cli):
    save_voc(tmp_path / "in")
    done = cli("dataset", tmp_path / "in", "-o", tmp_path / "out", "--remove", "people")
    assert done.code == 0, done.err
    before, after = files_of(tmp_path / "in"), files_of(tmp_path / "out")
    assert after.keys() == before.keys()
    changed = {name for name in before if before[name] != after[name]}
    folders = ("Annotations/{}.xml", "JPEGImages/{}.png", "SegmentationClass/{}.png")
    wanted = {name.format(it) for name in (*folders, "SegmentationObject/{}.png") for it in "acd"}
    assert changed == {*wanted, "ImageSets/Main/person_train.txt"}
    assert b"person" not in after["Annotations/a.xml"]


@pytest.mark.parametrize(
    ("save", "word"), [(save_labelme, b"person"), (save_cvat, b'label="person"')]
)
def test_labelme_and_cvat_lose_images_and_shapes_together(tmp_path, cli, save, word):
    save(tmp_path / "in")
    words = ["dataset", tmp_path / "in", "-o", tmp_path / "out", "--remove", "person"]
    done = cli(*words)
    assert done.code == 0, done.err
    assert "3 removed" in done.out
    before, after = files_of(tmp_path / "in"), files_of(tmp_path / "out")
    assert after.keys() == before.keys()
    assert not [name for name, content in after.items() if word in content]
    assert sum(before[name] != after[name] for name in before if name.endswith(".png")) == 3
    assert "5 skipped" in cli(*words).out
    assert files_of(tmp_path / "out") == after


@pytest.mark.parametrize("polygons", [True, False])
def test_yolo_images_and_lines_change_together(tmp_path, cli, polygons):
    save_yolo(tmp_path / "in", polygons=polygons)
    done = cli("dataset", tmp_path / "in", "-o", tmp_path / "out", "--remove", "person")
    assert done.code == 0, done.err
    assert "3 removed" in done.out
    before, after = files_of(tmp_path / "in"), files_of(tmp_path / "out")
    assert before.keys() - after.keys() == {"labels/train.cache"}
    assert after["labels/train/d.txt"] == b""
    assert after["data.yaml"] == before["data.yaml"]
    again = cli("dataset", tmp_path / "in", "-o", tmp_path / "out", "--remove", "person")
    assert "5 skipped (done before)" in again.out
    assert files_of(tmp_path / "out") == after


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--remove", "forklift"), "forklift"),
        (("--remove", "person", "--neighbours", "eat"), "eat"),
        (("--remove", "person", "--min-visible", "0.9"), "0.9"),
        ((), "--remove"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_written(coco, cli, options, said):
    done = cli("dataset", coco / "in", "-o", coco / "out", *options)
    assert done.code == 2
    assert said in done.err
    assert not (coco / "out").exists()


@pytest.mark.parametrize("out", ["in", "in/out", "."])
def test_the_dataset_is_never_written_to(coco, cli, out):
    done = cli("dataset", coco / "in", "-o", coco / out, "--remove", "person")
    assert done.code == 2
    assert "another folder" in done.err


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_at_any_moment_the_next_run_makes_the_same_dataset(tmp_path):
    scenes = {
        f"{number:02}": [Thing("person", (10 + number, 10, 30 + number, 50))]
        for number in range(24)
    }
    save_coco(tmp_path / "in", coco_content(scenes), scenes=scenes)

    def command(out, workers):
        words = ["dataset", "in", "-o", out, "--remove", "person", "--inpainter", "telea"]
        more = ["--effects", "off", "--no-verify", "--workers", str(workers)]
        return [sys.executable, "-m", "cleanplate", *words, *more]

    subprocess.run(command("whole", 1), cwd=tmp_path, check=True, capture_output=True)
    caught = 0
    for kill in range(8):
        process = subprocess.Popen(
            command("out", 1 + kill % 2), cwd=tmp_path, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, process_group=0,
        )  # fmt: skip
        process.stdout.readline()
        time.sleep(random.uniform(0, 0.4))
        caught += process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert caught
    subprocess.run(command("out", 2), cwd=tmp_path, check=True, capture_output=True)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
