"""EdgeConnect's published checkpoints: the paper's two generators, one per file.

References:
    Nazeri et al., EdgeConnect, 2019, arXiv:1901.00212, appendix A.1. The names of the parameters,
    and which of them a checkpoint holds, are those that `src/models.py` and `src/networks.py` of
    https://github.com/knazeri/edge-connect at commit 3142579 write.
"""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils import remove_spectral_norm, spectral_norm

from cleanplate.errors import WeightsError
from cleanplate.hub.convert import Conversion
from cleanplate.hub.convert.checkpoints import State, fill_network, load_state
from cleanplate.hub.convert.export import export_network
from cleanplate.hub.registry import Model

_WIDTH = 64  # channels of the first and the last layers; doubled at each halving of the size
_BLOCKS = 8
_DILATION = 2
_DATA_PARALLEL = "module."  # before every name, if it was trained on several GPUs

# Identifies the generators: input and output channels.
_CHANNELS = {"edges": (3, 1), "fill": (4, 3)}
_OUTPUTS = {"edges": "edges", "fill": "rgb"}
_PUBLISHED_NAMES = {"edges": "EdgeModel_gen.pth", "fill": "InpaintingModel_gen.pth"}

_EXAMPLE_HW = (64, 96)
_TRIALS_HW = ((32, 32), (128, 60), (256, 256))  # the last one is the size that is used

Wrap = Callable[[nn.Module], nn.Module]


class _Residual(nn.Module):
    """Two convolutions, the first one dilated, with a residual connection."""

    def __init__(self, channels: int, wrap: Wrap, *, bias: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for dilation in (_DILATION, 1):
            layers += [
                nn.ReflectionPad2d(dilation),
                wrap(nn.Conv2d(channels, channels, 3, dilation=dilation, bias=bias)),
                nn.InstanceNorm2d(channels),
                nn.ReLU(),
            ]
        self.conv_block = nn.Sequential(*layers[:-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv_block(x)


class EdgeConnectGenerator(nn.Module):
    """A generator; that of the edges has spectral normalisation except in its last layer.

    Args:
        role: "edges" or "fill".
    """

    def __init__(self, role: str) -> None:
        super().__init__()
        self.draws_edges = role == "edges"
        wrap: Wrap = spectral_norm if self.draws_edges else lambda layer: layer
        channels_in, channels_out = _CHANNELS[role]
        widths = (_WIDTH, 2 * _WIDTH, 4 * _WIDTH)

        def halve(wide: int) -> nn.Module:
            return wrap(nn.Conv2d(wide, 2 * wide, 4, stride=2, padding=1))

        def double(wide: int) -> nn.Module:
            return wrap(nn.ConvTranspose2d(2 * wide, wide, 4, stride=2, padding=1))

        def normalised(layer: nn.Module, wide: int) -> list[nn.Module]:
            return [layer, nn.InstanceNorm2d(wide), nn.ReLU()]

        self.encoder = nn.Sequential(
            nn.ReflectionPad2d(3),
            *normalised(wrap(nn.Conv2d(channels_in, widths[0], 7)), widths[0]),
            *normalised(halve(widths[0]), widths[1]),
            *normalised(halve(widths[1]), widths[2]),
        )  # (N, C, H, W) -> (N, 256, H/4, W/4)
        self.middle = nn.Sequential(
            *(_Residual(widths[2], wrap, bias=not self.draws_edges) for _ in range(_BLOCKS))
        )
        self.decoder = nn.Sequential(
            *normalised(double(widths[1]), widths[1]),
            *normalised(double(widths[0]), widths[0]),
            nn.ReflectionPad2d(3),
            nn.Conv2d(widths[0], channels_out, 7),
        )  # -> (N, C', H, W)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) in [0, 1], H and W multiples of 4 -> (N, C', H, W) in [0, 1]."""
        drawn = self.decoder(self.middle(self.encoder(planes)))
        return torch.sigmoid(drawn) if self.draws_edges else (torch.tanh(drawn) + 1) / 2


def convert(model: Model, checkpoints: Sequence[Path], folder: Path) -> Conversion:
    """Make the ONNX files of both generators; see `convert.Converter`."""
    originals = {}
    for role, (state, source) in _identify_roles(checkpoints).items():
        originals[role] = EdgeConnectGenerator(role)
        fill_network(originals[role], state, source)
    files = {file.role: folder / file.filename for file in model.files}
    return Conversion(
        files=files,
        largest_difference={role: _export(originals[role], role, files[role]) for role in files},
    )


def _identify_roles(checkpoints: Sequence[Path]) -> dict[str, tuple[State, Path]]:
    """Return role -> parameters and the file that holds them."""
    found: dict[str, tuple[State, Path]] = {}
    for path in checkpoints:
        named = load_state(path, inside="generator")
        state = {name.removeprefix(_DATA_PARALLEL): value for name, value in named.items()}
        role = _role_of(state, path)
        if role in found:
            other = next(name for key, name in _PUBLISHED_NAMES.items() if key != role)
            raise WeightsError(
                f"{path} and {found[role][1]} are both {_PUBLISHED_NAMES[role]}; give only one of "
                f"them, and {other}"
            )
        found[role] = state, path
    return found


def _role_of(state: State, path: Path) -> str:
    first = "encoder.1.weight"
    weight = state.get(f"{first}_orig", state.get(first))
    planes = None if weight is None or weight.ndim != 4 else weight.shape[1]
    for role, (channels_in, _) in _CHANNELS.items():
        if planes == channels_in:
            return role
    raise WeightsError(
        f"{path}: is neither {' nor '.join(_PUBLISHED_NAMES.values())}: "
        + (f"it lacks {first}" if planes is None else f"its first layer takes {planes} channels")
    )


def _export(original: EdgeConnectGenerator, role: str, target: Path) -> float:
    original.eval()
    folded = copy.deepcopy(original)
    for layer in list(folded.modules()):
        if hasattr(layer, "weight_orig"):
            # Divides by the norm that the stored vectors give, as evaluation does.
            remove_spectral_norm(layer)

    def planes(size_hw: tuple[int, int]) -> dict[str, torch.Tensor]:
        return {"planes": torch.rand(1, _CHANNELS[role][0], *size_hw)}

    return export_network(
        folded,
        target,
        inputs=planes(_EXAMPLE_HW),
        outputs=[_OUTPUTS[role]],
        dynamic={"planes": (0, 2, 3)},
        trials=[planes(size_hw) for size_hw in _TRIALS_HW],
        original=original,
    )
