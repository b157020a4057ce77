"""Checkpoints with options beside the parameters, and networks of transformers filled from them."""

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest

from cleanplate.errors import WeightsError
from cleanplate.hub.registry import get_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.slow  # loads PyTorch


@pytest.mark.parametrize("options", [Namespace(epochs=3), SimpleNamespace(epochs=3)])
def test_options_of_a_training_script_do_no_harm(tmp_path, options):
    from cleanplate.hub.convert.checkpoints import load_state

    path = tmp_path / "checkpoint.pth"
    torch.save({"model": {"weight": torch.ones(2)}, "args": options}, path)
    assert list(load_state(path, inside="model")) == ["weight"]


def test_other_objects_are_still_refused(tmp_path):
    from cleanplate.hub.convert.checkpoints import load_state

    path = tmp_path / "checkpoint.pth"
    torch.save({"model": {"weight": torch.ones(2)}, "args": Path("here")}, path)
    with pytest.raises(WeightsError, match=r"of tensors only \(.*pathlib[^\x1b]*\)"):
        load_state(path, inside="model")


@pytest.fixture(scope="module")
def network():
    config = transformers.SegformerConfig(
        depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 8, 8], num_attention_heads=[1, 1, 1, 1],
        decoder_hidden_size=8, num_labels=5,
    )  # fmt: skip
    torch.manual_seed(0)
    return transformers.SegformerForSemanticSegmentation(config).eval()


@pytest.fixture
def published(network, tmp_path):
    """Return parameters under the names of published files, which are those of old versions."""
    from safetensors.torch import load_file

    network.save_pretrained(tmp_path)
    return load_file(tmp_path / "model.safetensors")


def fill(network, state):
    from cleanplate.hub.convert.pretrained import load_pretrained

    return load_pretrained(type(network), network.config, state, Path("weights.bin"))


def test_old_names_find_their_place(network, published):
    assert "segformer.encoder.block.0.0.attention.self.query.weight" in published
    filled = fill(network, published)
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(filled(pixels).logits, network(pixels).logits)
    assert not filled.training


def test_half_precision_is_read_as_single(network, published):
    filled = fill(network, {k: v.half() for k, v in published.items()})
    assert {p.dtype for p in filled.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"decode_head.classifier.bias": None}, r"weights\.bin: .*it lacks decode_head\.class"),
        ({"more": torch.ones(1)}, "it has unexpected more$"),
        ({"more": torch.ones(1), "most": torch.ones(1)}, "it has unexpected more and 1 more$"),
        ({"decode_head.classifier.bias": torch.ones(6)}, "another shape for decode_head.class"),
    ],
)
def test_every_parameter_must_have_its_place_and_fit(network, published, change, match):
    state = {k: v for k, v in (published | change).items() if v is not None}
    with pytest.raises(WeightsError, match=match):
        fill(network, state)


def test_estimated_sizes_are_those_of_the_parameters():
    from cleanplate.hub.convert.ade20k import _PUBLISHED
    from cleanplate.hub.convert.edgeconnect import EdgeConnectGenerator

    architecture, configure = _PUBLISHED["upernet_convnext_tiny.ade20k"]
    with torch.device("meta"):
        built = {
            "upernet_convnext_tiny.ade20k": [architecture(configure())],
            "edgeconnect.psv": [EdgeConnectGenerator(role) for role in ("edges", "fill")],
        }
    for name, networks in built.items():
        sizes = [sum(it.nbytes for it in one.state_dict().values()) for one in networks]
        assert [file.estimated_bytes for file in get_model(name).checkpoints] == sizes
