"""The video pipeline: detect in every frame, build each shot's background, fill and write.

The clip is decoded three times, always from the first frame to the last. The first pass detects
objects and camera motion in every frame. The second builds a clean plate for each segment of a
shot; the third, right behind it, fills the segment's frames from the plate and writes them. Only
the frames of the temporal window of the masks are held in memory.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cleanplate import remover as pipeline
from cleanplate.errors import InputError
from cleanplate.io import as_path, copy_photo
from cleanplate.ops import Transform, paste, rasterize
from cleanplate.options import RemovalOptions, check_type, invalid
from cleanplate.plan import dilate_instances
from cleanplate.runtime import check_device
from cleanplate.segmentation import SCORE_BELOW
from cleanplate.types import Instance, Mask, RGBImage
from cleanplate.video.background import Applied, SegmentPlate
from cleanplate.video.colour import RGBFrame, to_uint8
from cleanplate.video.flicker import FlickerMeter
from cleanplate.video.mask_tracking import MaskStabilizer, MaskStore
from cleanplate.video.motion import CameraTracker
from cleanplate.video.reading import (
    Clip,
    DecodedFrame,
    decode_frames,
    decode_frames_and_packets,
    read_clip,
)
from cleanplate.video.writing import CRF_RANGE, DEFAULT_CRF, ClipWriter, check_storable

if TYPE_CHECKING:
    from cleanplate.remover import Remover

FrameProgress = Callable[[str, int, int | None], None]
"""Called after each frame with the stage ("detect" or "fill"), frames done, and frames in all."""

_MISSING_S = 1.0  # by which the video may end before the file; sound is often a little longer
_WEAK_SHARE = 0.4  # of the minimum score: detections below it are never used


@dataclass(slots=True, eq=False)
class VideoRemoval:
    """The result of one clip."""

    clip: Clip
    target: Path
    changed: bool = False  # False: nothing was detected, and the clip was copied byte for byte
    frames: int = 0
    frames_filled: int = 0
    frames_steadied: int = 0  # whose mask was largely propagated from neighbouring frames
    found: dict[str, int] = field(default_factory=dict)  # label -> frames it was removed from
    kept: dict[str, int] = field(default_factory=dict)  # label -> frames it was kept in
    shots: int = 0
    segments: int = 0  # of the shots, each with its key frame
    filled_px: int = 0  # summed over the frames
    from_frames_px: int = 0  # of these, taken from other frames
    by_network_px: int = 0  # inpainted once on a plate
    by_frame_px: int = 0  # inpainted in each frame, as the plate did not match it
    flicker: float | None = None  # grey levels between frames in the holes, motion-compensated
    flicker_around: float | None = None  # the same beside them, for comparison
    crf: int = 0
    timings_s: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def share(self, pixels: int) -> float:
        """Return pixels as a share of all filled pixels, [0, 1]."""
        return pixels / self.filled_px if self.filled_px else 0.0


@dataclass(slots=True, eq=False)
class _Detections:
    """The result of the first pass."""

    masks: MaskStore
    to_key: list[Transform] = field(default_factory=list)
    segments: list[tuple[int, int]] = field(default_factory=list)  # first and last + 1


@dataclass(frozen=True, slots=True, eq=False)
class _FrameMasks:
    """The masks of one frame."""

    mask: Mask  # (H, W), objects to remove
    weak: Mask | None  # (H, W), detections below the minimum score
    kept: Mask | None  # (H, W), protected
    removed_labels: frozenset[str]  # labels
    kept_labels: frozenset[str]


Planner = Callable[[RGBImage], _FrameMasks]
Gains = list[npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """The context of a run."""

    clip: Clip
    remover: "Remover"
    result: VideoRemoval
    on_progress: FrameProgress
    threads: int | None


def remove_from_video(
    source: str | Path,
    target: str | Path,
    classes: Collection[str] | str | None = None,
    options: RemovalOptions | None = None,
    *,
    remover: "Remover | None" = None,
    crf: int | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    on_progress: FrameProgress | None = None,
) -> VideoRemoval:
    """Write a clip without the objects of the given classes.

    Args:
        source: the clip. Not modified.
        target: the file to make, with the ending of the source.
        classes: as for a `Remover`.
        options: how, in every frame; `verify`, `texture` and `seed` have no effect, as the frames
            are filled together.
        remover: what to use instead of the default models.
        crf: constant rate factor of the encoder; None takes `DEFAULT_CRF` of the clip's codec.
        threads: of decoder and encoder; None uses every core.
        overwrite: replace the target if it exists.
        on_progress: called after each frame.

    Raises:
        InputError: an option or a target that cannot be used.
        UnknownNameError: the segmenter does not know a label.
        PhotoError: the clip cannot be read, preserved or written.
        MissingExtraError: PyAV is not installed.
        MissingRuntimeError, WeightsError: the models cannot be loaded.
    """
    source, target = as_path("source", source), as_path("target", target)
    options = RemovalOptions() if options is None else options
    check_type("options", options, RemovalOptions, "RemovalOptions(...)")
    if remover is not None:
        check_type("remover", remover, pipeline.Remover, "a Remover")
    if crf is not None:
        check_type("crf", crf, int, "a whole number, or None")
    check_device("auto", threads)
    check_type("overwrite", overwrite, bool, "True or False")
    if on_progress is not None and not callable(on_progress):
        raise invalid("on_progress", "a function, or None", on_progress)
    options = replace(options, verify=False)
    clip = check_video(source, target, crf=crf, overwrite=overwrite, options=options)
    crf = DEFAULT_CRF[clip.codec] if crf is None else crf
    result = VideoRemoval(clip=clip, target=target, notes=clip.notes, crf=crf)
    on_progress = on_progress or (lambda stage, done, total: None)
    work = _Work(clip, remover or pipeline.Remover(), result, on_progress, threads)
    start = time.perf_counter()

    def plan(image: RGBImage) -> _FrameMasks:
        made = work.remover.plan(image, classes, options)
        kept = None
        if made.protected:
            kept = rasterize((x for x in made.kept if x.id in made.protected), made.mask.shape)
        weak = [x for x in made.kept if _is_weak(x, options.min_score)]
        hint = dilate_instances(weak, made.mask.shape, options.dilation) if weak else None
        removed_labels, kept_labels = (
            frozenset(x.label for x in group) for group in (made.instances, made.kept)
        )
        return _FrameMasks(made.mask, hint, kept, removed_labels, kept_labels)

    with MaskStore(clip.size_hw) as masks:
        detected = _detect(work, masks, plan)
        result.timings_s["detect"] = time.perf_counter() - start
        if result.frames_filled:
            result.changed = True
            _write(work, detected)
            result.timings_s["fill"] = time.perf_counter() - start - result.timings_s["detect"]
        else:
            copy_photo(source, target)
    result.timings_s["total"] = time.perf_counter() - start
    return result


def check_video(
    source: Path,
    target: Path,
    *,
    crf: int | None = None,
    overwrite: bool = False,
    options: RemovalOptions | None = None,
) -> Clip:
    """Check a clip and its options before any work is done; return the clip.

    Raises:
        InputError, PhotoError, MissingExtraError: as `remove_from_video`.
    """
    if options is not None and options.rules.only:
        raise InputError("object numbers differ between frames; omit 'only'")
    if options is not None and (options.points or options.boxes):
        raise InputError("objects move from frame to frame; omit points and boxes")
    clip = read_clip(source)
    with suppress(OSError):
        if target.samefile(source):
            raise InputError(f"{target}: is the clip itself; name another file")
    if target.is_dir():
        raise InputError(f"{target}: is a folder; name a file, such as {source.name}")
    if target.exists() and not overwrite:
        raise InputError(f"{target}: already exists; --overwrite replaces it")
    check_storable(clip, target)
    if crf is not None and not 0 <= crf <= CRF_RANGE[clip.codec]:
        raise InputError(
            f"crf must be in 0..{CRF_RANGE[clip.codec]} for {clip.codec}, got {crf}; "
            f"the default is {DEFAULT_CRF[clip.codec]}"
        )
    return clip


def _detect(work: _Work, masks: MaskStore, plan: Planner) -> _Detections:
    """Detect objects and the camera's motion in every frame."""
    clip, result = work.clip, work.result
    detected = _Detections(masks)
    tracker, steadier = CameraTracker(), MaskStabilizer()
    found: Counter[str] = Counter()
    kept: Counter[str] = Counter()

    def keep(mask: Mask, propagated: bool) -> None:
        masks.append(mask)
        result.frames_filled += bool(mask.any())
        result.frames_steadied += propagated

    segment, damaged, end_s = -1, 0, 0.0
    for frame in decode_frames(clip, threads=work.threads):
        image = to_uint8(frame.to_rgb(clip))
        damaged += frame.damaged
        end_s = float((frame.pts + frame.duration) * clip.time_base)
        planned = plan(image)
        found.update(planned.removed_labels)
        kept.update(planned.kept_labels)
        placed = tracker.add(image, planned.mask)
        if placed.segment != segment:
            detected.segments.append((frame.index, frame.index))
            segment = placed.segment
        detected.segments[-1] = (detected.segments[-1][0], frame.index + 1)
        detected.to_key.append(placed.to_key)
        result.shots += placed.cut
        result.frames += 1
        for steady in steadier.add(
            image, planned.mask, weak=planned.weak, kept=planned.kept, cut=placed.cut
        ):
            keep(steady.mask, steady.propagated)
        work.on_progress("detect", result.frames, clip.frames)
    for steady in steadier.finish():
        keep(steady.mask, steady.propagated)
    if damaged:
        result.notes += (f"{damaged} of {result.frames} frames of the clip are damaged",)
    if clip.duration_s is not None and clip.duration_s - end_s > _MISSING_S:
        result.notes += (
            f"the file states a duration of {clip.duration_s:.1f} s and its video ends after "
            f"{end_s:.1f} s; "
            "it may be truncated",
        )
    result.segments = len(detected.segments)
    result.found, result.kept = dict(found), dict(kept)
    return detected


def _is_weak(instance: Instance, min_score: float) -> bool:
    """Return whether an object was kept only for a score slightly below the minimum."""
    return instance.reason.startswith(SCORE_BELOW) and instance.score >= _WEAK_SHARE * min_score


def _write(work: _Work, detected: _Detections) -> None:
    """Fill and write every frame, segment by segment."""
    clip, result, threads = work.clip, work.result, work.threads
    ahead = decode_frames(clip, threads=threads)
    behind = decode_frames_and_packets(clip, threads=threads)
    unsteady = FlickerMeter()
    writer = ClipWriter(clip, result.target, crf=result.crf, threads=threads)
    with writer:
        for first, end in detected.segments:
            plate, gains = _make_plate(work, detected, (first, end), ahead)
            unsteady.restart()
            for frame in _next_frames(behind, writer, end - first):
                if plate is None or detected.masks.box(frame.index) is None:
                    writer.write_frame(frame, frame.planes)
                    unsteady.restart()
                else:
                    hole = detected.masks.read(frame.index)
                    to_key = detected.to_key[frame.index]
                    image = frame.to_rgb(clip)
                    applied = plate.apply(image, hole, to_key, gains[frame.index - first])
                    image = _filled(work, image, applied)
                    turns = -clip.quarter_turns
                    stored = np.rot90(image, turns), np.rot90(hole, turns)
                    writer.write_frame(frame, clip.sample_format.write_hole(frame.planes, *stored))
                    unsteady.add(to_uint8(image), hole, to_key)
                work.on_progress("fill", writer.frames, result.frames)
        for item in behind:
            if not isinstance(item, DecodedFrame):
                writer.write_packet(item)
    result.flicker, result.flicker_around = unsteady.means()
    result.notes += writer.notes


def _next_frames(items: Iterator[object], writer: ClipWriter, count: int) -> Iterator[DecodedFrame]:
    """Yield `count` frames, and write the packets between them."""
    while count:
        item = next(items)
        if isinstance(item, DecodedFrame):
            count -= 1
            yield item
        else:
            writer.write_packet(item)


def _make_plate(
    work: _Work, detected: _Detections, segment: tuple[int, int], frames: Iterator[DecodedFrame]
) -> tuple[SegmentPlate | None, Gains]:
    """Return the completed plate of a segment, and the gain of each of its frames."""
    clip = work.clip
    first, end = segment
    masks, to_key = detected.masks, detected.to_key
    holes = [(index, box) for index in range(first, end) if (box := masks.box(index)) is not None]
    gains: Gains = []
    if not holes:
        for _ in range(first, end):
            next(frames)
        return None, gains
    plate = SegmentPlate(
        clip.size_hw,
        [to_key[index] for index, _ in holes],
        [box for _, box in holes],
        unit=clip.sample_format.unit,
    )
    for index, _ in holes:
        plate.request(masks.read(index), to_key[index])
    for index in range(first, end):
        frame = next(frames)
        gains.append(plate.add(frame.to_rgb(clip), masks.read(index), to_key[index]))
    plate.complete(lambda image, mask: work.remover.fill(image, mask).image)
    return plate, gains


def _filled(work: _Work, image: RGBFrame, applied: Applied) -> RGBFrame:
    """Return a frame with its hole filled from the plate, or by the inpainter where it differs."""
    result, unit = work.result, work.clip.sample_format.unit
    filled = _pasted(image, applied.image, applied.accepted, unit)
    accepted_px, refused_px = (
        int(np.count_nonzero(part)) for part in (applied.accepted, applied.rejected)
    )
    if refused_px:
        again = work.remover.fill(to_uint8(filled), applied.rejected).image
        filled[applied.rejected] = again[applied.rejected].astype(filled.dtype) * unit
    result.filled_px += accepted_px + refused_px
    result.from_frames_px += applied.from_frames
    result.by_network_px += accepted_px - applied.from_frames
    result.by_frame_px += refused_px
    return filled


def _pasted(image: RGBFrame, fill: RGBFrame, mask: Mask, unit: int) -> RGBFrame:
    """Return `image` with `fill` blended in inside `mask`; (H, W, 3), steps of `unit`."""
    if not mask.any():
        return image.copy()
    made = to_uint8(fill)
    seamless = paste(to_uint8(image), made, mask)
    if unit == 1:
        return seamless
    # The fill keeps its bit depth; the shift at the seam has 8-bit steps.
    shift = seamless[mask].astype(np.int32) - made[mask]
    result = image.copy()
    shifted = fill[mask].astype(np.int32) + shift * unit
    result[mask] = np.clip(shifted, 0, 255 * unit).astype(image.dtype)
    return result
