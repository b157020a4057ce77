"""LaMa's checkpoints, in each form that they are published in, give the original's results."""

import numpy as np
import pytest

from cleanplate.errors import ChecksumError, WeightsError
from cleanplate.hub.install import import_model
from cleanplate.inpainting import create_inpainter

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow  # loads PyTorch
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from cleanplate.hub.convert import lama as converter  # noqa: E402
from cleanplate.hub.convert.checkpoints import fill_network  # noqa: E402
from registered_interface import check_interface  # noqa: E402

NAME = "big_lama.places"
WIDTH, BLOCKS, FAR = 8, 2, 48  # 64 and 18 in big-lama; 0.75 of the channels are global


# --- the generator once more, from the names and shapes of the published parameters


def convolutions(width=WIDTH, blocks=BLOCKS, far=FAR):
    """Yield name and shape of each convolution's weight."""
    deep = 8 * width
    near = deep - far
    yield "model.1.ffc.convl2l", (width, 4, 7, 7)
    yield "model.2.ffc.convl2l", (2 * width, width, 3, 3)
    yield "model.3.ffc.convl2l", (4 * width, 2 * width, 3, 3)
    yield "model.4.ffc.convl2l", (near, 4 * width, 3, 3)
    yield "model.4.ffc.convl2g", (far, 4 * width, 3, 3)
    for block in range(5, 5 + blocks):
        for layer in ("conv1", "conv2"):
            name = f"model.{block}.{layer}.ffc"
            yield f"{name}.convl2l", (near, near, 3, 3)
            yield f"{name}.convl2g", (far, near, 3, 3)
            yield f"{name}.convg2l", (near, far, 3, 3)
            yield f"{name}.convg2g.conv1.0", (far // 2, far, 1, 1)
            yield f"{name}.convg2g.fu.conv_layer", (far, far, 1, 1)
            yield f"{name}.convg2g.conv2", (far, far // 2, 1, 1)


def normalisations(width=WIDTH, blocks=BLOCKS, far=FAR):
    near = 8 * width - far
    for place, wide in ((1, width), (2, 2 * width), (3, 4 * width), (4, near)):
        yield f"model.{place}.bn_l", wide
    yield "model.4.bn_g", far
    for block in range(5, 5 + blocks):
        for layer in ("conv1", "conv2"):
            name = f"model.{block}.{layer}"
            yield f"{name}.bn_l", near
            yield f"{name}.bn_g", far
            yield f"{name}.ffc.convg2g.conv1.1", far // 2
            yield f"{name}.ffc.convg2g.fu.bn", far
    for step in range(3):
        yield f"model.{7 + blocks + 3 * step}.1".removesuffix(".1"), width << (2 - step)


def random_state(seed=0):
    torch.manual_seed(seed)
    state = {}
    for name, shape in convolutions():
        state[f"{name}.weight"] = torch.randn(shape) * (2 / np.prod(shape[1:])) ** 0.5
    for step in range(3):
        out = WIDTH << (2 - step)
        name = f"model.{6 + BLOCKS + 3 * step}"
        state[f"{name}.weight"] = torch.randn(2 * out, out, 3, 3) * (0.4 / out) ** 0.5
        state[f"{name}.bias"] = torch.randn(out) * 0.1
    last = f"model.{16 + BLOCKS}"
    state[f"{last}.weight"] = torch.randn(3, WIDTH, 7, 7) * 0.1
    state[f"{last}.bias"] = torch.randn(3) * 0.1
    for name, wide in normalisations():
        state[f"{name}.weight"] = 0.5 + torch.rand(wide)
        state[f"{name}.bias"] = torch.randn(wide) * 0.1
        state[f"{name}.running_mean"] = torch.randn(wide) * 0.1
        state[f"{name}.running_var"] = 0.5 + torch.rand(wide)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)
    return state


def run(state, image, mask):
    """Return (1, 3, H, W), the generator's answer, for the calling convention of big-lama.pt."""

    def conv(x, name, pad=1, stride=1):
        x = F.pad(x, (pad,) * 4, mode="reflect") if pad else x
        return F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), stride=stride)

    def norm(x, name):
        mean, variance, weight, bias = (
            state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, variance, weight, bias)

    def spectral(x, name):
        x = norm(conv(x, f"{name}.conv1.0", pad=0), f"{name}.conv1.1").relu()
        spectrum = torch.fft.rfftn(x, dim=(-2, -1), norm="ortho")
        parts = torch.view_as_real(spectrum).permute(0, 1, 4, 2, 3).flatten(1, 2)
        parts = norm(conv(parts, f"{name}.fu.conv_layer", pad=0), f"{name}.fu.bn").relu()
        parts = parts.unflatten(1, (-1, 2)).permute(0, 1, 3, 4, 2).contiguous()
        back = torch.fft.irfftn(
            torch.view_as_complex(parts), s=x.shape[-2:], dim=(-2, -1), norm="ortho"
        )
        return conv(x + back, f"{name}.conv2", pad=0)

    def both(near, far, name):
        near_out = conv(near, f"{name}.ffc.convl2l") + conv(far, f"{name}.ffc.convg2l")
        far_out = conv(near, f"{name}.ffc.convl2g") + spectral(far, f"{name}.ffc.convg2g")
        return norm(near_out, f"{name}.bn_l").relu(), norm(far_out, f"{name}.bn_g").relu()

    x = torch.cat([image * (1 - mask), mask], dim=1)
    x = norm(conv(x, "model.1.ffc.convl2l", pad=3), "model.1.bn_l").relu()
    for place in ("model.2", "model.3"):
        x = norm(conv(x, f"{place}.ffc.convl2l", stride=2), f"{place}.bn_l").relu()
    near = norm(conv(x, "model.4.ffc.convl2l", stride=2), "model.4.bn_l").relu()
    far = norm(conv(x, "model.4.ffc.convl2g", stride=2), "model.4.bn_g").relu()
    for block in range(5, 5 + BLOCKS):
        inner = both(*both(near, far, f"model.{block}.conv1"), f"model.{block}.conv2")
        near, far = near + inner[0], far + inner[1]
    x = torch.cat([near, far], dim=1)
    for step in range(3):
        name = f"model.{6 + BLOCKS + 3 * step}"
        x = F.conv_transpose2d(
            x, state[f"{name}.weight"], state[f"{name}.bias"], stride=2, padding=1, output_padding=1
        )
        x = norm(x, f"model.{7 + BLOCKS + 3 * step}").relu()
    return conv(x, f"model.{16 + BLOCKS}", pad=3).sigmoid()


class Held(nn.Module):
    """Modules nested such that the parameters get their published names."""

    def __init__(self, state) -> None:
        super().__init__()
        self.held = state
        for name, value in state.items():
            module, *path = self, *name.split(".")
            for part in path[:-1]:
                if part not in module._modules:
                    module.add_module(part, nn.Module())
                module = module._modules[part]
            module.register_buffer(path[-1], value)


class Scripted(nn.Module):
    """What big-lama.pt holds: image and mask -> the composited picture."""

    def __init__(self, state) -> None:
        super().__init__()
        self.model = nn.Module()
        self.model.generator = Held(state)

    def forward(self, image, mask):
        named = dict(self.model.generator.named_buffers())
        return mask * run(named, image, mask) + (1 - mask) * image


class CallbackOfTraining:
    """An object of a class that is not installed where the checkpoint is read."""


@pytest.fixture(scope="module")
def state():
    return random_state()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path / "home"))
    return tmp_path


def save_torchscript(state, folder):
    example = (torch.rand(1, 3, 120, 120), (torch.rand(1, 1, 120, 120) < 0.5).long())
    with torch.no_grad():
        traced = torch.jit.trace(Scripted(state).eval(), example, strict=False)
    traced.save(str(folder / "big-lama.pt"))
    return folder / "big-lama.pt"


def save_training(state, folder):
    content = {
        "epoch": 39,
        "state_dict": {f"generator.{name}": value for name, value in state.items()}
        | {"discriminator.model0.0.weight": torch.rand(3)},
        "callbacks": {CallbackOfTraining: {"best": CallbackOfTraining()}},
        "hyper_parameters": nn.Linear(2, 2),
    }
    torch.save(content, folder / "best.ckpt")
    return folder / "best.ckpt"


def save_parameters(state, folder):
    from safetensors.torch import save_file

    save_file(
        {f"generator.{name}": value for name, value in state.items()}, folder / "x.safetensors"
    )
    return folder / "x.safetensors"


def save_plain(state, folder):
    torch.save(state, folder / "plain.pth", _use_new_zipfile_serialization=False)
    return folder / "plain.pth"


FORMS = [save_torchscript, save_training, save_parameters, save_plain]
quiet = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore::DeprecationWarning")


# --- networks


@pytest.mark.parametrize("transforms", [converter._Transforms, converter._TorchTransforms])
@pytest.mark.parametrize("size_hw", [(64, 48), (40, 88), (16, 24)])
def test_the_generator_is_the_published_one(state, transforms, size_hw):
    generator = converter.LamaGenerator(WIDTH, FAR, BLOCKS, transforms)
    fill_network(generator, state, "x.pt")
    image, mask = torch.rand(2, 3, *size_hw), (torch.rand(2, 1, *size_hw) < 0.4).float()
    with torch.no_grad():
        ours, theirs = generator.eval()(image, mask), run(state, image, mask)
    assert theirs.std() > 0.05, "the test's own network says nothing"
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_the_generator_is_that_of_the_authors_code(tmp_path):
    """Compared with a package that has their code, at the published width and depth."""
    lama = pytest.importorskip("spandrel.architectures.LaMa")
    torch.manual_seed(0)
    theirs = lama.LaMa(in_nc=4, out_nc=3).train()
    image, mask = torch.rand(1, 3, 64, 48), (torch.rand(1, 1, 64, 48) < 0.3).float()
    with torch.no_grad():
        theirs(image, mask)  # gives the normalisations statistics
        *_, last = (it for it in theirs.modules() if isinstance(it, nn.Conv2d))
        last.weight *= 100  # or the output would be grey
        expected = theirs.eval()(image, mask)
    path = save_plain(theirs.state_dict(), tmp_path)
    state = converter._generator_state(path)
    ours = converter.LamaGenerator(*converter._architecture(state, path))
    fill_network(ours, state, path)
    with torch.no_grad():
        found = ours.eval()(image, mask)
    assert expected[mask.expand_as(expected) > 0].std() > 0.1
    torch.testing.assert_close(mask * found + (1 - mask) * image, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size_hw", [(1, 1), (2, 3), (7, 8), (64, 64), (15, 128), (100, 33)])
def test_the_transforms_are_pytorchs(size_hw):
    image = torch.randn(2, 3, *size_hw)
    ours, theirs = converter._Transforms(*size_hw), converter._TorchTransforms(*size_hw)
    spectrum = theirs.forward(image)
    for part, expected in zip(ours.forward(image), spectrum, strict=True):
        torch.testing.assert_close(part, expected, atol=1e-5, rtol=1e-5)
    changed = [torch.relu(part) for part in spectrum]  # no longer that of a real image
    torch.testing.assert_close(
        ours.inverse(*changed), theirs.inverse(*changed), atol=1e-5, rtol=1e-5
    )


@quiet
@pytest.mark.parametrize("save", FORMS)
def test_every_published_form_is_read_without_running_it(state, tmp_path, save):
    found = converter._generator_state(save(state, tmp_path))
    assert set(found) == set(state)
    assert converter._architecture(found, tmp_path) == (WIDTH, FAR, BLOCKS)
    for name, value in found.items():
        torch.testing.assert_close(value, state[name], atol=0, rtol=0)


@quiet
def test_from_the_torchscript_file_to_its_own_picture(state, home, astronaut, monkeypatch):
    path = save_torchscript(state, home)
    monkeypatch.setattr(converter, "_TRIALS_HW", [(32, 40)])  # pictures are compared below

    manifest = import_model(NAME, [path], own_weights=True)

    assert manifest.origin == "own"
    assert max(manifest.largest_difference.values()) < 1e-4
    check_interface(NAME)
    original, inpainter = torch.jit.load(str(path)), create_inpainter(NAME, device="cpu")
    for size_hw in ((120, 120), (101, 187), (256, 64)):
        image = astronaut[60 : 60 + size_hw[0], 180 : 180 + size_hw[1]]
        mask = np.zeros(size_hw, np.bool_)
        mask[20:60, 15:45] = mask[:, -4:] = True
        more = [(0, -side % 8) for side in size_hw]
        padded = np.pad(image, (*more, (0, 0)), mode="symmetric").transpose(2, 0, 1)[None]
        hole = np.pad(mask, more, mode="symmetric")[None, None]
        with torch.no_grad():
            answer = original(
                torch.from_numpy(padded.astype(np.float32) / 255), torch.from_numpy(hole * 1)
            )
        expected = answer[0].permute(1, 2, 0).numpy()[: size_hw[0], : size_hw[1]] * 255
        assert expected[mask].std() > 10
        result = inpainter.inpaint(image, mask)
        np.testing.assert_allclose(result, expected, atol=0.5 + 0.255)  # rounding, and 1e-3


# --- what is refused


@quiet
def test_other_weights_must_be_said_to_be_ones_own(state, home):
    match = r"big-lama\.pt: .* bytes, expected 205,669,692; .*--own-weights"
    with pytest.raises(ChecksumError, match=match):
        import_model(NAME, [save_torchscript(state, home)])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda state: {}, "contains no LaMa generator"),
        (lambda state: {"model.1.ffc.convl2l.weight": torch.zeros(8, 4, 7, 7)}, "it lacks model.4"),
        (
            lambda state: {k: v for k, v in state.items() if "bn_g" not in k},
            "it lacks model.4.bn_g",
        ),
        (
            lambda state: state | {"model.5.conv1.ffc.gate.weight": torch.zeros(2)},
            "has unexpected .*gate",
        ),
    ],
    ids=["nothing", "first", "missing", "left over"],
)
def test_another_architecture_is_refused(state, home, change, match):
    path = home / "other.pth"
    torch.save({"state_dict": change(state)}, path)
    with pytest.raises(WeightsError, match=f"other.pth: .*{match}"):
        import_model(NAME, [path], own_weights=True)
