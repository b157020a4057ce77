"""Configurations are read strictly."""

from pathlib import Path

import pytest
from training.config import (
    ConfigError,
    EdgeConnectConfig,
    EffectsConfig,
    InstancesConfig,
    OutlinesConfig,
    RecognitionConfig,
    SegmenterConfig,
    as_dict,
    from_dict,
    read_config,
)

CONFIGS = Path(__file__).parents[2] / "training" / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.name)
def test_every_published_configuration_is_read(path):
    kinds = {
        "segmenter": SegmenterConfig,
        "segmenter_on": SegmenterConfig,
        "effects": EffectsConfig,
        "effects_on": EffectsConfig,
        "instances": InstancesConfig,
        "recognition": RecognitionConfig,
        "outlines": OutlinesConfig,
    }
    kind = kinds.get(path.stem, EdgeConnectConfig)
    config = read_config(path, kind)
    assert from_dict(kind, as_dict(config)) == config


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[run]\nstep = 3", r"run: unknown key 'step'; known: steps, .*Did you mean 'steps'\?"),
        ("[rnu]\nsteps = 3", r"unknown key 'rnu'; .*Did you mean 'run'\?"),
        ('[run]\nsteps = "3"', r"run: steps must be int, got '3'"),
        ("[run]\nsteps = true", "steps must be int, got True"),
        ("[run]\nsteps = 1.5", r"steps must be int, got 1\.5"),
        ("run = 3", "run must be a table, got 3"),
        ('[edges]\ndilations = ["2"]', "edges: dilations must be int, got '2'"),
        ("[run", "Expected"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, match):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=match):
        read_config(path, EdgeConnectConfig)


def test_whole_numbers_will_do_for_fractions(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("[optimiser]\nrate = 1\nbetas = [0, 0.9]\n")
    config = read_config(path, EdgeConnectConfig)
    assert (config.optimiser.rate, config.optimiser.betas) == (1.0, (0.0, 0.9))
    assert config.run.steps == EdgeConnectConfig().run.steps


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: .*No such file"):
        read_config(tmp_path / "none.toml", SegmenterConfig)
