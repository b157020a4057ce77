"""Pipelines of diffusers in local folders, on a tiny one of random weights."""

import json
import shutil

import numpy as np
import pytest

from cleanplate.errors import DeviceError, InputError, WeightsError
from cleanplate.inpainting import base, create_inpainter, find_inpainter, pipeline_licence
from cleanplate.inpainting.base import finds_effects, with_seed
from cleanplate.runtime import interruptible

INDEX = {"_class_name": "StableDiffusionInpaintPipeline", "unet": ["diffusers", "UNet"]}


def folder_with(tmp_path, index=None, **files):
    folder = tmp_path / "pipeline"
    folder.mkdir()
    if index is not None:
        (folder / "model_index.json").write_text(json.dumps(index))
    for name, content in files.items():
        (folder / name.replace("_", ".", 1)).write_text(content)
    return folder


def test_a_name_with_a_folder_is_no_registered_model():
    assert find_inpainter("diffusers:any") is find_inpainter("diffusers-pickle:any") is None
    assert not finds_effects("diffusers:any")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "not stated"),
        ({"README_md": "---\ntags: [x]\nlicense: openrail++\n---\n"}, "openrail++"),
        ({"README_md": "# A model", "LICENSE_md": "\n  FLUX Non-Commercial\nText"}, "FLUX Non-C"),
    ],
)
def test_the_folders_licence_is_read(tmp_path, files, said):
    assert said in pipeline_licence(f"diffusers:{folder_with(tmp_path, **files)}")


@pytest.mark.parametrize(
    ("index", "files", "error", "match"),
    [
        (None, {}, WeightsError, r"model_index\.json"),
        (["unet"], {}, WeightsError, r"model_index\.json"),
        (INDEX, {"code_py": "print(1)"}, WeightsError, r"contains code.*code\.py"),
        ({**INDEX, "unet": ["my_unet", "UNet"]}, {}, WeightsError, "contains code"),
        ({**INDEX, "_class_name": ["pipeline", "X"]}, {}, WeightsError, "contains code"),
        (INDEX, {"cleanplate_toml": "stepz = 3"}, InputError, "stepz.*known: steps"),
        (INDEX, {"cleanplate_toml": "steps = 'x'"}, InputError, "steps must be int"),
        (INDEX, {"cleanplate_toml": "strength = 2.0"}, InputError, "strength"),
        (INDEX, {"cleanplate_toml": "steps ="}, InputError, "cannot be read"),
    ],
)
def test_folders_that_will_not_do_are_refused_before_anything_is_loaded(
    tmp_path, monkeypatch, *, index, files, error, match
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)  # all is installed
    with pytest.raises(error, match=match):
        create_inpainter(f"diffusers:{folder_with(tmp_path, index, **files)}")


# --- a tiny one


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    pytest.importorskip("torch")
    pytest.importorskip("diffusers")
    from tiny_sdxl import make_pipeline

    folder = tmp_path_factory.mktemp("pipeline")
    make_pipeline(folder)
    (folder / "cleanplate.toml").write_text('steps = 2\nguidance = 3\nprompt = "a wall"\n')
    return folder


@pytest.mark.slow  # loads PyTorch
def test_a_pipeline_keeps_the_contract(pipeline, rng):
    inpainter = create_inpainter(f"diffusers:{pipeline}", device="cpu")
    assert inpainter.provider == "PyTorch on cpu"
    assert inpainter.working_size == 64
    image = rng.integers(0, 256, (50, 70, 3)).astype(np.uint8)
    mask = np.zeros((50, 70), np.bool_)
    assert np.array_equal(inpainter.inpaint(image, mask), image)
    mask[10:40, 20:45] = True
    filled = inpainter.inpaint(image, mask)
    np.testing.assert_array_equal(filled[~mask], image[~mask])
    assert (filled[mask] != image[mask]).mean() > 0.9
    np.testing.assert_array_equal(inpainter.inpaint(image, mask), filled)
    other = with_seed(inpainter, 1).inpaint(image, mask)
    assert (other[mask] != filled[mask]).mean() > 0.5

    def stop():
        raise ConnectionError("cancelled")

    with interruptible(stop), pytest.raises(ConnectionError, match="cancelled"):
        inpainter.inpaint(image, mask)
    np.testing.assert_array_equal(inpainter.inpaint(image, mask), filled)


@pytest.mark.slow
def test_a_pipeline_that_computes_no_numbers_is_reported(pipeline):
    inpainter = create_inpainter(f"diffusers:{pipeline}", device="cpu")
    next(inpainter._pipeline.vae.decoder.parameters()).data.fill_(float("nan"))
    with pytest.raises(WeightsError, match="computes NaN or infinity on the CPU"):
        inpainter.inpaint(np.zeros((64, 64, 3), np.uint8), np.eye(64, dtype=np.bool_))


@pytest.mark.slow
def test_pickled_weights_are_read_only_if_trusted(pipeline, tmp_path):
    import torch
    from safetensors.torch import load_file

    shutil.copytree(pipeline, tmp_path / "copy")
    weights = tmp_path / "copy/unet/diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(WeightsError, match="--trust-pickle"):
        create_inpainter(f"diffusers:{tmp_path / 'copy'}", device="cpu")
    assert create_inpainter(f"diffusers-pickle:{tmp_path / 'copy'}", device="cpu").name


@pytest.mark.slow
def test_memory_and_device_are_checked(pipeline, monkeypatch):
    with pytest.raises(DeviceError, match="cuda-fp16"):
        create_inpainter(f"diffusers:{pipeline}", device="directml")
    monkeypatch.setattr(base, "free_memory", lambda: 1 << 30)
    with pytest.raises(WeightsError, match=r"2\.\d GB of memory.*1\.1 GB free"):
        create_inpainter(f"diffusers:{pipeline}", device="cpu")
