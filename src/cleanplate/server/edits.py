"""What a person changes in a plan, as one document, and the mask that follows from it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from cleanplate.ops import dilate, rasterize
from cleanplate.plan import RemovalPlan, drop_effects, edit_plan
from cleanplate.segmentation import Complete, EffectsDetector
from cleanplate.types import Instance, Mask, RGBImage

_MOST_POINTS = 200  # of an outline that is sent; it is shown, not filled
_SHIFT = 4  # bits after the binary point of drawn coordinates

Coordinate = Annotated[float, Field(ge=-1e6, le=1e6)]
StrokePoint = tuple[Coordinate, Coordinate]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Stroke(_Strict):
    """A drag of the brush or eraser: x and y in px of the photo, `size` its diameter in px."""

    tool: Literal["brush", "eraser"]
    size: float = Field(gt=0, le=10_000)
    points: list[StrokePoint] = Field(min_length=1, max_length=100_000)


class Lasso(_Strict):
    """A closed line around what is added or erased: x and y in px of the photo."""

    tool: Literal["lasso", "lasso-erase"]
    points: list[StrokePoint] = Field(min_length=3, max_length=100_000)


class Edits(_Strict):
    """All changes to a plan: which objects and effects go, what was drawn, and a margin."""

    objects: dict[int, bool] = {}
    effects: dict[int, bool] = {}
    strokes: list[Annotated[Stroke | Lasso, Field(discriminator="tool")]] = Field(
        default=[], max_length=10_000
    )
    dilation_px: float = Field(default=0, ge=-500, le=500)


def edited_plan(
    image: RGBImage,
    plan: RemovalPlan,
    edits: Edits,
    complete: Complete,
    detector: Callable[[], EffectsDetector],
) -> RemovalPlan:
    """Return a plan with a person's changes.

    Args:
        image: (H, W, 3) uint8, RGB, the photo. Not modified.
        plan: as it was made; what `edits` does not mention stays as it is.
        edits: the changes. Strokes come last and have precedence over everything else.
        complete: of `Outliner`, for objects that are switched on.
        detector: gives what finds the effects of objects that are switched on, if any are.

    Raises:
        InputError: an object that the plan does not have.
    """
    plan = edit_plan(
        image, plan, remove=edits.objects, mask=plan.mask, complete=complete, detector=detector
    )
    if not all(edits.effects.values()):
        plan = drop_effects(plan, {id for id, is_on in edits.effects.items() if not is_on})
    mask = plan.mask.copy()
    if edits.dilation_px > 0:
        mask = dilate(mask, edits.dilation_px, wraps=plan.wraps)
        mask &= ~rasterize((it for it in plan.kept if it.id in plan.protected), mask.shape)
    elif edits.dilation_px < 0:
        mask = ~dilate(~mask, -edits.dilation_px, wraps=plan.wraps)
    drawn = mask.view(np.uint8)
    for stroke in edits.strokes:
        _draw(drawn, stroke)
    return replace(plan, mask=mask)


def _draw(canvas: npt.NDArray[np.uint8], stroke: Stroke | Lasso) -> None:
    value = 1 if stroke.tool in ("brush", "lasso") else 0
    # The centre of the first pixel is (0.5, 0.5) on a page, and (0, 0) for OpenCV.
    points = np.array(stroke.points, np.float64) - 0.5
    fixed = np.rint(points * (1 << _SHIFT)).astype(np.int32)
    if isinstance(stroke, Lasso):
        cv2.fillPoly(canvas, [fixed], (value,), shift=_SHIFT)
        return
    radius = round(stroke.size / 2 * (1 << _SHIFT))
    for point in fixed:
        cv2.circle(canvas, point.tolist(), radius, (value,), cv2.FILLED, shift=_SHIFT)
    if len(fixed) > 1:
        width = max(1, round(stroke.size))
        cv2.polylines(canvas, [fixed], False, (value,), width, shift=_SHIFT)


def outlines_of(instance: Instance) -> list[list[float]]:
    """Return polygons around an object, x and y in turn, in px of the photo; even-odd."""
    return outlines_of_mask(instance.mask, instance.box_xyxy[:2])


def outlines_of_mask(mask: Mask, corner_xy: tuple[int, int] = (0, 0)) -> list[list[float]]:
    """Return polygons around a mask, x and y in turn; even-odd, simplified.

    Args:
        mask: (h, w) bool.
        corner_xy: its first pixel in the photo.
    """
    padded = np.pad(mask.view(np.uint8), 1)
    contours, _ = cv2.findContours(padded, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    offset = np.array(corner_xy, np.float64) - 1 + 0.5
    polygons = []
    for contour in contours:
        tolerance = max(0.75, cv2.arcLength(contour, True) / (4 * _MOST_POINTS))
        points = cv2.approxPolyDP(contour, tolerance, True)
        while len(points) > _MOST_POINTS:
            tolerance *= 1.5
            points = cv2.approxPolyDP(contour, tolerance, True)
        if len(points) >= 3:
            polygons.append((points[:, 0] + offset).round(1).ravel().tolist())
    return polygons
