"""Operations on arrays: masks, windows, blending, geometry."""

from cleanplate.ops.blending import membrane, paste, solve_gradients
from cleanplate.ops.geometry import (
    Luma,
    Transform,
    convex_outline,
    is_plausible,
    project,
    scale_of,
    scaling,
    shifting,
)
from cleanplate.ops.guided_filter import ColourGuide, Field, apply, box_mean
from cleanplate.ops.masks import (
    box_of,
    cut_off,
    drop_specks,
    fill_holes,
    grow,
    grow_box,
    margin_px,
    merge,
    painted,
    shape_mask,
    touching,
)
from cleanplate.ops.parallel import in_lanes
from cleanplate.ops.resampling import covered_share, sample
from cleanplate.ops.rle import decode_rle, encode_rle
from cleanplate.ops.tiling import Window, area_of, cover_boxes, in_rounds, plan_windows, tile_spans

__all__ = [
    "ColourGuide",
    "Field",
    "Luma",
    "Transform",
    "Window",
    "apply",
    "area_of",
    "box_mean",
    "box_of",
    "convex_outline",
    "cover_boxes",
    "covered_share",
    "cut_off",
    "decode_rle",
    "drop_specks",
    "encode_rle",
    "fill_holes",
    "grow",
    "grow_box",
    "in_lanes",
    "in_rounds",
    "is_plausible",
    "margin_px",
    "membrane",
    "merge",
    "painted",
    "paste",
    "plan_windows",
    "project",
    "sample",
    "scale_of",
    "scaling",
    "shape_mask",
    "shifting",
    "solve_gradients",
    "tile_spans",
    "touching",
]
