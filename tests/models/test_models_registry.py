"""Every registered model states what a user must know, and its files are the ones registered."""

import dataclasses
import hashlib
import math
import re

import pytest

from cleanplate import models
from cleanplate.errors import UnknownNameError
from cleanplate.labels import VOC_LABELS
from cleanplate.models.registry import MODELS, get_model
from cleanplate.models.store import find_file

each_model = pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
each_file = pytest.mark.parametrize(
    "file", [file for model in MODELS.values() for file in model.files], ids=lambda f: f.filename
)


@each_model
def test_names_are_architecture_and_training_set(model):
    assert re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+", model.name)
    assert MODELS[model.name] is model


@each_model
def test_licence_source_recipe_and_photos_are_stated(model):
    assert model.licence == "Apache-2.0"  # built-in weights carry the project's own
    assert re.search(r"arXiv:\d{4}\.\d{5}", model.source)
    assert "trained by this project" in model.recipe
    assert model.training_photos


@each_model
def test_quality_is_measured_on_named_data(model):
    assert model.metrics
    for data, values in model.metrics.items():
        assert re.search(r"\d", data), "how many photos, and of which size?"
        assert values
        assert all(math.isfinite(value) and value > 0 for value in values.values())
        assert all(value <= 1 for name, value in values.items() if "iou" in name)


@each_model
def test_roles_are_what_the_adapters_ask_for(model):
    roles = tuple(file.role for file in model.files)
    assert roles == {"segmenter": ("segment",), "inpainter": ("edges", "fill")}[model.kind]
    assert model.labels == {"segmenter": VOC_LABELS, "inpainter": ()}[model.kind]
    assert model.size_bytes == sum(file.size_bytes for file in model.files)


@each_file
def test_a_file_is_the_registered_one(file):
    assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    content = find_file(file).read_bytes()
    assert len(content) == file.size_bytes
    assert hashlib.sha256(content).hexdigest() == file.sha256


@each_file
def test_files_are_small_enough_for_a_package(file):
    assert file.size_bytes < 16_000_000


def test_no_file_is_unregistered_or_registered_twice():
    names = [file.filename for model in MODELS.values() for file in model.files]
    assert len(names) == len(set(names))
    folder = find_file(next(iter(MODELS.values())).files[0]).parent
    assert sorted(names) == sorted(path.name for path in folder.glob("*.onnx"))


def test_the_registry_cannot_be_changed():
    with pytest.raises(TypeError, match="does not support item assignment"):
        MODELS["x"] = next(iter(MODELS.values()))
    for model in MODELS.values():
        with pytest.raises(dataclasses.FrozenInstanceError):
            model.licence = "MIT"
        with pytest.raises(TypeError, match="does not support item assignment"):
            next(iter(model.metrics.values()))["psnr_db"] = 99


@each_model
def test_get_model_finds_it_under_its_kind(model):
    assert get_model(model.name, model.kind) is model


@pytest.mark.parametrize(
    ("name", "kind", "match"),
    [
        ("edgeconect.photos", "inpainter", r"unknown inpainter .*Did you mean 'edgeconnect.photos"),
        ("edgeconnect.photos", "segmenter", r"unknown segmenter .*known: deeplabv3plus_lite2\.voc"),
        ("", "segmenter", "unknown segmenter ''"),
    ],
)
def test_get_model_lists_the_names_of_that_kind(name, kind, match):
    with pytest.raises(UnknownNameError, match=match):
        get_model(name, kind)


def test_public_names_resolve():
    assert models.__all__ == sorted(models.__all__)
    assert all(hasattr(models, name) for name in models.__all__)
