"""What `dataset` writes is read by those who read such datasets."""

import contextlib
import gc
import io
import json
import socket
from pathlib import Path

import numpy as np
import pytest

from cleanplate.datasets import AnnotationEdit, ImageEdit, open_dataset
from cleanplate.io import write_bytes_atomic
from dataset_builders import (
    SCENES,
    coco_content,
    save_coco,
    save_cvat,
    save_labelme,
    save_voc,
    save_yolo,
)

pytestmark = pytest.mark.filterwarnings(  # pycocotools 2.0.11 with NumPy 2
    "ignore:__array__ implementation:DeprecationWarning"
)


def edit_all(root, out, label="person", clip=None):
    """Drop all labels of a class; clip those of another one to their left half."""
    editor = open_dataset(root)
    edits = {}
    for image in editor.images:
        changes = {}
        for annotation in editor.read(image):
            if annotation.label == label:
                changes[annotation.key] = AnnotationEdit(annotation=annotation, outcome="removed")
            elif annotation.label == clip:
                left, top, right, bottom = map(int, annotation.box)
                half = (left, top, (left + right) // 2, bottom)
                mask = np.ones((half[3] - half[1], half[2] - half[0]), np.bool_)
                changes[annotation.key] = AnnotationEdit(
                    annotation=annotation, outcome="clipped", visible=(half, mask)
                )
        edits[image.relative] = ImageEdit(image=image, changes=changes)
        write_bytes_atomic(out / image.relative, image.source.read_bytes())
    for relative, content in editor.edited(edits):
        write_bytes_atomic(out / relative, content)


def test_pycocotools_loads_and_evaluates(tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    save_coco(tmp_path / "in")
    edit_all(tmp_path / "in", tmp_path / "out", clip="dog")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(tmp_path / "out/annotations/instances_train2017.json")
        assert (len(truth.imgs), len(truth.anns)) == (len(SCENES), 3)
        assert sorted(truth.getCatIds()) == [1, 3, 18]
        clipped = truth.annToMask(truth.anns[102])
        assert clipped.sum() == truth.anns[102]["area"] == 12 * 20
        found = [
            {key: it[key] for key in ("image_id", "category_id", "bbox")} | {"score": 1.0}
            for it in truth.anns.values()
        ]
        evaluation = COCOeval(truth, truth.loadRes(json.loads(json.dumps(found))), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


@pytest.mark.slow
def test_torchvision_reads_both_and_a_detector_takes_a_step(tmp_path):
    torch = pytest.importorskip("torch")
    from torchvision.datasets import CocoDetection, VOCSegmentation, wrap_dataset_for_transforms_v2
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large
    from torchvision.transforms import v2

    save_coco(tmp_path / "in")
    edit_all(tmp_path / "in", tmp_path / "out", clip="dog")
    with contextlib.redirect_stdout(io.StringIO()):
        images = CocoDetection(
            tmp_path / "out/train2017",
            tmp_path / "out/annotations/instances_train2017.json",
            transforms=v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]),
        )
    images = wrap_dataset_for_transforms_v2(images, target_keys=("boxes", "labels", "masks"))
    pairs = [images[index] for index in range(len(images))]
    labelled = [(image, target) for image, target in pairs if "boxes" in target]
    assert len(labelled) == 3
    network = fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=91
    )
    losses = network([image for image, _ in labelled], [dict(target) for _, target in labelled])
    total = sum(losses.values())
    total.backward()
    assert torch.isfinite(total)

    devkit = "VOCdevkit/VOC2012"
    save_voc(tmp_path / "voc" / devkit)
    lists = tmp_path / "voc" / devkit / "ImageSets/Segmentation"
    lists.mkdir()
    (lists / "train.txt").write_text("a\nc\n")
    edit_all(tmp_path / "voc", tmp_path / "voc2" / devkit)
    for path in (tmp_path / "voc2" / devkit / "JPEGImages").iterdir():
        path.rename(path.with_suffix(".jpg"))
    segmented = VOCSegmentation(tmp_path / "voc2", year="2012", image_set="train")
    values = [set(np.unique(np.asarray(mask)).tolist()) for _, mask in segmented]
    assert values == [{0, 3, 255}, {0, 18, 255}]
    network = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=21)
    pairs = [(np.array(image), np.array(mask)) for image, mask in segmented]
    images, masks = (torch.from_numpy(np.stack(it)) for it in zip(*pairs, strict=True))
    seen = network(images.permute(0, 3, 1, 2) / 255)["out"]
    loss = torch.nn.functional.cross_entropy(seen, masks.long(), ignore_index=255)
    loss.backward()
    assert torch.isfinite(loss)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("save", "name"),
    [(save_coco, "coco"), (save_voc, "voc"), (save_yolo, "yolo"), (save_cvat, "cvat")],
)
def test_datumaro_opens_it(tmp_path, save, name):
    datumaro = pytest.importorskip("datumaro")
    root, out = tmp_path / "in", tmp_path / "out"
    save(root, **({"polygons": False} if name == "yolo" else {}))  # it reads YOLO's boxes only
    edit_all(root, out)
    if name == "coco":  # where it looks for images
        (out / "images").mkdir()
        (out / "train2017").rename(out / "images/train2017")
    elif name == "yolo":
        (out / "data.yaml").write_bytes((root / "data.yaml").read_bytes())
    opened = datumaro.Dataset.import_from(str(out), name)
    names = [it.name for it in opened.categories()[datumaro.AnnotationType.label]]
    kinds = (datumaro.Bbox, datumaro.Polygon)
    found = {
        item.id: {names[it.label] for it in item.annotations if isinstance(it, kinds)} - {"head"}
        for item in opened
    }
    assert found == {"a": {"car"}, "b": {"dog"}, "c": {"dog"}, "d": set(), "e": set()}
    gc.collect()  # it leaves a file open


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("save", [save_coco, save_voc, save_yolo, save_labelme])
def test_supervision_opens_it(tmp_path, save):
    supervision = pytest.importorskip("supervision")
    root, out = tmp_path / "in", tmp_path / "out"
    save(root)
    edit_all(root, out)
    images = {
        save_coco: ("from_coco", out / "train2017", out / "annotations/instances_train2017.json"),
        save_voc: ("from_pascal_voc", out / "JPEGImages", out / "Annotations"),
        save_yolo: (
            "from_yolo", out / "images/train", out / "labels/train", root / "data.yaml",
        ),
        save_labelme: ("from_labelme", out, out),
    }  # fmt: skip
    reader, *paths = images[save]
    opened = getattr(supervision.DetectionDataset, reader)(*map(str, paths))
    found = {
        Path(path).stem: {opened.classes[it] for it in detections.class_id}
        for path, _, detections in opened
    }
    assert found == {"a": {"car"}, "b": {"dog"}, "c": {"dog"}, "d": set(), "e": set()}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("polygons", "network"), [(True, "yolo11n-seg.yaml"), (False, "yolo11n.yaml")]
)
def test_ultralytics_takes_a_step(tmp_path, monkeypatch, polygons, network):
    def refuse(*_):
        raise OSError("no network in tests")

    for variable, value in {
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_CONFIG_DIR": str(tmp_path / "settings"),
    }.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    ultralytics = pytest.importorskip("ultralytics")
    root, out = tmp_path / "in", tmp_path / "out"
    save_yolo(root, polygons=polygons)
    edit_all(root, out, clip="dog")
    description = (root / "data.yaml").read_text().replace("path: .", f"path: {out}")
    (out / "data.yaml").write_text(f"{description}val: images/train\n")
    model = ultralytics.YOLO(network)
    model.train(
        data=str(out / "data.yaml"), epochs=1, imgsz=64, batch=4, device="cpu", workers=0,
        amp=False, plots=False, val=False, pretrained=False, project=str(tmp_path / "runs"),
    )  # fmt: skip
    read = model.trainer.train_loader.dataset.labels
    assert [len(it["cls"]) for it in read] == [1, 1, 1, 0, 0]
    assert [len(it["segments"]) for it in read] == [int(polygons)] * 3 + [0, 0]
    assert all(loss.isfinite() for loss in model.trainer.tloss.values())


def test_ids_and_order_of_what_stays_are_those_of_before(tmp_path):
    save_coco(tmp_path / "in")
    edit_all(tmp_path / "in", tmp_path / "out")
    after = json.loads((tmp_path / "out/annotations/instances_train2017.json").read_bytes())
    before = coco_content()
    assert after["categories"] == before["categories"]
    assert [it for it in before["annotations"] if it["category_id"] != 1] == after["annotations"]
