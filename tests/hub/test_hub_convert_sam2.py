"""SAM 2.1: a file in the published layouts becomes a prompter that outlines as the original."""

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = pytest.mark.slow

import cv2  # noqa: E402
from benchmarks.sam_names import metas_name  # noqa: E402
from safetensors.torch import save, save_file  # noqa: E402
from transformers import (  # noqa: E402
    Sam2ImageProcessor,
    Sam2Model,
    Sam2Processor,
    Sam2VideoConfig,
    Sam2VideoModel,
)

from cleanplate.errors import ChecksumError, WeightsError  # noqa: E402
from cleanplate.hub.convert import sam2  # noqa: E402
from cleanplate.hub.convert.checkpoints import fill_network  # noqa: E402
from cleanplate.hub.install import import_model  # noqa: E402
from cleanplate.hub.registry import get_model  # noqa: E402
from cleanplate.segmentation.interactive import create_prompter  # noqa: E402
from registered_interface import check_interface  # noqa: E402

NAME = "sam21_hiera_tiny.sav"

PROMPTS = {
    "a point": ([(240, 110, True)], None),
    "points": ([(240, 110, True), (100.5, 200.25, False), (300, 399, True)], None),
    "a box": ([], (60, 10, 380, 400)),
    "all of it, and a point": ([(0, 399, True)], (0, 0, 512, 400)),
}


@pytest.fixture(scope="module")
def shallow():
    """Return the published architecture with narrow and few blocks, one of each kind a stage."""
    config = sam2._tiny()
    vision, backbone = config.vision_config, config.vision_config.backbone_config
    backbone.blocks_per_stage, backbone.global_attention_blocks = [1, 1, 2, 1], [3]
    backbone.hidden_size, backbone.embed_dim_per_stage = 16, [16, 32, 64, 128]
    vision.backbone_channel_list = [128, 64, 32, 16]
    return config


@pytest.fixture(scope="module")
def published(shallow):
    """Return random parameters, as the file of transformers holds them."""
    torch.manual_seed(3)
    network = Sam2VideoModel(Sam2VideoConfig(vision_config=shallow.vision_config))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not parameter.any() and not name.endswith("bias"):
                parameter.normal_(std=0.02)  # made as zeros
            if "output_hypernetworks_mlps" in name or "iou_prediction_head" in name:
                parameter.mul_(4)  # masks with logits of both signs, scores apart
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.fixture(scope="module")
def original(published, shallow):
    network = Sam2Model(shallow)
    network.load_state_dict({name: published[name] for name in network.state_dict()})
    network.mask_decoder.dynamic_multimask_via_stability = True  # as published
    return network.eval()


@pytest.fixture(scope="module")
def prompter(published, shallow, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sam2")
    save_file(published, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLEANPLATE_HOME", str(folder / "home"))
        patch.setattr(sam2, "_tiny", lambda: shallow)
        manifest = import_model(NAME, [folder / "model.safetensors"], own_weights=True)
        assert manifest.origin == "own"
        assert max(manifest.largest_difference.values()) < 1e-4
        check_interface(NAME)
        return create_prompter(NAME, device="cpu")


@pytest.fixture(scope="module")
def photo(astronaut):
    return astronaut[:400].copy()  # not square; transformers wants it writeable


@pytest.fixture(scope="module")
def prepared(prompter, photo):
    return prompter.set_image(photo)


@pytest.fixture(scope="module")
def seen(original, photo):
    """Return what transformers makes of the photo."""
    processor = Sam2Processor(Sam2ImageProcessor())
    inputs = processor(images=photo, return_tensors="pt")
    with torch.no_grad():
        return processor, original.get_image_embeddings(inputs["pixel_values"])


def test_features_are_those_of_the_original(prepared, seen):
    for ours, theirs in zip(prepared.features, reversed(seen[1]), strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-3)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_outlines_are_those_of_the_original(prompter, prepared, original, seen, prompt):
    points, box = PROMPTS[prompt]
    processor, features = seen
    inputs = processor(
        original_sizes=[prepared.size_hw],
        input_points=[[[[x, y] for x, y, _ in points]]] if points else None,
        input_labels=[[[int(inside) for _, _, inside in points]]] if points else None,
        input_boxes=[[list(box)]] if box else None,
        return_tensors="pt",
    )
    inputs.pop("original_sizes")
    is_vague = len(points) == 1 and box is None
    with torch.no_grad():
        found = original(image_embeddings=features, multimask_output=is_vague, **inputs)
    best = int(found.iou_scores[0, 0].argmax())
    expected = processor.post_process_masks(
        [found.pred_masks[0]], [prepared.size_hw], binarize=False
    )[0][0, best].numpy()

    logits, score = prompter.logits(prepared, points=points, box_xyxy=box)

    assert 0.05 < (expected > 0).mean() < 0.95, "the example shows nothing"
    np.testing.assert_allclose(logits, expected, atol=1e-3)
    assert score == pytest.approx(float(found.iou_scores[0, 0, best]), abs=1e-4)
    outline = prompter.predict(prepared, points=points, box_xyxy=box)
    assert (outline.mask != (expected > 0)).mean() < 1e-4


def test_shrunk_photos_are_seen_as_by_the_original(prompter, seen, photo):
    large = cv2.resize(photo, (1400, 1900), interpolation=cv2.INTER_CUBIC)
    expected = seen[0](images=large, return_tensors="pt")["pixel_values"].numpy()
    given = []

    class Recording:
        def run_all(self, image):
            given.append(image)
            return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prompter, "_image", Recording())
        prompter.set_image(large)
    # Both round to 8 bits after scaling; some values fall to the other side.
    one_level = 1 / 255 / 0.224
    np.testing.assert_allclose(given[0], expected, atol=1.01 * one_level)
    assert np.abs(given[0] - expected).mean() < 0.05 * one_level


METAS_VIDEO_NAMES = [
    "maskmem_tpos_enc", "no_mem_pos_enc", "no_obj_ptr", "no_obj_embed_spatial",
    "mask_downsample.weight", "mask_downsample.bias", "obj_ptr_tpos_proj.weight",
    "obj_ptr_proj.layers.0.weight", "memory_attention.layers.0.norm1.weight",
    "memory_encoder.out_proj.weight",
]  # fmt: skip

METAS_COUNT = 311  # of those for photos

METAS_NAMES = [  # some of them
    "no_mem_embed",
    "image_encoder.trunk.pos_embed_window",
    "image_encoder.trunk.patch_embed.proj.weight",
    "image_encoder.trunk.blocks.3.proj.bias",
    "image_encoder.trunk.blocks.11.mlp.layers.1.weight",
    "image_encoder.trunk.blocks.11.norm2.weight",
    "image_encoder.neck.convs.3.conv.weight",
    "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    "sam_prompt_encoder.point_embeddings.3.weight",
    "sam_prompt_encoder.not_a_point_embed.weight",
    "sam_prompt_encoder.mask_downscaling.6.weight",
    "sam_mask_decoder.transformer.layers.1.cross_attn_image_to_token.out_proj.weight",
    "sam_mask_decoder.transformer.layers.0.mlp.layers.0.weight",
    "sam_mask_decoder.transformer.layers.1.norm4.bias",
    "sam_mask_decoder.transformer.norm_final_attn.weight",
    "sam_mask_decoder.output_upscaling.3.weight",
    "sam_mask_decoder.output_hypernetworks_mlps.3.layers.2.weight",
    "sam_mask_decoder.iou_prediction_head.layers.1.weight",
    "sam_mask_decoder.pred_obj_score_head.layers.0.weight",
    "sam_mask_decoder.conv_s1.weight",
]

KINDS = "prompt_encoder.point_embed.weight"


@pytest.fixture(scope="module")
def numbered():
    """Return a value of its own for each parameter for photos; saved, they take little room."""
    with torch.device("meta"):
        shapes = Sam2Model(sam2._tiny()).state_dict()
    numbers = {
        name: torch.full((1,), float(number)).expand(tensor.shape)
        for number, (name, tensor) in enumerate(shapes.items())
    }
    return {**numbers, KINDS: torch.arange(4.0)[:, None].expand(4, 256)}


def metas(parameters):
    """Return the parameters as Meta's file holds them; of those for videos, some."""
    named = {name: torch.zeros(1) for name in METAS_VIDEO_NAMES}
    for name, tensor in parameters.items():
        if name.startswith("shared_image_embedding"):
            continue  # a copy
        meta = metas_name(name).replace(".o_proj.", ".out_proj.")
        meta = meta.replace(".mlp.proj_in.", ".mlp.layers.0.")
        meta = meta.replace(".mlp.proj_out.", ".mlp.layers.1.")
        meta = meta.replace("no_memory_embedding", "no_mem_embed")
        meta = meta.replace(".patch_embed.projection.", ".patch_embed.proj.")
        meta = meta.replace("vision_encoder.backbone.", "image_encoder.trunk.")
        meta = re.sub(r"^vision_encoder(\.neck\.convs\.\d)\.", r"image_encoder\1.conv.", meta)
        named[re.sub(r"^(prompt_encoder|mask_decoder)", r"sam_\1", meta)] = tensor
    kinds = named.pop("sam_prompt_encoder.point_embeddings.weight")
    for kind in range(4):
        named[f"sam_prompt_encoder.point_embeddings.{kind}.weight"] = kinds[kind : kind + 1]
    return {"model": named}


def test_metas_file_holds_the_same(numbered, tmp_path):
    content = metas(numbered)
    path = tmp_path / "sam2.1_hiera_tiny.pt"
    torch.save(content, path)

    read = sam2._read(path)

    assert len(set(content["model"]) - set(METAS_VIDEO_NAMES)) == METAS_COUNT
    assert set(METAS_NAMES) <= set(content["model"])
    assert set(read) == set(numbered)
    copied = {"shared_image_embedding.positional_embedding"}
    for name in set(numbered) - copied:
        assert torch.equal(read[name], numbered[name]), name


@pytest.fixture(scope="module")
def network():
    return Sam2Model(sam2._tiny())


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"vision_encoder.extra": torch.zeros(1)}, r"has unexpected vision_encoder\.extra"),
        ({"no_memory_embedding": torch.zeros(2)}, r"\(size mismatch for no_memory_embedding"),
        ({"mask_decoder.iou_token.weight": None}, r"it lacks mask_decoder\.iou_token\.weight"),
        ({KINDS: None}, r"it lacks prompt_encoder\.point_embed\.weight$"),
    ],
)
def test_another_architecture_is_refused(network, numbered, tmp_path, changed, match):
    parameters = {
        name: value for name, value in {**numbered, **changed}.items() if value is not None
    }
    path = tmp_path / "other.pt"
    torch.save(parameters, path)
    with pytest.raises(WeightsError, match=rf"other\.pt: .*architecture.*{match}"):
        fill_network(network, sam2._read(path), path)


def test_a_file_of_something_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path / "home"))
    path = tmp_path / "else.pt"
    torch.save({"model": {"weight": torch.zeros(2)}}, path)
    with pytest.raises(WeightsError, match=r"else\.pt: .*architecture.*lacks"):
        import_model(NAME, [path], own_weights=True)
    torch.save({"model": [1, 2]}, path)
    with pytest.raises(WeightsError, match="contains no parameters under 'model'"):
        import_model(NAME, [path], own_weights=True)
    with pytest.raises(ChecksumError, match="give --own-weights"):
        import_model(NAME, [path])


def test_the_published_file_has_the_size_of_this_layout():
    state = Sam2VideoModel(Sam2VideoConfig()).state_dict()
    assert len(save(state, metadata={"format": "pt"})) == get_model(NAME).size_bytes
