"""COCO files are edited in their own text."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cleanplate.datasets import AnnotationEdit, DatasetOptions, ImageEdit, open_dataset
from cleanplate.datasets.text import change_records, change_values, scan_json, splice
from cleanplate.errors import InputError, PhotoError
from cleanplate.io import write_mask
from cleanplate.ops import decode_rle, pack_counts, unpack_counts
from dataset_builders import coco_content, save_coco, save_images

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def edits_of(editor, name, outcomes):
    """Return edits that drop or change annotations of one image."""
    [image] = [it for it in editor.images if it.relative.stem == name]
    annotations = {it.key: it for it in editor.read(image)}
    changes = {
        key: AnnotationEdit(annotation=annotations[key], outcome=outcome, **more)
        for key, (outcome, more) in outcomes.items()
    }
    return {image.relative: ImageEdit(image=image, changes=changes)}


def text_after(editor, edits):
    [(_, content)] = editor.edited(edits)
    return content.decode("utf-8")


def test_a_dropped_record_is_cut_and_all_else_is_byte_for_byte_the_same(tmp_path):
    path = save_coco(tmp_path)
    before = path.read_text("utf-8")
    editor = open_dataset(tmp_path)
    after = text_after(editor, edits_of(editor, "a", {"annotation 100": ("removed", {})}))
    start = before.index('  {\n   "id": 100')
    end = before.index('  {\n   "id": 101')
    assert after == before[:start] + before[end:]


@pytest.mark.parametrize("indent", [None, 1])
def test_the_last_and_the_only_record_are_cut_with_their_comma(tmp_path, indent):
    save_coco(tmp_path, indent=indent)
    editor = open_dataset(tmp_path)
    edits = edits_of(editor, "d", {"annotation 105": ("removed", {})})
    rest = json.loads(text_after(editor, edits))
    wanted = coco_content()
    wanted["annotations"].pop()
    assert rest == wanted
    for name, keys in {"a": (100, 101), "b": (102,), "c": (103, 104)}.items():
        edits |= edits_of(editor, name, {f"annotation {key}": ("removed", {}) for key in keys})
    assert json.loads(text_after(editor, edits)) == {**wanted, "annotations": []}


def test_without_edits_the_file_is_the_same(tmp_path):
    path = save_coco(tmp_path)
    assert text_after(open_dataset(tmp_path), {}) == path.read_text("utf-8")


def test_a_clipped_record_has_new_outline_box_and_area_and_the_rest_as_it_was(tmp_path):
    save_coco(tmp_path)
    editor = open_dataset(tmp_path)
    visible = ((20, 20, 30, 40), np.ones((20, 10), np.bool_))
    clip = {"annotation 102": ("clipped", {"visible": visible})}
    after = json.loads(text_after(editor, edits_of(editor, "b", clip)))
    [old] = [it for it in coco_content()["annotations"] if it["id"] == 102]
    [new] = [it for it in after["annotations"] if it["id"] == 102]
    assert list(new) == list(old)
    changed = {key for key in old if old[key] != new[key]}
    assert changed == {"bbox", "area", "segmentation"}
    assert (new["bbox"], new["area"]) == ([20, 20, 10, 20], 200)


@pytest.mark.parametrize("pack", [list, pack_counts])
def test_run_lengths_stay_run_lengths_of_their_kind(tmp_path, pack):
    content = coco_content()
    record = content["annotations"][2]
    counts = [20 * 64 + 20, *([20, 44] * 23), 20, 96 * 64 - 43 * 64 - 40]
    record["segmentation"] = {"counts": pack(counts), "size": [64, 96]}
    save_coco(tmp_path, content)
    editor = open_dataset(tmp_path)
    visible = ((20, 20, 30, 40), np.ones((20, 10), np.bool_))
    clip = {"annotation 102": ("clipped", {"visible": visible})}
    after = json.loads(text_after(editor, edits_of(editor, "b", clip)))["annotations"][2]
    new = after["segmentation"]
    assert (list(new), new["size"]) == (["counts", "size"], [64, 96])
    assert type(new["counts"]) is type(pack(counts))
    lengths = unpack_counts(new["counts"]) if isinstance(new["counts"], str) else new["counts"]
    assert decode_rle(lengths, (64, 96))[0] == (20, 20, 30, 40)


def test_a_lost_image_goes_from_images_and_annotations(tmp_path):
    save_coco(tmp_path)
    editor = open_dataset(tmp_path)
    image = editor.images[0]
    lost = {image.relative: ImageEdit(image=image, is_lost=True)}
    after = json.loads(text_after(editor, lost))
    assert [it["id"] for it in after["images"]] == [2, 3, 4, 5]
    assert [it["id"] for it in after["annotations"]] == [102, 103, 104, 105]


def test_keypoints_and_captions_of_the_same_images_are_edited_with_them(tmp_path):
    save_coco(tmp_path)
    people = coco_content()
    people["annotations"] = [
        {**it, "keypoints": [12, 12, 2, 70, 40, 2, 0, 0, 0], "num_keypoints": 2}
        for it in people["annotations"]
        if it["id"] in (100, 101)
    ]
    captions = {
        **coco_content(),
        "annotations": [
            {"image_id": 1, "id": 7, "caption": "A man stands by a car."},
            {"image_id": 1, "id": 8, "caption": "A car on a lawn."},
            {"image_id": 2, "id": 9, "caption": "A man and his dog."},
        ],
    }
    folder = tmp_path / "annotations"
    (folder / "person_keypoints_train2017.json").write_text(json.dumps(people))
    (folder / "captions_train2017.json").write_text(json.dumps(captions))
    editor = open_dataset(tmp_path)
    assert [len(it.keypoints) for it in editor.read(editor.images[0])] == [3, 3]
    edits = edits_of(
        editor,
        "a",
        {"annotation 100": ("removed", {}), "annotation 101": ("kept", {"hidden": (0,)})},
    )
    [(relative, edit)] = edits.items()
    edits[relative] = replace(edit, removed_labels={"person"}, classes_left={"car"})
    after = {path.name: json.loads(content) for path, content in editor.edited(edits)}
    [kept] = after["person_keypoints_train2017.json"]["annotations"]
    assert kept["keypoints"] == [12, 12, 1, 70, 40, 2, 0, 0, 0]
    assert kept["num_keypoints"] == 2
    assert [it["id"] for it in after["captions_train2017.json"]["annotations"]] == [8, 9]
    instances = after["instances_train2017.json"]["annotations"]
    assert [it["id"] for it in instances] == [101, 102, 103, 104, 105]


def test_splits_come_from_the_names_of_the_files(tmp_path):
    save_coco(tmp_path)
    save_coco(tmp_path, split="val2017")
    assert {it.split for it in open_dataset(tmp_path).images} == {"train2017", "val2017"}
    folder = tmp_path / "other"
    save_images(folder)
    (folder / "labels.json").write_text(json.dumps(coco_content()))
    editor = open_dataset(folder / "labels.json")
    assert {it.split for it in editor.images} == {None}
    assert not editor.has_splits


def broken(**changes):
    content = coco_content()
    content["annotations"][0].update(changes)
    return content


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bbox": [1, 2, 3]}, "annotation 100"),
        ({"bbox": [1, 2, 3, "x"]}, "annotation 100"),
        ({"category_id": 99}, "annotation 100.*99"),
        ({"segmentation": [[1, 2, 3, 4]]}, "annotation 100.*corners"),
        ({"segmentation": {"counts": [1], "size": [64, 96]}}, "annotation 100.*96 x 64"),
        ({"keypoints": [1, 2]}, "annotation 100.*keypoints"),
    ],
)
def test_a_record_that_cannot_be_understood_is_named_and_fails_its_image_only(
    tmp_path, changes, said
):
    path = save_coco(tmp_path, broken(**changes))
    editor = open_dataset(tmp_path)
    with pytest.raises(PhotoError, match=said) as raised:
        editor.read(editor.images[0])
    assert str(path) in str(raised.value)
    assert len(editor.read(editor.images[1])) == 1


def test_double_ids_and_strangers_are_named(tmp_path):
    content = coco_content()
    content["annotations"][1]["id"] = 100
    content["annotations"][2]["image_id"] = 77
    content["images"][4]["id"] = 4
    save_coco(tmp_path, content)
    editor = open_dataset(tmp_path)
    said = "\n".join(editor.problems)
    for record in ("annotation id 100", "image 77", "image id 4"):
        assert record in said


@pytest.mark.parametrize(
    ("text", "said"),
    [('{\n"info": [1,]}', "line 2"), ('{"info": [{}', "line 1"), ("[]", "line 1")],
)
def test_broken_json_is_named_with_its_line(tmp_path, text, said):
    path = save_coco(tmp_path)
    path.write_text(text)
    with pytest.raises(PhotoError, match=said):
        open_dataset(tmp_path)


def test_what_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such"):
        open_dataset(tmp_path / "none")
    save_images(tmp_path)
    with pytest.raises(InputError, match="COCO"):
        open_dataset(tmp_path)


def test_images_that_are_nowhere_are_named(tmp_path):
    path = save_coco(tmp_path)
    (tmp_path / "train2017").rename(tmp_path / "elsewhere")
    with pytest.raises(PhotoError, match=r"a\.png") as raised:
        open_dataset(tmp_path)
    assert raised.value.path == str(path)


def test_names_that_leave_the_folder_are_refused(tmp_path):
    content = coco_content()
    content["images"][1]["file_name"] = "../../secret.png"
    save_coco(tmp_path, content)
    editor = open_dataset(tmp_path)
    assert "secret" in "\n".join(editor.errors)
    assert all(".." not in it.relative.parts for it in editor.images)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4), st.sampled_from([None, 0, 2]))
def test_scanning_finds_every_value_where_it_stands(content, indent):
    text = json.dumps(content, indent=indent)
    for member in scan_json(Path("x"), text):
        assert json.loads(text[slice(*member.span)]) == member.value
        whole = content[member.key]
        assert member.value in whole if member.is_record else member.value == whole


@given(st.data(), st.lists(JSON, min_size=1, max_size=6), st.sampled_from([None, 0, 2]))
def test_untouched_records_are_equal_whatever_happens_to_the_others(data, records, indent):
    text = json.dumps({"before": [1, 2], "annotations": records, "after": {}}, indent=indent)
    spans = [it.span for it in scan_json(Path("x"), text) if it.key == "annotations"]
    changes = data.draw(
        st.dictionaries(st.integers(0, len(records) - 1), st.sampled_from([None, '"new"']))
    )
    after = splice(text, change_records(text, spans, changes))
    wanted = [
        "new" if index in changes else record
        for index, record in enumerate(records)
        if changes.get(index, "") is not None
    ]
    assert json.loads(after) == {"before": [1, 2], "annotations": wanted, "after": {}}
    for index, span in enumerate(spans):
        if index not in changes:
            assert text[slice(*span)] in after


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5), st.data())
def test_changed_values_leave_order_and_others(record, data):
    keys = data.draw(st.sets(st.sampled_from(sorted(record)))) if record else set()
    after = json.loads(change_values(json.dumps(record, indent=1), dict.fromkeys(keys, "[7]")))
    assert list(after.items()) == [(k, [7] if k in keys else v) for k, v in record.items()]


def save_panoptic(root, split="train2017"):
    """Write panoptic annotations of image a: a person, a car and a lawn around them."""
    numbers = np.full((64, 96), 70000)
    numbers[10:50, 10:30], numbers[30:50, 60:85] = 300, 5
    pixels = np.stack([numbers >> shift & 255 for shift in (0, 8, 16)], axis=2).astype(np.uint8)
    folder = root / "annotations" / f"panoptic_{split}"
    folder.mkdir(parents=True)
    Image.fromarray(pixels).save(folder / "a.png")
    segments = [
        {"id": number, "category_id": category, "area": 1, "iscrowd": 0}
        for number, category in ((300, 1), (5, 3), (70000, 200))
    ]
    content = coco_content()
    content["annotations"] = [{"segments_info": segments, "file_name": "a.png", "image_id": 1}]
    content["categories"] = [
        *({**it, "isthing": 1} for it in content["categories"]),
        {"id": 200, "name": "lawn", "isthing": 0},
    ]
    path = root / "annotations" / f"panoptic_{split}.json"
    path.write_text(json.dumps(content, indent=1))
    return numbers, content


@pytest.mark.parametrize("with_instances", [True, False])
def test_a_removed_segment_becomes_void_and_stuff_stays(tmp_path, with_instances):
    if with_instances:
        save_coco(tmp_path)
    else:
        save_images(tmp_path / "train2017")
    numbers, content = save_panoptic(tmp_path)
    editor = open_dataset(tmp_path)
    image = editor.images[0]
    found = editor.read(image)
    assert [it.label for it in found] == ["person", "car"]
    mask = np.zeros((64, 96), np.bool_)
    mask[8:52, 8:32] = True
    write_mask(tmp_path / "mask.png", mask)
    edit = ImageEdit(
        image=image,
        changes={found[0].key: AnnotationEdit(annotation=found[0], outcome="removed")},
        removed_labels={"person"},
        classes_left={"car"},
        mask=tmp_path / "mask.png",
        options=DatasetOptions(classes=("person",)),
    )
    files = {path.name: after for path, after in editor.edited({image.relative: edit})}
    wanted = json.loads(json.dumps(content))
    del wanted["annotations"][0]["segments_info"][0]
    assert files["panoptic_train2017.json"].decode() == json.dumps(wanted, indent=1)
    after = np.asarray(Image.open(io.BytesIO(files["a.png"])), np.int64) @ (1, 256, 65536)
    np.testing.assert_array_equal(after, np.where(numbers == 300, 0, numbers))
    assert editor.label_files() >= {Path("annotations/panoptic_train2017/a.png")}
    added = {path.name: after for path, after in editor.with_plates({image.relative: edit})}
    assert added["a__plate.png"] == files["a.png"]
    assert added["a.png"] == (tmp_path / "annotations/panoptic_train2017/a.png").read_bytes()
    old, plate = json.loads(added["panoptic_train2017.json"])["annotations"]
    assert old == content["annotations"][0]
    assert plate == {**wanted["annotations"][0], "file_name": "a__plate.png", "image_id": 6}
    if not with_instances:
        [_, car] = found
        assert car.outline.box == (60, 30, 85, 50)


@pytest.mark.parametrize("with_instances", [True, False])
def test_segments_follow_the_thresholds(tmp_path, with_instances):
    if with_instances:
        save_coco(tmp_path)
    else:
        save_images(tmp_path / "train2017")
    numbers, _ = save_panoptic(tmp_path)
    editor = open_dataset(tmp_path)
    mask = np.zeros((64, 96), np.bool_)
    mask[8:40, 8:32] = True  # three quarters of the person
    mask[28:52, 60:75] = True  # three fifths of the car
    write_mask(tmp_path / "mask.png", mask)

    def edited(**thresholds):
        options = DatasetOptions(classes=("person",), neighbours="clip", **thresholds)
        image = editor.images[0]
        edit = ImageEdit(image=image, mask=tmp_path / "mask.png", options=options)
        files = {path.name: after for path, after in editor.edited({image.relative: edit})}
        [record] = json.loads(files["panoptic_train2017.json"])["annotations"]
        pixels = np.asarray(Image.open(io.BytesIO(files["a.png"])), np.int64)
        return record["segments_info"], pixels @ (1, 256, 65536)

    segments, after = edited()
    assert [it["id"] for it in segments] == [300, 5, 70000]  # the person is partial
    assert (segments[1]["area"], segments[0]["area"]) == (10 * 20, 1)
    assert (after == np.where(mask & (numbers == 5), 0, numbers)).all()
    segments, after = edited(min_removed=0.7, min_visible=0.5)
    assert [it["id"] for it in segments] == [70000]
    assert (after == np.where(np.isin(numbers, (5, 300)), 0, numbers)).all()


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("categories", {"id": [3]}),
        ("licenses", {"id": {"a": 1}, "name": "CC BY-ND"}),
        ("images", {"license": [1]}),
        ("annotations", {"id": [1]}),
        ("annotations", {"category_id": [1]}),
        ("images", {"file_name": "a\0b.png"}),
        ("images", {"file_name": "\ud800.png"}),
        ("images", {"file_name": "/etc/hosts"}),
    ],
)
def test_a_record_that_is_nonsense_spoils_no_other(tmp_path, kind, values):
    content = coco_content()
    content[kind][0].update(values)
    save_coco(tmp_path, content)
    editor = open_dataset(tmp_path)
    [image] = [it for it in editor.images if it.relative.stem == "b"]
    assert image.source.is_file()
    assert [it.label for it in editor.read(image)] == ["dog"]
