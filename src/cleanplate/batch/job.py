"""What a run does with every photo."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cleanplate.batch.planning import Example, MaskFiles
from cleanplate.io import RawOutput
from cleanplate.options import Area, Rules

Untouched = Literal["copy", "link", "skip"]
"""What becomes of a photo that has nothing to remove:

copy  a copy of its own, byte for byte
link  a copy that shares its blocks where the disk can, else a hard link: one file, two names
skip  nothing is written
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with every photo of a run."""

    labels: tuple[str, ...] = ()  # canonical; not used with `own_masks`
    min_score: float = 0.0  # objects below it stay, [0, 1]
    min_area: Area = 0  # px or a share such as "5%"; smaller objects stay
    rules: Rules = field(default_factory=Rules)  # what else stays
    grow: int | None = None  # px; None scales with each object
    shadows: bool = False  # remove shadows and mirror images too
    verify: bool = True  # look at the filled holes again
    raw_output: RawOutput = "tiff"  # what camera RAW files are written as
    own_masks: MaskFiles | None = None  # the user's masks instead of the segmenter's
    masks: Path | None = None  # folder to save masks to
    untouched: Untouched = "copy"  # what to do with a photo that has nothing to remove
    draft_only: bool = False  # the first stage: write drafts to the targets, no photo
    own_drafts: MaskFiles | None = None  # the second stage: fill these drafts
    examples: tuple[Example, ...] = ()  # what the segmenter goes by, if it goes by such
    thumbnails: bool = False  # make small pictures for the report's page
    dry_run: bool = False  # write no photo and no mask
    overwrite: bool = False
    fail_fast: bool = False
