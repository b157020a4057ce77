"""EdgeConnect's checkpoints, written as its authors' code does, give the authors' results."""

import numpy as np
import pytest
from skimage.color import rgb2gray
from skimage.feature import canny

from cleanplate.errors import LicenceError, WeightsError
from cleanplate.hub.install import import_model
from cleanplate.inpainting import create_inpainter

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow  # loads PyTorch
from torch.nn import functional as F  # noqa: E402, N812

from cleanplate.hub.convert import edgeconnect as converter  # noqa: E402
from cleanplate.hub.convert.checkpoints import fill_network  # noqa: E402
from registered_interface import check_interface  # noqa: E402

NAME = "edgeconnect.places2"

# --- the paper's generators once more, from the names and shapes of the published parameters


def layers_of(planes_in, planes_out, blocks=8):
    """Yield name, shape, and whether it is transposed, of each convolution's weight."""
    yield "encoder.1", (64, planes_in, 7, 7), False
    yield "encoder.4", (128, 64, 4, 4), False
    yield "encoder.7", (256, 128, 4, 4), False
    for block in range(blocks):
        yield f"middle.{block}.conv_block.1", (256, 256, 3, 3), False
        yield f"middle.{block}.conv_block.5", (256, 256, 3, 3), False
    yield "decoder.0", (256, 128, 4, 4), True
    yield "decoder.3", (128, 64, 4, 4), True
    yield "decoder.7", (planes_out, 64, 7, 7), False


def random_state(role, seed=0):
    """Return parameters as they are named in the published files.

    The weights of the edges' generator are tiny before they are normalised: whoever leaves that out
    drowns them in the epsilon of the instance normalisation.
    """
    torch.manual_seed(seed)
    state = {}
    for name, shape, transposed in layers_of(*{"edges": (3, 1), "fill": (4, 3)}[role]):
        normalised = role == "edges" and name != "decoder.7"
        out = shape[1] if transposed else shape[0]
        if not (normalised and name.startswith("middle")):
            state[f"{name}.bias"] = torch.randn(out) * 0.1
        weight = torch.randn(shape) * (1e-4 if normalised else 0.05)
        if normalised:
            matrix = (weight.transpose(0, 1) if transposed else weight).reshape(out, -1)
            v = F.normalize(torch.randn(matrix.shape[1]), dim=0)
            for _ in range(2):
                u = F.normalize(matrix @ v, dim=0)
                v = F.normalize(matrix.T @ u, dim=0)
            state |= {f"{name}.weight_orig": weight, f"{name}.weight_u": u, f"{name}.weight_v": v}
        else:
            state[f"{name}.weight"] = weight
    return state


def run(state, planes, role):
    """Run one generator on (1, C, H, W)."""

    def weight_of(name, transposed=False):
        if f"{name}.weight" in state:
            return state[f"{name}.weight"]
        weight = state[f"{name}.weight_orig"]
        matrix = (weight.transpose(0, 1) if transposed else weight).flatten(1)
        return weight / (state[f"{name}.weight_u"] @ matrix @ state[f"{name}.weight_v"])

    def conv(x, name, pad=0, **options):
        x = F.pad(x, (pad,) * 4, mode="reflect") if pad else x
        return F.conv2d(x, weight_of(name), state.get(f"{name}.bias"), **options)

    def up(x, name):
        bias = state[f"{name}.bias"]
        return F.conv_transpose2d(x, weight_of(name, True), bias, stride=2, padding=1)

    def norm(x):
        return F.instance_norm(x, eps=1e-5)

    with torch.no_grad():
        x = norm(conv(planes, "encoder.1", pad=3)).relu()
        for name in ("encoder.4", "encoder.7"):
            x = norm(conv(x, name, stride=2, padding=1)).relu()
        for block in range(8):
            name = f"middle.{block}.conv_block"
            inner = norm(conv(x, f"{name}.1", pad=2, dilation=2)).relu()
            x = x + norm(conv(inner, f"{name}.5", pad=1))
        for name in ("decoder.0", "decoder.3"):
            x = norm(up(x, name)).relu()
        x = conv(x, "decoder.7", pad=3)
        return x.sigmoid() if role == "edges" else (x.tanh() + 1) / 2


def original_pipeline(states, image, mask):
    """Return (H, W, 3) float in [0, 255], as the authors' program hands it to its rounding."""

    def tensor(array):
        return torch.from_numpy(np.ascontiguousarray(array, np.float32))

    grey = rgb2gray(image)
    edges = tensor(canny(grey, sigma=2, mask=~mask))[None, None]
    hole = tensor(mask)[None, None]
    rgb = tensor(image.transpose(2, 0, 1) / 255)[None]
    grey = tensor(grey)[None, None]
    planes = torch.cat([grey * (1 - hole) + hole, edges * (1 - hole), hole], dim=1)
    drawn = run(states["edges"], planes, "edges")
    filled = run(states["fill"], torch.cat([rgb * (1 - hole) + hole, drawn], dim=1), "fill")
    merged = filled * hole + rgb * (1 - hole)
    return merged[0].permute(1, 2, 0).numpy() * 255


def save(state, path, **options):
    torch.save({"iteration": 2_000_000, "generator": state}, path, **options)
    return path


@pytest.fixture(scope="module")
def states():
    return {role: random_state(role) for role in ("edges", "fill")}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path / "home"))
    return tmp_path


# --- networks


@pytest.mark.parametrize("role", ["edges", "fill"])
@pytest.mark.parametrize("size_hw", [(32, 44), (64, 36)])
def test_the_generators_are_the_published_ones(states, role, size_hw):
    generator = converter.EdgeConnectGenerator(role)
    fill_network(generator, states[role], "x.pth")
    planes = torch.rand(1, 3 if role == "edges" else 4, *size_hw)
    with torch.no_grad():
        ours, theirs = generator.eval()(planes), run(states[role], planes, role)
    assert theirs.std() > 0.05, "the test's own network says nothing"
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_files_as_pytorch_1_wrote_them_and_from_several_gpus(states, home):
    for role, state in states.items():
        named = {f"module.{name}": value for name, value in state.items()}
        path = save(named, home / f"{role}.pth", _use_new_zipfile_serialization=False)
        [(found, (read, _))] = converter._identify_roles([path]).items()
        assert (found, set(read)) == (role, set(state))


def test_from_the_authors_files_to_the_authors_picture(states, home, astronaut, monkeypatch):
    """Any order, any names."""
    files = [
        save(states[role], home / name) for role, name in (("fill", "a.pth"), ("edges", "b.pth"))
    ]

    monkeypatch.setattr(converter, "_TRIALS_HW", [(32, 40)])  # pictures are compared below
    manifest = import_model(NAME, files, accept_licence=True)

    assert manifest.origin == "unstated"
    assert max(manifest.largest_difference.values()) < 1e-4
    check_interface(NAME)
    inpainter = create_inpainter(NAME, device="cpu")
    for size_hw in ((96, 128), (64, 64)):
        image = astronaut[60 : 60 + size_hw[0], 180 : 180 + size_hw[1]]
        mask = np.zeros(size_hw, np.bool_)
        mask[20:50, 15:45] = mask[:6] = True
        expected = original_pipeline(states, image, mask)
        assert expected[mask].std() > 10
        result = inpainter.inpaint(image, mask)
        np.testing.assert_allclose(result, expected, atol=0.5 + 0.255)  # rounding, and 1e-3


# --- what is refused


def test_files_in_the_folder_of_other_weights_are_refused(states, home):
    folder = home / "psv"
    folder.mkdir()
    files = [save(states[role], folder / f"{role}.pth") for role in states]
    with pytest.raises(
        WeightsError, match=r"edges\.pth: .*edgeconnect\.psv; .*edgeconnect\.celeba"
    ):
        import_model("edgeconnect.celeba", files, accept_licence=True)


def test_the_licence_is_to_be_accepted(home):
    with pytest.raises(LicenceError, match=r"CC-BY-NC-4\.0: .*--accept-licence"):
        import_model(NAME, [home / "a.pth", home / "b.pth"])


@pytest.mark.parametrize(
    ("role", "named", "other"),
    [
        ("edges", "EdgeModel_gen", "InpaintingModel_gen"),
        ("fill", "InpaintingModel_gen", "EdgeModel_gen"),
    ],
)
def test_the_same_generator_twice_names_the_other(states, home, role, named, other):
    files = [save(states[role], home / name) for name in ("a.pth", "b.pth")]
    match = rf"b\.pth and .*a\.pth are both {named}\.pth; give only one of them, and {other}\.pth"
    with pytest.raises(WeightsError, match=match):
        import_model(NAME, files, accept_licence=True)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"generator": {"conv1.0.weight": torch.zeros(2, 2)}}, r"lacks encoder\.1\.weight"),
        ({"generator": {"encoder.1.weight": torch.zeros(64, 5, 7, 7)}}, "takes 5 channels"),
        ({"discriminator": {}}, "contains no parameters under 'generator'"),
        ({"generator": {"encoder.1.weight": torch.zeros(64, 4, 7, 7)}}, r"it lacks encoder\.1\.b"),
    ],
    ids=["names", "planes", "discriminator", "parameters"],
)
def test_another_file_is_refused(states, home, content, match):
    files = [home / "other.pth", save(states["edges"], home / "edges.pth")]
    torch.save(content, files[0])
    with pytest.raises(WeightsError, match=f"other.pth: .*{match}"):
        import_model(NAME, files, accept_licence=True)
