"""Built-in networks can be trained on from their files, and written back into them."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from training.config import Effects, EffectsConfig, Run, Segmentation, SegmenterConfig
from training.effects import EffectsTrainer
from training.onnx_network import OnnxNetwork
from training.pairs import IGNORED, LabelledBatch, small_object
from training.relative_adam import RelativeAdam
from training.scenes import EffectsBatch
from training.segmenter import SegmenterTrainer

from cleanplate.hub.registry import MODELS
from cleanplate.hub.store import read_file
from cleanplate.runtime.session import Session

pytestmark = pytest.mark.slow  # loads PyTorch


@pytest.fixture(scope="module")
def built_in(tmp_path_factory):
    """Write the built-in segmenter's file."""
    return write_file(tmp_path_factory.mktemp("start"), "deeplabv3plus_lite2.voc", "segment")


@pytest.fixture(scope="module")
def built_in_effects(tmp_path_factory):
    """Write the file of the built-in network for effects."""
    return write_file(tmp_path_factory.mktemp("start"), "effects.lite0", "effects")


def write_file(folder, model, role):
    path = folder / f"{role}.onnx"
    path.write_bytes(read_file(MODELS[model], role))
    return path


def weights_of(path):
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def test_the_network_computes_what_its_file_computes(built_in):
    rgb = np.random.default_rng(0).random((2, 3, 64, 96), dtype=np.float32)
    wanted = Session(built_in.read_bytes(), name="built in", device="cpu").run(rgb)
    with torch.no_grad():
        found = OnnxNetwork(built_in)(torch.from_numpy(rgb)).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_a_sigmoid_at_the_end_is_left_out(built_in_effects):
    rgb_mask = np.random.default_rng(0).random((2, 4, 64, 96), dtype=np.float32)
    session = Session(built_in_effects.read_bytes(), name="built in", device="cpu")
    with torch.no_grad():
        logits = OnnxNetwork(built_in_effects)(torch.from_numpy(rgb_mask))
    assert logits.min() < 0
    np.testing.assert_allclose(torch.sigmoid(logits), session.run(rgb_mask), atol=1e-5)


def test_the_network_for_effects_learns_and_is_written_back(built_in_effects, tmp_path):
    config = EffectsConfig(
        run=Run(steps=100, batch=1, precision="fp32"), effects=Effects(relative_rate=2e-2)
    )
    trainer = EffectsTrainer(config, torch.device("cpu"), start=built_in_effects)
    effects = torch.ones(1, 64, 64, dtype=torch.long)
    batch = EffectsBatch(torch.rand(1, 4, 64, 64), effects)
    losses = [trainer.step(batch, step)["loss"] for step in range(8)]
    assert losses[-1] < losses[0]
    assert isinstance(trainer.average, OnnxNetwork)
    trainer.average.write(tmp_path / "new.onnx")
    before, after = (
        OnnxNetwork(path)(batch.rgb_mask) for path in (built_in_effects, tmp_path / "new.onnx")
    )
    assert after.mean() > before.mean()
    assert Session((tmp_path / "new.onnx").read_bytes(), name="new", device="cpu")


def test_it_learns_and_is_written_back(built_in, tmp_path):
    config = SegmenterConfig(
        run=Run(steps=100, batch=1, precision="fp32"),
        segmentation=Segmentation(hardest_share=1.0, relative_rate=2e-2),
    )
    trainer = SegmenterTrainer(config, torch.device("cpu"), start=built_in)
    batch = LabelledBatch(torch.rand(1, 3, 64, 64), torch.full((1, 64, 64), 15))
    losses = [trainer.step(batch, step)["loss"] for step in range(8)]
    assert losses[-1] < losses[0]
    network = trainer.average
    assert isinstance(network, OnnxNetwork)
    network.write(tmp_path / "none.onnx", 0.0)
    network.write(tmp_path / "half.onnx", 0.5)
    network.write(tmp_path / "new.onnx")
    old, none, half, new = (
        weights_of(path)
        for path in (built_in, *(tmp_path / f"{name}.onnx" for name in ("none", "half", "new")))
    )
    assert all(np.array_equal(old[name], none[name]) for name in old)
    name = next(name for name in old if not np.array_equal(old[name], new[name]))
    np.testing.assert_allclose(half[name], (old[name] + new[name]) / 2, rtol=1e-2, atol=1e-3)


def test_steps_are_shares_of_each_channels_size():
    weight = torch.nn.Parameter(torch.tensor([[100.0, -100.0], [50.0, 50.0]]))
    before = weight.detach().clone()
    optimiser = RelativeAdam([weight], 1e-2)
    (weight * torch.tensor([[1.0, 1.0], [1e-3, 1e-3]])).sum().backward()
    optimiser.step()
    steps = before - weight.detach()
    torch.testing.assert_close(steps, torch.tensor([[1.0, 1.0], [0.5, 0.5]]), rtol=1e-3, atol=0)


def test_a_small_object_is_cut_out_with_its_surroundings():
    rng = np.random.default_rng(0)
    photo, classes = np.zeros((300, 400, 3), np.uint8), np.zeros((300, 400), np.uint8)
    photo[50:250, 100:200], classes[50:250, 100:200] = 255, 15
    classes[0] = IGNORED
    for _ in range(20):
        cut, part = small_object(photo, classes, rng, 96)
        assert cut.shape[:2] == part.shape
        assert max(part.shape) <= 80  # 96 enlarged 1.2 times at least
        assert (part == 15).any()
    nothing = np.zeros_like(classes)
    assert small_object(photo, nothing, rng, 96)[0] is photo
