"""The report on a clip: one JSON object."""

import math
from typing import TYPE_CHECKING

from cleanplate.inpainting import Inpainter
from cleanplate.options import RemovalOptions
from cleanplate.segmentation import Segmenter
from cleanplate.video.removing import VideoRemoval

if TYPE_CHECKING:
    from cleanplate.remover import Remover


def describe_video(
    result: VideoRemoval, remover: "Remover", settings: dict[str, object]
) -> dict[str, object]:
    """Return what the report says about a clip, ready for JSON; docs/video.md lists the fields."""
    clip = result.clip
    models: dict[str, Segmenter | Inpainter] = {
        "segmenter": remover.segmenter,
        "inpainter": remover.inpainter,
    }

    def rounded(value: float | None) -> float | None:
        return None if value is None or not math.isfinite(value) else round(value, 4)

    return {
        "video": str(clip.path),
        "output": str(result.target),
        "status": "removed" if result.changed else "untouched",
        "size_wh": [clip.size_hw[1], clip.size_hw[0]],
        "codec": clip.codec,
        "pixel_format": clip.pixel_format,
        "frames": result.frames,
        "frames_filled": result.frames_filled,
        "frames_steadied": result.frames_steadied,
        "found": result.found,
        "kept": result.kept,
        "shots": result.shots,
        "segments": result.segments,
        "mask_share": rounded(
            result.filled_px / max(1, result.frames * clip.size_hw[0] * clip.size_hw[1])
        ),
        "from_other_frames": rounded(result.share(result.from_frames_px)),
        "by_network": rounded(result.share(result.by_network_px)),
        "by_network_each_frame": rounded(result.share(result.by_frame_px)),
        "flicker": rounded(result.flicker),
        "flicker_around": rounded(result.flicker_around),
        "crf": result.crf if result.changed else None,
        "timings_s": {stage: round(spent, 2) for stage, spent in result.timings_s.items()},
        "provider": {role: model.provider for role, model in models.items()},
        "models": {role: model.name for role, model in models.items()},
        "settings": settings,
        "notes": list(result.notes),
    }


def describe_video_settings(options: RemovalOptions) -> dict[str, object]:
    """Return the options of a run, as its report has them."""
    unused = ("verify", "texture", "seed", "points", "boxes")
    return {name: value for name, value in options.to_json().items() if name not in unused}
