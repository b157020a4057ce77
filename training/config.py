"""The configuration of a training run: frozen dataclasses, read strictly from TOML."""

import dataclasses
import difflib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_type_hints


class ConfigError(ValueError):
    """A configuration cannot be used; the message names the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How long, how fast and from what."""

    steps: int = 20_000
    batch: int = 32
    seed: int = 0
    precision: str = "bf16"  # "bf16" or "fp32"
    compile: bool = True  # the generators only: the discriminators gain nothing
    workers: int = 8  # processes that make batches
    sample_every: int = 2_000  # steps between sheets
    checkpoint_every: int = 2_000
    log_every: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimiser:
    """Adam with a warm-up and a linear fall at the end, and the average of the weights."""

    rate: float = 3e-4
    discriminator_rate: float = 3e-4
    betas: tuple[float, float] = (0.0, 0.99)
    warm_up_steps: int = 200
    fall_share: float = 0.35  # of the run, at its end
    clip_norm: float = 20.0
    average: float = 0.999  # of the exponential moving average of the weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Crops:
    """What is cut from the photos."""

    size_px: int = 256
    late_size_px: int = 256  # from `late_from` of the run on
    late_from: float = 1.0
    least_scale: float = 0.6  # a crop's side covers at least size / this of the photo's short side
    brightness: float = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Holes:
    """Shapes and sizes of holes; the shares of the three kinds add up to 1."""

    silhouettes: float = 0.65
    strokes: float = 0.23
    boxes: float = 0.12
    least_share: float = 0.02
    most_share: float = 0.45
    late_most_share: float = 0.45  # from `crops.late_from` of the run on
    candidates: int = 6  # of which the one that hides least foreground is taken ...
    least_foreground: float = 0.85  # ... in this share of the cases


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """The edge generator."""

    width: int = 32
    dilations: tuple[int, ...] = (2, 2, 4, 4, 8, 8, 4, 2)
    balance: float = 0.5  # weight of edge pixels' share in the loss: 0 plain, 1 as if half of all
    every: int = 1  # trained at each of so many steps
    until_all: float = 0.15  # ... and at every step in this first share of the run


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """The completion generator."""

    width: int = 48
    dilations: tuple[int, ...] = (2, 2, 4, 4, 8, 8, 4, 2)
    sees_mask: bool = False  # a fifth input channel: 1 = hole
    true_edges_at_first: float = 0.8  # share of true edges in the hole, falling to 0 ...
    true_edges_until: float = 0.32  # ... at this share of the run


@dataclass(frozen=True, slots=True, kw_only=True)
class Discriminators:
    """Patch discriminators: of edges, and of the fill at two scales."""

    edge_width: int = 32
    fill_width: int = 64
    gradient_penalty: float = 1.0  # R1, on real pictures; 0 leaves it out
    penalty_every: int = 16  # steps
    steps_at_first: int = 2  # discriminator steps per generator step ...
    first_share: float = 0.1  # ... in this share of the run


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Weights of the losses."""

    perceptual: float = 2.0
    style: float = 3.0
    matching: float = 10.0  # of the discriminators' features
    adversarial: float = 1.0
    hole: float = 4.0  # L1
    known: float = 3.0  # L1
    edge_matching: float = 10.0
    edge_hole: float = 0.5  # cross-entropy
    edge_all: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeConnectConfig:
    """A training of EdgeConnect: of both generators, or of one with the other fixed."""

    networks: str = "both"  # "both", "edges" or "fill"
    run: Run = field(default_factory=Run)
    optimiser: Optimiser = field(default_factory=Optimiser)
    crops: Crops = field(default_factory=Crops)
    holes: Holes = field(default_factory=Holes)
    edges: Edges = field(default_factory=Edges)
    fill: Fill = field(default_factory=Fill)
    discriminators: Discriminators = field(default_factory=Discriminators)
    losses: Losses = field(default_factory=Losses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """The segmenter's network, crops and loss."""

    encoder: str = "tf_efficientnet_lite2"  # of timm
    decoder_width: int = 192
    classes: int = 21  # with the background
    crop_px: int = 416
    scale_octaves: tuple[float, float] = (-0.8, 0.9)  # around "short side = crop"
    close_share: float = 0.0  # of crops from anywhere, 1.6 to 3.2 times larger than the photo
    small_share: float = 0.0  # of crops around an object of 30 to 90 px, enlarged 1.2 to 4 times
    hardest_share: float = 0.5  # of the pixels of a crop that count
    encoder_rate: float = 4e-4
    decoder_rate: float = 1.5e-3
    relative_rate: float = 8e-4  # with --start: of both, as a share of each channel's size
    weight_decay: float = 1e-4
    labelled_share: float = 0.6  # of crops from pairs made by people, the rest by a teacher


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmenterConfig:
    """A training of DeepLabV3+."""

    run: Run = field(default_factory=Run)
    segmentation: Segmentation = field(default_factory=Segmentation)
    average: float = 0.999
    clip_norm: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """The network that finds what objects cast, its windows and its loss."""

    encoder: str = "tf_efficientnet_lite0"  # of timm
    decoder_widths: tuple[int, ...] = (96, 64, 40, 24, 16)
    size_px: int = 192
    context: tuple[float, float] = (0.7, 1.2)  # on each side, of the object's longer side
    labelled_share: float = 0.5  # of windows of labelled photos, the rest are made
    nothing_share: float = 0.4  # of made windows whose object casts nothing
    dice: float = 0.33  # weight beside the cross-entropy
    encoder_rate: float = 3e-4
    decoder_rate: float = 1.2e-3
    relative_rate: float = 8e-4  # with --start: of both, as a share of each channel's size
    weight_decay: float = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectsConfig:
    """A training of the network that finds what objects cast."""

    run: Run = field(default_factory=Run)
    effects: Effects = field(default_factory=Effects)
    average: float = 0.998
    clip_norm: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """The network that divides touching objects, its windows and its loss."""

    encoder: str = "tf_efficientnet_lite0"  # of timm
    layers: int = 4  # of the encoder: up to stride 16
    decoder_widths: tuple[int, ...] = (64, 48)
    size_px: int = 192
    group_share: float = 0.36  # of windows: several objects of a photo
    single_share: float = 0.28  # one object of a photo; the rest are made
    people_share: float = 0.5  # of windows
    offset_weight: float = 10.0  # beside the loss of the centres
    encoder_rate: float = 3e-4
    decoder_rate: float = 1.2e-3
    weight_decay: float = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancesConfig:
    """A training of the network that divides touching objects."""

    run: Run = field(default_factory=Run)
    instances: Instances = field(default_factory=Instances)
    average: float = 0.998
    clip_norm: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlines:
    """The network that sees all of an object, its windows and its loss."""

    encoder: str = "tf_efficientnet_lite0"  # of timm
    layers: int = 4  # of the encoder: up to stride 16
    decoder_widths: tuple[int, ...] = (80, 48, 24)
    size_px: int = 224
    found_share: float = 0.68  # of windows: what a segmenter found; the rest is made from the truth
    cut_share: float = 0.25  # of the former: a part is taken away; of the latter: one is added
    overlap: float = 0.5  # weight beside the cross-entropy
    encoder_rate: float = 4e-4
    decoder_rate: float = 1e-3
    weight_decay: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlinesConfig:
    """A training of the network that sees all of an object."""

    run: Run = field(default_factory=Run)
    outlines: Outlines = field(default_factory=Outlines)
    average: float = 0.998
    clip_norm: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """The network that recognizes small objects, and its windows."""

    encoder: str = "tf_efficientnet_lite0"  # of timm
    held: int = 3  # of its stages: up to stride 8
    size_px: int = 128
    right_share: float = 0.27  # of windows: what a segmenter finds rightly
    true_share: float = 0.33  # from masks; the rest is what a segmenter finds wrongly
    pasted_share: float = 0.4  # of those from masks: put in front of another window
    small_share: float = 0.85  # of windows: as if the object had been small
    encoder_rate: float = 6e-4
    decoder_rate: float = 3e-3
    weight_decay: float = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionConfig:
    """A training of the network that recognizes small objects."""

    run: Run = field(default_factory=Run)
    recognition: Recognition = field(default_factory=Recognition)
    average: float = 0.995
    clip_norm: float = 5.0


Config = TypeVar("Config")


def read_config(path: Path, kind: type[Config]) -> Config:
    """Return the configuration in a TOML file; what it does not name has its default.

    Raises:
        ConfigError: a key is unknown or its value of another kind; or the file is not TOML.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return _build(kind, content, str(path))


def as_dict(config: object) -> dict[str, Any]:
    """Return a configuration as nested plain values, as a checkpoint and a card keep it."""
    return dataclasses.asdict(config)  # type: ignore[call-overload]


def from_dict(kind: type[Config], content: dict[str, Any]) -> Config:
    """Return the configuration that `as_dict` was given."""
    return _build(kind, content, "checkpoint")


def _build(kind: type[Config], content: dict[str, Any], where: str) -> Config:
    hints = get_type_hints(kind)
    values = {}
    for key, value in content.items():
        if key not in hints:
            close = difflib.get_close_matches(key, hints, n=1)
            hint = f". Did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"{where}: unknown key {key!r}; known: {', '.join(hints)}{hint}")
        values[key] = _value(hints[key], value, f"{where}: {key}")
    return kind(**values)


def _value(wanted: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(wanted):
        if not isinstance(value, dict):
            raise ConfigError(f"{where} must be a table, got {value!r}")
        return _build(wanted, value, where)  # type: ignore[arg-type]
    origin = getattr(wanted, "__origin__", wanted)
    if origin is tuple and isinstance(value, list | tuple):
        element = wanted.__args__[0]
        return tuple(_value(element, one, where) for one in value)
    if origin is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, origin) or (origin is int and isinstance(value, bool)):
        raise ConfigError(f"{where} must be {origin.__name__}, got {value!r}")
    return value
