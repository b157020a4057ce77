"""LaMa: the generator of Fourier convolutions, with Fourier transforms as matrix products.

ONNX's own transform runs on one core, and slowly where a side is not a power of two; a product with
the matrix of a transform of 64 points is quick, exact to single precision, and takes any size.

References:
    Suvorov et al., LaMa, WACV 2022, arXiv:2109.07161, section 2.1 and the supplement; Chi et al.,
    Fast Fourier Convolution, NeurIPS 2020. Names of the parameters: `FFCResNetGenerator` of
    https://github.com/advimman/lama at commit 786f593.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from cleanplate.errors import WeightsError
from cleanplate.hub.convert import Conversion
from cleanplate.hub.convert.archives import load_tensors
from cleanplate.hub.convert.checkpoints import State, fill_network
from cleanplate.hub.convert.export import export_network
from cleanplate.hub.registry import Model

_HALVINGS = 3
_FIRST_BLOCK = 2 + _HALVINGS  # index in the sequence: padding, first layer, halvings, blocks
_EXAMPLE_HW = (64, 96)
_TRIALS_HW = ((32, 40), (88, 56), (512, 512))  # the last one is the largest that is used

_Pair = tuple[torch.Tensor, torch.Tensor]
"""Local and global channels, or real and imaginary parts."""


class _Transforms:
    """Two-dimensional Fourier transforms of real images of one size, orthonormal.

    As matrices they are computed once a run and serve all blocks.
    """

    def __init__(self, height: int, width: int) -> None:
        self._down = _dft_matrices(height, height)  # (H, H) each
        self._across = _dft_matrices(width, width // 2 + 1)  # (K, W) each
        # Waves that stand for their mirror images too: not the first, nor the last if W is even.
        wave = torch.arange(width // 2 + 1)
        twice = (wave > 0) & (2 * wave != width)
        self._weight = (1 + twice.float())[:, None]

    def forward(self, image: torch.Tensor) -> _Pair:
        """(N, C, H, W) -> (N, C, H, W // 2 + 1), real and imaginary."""
        real, imaginary = (image @ wave.T for wave in self._across)
        return _dft_columns(self._down, real, -imaginary, -1)

    def inverse(self, real: torch.Tensor, imaginary: torch.Tensor) -> torch.Tensor:
        """Undo `forward`."""
        real, imaginary = _dft_columns(self._down, real, imaginary, 1)
        cosine, sine = (wave * self._weight for wave in self._across)
        return real @ cosine - imaginary @ sine


def _dft_matrices(points: int, waves: int) -> _Pair:
    """Return (waves, points) cosines and sines, scaled to be orthonormal."""
    count = torch.full((), points)  # a tensor: the exporter takes the size for one number else
    # In integers first: single precision is lost on large angles.
    phase = torch.remainder(torch.arange(waves)[:, None] * torch.arange(points)[None, :], count)
    angle = phase.float() / count * (2 * math.pi)
    scale = torch.rsqrt(count.float())
    return torch.cos(angle) * scale, torch.sin(angle) * scale


def _dft_columns(waves: _Pair, real: torch.Tensor, imaginary: torch.Tensor, sign: int) -> _Pair:
    """Transform the columns of a complex image; `sign` is that of the exponent."""
    cosine, sine = waves
    return (
        cosine @ real - sign * (sine @ imaginary),
        cosine @ imaginary + sign * (sine @ real),
    )


class _TorchTransforms:
    """PyTorch's Fourier transforms, with which the weights were trained."""

    def __init__(self, height: int, width: int) -> None:
        self._size = (height, width)

    def forward(self, image: torch.Tensor) -> _Pair:
        spectrum = torch.fft.rfft2(image, norm="ortho")
        return spectrum.real, spectrum.imag

    def inverse(self, real: torch.Tensor, imaginary: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft2(torch.complex(real, imaginary), s=self._size, norm="ortho")


class _FourierUnit(nn.Module):
    """1 x 1 convolution of the spectrum: its receptive field is the entire image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * channels)

    def forward(self, x: torch.Tensor, transforms: _Transforms) -> torch.Tensor:
        # Real and imaginary by turns.
        spectrum = torch.stack(transforms.forward(x), dim=2).flatten(1, 2)
        spectrum = torch.relu(self.bn(self.conv_layer(spectrum)))
        return transforms.inverse(spectrum[:, 0::2], spectrum[:, 1::2])


class _Spectral(nn.Module):
    """From global channels to global channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Sequential(
            nn.Conv2d(channels, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU()
        )
        self.fu = _FourierUnit(half)
        self.conv2 = nn.Conv2d(half, channels, 1, bias=False)

    def forward(self, x: torch.Tensor, transforms: _Transforms) -> torch.Tensor:
        x = self.conv1(x)
        return self.conv2(x + self.fu(x, transforms))


class _Convolutions(nn.Module):
    """The convolutions between local and global channels."""

    def __init__(self, before: tuple[int, int], after: tuple[int, int], **options: int) -> None:
        super().__init__()
        names = ("l", "g")
        for source, wide in zip(names, before, strict=True):
            for target, out in zip(names, after, strict=True):
                if not wide or not out:
                    continue
                layer: nn.Module = (
                    _Spectral(wide)
                    if (source, target) == ("g", "g")
                    else nn.Conv2d(wide, out, bias=False, padding_mode="reflect", **options)
                )
                self.add_module(f"conv{source}2{target}", layer)


class _Layer(nn.Module):
    """A convolution of local and global channels, with normalisation.

    Args:
        before: local and global channels that go in.
        after: that come out.
        options: of the convolutions.
    """

    def __init__(self, before: tuple[int, int], after: tuple[int, int], **options: int) -> None:
        super().__init__()
        self.ffc = _Convolutions(before, after, **options)
        self.bn_l = nn.BatchNorm2d(after[0])
        if after[1]:
            self.bn_g = nn.BatchNorm2d(after[1])

    def local(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.bn_l(self.ffc.convl2l(x)))

    def split(self, x: torch.Tensor) -> _Pair:
        return self.local(x), torch.relu(self.bn_g(self.ffc.convl2g(x)))

    def both(
        self, local_features: torch.Tensor, global_features: torch.Tensor, transforms: _Transforms
    ) -> _Pair:
        local_out = self.ffc.convl2l(local_features) + self.ffc.convg2l(global_features)
        global_out = self.ffc.convl2g(local_features) + self.ffc.convg2g(
            global_features, transforms
        )
        return torch.relu(self.bn_l(local_out)), torch.relu(self.bn_g(global_out))


class _Block(nn.Module):
    """Two layers with a residual connection."""

    def __init__(self, channels: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = _Layer(channels, channels, kernel_size=3, padding=1)
        self.conv2 = _Layer(channels, channels, kernel_size=3, padding=1)

    def forward(
        self, local_features: torch.Tensor, global_features: torch.Tensor, transforms: _Transforms
    ) -> _Pair:
        local_out, global_out = self.conv2.both(
            *self.conv1.both(local_features, global_features, transforms), transforms
        )
        return local_features + local_out, global_features + global_out


class LamaGenerator(nn.Module):
    """LaMa's generator, its parameters named as in its checkpoints.

    Args:
        width: channels of the first layer; doubled at each halving of the size.
        global_channels: global channels of the blocks.
        blocks: their number.
        transforms: what computes the Fourier transforms.
    """

    def __init__(
        self, width: int, global_channels: int, blocks: int, transforms: type = _Transforms
    ) -> None:
        super().__init__()
        self._transforms = transforms
        deep = width << _HALVINGS
        channels = (deep - global_channels, global_channels)
        halvings = [
            _Layer((wide, 0), (2 * wide, 0), kernel_size=3, stride=2, padding=1)
            for wide in (width << step for step in range(_HALVINGS - 1))
        ]
        halvings.append(_Layer((deep // 2, 0), channels, kernel_size=3, stride=2, padding=1))
        doublings: list[nn.Module] = []
        for wide in (deep >> step for step in range(_HALVINGS)):
            up = nn.ConvTranspose2d(wide, wide // 2, 3, stride=2, padding=1, output_padding=1)
            doublings += [up, nn.BatchNorm2d(wide // 2), nn.ReLU()]
        self.model = nn.ModuleList(
            [
                nn.ReflectionPad2d(3),
                _Layer((4, 0), (width, 0), kernel_size=7),
                *halvings,
                *(_Block(channels) for _ in range(blocks)),
                nn.Identity(),  # here local and global channels become one
                *doublings,
                nn.ReflectionPad2d(3),
                nn.Conv2d(width, 3, 7),
            ]
        )
        self._blocks = range(_FIRST_BLOCK, _FIRST_BLOCK + blocks)

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) in [0, 1], (N, 1, H, W) with 1 = hole -> (N, 3, H, W) in [0, 1]."""
        x = torch.cat([image * (1 - mask), mask], dim=1)
        x = self.model[0](x)
        for place in range(1, _FIRST_BLOCK - 1):
            x = self.model[place].local(x)
        local_features, global_features = self.model[_FIRST_BLOCK - 1].split(x)  # (N, C, H/8, W/8)
        transforms = self._transforms(local_features.shape[2], local_features.shape[3])
        for place in self._blocks:
            local_features, global_features = self.model[place](
                local_features, global_features, transforms
            )
        x = torch.cat([local_features, global_features], dim=1)
        for place in range(self._blocks.stop + 1, len(self.model)):
            x = self.model[place](x)
        return torch.sigmoid(x)


def convert(model: Model, checkpoints: Sequence[Path], folder: Path) -> Conversion:
    """Make the ONNX file; see `convert.Converter`.

    The checkpoint is big-lama.pt (TorchScript), best.ckpt (of training) or a file of parameters
    alone. Only its tensors are read; the code in it is never run, registered or not.
    """
    (source,) = checkpoints
    state = _generator_state(source)
    width, global_channels, blocks = _architecture(state, source)
    original = LamaGenerator(width, global_channels, blocks, _TorchTransforms)
    fill_network(original, state, source)
    network = LamaGenerator(width, global_channels, blocks)
    network.load_state_dict(original.state_dict())

    def example(size_hw: tuple[int, int]) -> dict[str, torch.Tensor]:
        image = torch.rand(1, 3, *size_hw)
        hole = torch.rand(1, 1, *size_hw) < 0.3
        return {"image": image, "mask": hole.float()}

    (file,) = model.files
    target = folder / file.filename
    difference = export_network(
        network,
        target,
        inputs=example(_EXAMPLE_HW),
        outputs=["rgb"],
        dynamic={"image": (0, 2, 3), "mask": (0, 2, 3)},
        trials=[example(size_hw) for size_hw in _TRIALS_HW],
        original=original.eval(),
    )
    return Conversion(files={file.role: target}, largest_difference={file.role: difference})


def _generator_state(path: Path) -> State:
    """Return the generator's parameters, named from "model." on."""
    state = load_tensors(path)
    # "model.generator.model.…" in TorchScript, "state_dict.generator.model.…" from training.
    pattern = re.compile(r"^(?:state_dict\.|model\.)?(?:generator\.)?(model\.\d+\..*)$")
    found = {match[1]: value for name, value in state.items() if (match := pattern.match(name))}
    if not found:
        raise WeightsError(f"{path}: contains no LaMa generator; is it a file of this model?")
    return found


def _architecture(state: State, path: Path) -> tuple[int, int, int]:
    """Return width, global channels and number of blocks of the generator with these parameters."""
    first, split = "model.1.ffc.convl2l.weight", f"model.{_FIRST_BLOCK - 1}.ffc.convl2g.weight"
    for name in (first, split):
        if name not in state:
            raise WeightsError(f"{path}: is not of this architecture: it lacks {name}")
    places = {name.split(".")[1] for name in state if name.split(".")[2] == "conv1"}
    return len(state[first]), len(state[split]), len(places)
