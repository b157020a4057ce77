"""Operations on arrays: masks, windows, blending, geometry."""

from cleanplate.ops.blending import paste, pull_push, solve_gradients
from cleanplate.ops.geometry import (
    Luma,
    Transform,
    convex_outline,
    invert,
    is_plausible,
    remap,
    scale_of,
    scaling,
    transform_points,
    translation,
    warp,
)
from cleanplate.ops.guided_filter import ColourGuide, Field, apply_coefficients, box_mean
from cleanplate.ops.masks import (
    bounding_box,
    components_touching,
    default_dilation_px,
    dilate,
    dilate_instance,
    drop_specks,
    expand_box,
    fill_holes,
    rasterize,
    subtract,
    union,
)
from cleanplate.ops.parallel import parallel_map
from cleanplate.ops.resampling import coverage, resample
from cleanplate.ops.rle import decode_rle, encode_rle
from cleanplate.ops.tiling import (
    Window,
    box_area,
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
    "apply_coefficients",
    "bounding_box",
    "box_area",
    "box_mean",
    "components_touching",
    "convex_outline",
    "cover_boxes",
    "coverage",
    "decode_rle",
    "default_dilation_px",
    "dilate",
    "dilate_instance",
    "disjoint_rounds",
    "drop_specks",
    "encode_rle",
    "expand_box",
    "fill_holes",
    "invert",
    "is_plausible",
    "parallel_map",
    "paste",
    "plan_windows",
    "pull_push",
    "rasterize",
    "remap",
    "resample",
    "scale_of",
    "scaling",
    "solve_gradients",
    "subtract",
    "tile_spans",
    "transform_points",
    "translation",
    "union",
    "warp",
]
