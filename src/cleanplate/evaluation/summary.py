"""Mean metrics of many results, as a table."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cleanplate.evaluation.folders import Evaluation
from cleanplate.evaluation.metrics import bootstrap_interval

Interval = tuple[float, float, float]
"""Mean, and the 95 % bootstrap interval of it: low, high."""

FIGURES: Mapping[str, tuple[str, str]] = {
    "perceptual": ("perceptual distance to the truth", "lower is better"),
    "psnr_db": ("PSNR to the truth, dB", "higher is better"),
    "ssim": ("SSIM to the truth", "higher is better"),
    "similarity": ("feature similarity of hole and surroundings", "higher is better"),
    "sharpness": ("sharpness of the hole over its surroundings", "1 is best"),
    "seam": ("steps at the hole's border over those beside it", "1 is best"),
    "remaining_share": ("share of the hole that still shows objects to remove", "lower is better"),
}
"""Name of a figure -> what it is, and which way is better."""


def figures_of(evaluation: Evaluation) -> dict[str, float]:
    """Return the figures of one result that are known, without NaN."""
    known: dict[str, float] = {}
    for part in (evaluation.truth, evaluation.no_reference):
        if part is not None:
            known |= {name: getattr(part, name) for name in type(part).__dataclass_fields__}
    if evaluation.remaining_share is not None:
        known["remaining_share"] = evaluation.remaining_share
    return {name: value for name, value in known.items() if not math.isnan(value)}


def mean_figures(evaluations: Sequence[Evaluation]) -> dict[str, Interval]:
    """Return figure -> mean and interval over the results that have it."""
    return {
        name: (float(np.mean(values)), *bootstrap_interval(values))
        for name in FIGURES
        if (values := [f[name] for f in map(figures_of, evaluations) if name in f])
    }


def table_lines(
    evaluations: Sequence[Evaluation], *, form: Callable[[float], str] = "{:.3g}".format
) -> list[str]:
    """Return the table in Markdown, a line each."""
    lines = ["| Figure | Mean | 95 % interval | Results | |", "|---|---|---|---|---|"]
    for name, (mean, low, high) in mean_figures(evaluations).items():
        title, better = FIGURES[name]
        count = sum(name in figures_of(evaluation) for evaluation in evaluations)
        interval = f"{form(low)} to {form(high)}"
        lines.append(f"| {title} | {form(mean)} | {interval} | {count} | {better} |")
    return lines
