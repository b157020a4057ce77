"""VOC's XML is cut, its masks and lists follow."""

import io

import numpy as np
import pytest
from PIL import Image

from cleanplate.datasets import ImageEdit, open_dataset
from cleanplate.errors import PhotoError
from dataset_builders import SCENES, edited, image_of, save_voc, voc_masks, voc_xml


@pytest.fixture
def voc(tmp_path):
    save_voc(tmp_path)
    return open_dataset(tmp_path)


def test_objects_get_the_outlines_of_their_masks(voc):
    person, car = voc.read(image_of(voc, "a"))
    assert (person.label, person.box) == ("person", (10, 10, 30, 50))
    assert (car.label, car.outline.box) == ("car", (60, 30, 85, 50))
    assert car.outline.mask.all()
    assert voc.classes == ("car", "dog", "person")
    assert (image_of(voc, "a").split, image_of(voc, "e").split) == ("train", "val")


def test_a_dropped_object_is_cut_with_its_parts_and_all_else_stays(voc):
    files = edited(voc, "a", {"object 1": ("removed", {})})
    text = voc_xml("a", [])
    [_, car] = voc_xml("a", SCENES["a"]).split("\n\t<object>")[1:]
    wanted = text.replace("\n</annotation>", "\n\t<object>" + car.removesuffix("\n"))
    assert files["Annotations/a.xml"].decode() == wanted.rstrip("\n") + "\n"
    for name in "bcde":
        path = f"Annotations/{name}.xml"
        assert files[path] == (voc.root / path).read_bytes()


def test_masks_lose_the_object_and_its_void_and_keep_palette_and_mode(voc):
    files = edited(voc, "a", {"object 1": ("removed", {})})
    for folder, before in zip(
        ("SegmentationClass", "SegmentationObject"),
        voc_masks(SCENES["a"]),
        strict=True,
    ):
        path = f"{folder}/a.png"
        old = Image.open(voc.root / path)
        new = Image.open(io.BytesIO(files[path]))
        assert (new.mode, new.getpalette()) == ("P", old.getpalette())
        wanted = before.copy()
        wanted[8:52, 8:32] = 0
        np.testing.assert_array_equal(np.asarray(new), wanted)
        assert files[f"{folder}/b.png"] == (voc.root / folder / "b.png").read_bytes()


def test_lists_of_classes_say_when_none_is_left(voc):
    files = edited(voc, "a", {"object 1": ("removed", {})})
    assert files["ImageSets/Main/person_train.txt"] == b"a -1\nb -1\nc  1\nd  1\n"
    assert files["ImageSets/Main/car_train.txt"] == b"a  1\nb -1\nc -1\nd -1\n"
    assert files["ImageSets/Main/train.txt"] == b"a\nb\nc\nd\n"


def test_a_clipped_object_is_marked_and_its_mask_follows(voc):
    visible = ((20, 20, 30, 40), np.ones((20, 10), np.bool_))
    files = edited(voc, "b", {"object 1": ("clipped", {"visible": visible})})
    text = files["Annotations/b.xml"].decode()
    assert "<xmin>21</xmin>\n\t\t\t<ymin>21</ymin>\n\t\t\t<xmax>30</xmax>\n\t\t\t<ymax>40" in text
    assert "<truncated>1</truncated>" in text
    assert text.count("<xmin>1</xmin>") == 1  # of the part
    mask = np.asarray(Image.open(io.BytesIO(files["SegmentationObject/b.png"])))
    assert (mask[20:40, 20:30] == 1).all()
    assert not (mask[20:40, 30:44] == 1).any()


def test_a_lost_image_goes_from_all_lists_and_has_no_files(voc):
    image = image_of(voc, "a")
    lost = {image.relative: ImageEdit(image=image, is_lost=True)}
    files = {path.as_posix(): content for path, content in voc.edited(lost)}
    assert files["ImageSets/Main/train.txt"] == b"b\nc\nd\n"
    assert not [path for path in files if path.endswith(("/a.xml", "/a.png"))]


def test_without_edits_every_file_is_the_same(voc):
    for path, content in voc.edited({}):
        assert content == (voc.root / path).read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<xmin>11</xmin>", "<xmin>wide</xmin>", "object 1"),
        ("<xmin>11</xmin>", "<xmin>90</xmin>", "object 1.*90"),
        ("<name>person</name>", "<name></name>", "object 1"),
        ("</annotation>", "", "XML.*line"),
    ],
)
def test_bad_objects_are_named(voc, old, new, said):
    path = voc.root / "Annotations/a.xml"
    path.write_text(path.read_text().replace(old, new, 1))
    editor = open_dataset(voc.root)
    with pytest.raises(PhotoError, match=said) as raised:
        editor.read(image_of(editor, "a"))
    assert raised.value.path == str(path)
    assert editor.read(image_of(editor, "b"))


def test_boxes_that_start_at_zero_are_read_as_they_are_meant(voc):
    path = voc.root / "Annotations/a.xml"
    path.write_text(path.read_text().replace("<xmin>11</xmin>", "<xmin>0</xmin>", 1))
    assert voc.read(image_of(voc, "a"))[0].box[0] == 0
    [problem] = open_dataset(voc.root).problems
    assert str(path) in problem
    assert "object 1" in problem


def test_what_lies_beside_the_photos_is_no_photo(voc):
    (voc.root / "JPEGImages/a.txt").write_text("0 0.5 0.5 0.1 0.1")
    assert image_of(open_dataset(voc.root), "a").source.suffix == ".png"


def test_entities_are_refused_before_they_grow(voc):
    path = voc.root / "Annotations/a.xml"
    path.write_text('<!DOCTYPE a [<!ENTITY x "person">]><annotation>&x;</annotation>')
    with pytest.raises(PhotoError, match="entities"):
        voc.read(image_of(voc, "a"))
