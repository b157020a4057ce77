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

from cleanplate.datasets import open_dataset
from cleanplate.integrations import PlateCache
from dataset_builders import (
    Thing,
    coco_content,
    image_of,
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


def test_objects_without_a_pixel_in_their_photo_are_named(coco, run):
    content = coco_content()
    content["annotations"][0].update(segmentation=[[200, 200, 210, 200, 210, 210]])  # beside it
    content["annotations"][2].update(segmentation=[[5, 5, 5, 5, 5, 5]])  # of no area
    save_coco(coco / "in", content)
    done = run()
    assert done.code == 0
    outside = [line for line in done.err.splitlines() if "outside" in line]
    assert ["annotation 100" in outside[0], "annotation 102" in outside[1]] == [True, True]
    assert {100, 102} <= {it["id"] for it in labels(coco / "out")["annotations"]}


def test_labels_that_somebody_else_wrote_are_not_replaced(coco, run):
    foreign = coco / "out/annotations/instances_train2017.json"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    done = run()
    assert done.code == 1
    assert "--overwrite" in done.err
    assert files_of(coco / "out") == {"annotations/instances_train2017.json": b"mine"}
    assert run("--overwrite").code == 0
    assert len(labels(coco / "out")["annotations"]) == 3


@pytest.mark.parametrize("options", [(), ("--add-plates",)])
def test_labels_that_were_edited_by_hand_are_refused_before_images_are_made(coco, run, options):
    run(*options)
    edited = coco / "out/annotations/instances_train2017.json"
    edited.write_text("mine")
    before = files_of(coco / "out")
    done = run("--dilate", "9", *options)
    assert done.code == 1
    assert "--overwrite" in done.err
    assert files_of(coco / "out") == before
    edited.unlink()
    assert run("--dilate", "9", *options).code == 0


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


ADDED = {
    "COCO": (save_coco, "train2017/{}.png", ()),
    "VOC": (
        save_voc,
        "JPEGImages/{}.png",
        ("Annotations/{}.xml", "SegmentationClass/{}.png", "SegmentationObject/{}.png"),
    ),
    "YOLO": (save_yolo, "images/train/{}.png", ("labels/train/{}.txt",)),
    "LabelMe": (save_labelme, "{}.png", ("{}.json",)),
    "CVAT": (save_cvat, "images/{}.png", ()),
}
"""Format -> how one is made, names of its images, and of the files with their labels."""


@pytest.mark.parametrize("kind", ADDED)
def test_plates_are_added_beside_images_and_labels_that_stay(tmp_path, cli, kind):
    save, image, others = ADDED[kind]
    save(tmp_path / "in")
    words = ["dataset", tmp_path / "in", "-o", tmp_path / "out", "--remove", "person"]
    done = cli(*words, "--add-plates")
    assert done.code == 0, done.err
    before, after = files_of(tmp_path / "in"), files_of(tmp_path / "out")
    before.pop("labels/train.cache", None)
    plates = {name.format(f"{it}__plate") for name in (image, *others) for it in "acd"}
    assert after.keys() == {*before, *plates}
    shared = {name for name in before if after[name] != before[name]}
    assert all(name.endswith(("2017.json", "_train.txt", "train.txt", "s.xml")) for name in shared)
    # Opened as a dataset, it has the images as they were, and the plates as the other mode makes
    # them.
    added = open_dataset(tmp_path / "out")
    assert cli(*words[:-2], "--remove", "person", "-o", tmp_path / "plain").code == 0
    plain = open_dataset(tmp_path / "plain")
    original = open_dataset(tmp_path / "in")

    def what(editor, it):
        return [(one.label, one.box, one.is_crowd) for one in editor.read(it)]

    for it in added.images:
        name = it.relative.stem
        source = plain if name.endswith("__plate") else original
        twin = image_of(source, name.removesuffix("__plate"))
        assert what(added, it) == what(source, twin), name
        np.testing.assert_array_equal(pixels(it.source), pixels(twin.source))
    assert len(added.images) == 8
    assert not added.problems
    assert not added.errors


def test_plates_are_counted_and_added_once(coco, run, cli):
    dry = run("--add-plates", "--dry-run")
    assert dry.out.splitlines()[1].split()[2] == "3"
    run("--add-plates")
    first = files_of(coco / "out")
    again = run("--add-plates")
    assert again.code == 0
    assert files_of(coco / "out") == first
    words = ["dataset", coco / "out", "-o", coco / "more", "--remove", "dog", "--add-plates"]
    refused = cli(*words)
    assert refused.code == 2
    assert "__plate" in refused.err


def test_plates_share_their_new_ids_between_files(coco, run):
    people = coco_content()
    people["annotations"] = [
        {**it, "keypoints": [12, 12, 2], "num_keypoints": 1}
        for it in people["annotations"]
        if it["id"] in (101, 104)
    ]
    folder = coco / "in/annotations"
    (folder / "person_keypoints_train2017.json").write_text(json.dumps(people))
    captions = coco_content()
    captions["annotations"] = [
        {"id": 7, "image_id": 1, "caption": "A man by a car"},
        {"id": 8, "image_id": 1, "caption": "A car"},
    ]
    (folder / "captions_train2017.json").write_text(json.dumps(captions))
    save_coco(coco / "in", split="val2017")
    assert run("--add-plates").code == 0
    instances = labels(coco / "out")
    assert instances["images"][:5] == coco_content()["images"]
    assert instances["annotations"][:6] == coco_content()["annotations"]
    plates = {it["file_name"]: it["id"] for it in instances["images"][5:]}
    assert plates == {"a__plate.png": 6, "c__plate.png": 7, "d__plate.png": 8}
    new = {(it["image_id"], it["category_id"]): it["id"] for it in instances["annotations"][6:]}
    assert new.keys() == {(6, 3), (7, 18)}
    read = [
        json.loads((coco / f"out/annotations/{it}_train2017.json").read_bytes())
        for it in ("person_keypoints", "captions")
    ]
    assert [{it["file_name"]: it["id"] for it in one["images"][5:]} for one in read] == [plates] * 2
    assert [it["id"] for it in read[0]["annotations"][2:]] == list(new.values())
    [caption] = read[1]["annotations"][2:]
    assert (caption["caption"], caption["image_id"]) == ("A car", 6)
    assert labels(coco / "out", "val2017") == coco_content()


def test_a_broken_file_is_named_and_the_others_go_on(coco, run):
    (coco / "in/annotations/captions_train2017.json").write_text('{"images": [')
    content = coco_content()
    content["annotations"].insert(1, 7)
    save_coco(coco / "in", content)
    done = run()
    assert done.code == 1
    assert "captions_train2017.json" in done.err
    assert "annotations, record 2" in done.err
    after = labels(coco / "out")["annotations"]
    assert after == [7, *(it for it in content["annotations"] if it != 7 and it["category_id"] > 1)]
    assert not (coco / "out/annotations/captions_train2017.json").exists()


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
        (("--remove", "person", "--cache", "--add-plates"), "--add-plates"),
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
        f"{number:02}": [Thing("person", (10 + number, 10, 30 + number, 50))] for number in range(5)
    }
    save_coco(tmp_path / "in", coco_content(scenes), scenes=scenes)

    def command(out, workers):
        words = ["dataset", "in", "-o", out, "--remove", "person", "--inpainter", "telea"]
        more = ["--effects", "off", "--no-verify", "--workers", str(workers)]
        more += ["--add-plates"] * out.endswith("added")
        return [sys.executable, "-m", "cleanplate", *words, *more]

    outs = ("out", "out_added")
    for out in ("whole", "whole_added"):
        subprocess.run(command(out, 1), cwd=tmp_path, check=True, capture_output=True)
    caught = 0
    for kill in range(4):
        process = subprocess.Popen(
            command(outs[kill % 2], 1 + kill // 2 % 2), cwd=tmp_path, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, process_group=0,
        )  # fmt: skip
        process.stdout.readline()
        time.sleep(random.uniform(0, 0.4))
        if process.poll() is None:
            caught += 1
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert caught
    for out in outs:
        subprocess.run(command(out, 1), cwd=tmp_path, check=True, capture_output=True)
        whole = files_of(tmp_path / out.replace("out", "whole"))
        assert files_of(tmp_path / out) == whole
        assert len(whole) == 1 + len(scenes) * (1 + out.endswith("added"))
