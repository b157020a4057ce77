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
    components_touching,
    dilate,
    dilate_instance,
    drop_specks,
    expand_box,
    fill_holes,
    margin_px,
    rasterize,
    subtract,
    union,
)
from cleanplate.ops.parallel import parallel_map
from cleanplate.ops.resampling import coverage, sample
from cleanplate.ops.rle import decode_rle, encode_rle
from cleanplate.ops.tiling import (
    Window,
    area_of,
    cover_boxes,
    disjoint_rounds,
    plan_windows,
    tile_spans,
)

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
    "components_touching",
    "convex_outline",
    "cover_boxes",
    "coverage",
    "decode_rle",
    "dilate",
    "dilate_instance",
    "disjoint_rounds",
    "drop_specks",
    "encode_rle",
    "expand_box",
    "fill_holes",
    "is_plausible",
    "margin_px",
    "membrane",
    "parallel_map",
    "paste",
    "plan_windows",
    "project",
    "rasterize",
    "sample",
    "scale_of",
    "scaling",
    "shifting",
    "solve_gradients",
    "subtract",
    "tile_spans",
    "union",
]
