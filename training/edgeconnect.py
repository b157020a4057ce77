r"""Train EdgeConnect: edge generator and completion generator, jointly or one of them.

    python -m training.edgeconnect --config training/configs/edgeconnect.toml \
        --photos PHOTOS --silhouettes silhouettes.npy --output RUN

RUN gets checkpoint.pt (go on with --resume), sheets, TensorBoard logs, and at the end the ONNX
files with their card. `--start edges.onnx fill.onnx` trains on from exported networks.
"""

import argparse
import copy
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training import losses
from training.card import write_card
from training.checkpoints import Parts, restore, update_average
from training.config import EdgeConnectConfig, as_dict
from training.export import export_edgeconnect, load_generator
from training.loop import add_arguments, begin, describe_device, train
from training.networks import Discriminator, Generator, colours_of, edges_of
from training.photos import GREY_WEIGHTS, Batch, Batches, Photos, load_silhouettes
from training.sheets import write_sheet

EDGE_RIM_PX = 2  # known edges so near to the hole may be the object's own; as at inference


class Trainer:
    """Two generators, three discriminators, and one step of their training.

    Args:
        config: of the run.
        device: where it runs.
        features: what the perceptual and style losses compare.
    """

    def __init__(
        self, config: EdgeConnectConfig, device: torch.device, features: nn.Module
    ) -> None:
        if config.networks not in ("both", "edges", "fill"):
            raise ValueError(f"networks must be both, edges or fill, got {config.networks!r}")
        self.config, self.device = config, device
        self.features = features.to(device)
        edges, fill, judges = config.edges, config.fill, config.discriminators
        networks: dict[str, nn.Module] = {
            "edges": Generator(3, 1, edges.width, edges.dilations),
            "fill": Generator(5 if fill.sees_mask else 4, 3, fill.width, fill.dilations),
            "judge_edges": Discriminator(2, judges.edge_width),
            "judge_fine": Discriminator(3, judges.fill_width),
            "judge_coarse": Discriminator(3, judges.fill_width),
        }
        self.networks = {name: net.to(device) for name, net in networks.items()}
        if device.type == "cuda":
            for network in (*self.networks.values(), self.features):
                network.to(memory_format=torch.channels_last)
        self.averages = {
            name: copy.deepcopy(self.networks[name]).eval().requires_grad_(False)
            for name in ("edges", "fill")
        }
        rates, settings = config.optimiser, {"betas": config.optimiser.betas}
        generators = [p for name in self._trained for p in self.networks[name].parameters()]
        judged = [p for name in self._discriminators for p in self.networks[name].parameters()]
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "generators": torch.optim.Adam(generators, rates.rate, **settings),
            "discriminators": torch.optim.Adam(judged, rates.discriminator_rate, **settings),
        }
        self._rates = {"generators": rates.rate, "discriminators": rates.discriminator_rate}
        self._run: dict[str, nn.Module] = dict(self.networks)
        if config.run.compile and device.type == "cuda":
            for name in ("edges", "fill"):
                self._run[name] = torch.compile(self.networks[name])

    @property
    def parts(self) -> Parts:
        """What a checkpoint holds."""
        return Parts(networks=self.networks, averages=self.averages, optimisers=self.optimisers)

    @property
    def _trained(self) -> tuple[str, ...]:
        return ("edges", "fill") if self.config.networks == "both" else (self.config.networks,)

    @property
    def _discriminators(self) -> tuple[str, ...]:
        judges = {"edges": ("judge_edges",), "fill": ("judge_fine", "judge_coarse")}
        return tuple(judge for name in self._trained for judge in judges[name])

    def step(self, batch: Batch, step: int) -> dict[str, float]:
        """Train on one batch and return the losses."""
        self._set_rates(step)
        share = step / max(1, self.config.run.steps)
        with self._precision():
            outputs = self._generate(batch, share, step)
        terms: dict[str, torch.Tensor] = {}
        judges = self.config.discriminators
        rounds = judges.steps_at_first if share < judges.first_share else 1
        for _ in range(rounds):
            terms |= self._train_discriminators(batch, outputs, step)
        terms |= self._train_generators(batch, outputs)
        for name in self._trained:
            average = self.config.optimiser.average
            update_average(self.averages[name], self.networks[name], step, average)
        return {name: float(value.detach()) for name, value in terms.items()}

    @torch.no_grad()
    def fill(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return edges (N, 1, S, S) and composited colours (N, 3, S, S) of the averages."""
        drawn = edges_of(self.averages["edges"](edge_input(batch)))
        edges = torch.where(batch.hole > 0, drawn, batch.edges)
        output = self.averages["fill"](fill_input(batch, edges, self.config.fill.sees_mask))
        return edges, torch.where(batch.hole > 0, colours_of(output), batch.rgb)

    def _generate(self, batch: Batch, share: float, step: int) -> dict[str, torch.Tensor]:
        """Run the generators; what is not trained runs without gradients."""
        outputs: dict[str, torch.Tensor] = {}
        settings = self.config.edges
        every = 1 if share < settings.until_all else settings.every
        train_edges = "edges" in self._trained and step % every == 0
        with nullcontext() if train_edges else torch.no_grad():
            logits = self._run["edges"](edge_input(batch))
        if train_edges:
            outputs["logits"] = logits
        drawn = edges_of(logits)
        outputs["drawn"] = drawn
        if "fill" not in self._trained:
            return outputs
        fill = self.config.fill
        until = max(fill.true_edges_until, 1e-6)
        chance = fill.true_edges_at_first * max(0.0, 1 - share / until)
        true = (torch.rand(len(drawn), 1, 1, 1, device=self.device) < chance).float()
        inside = true * batch.edges + (1 - true) * drawn.detach()
        edges = torch.where(batch.hole > 0, inside, batch.edges)
        output = self._run["fill"](fill_input(batch, edges, fill.sees_mask))
        outputs["colours"] = colours_of(output)
        outputs["composite"] = torch.where(batch.hole > 0, outputs["colours"], batch.rgb)
        return outputs

    def _train_discriminators(
        self, batch: Batch, outputs: Mapping[str, torch.Tensor], step: int
    ) -> dict[str, torch.Tensor]:
        terms: dict[str, torch.Tensor] = {}
        with self._precision():
            for name, real, fake, hole in self._discriminator_inputs(batch, outputs):
                judge = self.networks[name]
                real_logits, fake_logits = judge(real)[0].float(), judge(fake.detach())[0].float()
                touched = losses.touched_patches(hole, fake_logits.shape[2:])
                terms[name] = losses.hinge_discriminator(real_logits, fake_logits, touched)
        if not terms:
            return terms
        total = torch.stack(list(terms.values())).sum()
        settings = self.config.discriminators
        if settings.gradient_penalty and step % settings.penalty_every == 0:
            penalties = [
                losses.gradient_penalty(self.networks[name], real)
                for name, real, _, _ in self._discriminator_inputs(batch, outputs)
            ]
            terms["penalty"] = torch.stack(penalties).sum()
            weight = settings.gradient_penalty / 2 * settings.penalty_every
            total = total + weight * terms["penalty"]
        optimiser = self.optimisers["discriminators"]
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        optimiser.step()
        return terms

    def _discriminator_inputs(
        self, batch: Batch, outputs: Mapping[str, torch.Tensor]
    ) -> Iterator[tuple[str, torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Yield discriminator, real and fake images, and the hole at their size."""
        if "logits" in outputs:
            grey = grey_of(batch.rgb)
            everywhere = torch.ones_like(batch.hole)
            drawn = torch.cat([grey, outputs["drawn"]], 1)
            yield "judge_edges", torch.cat([grey, batch.edges], 1), drawn, everywhere
        if "composite" in outputs:
            real, fake = batch.rgb, outputs["composite"]
            yield "judge_fine", real, fake, batch.hole
            halves = (functional.avg_pool2d(part, 2) for part in (real, fake))
            yield "judge_coarse", *halves, functional.max_pool2d(batch.hole, 2)

    def _train_generators(
        self, batch: Batch, outputs: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        weights = self.config.losses
        terms: dict[str, torch.Tensor] = {}
        for name in self._discriminators:
            self.networks[name].requires_grad_(False)
        with self._precision():
            for name, real, fake, hole in self._discriminator_inputs(batch, outputs):
                with torch.no_grad():
                    wanted = self.networks[name](real)[1]
                logits, found = self.networks[name](fake)
                touched = losses.touched_patches(hole, logits.shape[2:])
                edges = name == "judge_edges"
                weight = weights.edge_matching if edges else weights.matching
                adversarial = losses.hinge_generator(logits.float(), touched)
                terms[f"{name}_fooled"] = weights.adversarial * adversarial
                terms[f"{name}_matching"] = weight * losses.matching(found, wanted)
            if "composite" in outputs:
                terms |= self._image_losses(batch, outputs)
        if "logits" in outputs:
            inside, everywhere = losses.edge_cross_entropy(
                outputs["logits"], batch.edges, batch.hole, self.config.edges.balance
            )
            terms["edge_hole"] = weights.edge_hole * inside
            terms["edge_all"] = weights.edge_all * everywhere
        if terms:
            optimiser = self.optimisers["generators"]
            optimiser.zero_grad(set_to_none=True)
            torch.stack(list(terms.values())).sum().backward()
            for name in self._trained:
                parameters = self.networks[name].parameters()
                nn.utils.clip_grad_norm_(parameters, self.config.optimiser.clip_norm)
            optimiser.step()
        for name in self._discriminators:
            self.networks[name].requires_grad_(True)
        return terms

    def _image_losses(
        self, batch: Batch, outputs: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        weights = self.config.losses
        with torch.no_grad():
            wanted = self.features(batch.rgb)
        found = self.features(outputs["composite"])
        colours = outputs["colours"]
        return {
            "perceptual": weights.perceptual * losses.perceptual(found, wanted),
            "style": weights.style * losses.style(found, wanted),
            "hole": weights.hole * losses.masked_l1(colours, batch.rgb, batch.hole),
            "known": weights.known * losses.masked_l1(colours, batch.rgb, 1 - batch.hole),
        }

    def _set_rates(self, step: int) -> None:
        settings = self.config.optimiser
        left = 1 - step / max(1, self.config.run.steps)
        factor = min(1.0, (step + 1) / max(1, settings.warm_up_steps))
        factor *= min(1.0, max(0.02, left / max(settings.fall_share, 1e-6)))
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = self._rates[name] * factor

    def _precision(self) -> Any:
        if self.config.run.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()


def grey_of(rgb: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) -> (N, 1, H, W)."""
    weights = torch.from_numpy(GREY_WEIGHTS).to(rgb).view(1, 3, 1, 1)
    return (rgb * weights).sum(1, keepdim=True)


def edge_input(batch: Batch) -> torch.Tensor:
    """Return the edge generator's input (N, 3, S, S): grey and known edges, hole painted, mask."""
    hole = batch.hole
    rim = 2 * EDGE_RIM_PX + 1
    near = functional.max_pool2d(hole, rim, 1, EDGE_RIM_PX)
    grey = grey_of(batch.rgb) * (1 - hole) + hole
    return torch.cat([grey, batch.edges * (1 - near), hole], 1)


def fill_input(batch: Batch, edges: torch.Tensor, sees_mask: bool) -> torch.Tensor:
    """Return the completion generator's input (N, 4 or 5, S, S): RGB, hole painted, and edges."""
    planes = [batch.rgb * (1 - batch.hole) + batch.hole, edges]
    return torch.cat([*planes, batch.hole] if sees_mask else planes, 1)


def main() -> None:
    """Parse the command line, train, export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders, or a pack")
    parser.add_argument("--silhouettes", type=Path, help="outlines for holes")
    parser.add_argument("--start", type=Path, nargs=2, metavar=("EDGES", "FILL"), help="ONNX files")
    add_arguments(parser)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    config, content = begin(arguments, EdgeConnectConfig, device)
    trainer = Trainer(config, device, losses.PerceptualFeatures())
    first = 0
    if content is not None:
        first = restore(content, trainer.parts)
    elif arguments.start:
        for name, path in zip(("edges", "fill"), arguments.start, strict=True):
            load_generator(trainer.networks[name], path)
            load_generator(trainer.averages[name], path)
    photos = Photos(arguments.photos)
    batches = Batches(photos, load_silhouettes(arguments.silhouettes), config)
    print(f"{len(photos)} photos, from step {first} to {config.run.steps} on {device}", flush=True)
    begun = time.perf_counter()
    last = train(
        trainer,
        batches,
        arguments.output,
        start=first,
        show=lambda path: write_sheet(path, trainer, batches[0]),
    )
    trained_s = time.perf_counter() - begun
    differences = export_edgeconnect(trainer.averages, config.fill.sees_mask, arguments.output)
    write_card(
        arguments.output / "card.md",
        name="EdgeConnect",
        files=[arguments.output / f"edgeconnect_{role}.onnx" for role in ("edges", "fill")],
        config=as_dict(config),
        facts={
            "photos": len(photos),
            "steps": last,
            "seconds of this run": round(trained_s),
            "device": describe_device(device),
            "largest difference of the ONNX files": max(differences.values()),
        },
    )


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
