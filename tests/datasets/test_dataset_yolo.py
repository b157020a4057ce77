"""YOLO's text files lose lines, or get new outlines."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cleanplate.datasets import ImageEdit, open_dataset
from cleanplate.errors import InputError, PhotoError
from dataset_builders import edited, image_of, save_yolo


@pytest.fixture
def yolo(tmp_path):
    save_yolo(tmp_path)
    return open_dataset(tmp_path)


def test_labels_of_turned_photos_refer_to_how_they_are_shown(tmp_path):
    save_yolo(tmp_path)
    path = tmp_path / "images/train/a.png"
    with Image.open(path) as photo:
        exif = photo.getexif()
        exif[0x0112] = 6
        photo.save(path, exif=exif)
    editor = open_dataset(tmp_path)
    [person, _] = editor.read(image_of(editor, "a"))
    assert person.box == pytest.approx((10 / 96 * 64, 10 / 64 * 96, 30 / 96 * 64, 50 / 64 * 96))


def test_polygons_and_boxes_are_read_in_px(yolo, tmp_path):
    person, car = yolo.read(image_of(yolo, "a"))
    assert (person.label, car.label) == ("person", "car")
    assert person.box == pytest.approx((10, 10, 30, 50))
    assert np.reshape(person.outline[0], (-1, 2))[2] == pytest.approx((30, 50))
    save_yolo(tmp_path / "boxes", polygons=False)
    boxes = open_dataset(tmp_path / "boxes" / "data.yaml")
    annotation = boxes.read(image_of(boxes, "a"))[0]
    assert annotation.box == pytest.approx((10, 10, 30, 50))
    assert annotation.outline is None


def test_a_line_is_cut_and_the_others_stay_byte_for_byte(yolo):
    before = (yolo.root / "labels/train/a.txt").read_bytes()
    files = edited(yolo, "a", {"line 1": ("removed", {})})
    assert files["labels/train/a.txt"] == before.splitlines(keepends=True)[1]
    for name in "bcd":
        path = f"labels/train/{name}.txt"
        assert files[path] == (yolo.root / path).read_bytes()


def test_an_image_without_objects_keeps_an_empty_file(yolo):
    assert edited(yolo, "d", {"line 1": ("removed", {})})["labels/train/d.txt"] == b""


def test_caches_are_not_carried_over(yolo):
    assert "labels/train.cache" in {it.as_posix() for it in yolo.label_files()}
    assert not [it for it, _ in yolo.edited({}) if it.suffix == ".cache"]


def test_a_clipped_line_has_a_new_outline_and_its_own_line_end(yolo):
    visible = ((20, 20, 30, 40), np.ones((20, 10), np.bool_))
    files = edited(yolo, "b", {"line 1": ("clipped", {"visible": visible})})
    line = files["labels/train/b.txt"]
    assert line.endswith(b"\r\n")
    values = np.array([float(it) for it in line.split()[1:]]).reshape(-1, 2) * (96, 64)
    assert values.min(axis=0) == pytest.approx((20, 20), abs=0.6)
    assert values.max(axis=0) == pytest.approx((30, 40), abs=0.6)


@pytest.mark.parametrize(
    ("line", "said"),
    [("9 0.1 0.1 0.1 0.1", "line 1.*9"), ("0 0.1 0.1", "line 1.*2"), ("0 a b c d", "line 1")],
)
def test_bad_lines_are_named(yolo, line, said):
    path = yolo.root / "labels/train/a.txt"
    path.write_text(line)
    with pytest.raises(PhotoError, match=said) as raised:
        yolo.read(image_of(yolo, "a"))
    assert raised.value.path == str(path)


def test_a_wrong_count_of_classes_is_told(tmp_path):
    save_yolo(tmp_path)
    config = tmp_path / "data.yaml"
    config.write_text(config.read_text().replace("nc: 3", "nc: 4"))
    assert "nc is 4" in open_dataset(tmp_path).problems[0]


def test_splits_that_are_nowhere_are_named(tmp_path):
    save_yolo(tmp_path)
    config = tmp_path / "data.yaml"
    config.write_text(config.read_text() + "val: images/lost\n")
    editor = open_dataset(tmp_path)
    assert len(editor.images) == 5
    [error] = editor.errors
    assert "images/lost" in error
    config.write_text("path: .\ntrain: nowhere\nval: [images/lost]\nnames: [car]\n")
    with pytest.raises(InputError, match="nowhere"):
        open_dataset(tmp_path)


def test_lists_of_images_lose_and_gain_lines_with_them(tmp_path):
    save_yolo(tmp_path)
    names = [f"./images/train/{name}.png" for name in "abcde"]
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/train.txt").write_text("\n".join(names))
    config = tmp_path / "data.yaml"
    config.write_text(config.read_text().replace("images/train", "lists/train.txt"))
    editor = open_dataset(tmp_path)
    files = edited(editor, "a", {}, is_lost=True)
    assert files["lists/train.txt"].decode().splitlines() == names[1:]
    edit = ImageEdit(image=image_of(editor, "b"), mask=tmp_path / "mask.png")
    added = dict(editor.with_plates({edit.image.relative: edit}))
    lines = added[Path("lists/train.txt")].decode().splitlines()
    assert lines == [*names, "./images/train/b__plate.png"]
    assert added[Path("labels/train/b__plate.txt")] == added[Path("labels/train/b.txt")]
    outside = f"{names[0]}\n{tmp_path.parent}/other.png\n"
    (tmp_path / "lists/train.txt").write_text(outside)
    editor = open_dataset(tmp_path)
    assert len(editor.images) == 1
    assert "other.png" in editor.errors[0]
    assert "absolute" in editor.problems[0]


def test_an_export_with_folders_beside_the_split_is_found(tmp_path):
    save_yolo(tmp_path / "x")
    for kind in ("images", "labels"):
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "x" / kind / "train").rename(tmp_path / "train" / kind)
    (tmp_path / "data.yaml").write_text("train: ../train/images\nnames: [car, dog, person]\n")
    editor = open_dataset(tmp_path)
    assert len(editor.read(image_of(editor, "a"))) == 2


def test_labels_of_two_images_are_refused(yolo):
    Image.new("RGB", (96, 64)).save(yolo.root / "images/train/a.jpg")
    editor = open_dataset(yolo.root)
    for suffix in (".jpg", ".png"):
        [image] = [it for it in editor.images if it.relative.name == "a" + suffix]
        with pytest.raises(PhotoError, match="2 images"):
            editor.read(image)


def test_lines_are_counted_alike_when_read_and_when_cut(yolo):
    path = yolo.root / "labels/train/a.txt"
    path.write_bytes(b"0 0.2 0.5 0.1 0.1\x0b\n2 0.5 0.5 0.1 0.1\n")
    files = edited(yolo, "a", {"line 2": ("removed", {})})
    assert files["labels/train/a.txt"] == b"0 0.2 0.5 0.1 0.1\x0b\n"


@pytest.mark.parametrize(
    ("more", "said"), [("kpt_shape: [4, 3]", "keypoints"), ("names: {a: b}", "not numbered")]
)
def test_what_is_no_list_of_boxes_or_outlines_is_refused(yolo, more, said):
    config = yolo.root / "data.yaml"
    config.write_text(config.read_text() + more + "\n")
    with pytest.raises(PhotoError, match=said):
        open_dataset(yolo.root)
