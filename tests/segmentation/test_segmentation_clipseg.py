"""CLIPSeg: a checkpoint of random weights, imported and compared with transformers' own run."""

import numpy as np
import pytest

from cleanplate.errors import InputError, WeightsError
from cleanplate.hub import get_model
from cleanplate.segmentation import create_segmenter
from cleanplate.segmentation.components import Divider
from cleanplate.segmentation.models.clip_text import PhraseEncoder
from cleanplate.segmentation.models.clipseg import ClipSegSegmenter

NAME = "clipseg_rd64.phrasecut"
SIDE = 352


class Text:
    """Answers ids with an embedding that tells the colour they name."""

    def __init__(self, encoder) -> None:
        self.colours = {tuple(encoder.encode(word)): i for i, word in enumerate(("red", "blue"))}
        self.asked = []

    def run(self, ids):
        self.asked.append(ids)
        assert (ids.dtype, ids.shape[0]) == (np.int64, 1)
        embedding = np.zeros((1, 512), np.float32)
        embedding[0, 0] = self.colours.get(tuple(ids[0].tolist()), 2)
        return embedding


class Photo:
    """Answers with high logits where the photo is of the embedding's colour."""

    def __init__(self) -> None:
        self.runs = 0

    def run(self, pixels, embeddings):
        self.runs += 1
        assert (pixels.shape, pixels.dtype) == ((1, 3, SIDE, SIDE), np.float32)
        planes = [
            8 * np.where(pixels[0, 2 * int(row[0])] > 1, 1.0, -1.0)
            if row[0] < 2
            else np.full((SIDE, SIDE), -8.0)
            for row in embeddings
        ]
        return np.stack(planes).astype(np.float32)


@pytest.fixture
def on_colours():
    segmenter = ClipSegSegmenter.__new__(ClipSegSegmenter)
    segmenter.divider = Divider(device="cpu")
    segmenter._model = get_model(NAME)
    segmenter._encoder = PhraseEncoder(b"r e\n")
    segmenter._networks = {"text": Text(segmenter._encoder), "segment": Photo()}
    segmenter._embedding = segmenter._embed
    return segmenter


@pytest.fixture
def two_colours():
    image = np.zeros((240, 400, 3), np.uint8)
    image[40:200, 40:160] = (255, 0, 0)
    image[60:140, 240:360] = (0, 0, 255)
    return image


def test_any_words_can_be_asked(on_colours):
    assert on_colours.labels == ()


def test_what_a_phrase_describes_comes_back_under_the_phrase(on_colours, two_colours):
    found = on_colours.segment(two_colours, ["Blue", "red", "a zebra"])
    assert [(x.id, x.label) for x in found] == [(1, "red"), (2, "Blue")]
    for instance, box in zip(found, [(40, 40, 160, 200), (240, 60, 360, 140)], strict=True):
        np.testing.assert_allclose(instance.box_xyxy, box, atol=3)
        assert instance.score > 0.9
        assert instance.mask.mean() > 0.95


def test_a_phrase_that_was_not_asked_is_not_found(on_colours, two_colours):
    assert [x.label for x in on_colours.segment(two_colours, ["blue"])] == ["blue"]
    assert on_colours.segment(two_colours, ["zebra"]) == []


def test_asking_twice_is_asking_once_and_nothing_asked_nothing_found(on_colours, two_colours):
    assert len(on_colours.segment(two_colours, ["red", "red"])) == 1
    assert on_colours.segment(two_colours, []) == []


def test_many_phrases_are_looked_for_in_several_runs(on_colours, two_colours):
    phrases = [f"zebra {number}" for number in range(20)] + ["red"]
    assert [x.label for x in on_colours.segment(two_colours, phrases)] == ["red"]
    assert on_colours._networks["segment"].runs == 3


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 300), (300, 2), (33, 31), (700, 500)])
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 0)])
def test_one_colour_is_all_of_the_photo_or_nothing(on_colours, size_hw, colour):
    image = np.full((*size_hw, 3), colour, np.uint8)
    found = on_colours.segment(image, ["red"])
    if not any(colour):
        assert found == []
    else:
        assert found[0].box_xyxy == (0, 0, size_hw[1], size_hw[0])
        assert found[0].mask.all()


def test_empty_phrases_and_other_arrays_are_refused(on_colours, two_colours):
    with pytest.raises(InputError, match="phrase '  ' is empty"):
        on_colours.segment(two_colours, ["red", "  "])
    with pytest.raises(InputError, match=r"labels must be names.*int"):
        on_colours.segment(two_colours, [3])
    with pytest.raises(InputError, match="image must be"):
        on_colours.segment(two_colours[..., 0], ["red"])


# --- from a checkpoint of the published format


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return a small network of the architecture, its file and its list of merges."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("clipseg")
    merges = b"#version: 0.2\n" + b"r e\nre d</w>\nc a\nca r</w>\nd o\ndo g</w>\n"
    config = transformers.CLIPSegConfig(
        text_config={
            "vocab_size": 512 + 6 + 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "bos_token_id": 518,
            "eos_token_id": 519,
        },
        vision_config={
            "hidden_size": 48,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "patch_size": 16,
        },
        projection_dim=32,
        extract_layers=[0, 1],
        reduce_dim=16,
        decoder_intermediate_size=32,
        use_complex_transposed_convolution=True,
    )
    torch.manual_seed(0)
    network = transformers.CLIPSegForImageSegmentation(config).eval()
    with torch.no_grad():  # so that the answers differ from place to place, and are not 0 or 1
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        pixels, embeddings = torch.randn(1, 3, SIDE, SIDE), torch.randn(1, 32)
        logits = network(pixel_values=pixels, conditional_embeddings=embeddings).logits
        network.decoder.transposed_convolution[4].weight.mul_(2 / logits.std())
    state = dict(network.state_dict())
    # Buffers that the published file holds and present versions of transformers do not.
    state["clip.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    state["clip.vision_model.embeddings.position_ids"] = torch.arange(197)[None]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "merges.txt").write_bytes(merges)
    return network, folder


@pytest.fixture
def at_home(small, tmp_path, monkeypatch):
    from cleanplate.hub.convert import clipseg

    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path))
    monkeypatch.setattr(clipseg, "published_config", lambda: small[0].config)
    return small


@pytest.mark.slow
def test_the_whole_way_is_what_transformers_computes(at_home, astronaut):
    import torch
    import transformers

    from cleanplate.hub.install import import_model

    network, folder = at_home
    manifest = import_model(
        NAME, [folder / "merges.txt", folder / "model.safetensors"], own_weights=True
    )
    assert set(manifest.files) == {"text", "segment", "merges"}
    assert max(manifest.largest_difference.values()) < 1e-3
    segmenter = create_segmenter(NAME, device="cpu")

    phrases = ["a red car", "Dog", "the dog's red car, 3 of them"]
    image = astronaut[:300, :451]
    encoder = PhraseEncoder((folder / "merges.txt").read_bytes())
    rows = [encoder.encode(phrase) for phrase in phrases]
    longest = max(len(row) for row in rows)
    pad = [row + [encoder.end] * (longest - len(row)) for row in rows]  # as the tokenizer does
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    processor = transformers.ViTImageProcessor(
        size={"height": SIDE, "width": SIDE},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    pixels = processor([image.copy()] * len(phrases), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        expected = network(
            input_ids=torch.tensor(pad), attention_mask=torch.tensor(mask), pixel_values=pixels
        )
    embeddings = np.concatenate([segmenter._embedding(phrase) for phrase in phrases])
    np.testing.assert_allclose(embeddings, expected.conditional_embeddings.numpy(), atol=1e-4)
    found = segmenter.probabilities(image, embeddings)
    # The processor rounds the scaled photo otherwise; one grey level here and there.
    np.testing.assert_allclose(found, expected.logits.sigmoid().numpy(), atol=0.02)
    assert found.std() > 0.01, "the network answers the same everywhere: nothing was compared"


@pytest.mark.slow
def test_files_that_are_not_its_own_are_refused(at_home, tmp_path):
    from cleanplate.hub.install import import_model

    _, folder = at_home
    weights = folder / "model.safetensors"
    short = tmp_path / "short.txt"
    short.write_bytes(b"#version: 0.2\nr e\n")
    with pytest.raises(WeightsError, match=r"short\.txt: has 1 pairs, the network knows 6"):
        import_model(NAME, [weights, short], own_weights=True)
    short.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"short\.txt: has 0 pairs"):
        import_model(NAME, [weights, short], own_weights=True)
    with pytest.raises(WeightsError, match=r"expected model\.safetensors and merges\.txt"):
        import_model(NAME, [weights, weights], own_weights=True)


@pytest.mark.slow
def test_a_checkpoint_of_another_architecture_names_what_is_wrong(at_home, tmp_path):
    from safetensors.torch import load_file, save_file

    from cleanplate.hub.install import import_model

    _, folder = at_home
    state = load_file(folder / "model.safetensors")
    wrong = tmp_path / "wrong.safetensors"
    lacking = {name: value for name, value in state.items() if name != "decoder.film_mul.bias"}
    save_file(lacking, wrong)
    with pytest.raises(WeightsError, match=r"architecture: it lacks decoder\.film_mul\.bias$"):
        import_model(NAME, [wrong, folder / "merges.txt"], own_weights=True)
    save_file(state | {"more": state["decoder.film_mul.bias"].clone()}, wrong)
    with pytest.raises(WeightsError, match=r"architecture: it has unexpected more$"):
        import_model(NAME, [wrong, folder / "merges.txt"], own_weights=True)
    save_file(state | {"decoder.film_mul.bias": state["clip.logit_scale"][None].clone()}, wrong)
    with pytest.raises(WeightsError, match=r"it has another shape for decoder\.film_mul\.bias$"):
        import_model(NAME, [wrong, folder / "merges.txt"], own_weights=True)
