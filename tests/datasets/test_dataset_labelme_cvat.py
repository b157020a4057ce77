"""LabelMe's JSON and CVAT's XML are edited in their own text."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from cleanplate.datasets import ImageEdit, open_dataset
from cleanplate.errors import PhotoError
from dataset_builders import edited, image_of, save_cvat, save_labelme

LEFT_HALF = ((20, 20, 32, 40), np.ones((20, 12), np.bool_))


@pytest.fixture
def labelme(tmp_path):
    save_labelme(tmp_path)
    return open_dataset(tmp_path)


@pytest.fixture
def cvat(tmp_path):
    save_cvat(tmp_path)
    return open_dataset(tmp_path)


@pytest.mark.parametrize("save", [save_labelme, save_cvat])
def test_they_are_read_and_stay_the_same_without_edits(tmp_path, save):
    save(tmp_path)
    editor = open_dataset(tmp_path)
    assert editor.classes in (("person", "car", "dog"), ("car", "dog", "person"))
    person, car = editor.read(image_of(editor, "a"))
    assert (person.label, person.box, car.label) == ("person", (10, 10, 30, 50), "car")
    for path, content in editor.edited({}):
        assert content == (tmp_path / path).read_bytes()


def test_a_shape_of_labelme_is_cut_and_the_old_pixels_go(labelme):
    before = (labelme.root / "a.json").read_text()
    files = edited(labelme, "a", {"shape 1": ("removed", {})}, mask=labelme.root / "mask.png")
    wanted = json.loads(before)
    del wanted["shapes"][0]
    wanted["imageData"] = None
    after = json.loads(files["a.json"])
    assert list(after.items()) == list(wanted.items())
    assert files["a.json"].decode() == json.dumps(wanted, indent=2)
    assert files["b.json"] == (labelme.root / "b.json").read_bytes()


def test_a_shape_of_labelme_is_clipped(labelme):
    files = edited(labelme, "b", {"shape 1": ("clipped", {"visible": LEFT_HALF})})
    shape = json.loads(files["b.json"])["shapes"][0]
    assert list(shape) == ["label", "points", "group_id", "shape_type"]
    points = np.array(shape["points"])
    assert points.min(axis=0) == pytest.approx((20, 20), abs=0.5)
    assert points.max(axis=0) == pytest.approx((32, 40), abs=0.5)


def test_masks_rectangles_and_circles_of_labelme(labelme):
    path = labelme.root / "b.json"
    content = json.loads(path.read_text())
    stream = io.BytesIO()
    Image.fromarray(np.eye(4, dtype=np.uint8) * 255).save(stream, format="PNG")
    mask = base64.b64encode(stream.getvalue()).decode()
    content["shapes"] = [
        {"label": "dog", "shape_type": "mask", "points": [[5, 6], [8, 9]], "mask": mask},
        {"label": "dog", "shape_type": "rectangle", "points": [[20, 30], [10, 5]]},
        {"label": "dog", "shape_type": "circle", "points": [[20, 20], [26, 28]]},
    ]
    path.write_text(json.dumps(content))
    mask_shape, rectangle, circle = labelme.read(image_of(labelme, "b"))
    assert mask_shape.outline.box == (5, 6, 9, 10)
    np.testing.assert_array_equal(mask_shape.outline.mask, np.eye(4, dtype=np.bool_))
    assert (rectangle.box, rectangle.outline) == ((10, 5, 20, 30), None)
    assert circle.box == (10, 10, 30, 30)
    clip = {"visible": ((6, 7, 8, 9), np.eye(2, dtype=np.bool_))}
    files = edited(labelme, "b", {"shape 1": ("clipped", clip)})
    path.write_bytes(files["b.json"])
    again = labelme.read(image_of(labelme, "b"))[0].outline
    assert again.box == (6, 7, 8, 9)
    np.testing.assert_array_equal(again.mask, np.eye(2, dtype=np.bool_))


def test_a_shape_of_cvat_is_cut_with_its_attributes(cvat):
    text = (cvat.root / "annotations.xml").read_text()
    files = edited(cvat, "a", {"shape 1": ("removed", {})})
    start = text.index('\n    <polygon label="person"')
    end = text.index("</polygon>", start) + len("</polygon>")
    assert files["annotations.xml"].decode() == text[:start] + text[end:]


def test_a_shape_of_cvat_is_clipped_and_marked(cvat):
    files = edited(cvat, "b", {"shape 1": ("clipped", {"visible": LEFT_HALF})})
    (cvat.root / "annotations.xml").write_bytes(files["annotations.xml"])
    again = open_dataset(cvat.root)
    [dog] = again.read(image_of(again, "b"))
    assert dog.box == pytest.approx((20, 20, 32, 40), abs=0.5)
    assert b'source="a > b" occluded="1"' in files["annotations.xml"]


def test_masks_of_cvat_come_back(cvat):
    path = cvat.root / "annotations.xml"
    shape = (
        '<mask label="dog" occluded="0" rle="1, 2, 2, 1" left="4" top="5" width="3" height="2"/>'
    )
    text = path.read_text().replace('name="e.png" width="96" height="64">', f'name="e.png">{shape}')
    path.write_text(text)
    editor = open_dataset(cvat.root)
    [dog] = editor.read(image_of(editor, "e"))
    assert dog.outline.mask.tolist() == [[False, True, True], [False, False, True]]
    clip = {"visible": ((5, 5, 7, 7), np.array([[True, False], [False, True]]))}
    path.write_bytes(edited(editor, "e", {"shape 1": ("clipped", clip)})["annotations.xml"])
    editor = open_dataset(cvat.root)
    [dog] = editor.read(image_of(editor, "e"))
    assert dog.outline.box == (5, 5, 7, 7)
    assert dog.outline.mask.tolist() == [[True, False], [False, True]]


def test_lost_images_go(labelme, tmp_path):
    lost = {it.relative: ImageEdit(image=it, is_lost=True) for it in [image_of(labelme, "a")]}
    assert "a.json" not in {path.as_posix() for path, _ in labelme.edited(lost)}
    save_cvat(tmp_path / "cvat")
    cvat = open_dataset(tmp_path / "cvat")
    lost = {it.relative: ImageEdit(image=it, is_lost=True) for it in [image_of(cvat, "a")]}
    [(_, content)] = cvat.edited(lost)
    assert b"a.png" not in content
    assert content.count(b"<image ") == 4


def test_bad_shapes_are_named(labelme, tmp_path):
    path = labelme.root / "a.json"
    content = json.loads(path.read_text())
    content["shapes"][0]["points"] = [[1, 2]]
    path.write_text(json.dumps(content))
    with pytest.raises(PhotoError, match=r"shape 1.*1 corners"):
        labelme.read(image_of(labelme, "a"))
    save_cvat(tmp_path / "cvat")
    xml = tmp_path / "cvat/annotations.xml"
    xml.write_text(xml.read_text().replace("10.00,10.00;", "wide;", 1))
    cvat = open_dataset(tmp_path / "cvat")
    with pytest.raises(PhotoError, match="image 0: shape 1"):
        cvat.read(image_of(cvat, "a"))


@pytest.mark.parametrize("named", ["a\0.png", "\ud800.png", "", "."])
def test_names_that_no_file_has_exclude_one_image_of_labelme(labelme, named):
    path = labelme.root / "a.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"imagePath": named}))
    editor = open_dataset(labelme.root)
    assert [it.relative.stem for it in editor.images] == ["b", "c", "d", "e"]
    assert len(editor.errors) == 1


@pytest.mark.parametrize(("name", "count"), [("/a.png", 4), ("a..1.png", 5), ("../a.png", 4)])
def test_only_names_outside_the_folder_exclude_an_image_of_cvat(cvat, name, count):
    (cvat.root / "images/a.png").rename(cvat.root / "images/a..1.png")
    path = cvat.root / "annotations.xml"
    path.write_text(path.read_text().replace('name="a.png"', f'name="{name}"'))
    assert len(open_dataset(cvat.root).images) == count


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ('box rotation="90" xtl="20" ytl="10" xbr="40" ybr="50"', (10, 20, 50, 40)),
        ('ellipse rotation="90" cx="30" cy="30" rx="10" ry="20"', (10, 20, 50, 40)),
        ('ellipse cx="30" cy="30" rx="10" ry="20"', (20, 10, 40, 50)),
    ],
)
def test_rotated_shapes_of_cvat_are_where_they_are_shown(cvat, shape, box):
    kind = shape.partition(" ")[0]
    [annotation, _] = with_first_shape(cvat, f'<{shape} label="person"></{kind}>')
    assert annotation.box == pytest.approx(box)
    if kind == "ellipse":
        corners = np.reshape(annotation.outline[0], (-1, 2))
        assert corners.min(axis=0) == pytest.approx(box[:2])


@pytest.mark.parametrize(("side", "rle"), [(100_000, 10**10), (10, 10**30), (-10, 100)])
def test_masks_of_cvat_have_a_size(cvat, side, rle):
    mask = f'left="0" top="0" width="{side}" height="{side}" rle="{rle}"'
    with pytest.raises(PhotoError, match="do not fill"):
        with_first_shape(cvat, f'<mask label="person" {mask}></mask>')


def with_first_shape(cvat, text):
    """Return the annotations of the first image with another shape in place of its first."""
    path = cvat.root / "annotations.xml"
    before, _, after = path.read_text().partition("<polygon")
    path.write_text(before + text + after.partition("</polygon>")[2])
    editor = open_dataset(cvat.root)
    return editor.read(image_of(editor, "a"))
