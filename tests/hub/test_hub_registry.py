"""Every registered model states what a user must know, and the built-in files match."""

import dataclasses
import hashlib
import importlib.util
import math
import re

import pytest

from cleanplate import hub as models
from cleanplate import inpainting, segmentation
from cleanplate.errors import InputError, UnknownNameError
from cleanplate.hub import list_models, preset_model, presets
from cleanplate.hub.registry import MODELS, get_model, model_names
from cleanplate.hub.registry.entry import Checkpoint
from cleanplate.hub.store import find_file
from cleanplate.labels import VOC_LABELS
from registered_interface import check_interface

BUILT_IN = [model for model in MODELS.values() if model.is_built_in]
FOREIGN = [model for model in MODELS.values() if not model.is_built_in]


# --- what every entry states


def test_names_are_architecture_and_training_set():
    for model in MODELS.values():
        assert re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+", model.name)
        assert MODELS[model.name] is model


def test_texts_are_there_and_can_be_put_into_a_sentence():
    for model in MODELS.values():
        for text in (
            model.source,
            model.recipe,
            model.training_photos,
            model.choose,
        ):
            assert len(text) > 20
            assert not text.endswith(".")
            assert "\n" not in text
            assert "  " not in text
        assert re.search(r"arXiv:\d{4}\.\d{4,5}", model.source), "name the paper"


def test_the_licence_is_reported_as_id_and_in_plain_words():
    for model in MODELS.values():
        licence = model.licence
        assert re.fullmatch(r"[A-Za-z0-9.+-]+", licence.spdx)
        assert licence.commercial in ("yes", "no", "unclear")
        assert len(licence.note) > 30
        assert not licence.note.endswith(".")
        if licence.spdx == "NOASSERTION" or "-NC-" in licence.spdx:
            assert licence.commercial != "yes"


def test_quality_is_measured_on_named_data():
    for model in MODELS.values():
        for data, values in model.metrics.items():
            assert re.search(r"\d", data), "how many photos, and of which size?"
            assert values
            assert all(math.isfinite(value) and value > 0 for value in values.values())
            assert all(value <= 1 for name, value in values.items() if "iou" in name)


def test_every_family_has_its_adapter():
    for model in MODELS.values():
        package = {"segmenter": segmentation, "inpainter": inpainting}.get(model.kind)
        if package is None:
            continue  # has a package of its own
        module, adapter = package.base._FAMILIES[model.family]
        spec = importlib.util.find_spec(f"{package.__name__}.models.{module}")
        assert spec is not None
        source = spec.loader.get_source(spec.name)
        assert f"class {adapter}" in source


def test_get_model_finds_it_under_its_kind():
    for model in MODELS.values():
        assert get_model(model.name) is get_model(model.name, model.kind) is model
        assert model.name in model_names(model.kind)


def test_file_names_are_unique_so_that_one_folder_holds_all():
    names = [
        file.filename
        for model in MODELS.values()
        for file in {file.filename: file for file in (*model.files, *model.checkpoints)}.values()
    ]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", name) for name in names)


def test_the_registry_cannot_be_changed():
    with pytest.raises(TypeError, match="does not support item assignment"):
        MODELS["x"] = next(iter(MODELS.values()))
    for model in MODELS.values():
        with pytest.raises(dataclasses.FrozenInstanceError):
            model.licence = "MIT"
        for values in model.metrics.values():
            with pytest.raises(TypeError, match="does not support item assignment"):
                values["psnr_db"] = 99


# --- built in


def test_built_in_weights_are_the_projects_own():
    for model in BUILT_IN:
        assert (model.licence.spdx, model.licence.commercial) == ("Apache-2.0", "yes")
        assert "trained by this project" in model.recipe
        assert model.metrics
        assert (model.converter, model.pages) == (None, ())


def test_roles_are_what_the_adapters_ask_for():
    for model in BUILT_IN:
        roles = tuple(file.role for file in model.files)
        expected = {
            "segmenter": ("segment", "segment_cpu"),
            "inpainter": ("edges", "edges_cpu", "fill", "fill_cpu"),
            "effects": ("effects",),
            "divider": ("divide",),
            "recognizer": ("recognize",),
            "outliner": ("outline",),
        }
        assert roles == expected[model.kind]
        assert model.labels == (VOC_LABELS if model.kind == "segmenter" else ())
        assert len(model.channels) == len(model.labels)
        assert model.size_bytes == sum(file.size_bytes for file in model.files)


def test_inputs_and_outputs_of_every_network_are_stated():
    for model in MODELS.values():
        for file in model.files:
            is_network = file.filename.endswith(".onnx")
            assert bool(file.inputs) == bool(file.outputs) == is_network
            for tensor in (*file.inputs, *file.outputs):
                assert tensor.meaning, (model.name, file.role)


@pytest.mark.parametrize("name", [model.name for model in BUILT_IN])
def test_built_in_networks_take_and_return_what_is_stated(name):
    check_interface(name)


def test_a_built_in_file_is_the_registered_one():
    for model in BUILT_IN:
        for file in model.files:
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
            content = find_file(model, file.role).read_bytes()
            assert len(content) == file.size_bytes < 16_000_000
            assert hashlib.sha256(content).hexdigest() == file.sha256


def test_no_built_in_file_is_unregistered():
    names = [file.filename for model in BUILT_IN for file in model.files]
    folder = find_file(BUILT_IN[0], "segment").parent
    assert sorted(names) == sorted(path.name for path in folder.glob("*.onnx"))


# --- from elsewhere


UNVERSIONED = "https://storage.googleapis.com/rfdetr/"  # its publisher offers no other addresses


def check_address(url: str, checksum: str | None) -> None:
    assert url.startswith("https://")
    if url.startswith(UNVERSIONED):
        assert checksum.startswith("sha256:"), "only the checksum tells which file it is"
        return
    # A commit, a release or a digest in the name: never a branch.
    pinned = r"/[0-9a-f]{40}/|/releases/download/|-[0-9a-f]{8}\.pth$|/v?\d+(\.\d+)+/|/\d{6}/"
    assert re.search(pinned, url), url
    assert not re.search(r"/(main|master|latest)/", url), url


def test_addresses_are_pinned_and_checksums_well_formed():
    for model in FOREIGN:
        for file in (*model.files, *model.checkpoints):
            stated = file.checksum if isinstance(file, Checkpoint) else file.sha256
            if file.url is not None:
                check_address(file.url, stated)
            if isinstance(file, Checkpoint):
                form = r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}"
            else:
                form = r"[0-9a-f]{64}"
            assert stated is None or re.fullmatch(form, stated)
            assert file.size_bytes is None or file.size_bytes > 1000


def test_a_model_is_published_as_onnx_or_converted():
    for model in FOREIGN:
        if model.checkpoints:
            assert importlib.util.find_spec(f"cleanplate.hub.convert.{model.converter}")
            assert all(file.url is None and file.sha256 is None for file in model.files)
        else:
            assert model.converter is None
            own = model.name.endswith(".own")  # trained by the user
            assert all(own != bool(file.url and file.sha256) for file in model.files)
        assert model.can_be_pulled or model.pages, "where does a user find it?"


def test_a_file_to_be_pulled_tells_its_size_or_why_not():
    for model in FOREIGN:
        if model.can_be_pulled:
            assert all(file.checksum for file in model.checkpoints)


# --- names


@pytest.mark.parametrize(
    ("name", "kind", "match"),
    [
        ("edgeconect.photos", "inpainter", r"unknown inpainter .*Did you mean 'edgeconnect.photos"),
        (
            "edgeconnect.photos",
            "segmenter",
            r"unknown segmenter .*known: .*deeplabv3plus_lite2\.vo",
        ),
        (
            "deeplabv3plus_lite.voc",
            None,
            r"unknown model .*Did you mean 'deeplabv3plus_lite2\.voc'",
        ),
        ("", "segmenter", "unknown segmenter ''"),
    ],
)
def test_get_model_lists_the_names_of_that_kind(name, kind, match):
    with pytest.raises(UnknownNameError, match=match):
        get_model(name, kind)


def test_public_names_resolve():
    assert all(hasattr(models, name) for name in models.__all__)


@pytest.mark.parametrize(
    ("short", "name"),
    [
        ("lama", "lama.places"),
        ("migan", "migan.places2"),
        ("deeplabv3_resnet101", "deeplabv3_resnet101.coco_voc"),
        ("rfdetr", "rfdetr_seg_large.coco"),
        ("rfdetr_seg_small", "rfdetr_seg_small.coco"),
        ("clipseg", "clipseg_rd64.phrasecut"),
    ],
)
def test_short_names_find_their_model(short, name):
    assert get_model(short).name == name
    assert get_model(short, MODELS[name].kind).name == name


@pytest.mark.parametrize("name", ["", ".", "lama.", "lamma"])
def test_unknown_short_names_are_refused(name):
    with pytest.raises(UnknownNameError, match="known: "):
        get_model(name)


def meant_by(short):
    return [it for it in MODELS.values() if it.name.startswith((f"{short}.", f"{short}_"))]


SHORT = {name[: sign.start()] for name in MODELS for sign in re.finditer(r"[._]", name)}
AMBIGUOUS = sorted(short for short in SHORT - {"rfdetr"} if len(meant_by(short)) > 1)


@pytest.mark.parametrize("short", AMBIGUOUS)
def test_an_ambiguous_short_name_lists_the_best_choice_first(short):
    meant = meant_by(short)
    with pytest.raises(InputError, match="ambiguous: ") as refused:
        get_model(short)
    listed = [MODELS[name] for name in str(refused.value).partition(": ")[2].split(", ")]
    assert sorted(it.name for it in listed) == sorted(it.name for it in meant)
    assert listed[0].is_built_in or not any(it.is_built_in for it in meant)
    ranks = [it.licence.commercial == "yes" for it in listed]
    assert ranks == sorted(ranks, reverse=True)


def test_list_models_filters_by_kind_and_licence():
    assert list_models() == tuple(MODELS.values())
    listed = list_models("segmenter", commercial_only=True)
    assert all(m.kind == "segmenter" and m.licence.commercial == "yes" for m in listed)
    assert 0 < len(listed) < len(list_models("segmenter")) < len(list_models())
    with pytest.raises(UnknownNameError, match="Did you mean 'segmenter'"):
        list_models("segmentr")


# --- presets


@pytest.mark.parametrize("kind", ["segmenter", "inpainter"])
def test_presets(kind, monkeypatch):
    assert preset_model("fast", kind).is_built_in
    monkeypatch.setattr(presets, "is_available", lambda model: False)
    best = preset_model("best", kind)
    assert best.can_be_pulled
    assert best.licence.commercial != "no"  # it is pulled after one question
    published = {"segmenter": "deeplabv3_resnet101.coco_voc", "inpainter": "edgeconnect.places2"}
    assert preset_model("published", kind).name == published[kind]
    installed = ("rfdetr_seg_small.coco", "big_lama.places")
    monkeypatch.setattr(presets, "is_available", lambda model: model.name in installed)
    assert preset_model("best", kind).name in installed
    with pytest.raises(UnknownNameError, match=r"'bset'.*Did you mean 'best'"):
        preset_model("bset", kind)
