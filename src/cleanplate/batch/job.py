"""What a run does with every photo."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cleanplate.batch.planning import Example, MaskFiles
from cleanplate.io import RawOutput
from cleanplate.options import RemovalOptions

Untouched = Literal["copy", "link", "skip"]
"""What becomes of a photo that has nothing to remove:

copy  a byte-for-byte copy
link  a copy that shares its blocks where the disk can, else a hard link: one file, two names
skip  nothing is written
"""

Step = Literal["remove", "plan", "fill"]
"""What is done with a photo:

remove  detect the objects and fill them
plan    detect the objects and write what would be filled, for a person to edit
fill    fill masks or edited plans
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with every photo of a run."""

    options: RemovalOptions = field(default_factory=RemovalOptions)  # classes are canonical labels
    raw_output: RawOutput = "tiff"  # what camera RAW files are written as
    own_masks: MaskFiles | None = None  # the user's masks instead of the segmenter's
    masks: Path | None = None  # folder to save masks to
    untouched: Untouched = "copy"  # what to do with a photo that has nothing to remove
    plan_only: bool = False  # the first stage: write plans to the targets, no photo
    own_plans: MaskFiles | None = None  # the second stage: fill these plans
    examples: tuple[Example, ...] = ()  # what the segmenter uses, if it finds by example
    thumbnails: bool = False  # make thumbnails for the report's page
    dry_run: bool = False  # write no photo and no mask
    overwrite: bool = False
    fail_fast: bool = False

    @property
    def step(self) -> Step:
        """What is done with every photo."""
        if self.plan_only:
            return "plan"
        return "remove" if self.own_masks is None and self.own_plans is None else "fill"
