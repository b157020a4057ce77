"""OSOR: conversion and inpainter against its formulas, on a tiny network of random weights."""

import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from tiny_sdxl import STEP, make_base, make_checkpoint  # noqa: E402

from cleanplate.errors import LicenceError, WeightsError  # noqa: E402
from cleanplate.hub import import_model, read_manifest  # noqa: E402
from cleanplate.hub.registry import get_model  # noqa: E402
from cleanplate.inpainting import base, create_inpainter  # noqa: E402
from cleanplate.runtime import interruptible, session  # noqa: E402
from registered_interface import check_interface  # noqa: E402

CHECKPOINT = "osor-sdxlinpainting/weights/sdxlinpainting_phase2.pth"

pytestmark = pytest.mark.slow  # loads PyTorch, converts


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    make_base(folder)
    make_checkpoint(folder)
    return folder


def installed(folder, published):
    """Import it into a folder for models, and return that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLEANPLATE_HOME", str(folder))
        import_model("osor.sdxl", [published], accept_licence=True)
        check_interface("osor.sdxl")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory, published):
    return installed(tmp_path_factory.mktemp("installed"), published)


@pytest.fixture
def manifest(home, monkeypatch):
    monkeypatch.setenv("CLEANPLATE_HOME", str(home))
    return read_manifest(get_model("osor.sdxl"))


def inpainter_in(home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLEANPLATE_HOME", str(home))
        return create_inpainter("osor.sdxl", device="cpu", threads=1)


@pytest.fixture(scope="module")
def inpainter(home):
    return inpainter_in(home)


def test_the_manifest_lists_four_files_and_is_not_registered(manifest):
    assert set(manifest.files) == {"encode", "fill", "weights", "decode"}
    assert manifest.origin == "unstated"
    assert max(manifest.largest_difference.values()) < 0.01
    weights = manifest.files["weights"]
    assert weights.filename.endswith(f"-{weights.sha256[:8]}.weights")


def beside(down, up):
    """Return a hook that adds LoRA's branch to a layer's output."""

    def add(layer, inputs, output):
        if down.ndim == 2:
            return output + inputs[0] @ down.T @ up.T
        inner = torch.nn.functional.conv2d(
            inputs[0], down, stride=layer.stride, padding=layer.padding
        )
        return output + torch.nn.functional.conv2d(inner, up)

    return add


def by_the_formulas(folder, image, mask):
    """Return alpha, latent and picture as OSOR's `inference_enhance.py` computes them."""
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    seen = []
    for end, architecture in (("", CLIPTextModel), ("_2", CLIPTextModelWithProjection)):
        words = CLIPTokenizer.from_pretrained(folder / f"tokenizer{end}")(
            "Remove the instance of object", padding="max_length", max_length=77, truncation=True,
            return_tensors="pt",
        )  # fmt: skip
        encoder = architecture.from_pretrained(folder / f"text_encoder{end}").eval()
        seen.append(encoder(words.input_ids, output_hidden_states=True))
    prompt = torch.cat([it.hidden_states[-2] for it in seen], -1)

    unet = UNet2DConditionModel.from_pretrained(
        folder / "unet", variant="fp16", torch_dtype=torch.float32
    )
    state = torch.load(folder / CHECKPOINT)
    unet.conv_out = torch.nn.Conv2d(32, 5, 3, padding=1)
    unet.conv_out.load_state_dict(
        {it: state.pop(f"unet.conv_out.{it}") for it in ("weight", "bias")}
    )
    for name, layer in unet.named_modules():
        factors = [state.pop(f"unet.{name}.lora_{it}.default.weight", None) for it in "AB"]
        if factors[0] is not None:
            layer.register_forward_hook(beside(*factors))
    assert not state

    vae = AutoencoderKL.from_pretrained(folder / "vae").eval()
    draw = np.random.default_rng(0)
    height, width = mask.shape
    shape = (1, 4, height // 8, width // 8)
    sampling, noise = (torch.from_numpy(draw.standard_normal(shape, np.float32)) for _ in "ab")
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255 * 2 - 1
    found = vae.encode(pixels).latent_dist
    latent = (found.mean + found.std * sampling) * vae.config.scaling_factor
    cells = torch.nn.functional.max_pool2d(torch.from_numpy(mask)[None, None].float(), 8)
    scheduler = DDPMScheduler.from_pretrained(folder / "scheduler")
    steps = torch.full((1,), STEP)
    noisy = scheduler.add_noise(latent, noise, steps)
    added = {
        "text_embeds": seen[1].text_embeds,
        "time_ids": torch.tensor([[height, width, 0, 0, height, width]]).float(),
    }
    output = unet.eval()(
        torch.cat([noisy, cells, latent], 1), steps, encoder_hidden_states=prompt,
        added_cond_kwargs=added,
    ).sample  # fmt: skip
    alpha = torch.sigmoid(output[:, 4:])
    clean = scheduler.step(output[:, :4], STEP, noisy).pred_original_sample
    result = clean * alpha + latent * (1 - alpha)
    rgb = ((vae.decode(result / vae.config.scaling_factor).sample + 1) / 2).clamp(0, 1)
    return alpha.numpy(), result.numpy(), rgb[0].permute(1, 2, 0).numpy() * 255


@pytest.mark.parametrize("size_hw", [(96, 128), (80, 176)])
def test_it_computes_what_the_published_formulas_do(inpainter, published, cat, size_hw):
    image = np.ascontiguousarray(cat[: size_hw[0], : size_hw[1]])
    mask = np.zeros(size_hw, np.bool_)
    mask[30:61, 40:75] = True
    with torch.no_grad():
        alpha, latent, rgb = by_the_formulas(published, image, mask)
    ours, our_alpha = inpainter._remove(image, mask)
    assert alpha.std() > 0.01, "the tiny network must not saturate"
    np.testing.assert_allclose(our_alpha, alpha, atol=1e-3)
    difference = np.abs(ours - latent) / np.abs(latent).max()  # of half precision
    assert np.sqrt((difference**2).mean()) < 1e-3
    assert difference.max() < 3e-3
    filled = inpainter.inpaint(image, mask)
    np.testing.assert_allclose(filled[mask].astype(float), rgb[mask], atol=2)
    np.testing.assert_array_equal(filled[~mask], image[~mask])
    assert np.abs(filled[mask].astype(int) - image[mask]).max() > 20


def test_in_single_precision_latents_agree_to_a_thousandth(published, tmp_path, cat, monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "half", torch.nn.Module.float)
    monkeypatch.setattr(torch.Tensor, "half", torch.Tensor.float)
    inpainter = inpainter_in(installed(tmp_path, published))
    image, mask = np.ascontiguousarray(cat[:96, :128]), np.zeros((96, 128), np.bool_)
    mask[30:61, 40:75] = True
    with torch.no_grad():
        alpha, latent, _ = by_the_formulas(published, image, mask)
    ours, our_alpha = inpainter._remove(image, mask)
    assert np.abs(latent).max() > 3
    np.testing.assert_allclose(our_alpha, alpha, atol=1e-3)
    np.testing.assert_allclose(ours, latent, atol=1e-4)


def test_it_is_cancelled_in_the_middle_and_then_as_before(inpainter, cat, monkeypatch):
    monkeypatch.setattr(session, "_POLL_S", 0.0)
    image, mask = cat[:192, :192].copy(), np.zeros((192, 192), np.bool_)
    mask[60:120, 60:120] = True
    before = inpainter.inpaint(image, mask)
    for compute in (inpainter.inpaint, inpainter.alpha):

        def stop():
            raise ConnectionError("cancelled")

        with interruptible(stop), pytest.raises(ConnectionError, match="cancelled"):
            compute(image, mask)
    np.testing.assert_array_equal(inpainter.inpaint(image, mask), before)


@pytest.mark.parametrize("size_hw", [(1, 1), (31, 33), (4, 257), (257, 30)])
def test_any_size_and_the_same_result_each_time(inpainter, rng, size_hw):
    image = rng.integers(0, 256, (*size_hw, 3)).astype(np.uint8)
    mask = np.zeros(size_hw, np.bool_)
    mask[size_hw[0] // 3 : size_hw[0] // 2 + 1, size_hw[1] // 3 : size_hw[1] // 2 + 1] = True
    filled = inpainter.inpaint(image, mask)
    assert (filled.shape, filled.dtype) == (image.shape, np.uint8)
    np.testing.assert_array_equal(filled[~mask], image[~mask])
    np.testing.assert_array_equal(inpainter.inpaint(image, mask), filled)
    assert (inpainter.with_seed(1).inpaint(image, mask)[mask] != filled[mask]).any()
    alpha = inpainter.alpha(image, mask)
    assert (alpha.shape, alpha.dtype) == (size_hw, np.float32)
    assert 0 <= alpha.min() <= alpha.max() <= 1


def test_the_licence_is_accepted_first(published):
    with pytest.raises(LicenceError, match=r"minors.*--accept-licence"):
        import_model("osor.sdxl", [published])


def test_too_little_memory_is_told_before_anything_is_loaded(manifest, monkeypatch):
    monkeypatch.setattr(base, "free_memory", lambda: 1 << 30)
    with pytest.raises(WeightsError, match=r"2\.\d GB of memory.*1\.1 GB free.*cuda"):
        create_inpainter("osor.sdxl", device="cpu")


def broken(folder, tmp_path, name, change):
    """Return a copy of a folder in which one file is changed."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    change(copy / name)
    return copy


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def without_alpha(path):
    state = torch.load(path)
    torch.save({**state, "unet.conv_out.weight": state["unet.conv_out.weight"][:4]}, path)


def without_a_layer(path):
    state = torch.load(path)
    del state[next(name for name in state if "lora_A" in name)]
    torch.save(state, path)


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        (CHECKPOINT, cut, "sdxlinpainting_phase2.pth: cannot be read"),
        (CHECKPOINT, without_alpha, "conv_out.weight"),
        (CHECKPOINT, without_a_layer, "it lacks .*lora_A"),
        ("unet/diffusion_pytorch_model.fp16.safetensors", cut, "unet.*download it again"),
        ("vae/diffusion_pytorch_model.safetensors", cut, "vae.*download it again"),
        (
            "text_encoder/config.json",
            lambda path: path.unlink(),
            r"lacks text_encoder/config\.json",
        ),
        ("scheduler/scheduler_config.json", lambda path: path.write_text("{}"), "scheduler"),
    ],
)
def test_wrong_and_broken_files_are_refused(
    published, tmp_path, monkeypatch, *, name, change, match
):
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path / "home"))
    with pytest.raises(WeightsError, match=match):
        import_model("osor.sdxl", [broken(published, tmp_path, name, change)], accept_licence=True)
    with pytest.raises(WeightsError, match="not installed"):
        read_manifest(get_model("osor.sdxl"))


def test_a_damaged_file_is_not_loaded(manifest, home, tmp_path, monkeypatch):
    shutil.copytree(home, tmp_path / "copy")
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path / "copy"))
    cut(tmp_path / "copy/models/osor.sdxl" / manifest.files["weights"].filename)
    with pytest.raises(WeightsError, match=r"weights.*incomplete"):
        create_inpainter("osor.sdxl", device="cpu")
