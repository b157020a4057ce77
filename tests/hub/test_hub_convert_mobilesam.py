"""MobileSAM: a file in the published layout becomes a prompter that outlines as SAM's pipeline."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = pytest.mark.slow

from benchmarks.sam_names import metas_name  # noqa: E402
from transformers import SamImageProcessor  # noqa: E402

from cleanplate.errors import WeightsError  # noqa: E402
from cleanplate.hub.convert import mobilesam, tinyvit  # noqa: E402
from cleanplate.hub.convert.checkpoints import fill_network  # noqa: E402
from cleanplate.hub.install import import_model  # noqa: E402
from cleanplate.segmentation.interactive import create_prompter  # noqa: E402
from registered_interface import check_interface  # noqa: E402

NAME = "mobilesam.sa1b"

PROMPTS = {
    "a point": ([(240, 110, True)], None),
    "points": ([(240, 110, True), (100.5, 200.25, False), (300, 399, True)], None),
    "a box": ([], (60, 10, 380, 400)),
    "all of it, and a point": ([(0, 399, True)], (0, 0, 512, 400)),
}


@contextmanager
def narrow() -> Iterator[None]:
    """Let the image encoder have narrow and few blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tinyvit, "_WIDTHS", (32, 32, 64, 64))
        patch.setattr(tinyvit, "_DEPTHS", (1, 1, 2, 1))
        yield


@pytest.fixture(scope="module")
def network():
    """Return narrow networks with random parameters."""
    torch.manual_seed(4)
    with narrow():
        network = mobilesam.MobileSam().eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("attention_biases", "positional_embedding")):
                parameter.normal_()
            if "output_hypernetworks_mlps" in name or "iou_prediction_head" in name:
                parameter.mul_(3)  # masks with logits of both signs, scores apart
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return network


def as_published(network):
    """Return the parameters as the authors' file holds them."""
    state = {metas_name(name): tensor for name, tensor in network.state_dict().items()}
    for name, shape in [
        ("norm_head.weight", (320,)),
        ("norm_head.bias", (320,)),
        ("head.weight", (1000, 320)),
        ("head.bias", (1000,)),
    ]:
        state[f"image_encoder.{name}"] = torch.zeros(1).expand(shape)
    return state


@pytest.fixture(scope="module")
def published(network):
    return as_published(network)


def test_the_layout_is_the_published_one():
    with torch.device("meta"):
        published = as_published(mobilesam.MobileSam())
    assert len(published) == 439
    for name, shape in {
        "image_encoder.patch_embed.seq.0.c.weight": (32, 3, 3, 3),
        "image_encoder.patch_embed.seq.2.bn.running_var": (64,),
        "image_encoder.layers.0.blocks.1.conv2.c.weight": (256, 1, 3, 3),
        "image_encoder.layers.0.downsample.conv3.bn.num_batches_tracked": (),
        "image_encoder.layers.1.blocks.0.attn.qkv.weight": (384, 128),
        "image_encoder.layers.2.blocks.5.attn.attention_biases": (5, 196),
        "image_encoder.layers.2.downsample.conv1.c.weight": (320, 160, 1, 1),
        "image_encoder.layers.3.blocks.1.mlp.fc1.weight": (1280, 320),
        "image_encoder.layers.3.blocks.1.local_conv.c.weight": (320, 1, 3, 3),
        "image_encoder.neck.2.weight": (256, 256, 3, 3),
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": (2, 128),
        "prompt_encoder.point_embeddings.3.weight": (1, 256),
        "prompt_encoder.mask_downscaling.6.weight": (256, 16, 1, 1),
        "mask_decoder.transformer.layers.1.norm4.weight": (256,),
        "mask_decoder.transformer.layers.0.mlp.lin1.weight": (2048, 256),
        "mask_decoder.transformer.final_attn_token_to_image.out_proj.weight": (256, 128),
        "mask_decoder.output_upscaling.3.weight": (64, 32, 2, 2),
        "mask_decoder.output_hypernetworks_mlps.3.layers.2.weight": (32, 256),
        "mask_decoder.iou_prediction_head.layers.1.weight": (256, 256),
    }.items():
        assert tuple(published[name].shape) == shape, name


def test_the_file_fills_the_networks(network, published, tmp_path):
    path = tmp_path / "mobile_sam.pt"
    torch.save(published, path)
    with narrow():
        filled = mobilesam.MobileSam()

    fill_network(filled, mobilesam._read(path), path)

    for name, tensor in network.state_dict().items():
        assert torch.equal(filled.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"image_encoder.extra": torch.zeros(1)}, r"has unexpected image_encoder\.extra"),
        ({"image_encoder.neck.1.bias": None}, r"lacks image_encoder\.neck\.1\.bias"),
        ({"mask_decoder.iou_token.weight": torch.zeros(3)}, r"size mismatch for mask_decoder\.iou"),
    ],
)
def test_another_architecture_is_refused(published, tmp_path, monkeypatch, changed, match):
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path / "home"))
    path = tmp_path / "other.pt"
    content = {name: value for name, value in {**published, **changed}.items() if value is not None}
    torch.save(content, path)
    with narrow(), pytest.raises(WeightsError, match=rf"other\.pt: .*architecture.*{match}"):
        import_model(NAME, [path], own_weights=True)


# --- the encoder


def test_attention_has_a_bias_for_each_distance():
    torch.manual_seed(0)
    attention = tinyvit._Attention(width=64, window=3)
    cells = torch.randn(1, 9, 64)
    with torch.no_grad():
        attention.attention_biases.normal_()
        found = attention(cells)[0].numpy()
        parts = attention.qkv(attention.norm(cells))[0].reshape(9, 2, 96).numpy()
    biases = attention.attention_biases.detach().numpy()
    mixed = np.zeros((9, 64), np.float32)
    for head in range(2):
        query, key, value = np.split(parts[:, head], 3, axis=1)
        for cell in range(9):
            affinity = [
                query[cell] @ key[other] / 32**0.5
                + biases[head, 3 * abs(cell // 3 - other // 3) + abs(cell % 3 - other % 3)]
                for other in range(9)
            ]
            share = np.exp(affinity) / np.exp(affinity).sum()
            mixed[cell, 32 * head : 32 * head + 32] = share @ value
    with torch.no_grad():
        expected = attention.proj(torch.from_numpy(mixed)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_attention_stays_inside_its_window():
    torch.manual_seed(0)
    block = tinyvit._WindowBlock(width=32, window=4)
    features = torch.randn(1, 32, 6, 9)  # windows begin at rows 0 and 4, columns 0, 4 and 8
    other = features.clone()
    other[..., 1, 5] += 1
    with torch.no_grad():
        changed = (block._attend(features) != block._attend(other)).any(dim=1)[0].numpy()
    assert changed[:4, 4:8].all()
    changed[:4, 4:8] = False
    assert not changed.any()


def test_features_are_a_sixteenth_of_the_photo():
    with torch.no_grad():
        features = tinyvit.TinyViTEncoder().eval()(torch.randn(1, 3, 64, 96))
    assert features.shape == (1, 256, 4, 6)


# --- the whole way


@pytest.fixture(scope="module")
def prompter(published, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mobilesam")
    torch.save(published, folder / "mobile_sam.pt")
    with narrow(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLEANPLATE_HOME", str(folder / "home"))
        manifest = import_model(NAME, [folder / "mobile_sam.pt"], own_weights=True)
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
def features(network, photo):
    """Return the features of the photo as transformers' processor prepares it."""
    inputs = SamImageProcessor()(images=photo, return_tensors="pt")
    assert inputs["reshaped_input_sizes"].tolist() == [[800, 1024]]
    with torch.no_grad():
        return network.image_encoder(inputs["pixel_values"])


def test_features_are_those_of_the_original(prepared, features):
    np.testing.assert_allclose(prepared.features[0], features.numpy(), atol=1e-3)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_outlines_are_those_of_the_original(prompter, prepared, network, features, prompt):
    points, box = PROMPTS[prompt]
    encoder = network.prompt_encoder
    with torch.no_grad():
        tokens, dense = encoder(
            torch.tensor([[[[2 * x, 2 * y] for x, y, _ in points]]]) if points else None,
            torch.tensor([[[int(inside) for _, _, inside in points]]]) if points else None,
            torch.tensor([[[2.0 * side for side in box]]]) if box else None,
            None,
        )
        cells = (torch.arange(64) + 0.5) / 64
        grid = torch.stack([cells.expand(64, 64), cells[:, None].expand(64, 64)], dim=-1)
        masks, scores, *_ = network.mask_decoder(
            image_embeddings=features,
            image_positional_embeddings=encoder.shared_embedding(grid).permute(2, 0, 1)[None],
            sparse_prompt_embeddings=tokens,
            dense_prompt_embeddings=dense,
            multimask_output=len(points) == 1 and box is None,
        )
    best = int(scores[0, 0].argmax())
    found = SamImageProcessor().post_process_masks(
        masks, original_sizes=[(400, 512)], reshaped_input_sizes=[(800, 1024)], binarize=False
    )
    expected = found[0][0, best].numpy()

    logits, score = prompter.logits(prepared, points=points, box_xyxy=box)

    assert 0.05 < (expected > 0).mean() < 0.95, "the example shows nothing"
    np.testing.assert_allclose(logits, expected, atol=1e-3)
    assert score == pytest.approx(np.clip(float(scores[0, 0, best]), 0, 1), abs=1e-4)
    outline = prompter.predict(prepared, points=points, box_xyxy=box)
    assert (outline.mask != (expected > 0)).mean() < 1e-4
