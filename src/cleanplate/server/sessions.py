"""Photos that are being edited: each is uploaded once, and lies in a folder until it is done."""

import itertools
import json
import math
import secrets
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.errors import CleanplateError, InputError
from cleanplate.inpainting import PIPELINES, with_seed
from cleanplate.io import (
    RESULT_SUFFIXES,
    SUFFIXES_BY_FORMAT,
    Photo,
    encode_with_notes,
    read_photo,
    result_name,
    write_bytes_atomic,
    write_mask,
)
from cleanplate.labels import ALL
from cleanplate.options import RemovalOptions, Rules
from cleanplate.plan import RemovalPlan
from cleanplate.remover import Remover
from cleanplate.segmentation import PERSON, instance_of, select
from cleanplate.server.edits import Edits, edited_plan, outlines_of
from cleanplate.server.events import Broadcast
from cleanplate.server.work import Ticket
from cleanplate.types import Instance, Mask, Removal, RGBImage

TILE_PX = 512
PREVIEW_PX = 2048  # long side
_MAX_SESSIONS = 64
_IDLE_S = 2 * 3600.0  # a session that nobody used for so long is deleted
_MAX_BYTES = 16 << 30  # of all sessions' files
_MAX_FILLS = 20  # of one session
_QUALITY = 90  # of previews and tiles


class MissingSessionError(CleanplateError):
    """No such session, fill, tile or job."""


@dataclass(frozen=True, slots=True)
class SessionFill:
    """One way in which the photo of a session was filled."""

    n: int  # 1, 2, ...
    inpainter: str
    seed: int
    changed_px: int
    remaining: tuple[Instance, ...]
    notes: tuple[str, ...]
    timings_s: Mapping[str, float]

    def describe(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "n": self.n,
            "inpainter": self.inpainter,
            "seed": self.seed,
            "changed_px": self.changed_px,
            "remaining": [describe_instance(it, selected=False) for it in self.remaining],
            "notes": list(self.notes),
            "timings_s": dict(self.timings_s),
        }


class EditSession:
    """One photo, what was found in it, and its fills; made by `SessionStore`.

    Args:
        id: its name in addresses.
        folder: of its own, for its files.
        name: of the photo, without folders; shown, never used as a path.
        remover: shared by all sessions.
    """

    def __init__(self, id: str, folder: Path, name: str, remover: Remover) -> None:
        self.id, self.folder, self.name = id, folder, name
        self.used = time.monotonic()
        self.plan: RemovalPlan | None = None
        self.fills: list[SessionFill] = []
        self.ticket: Ticket | None = None  # of the fill in work
        # Takes the file of an accepted fill; None: the photo was uploaded, and is downloaded.
        self.accept: Callable[[bytes], dict[str, Any]] | None = None
        self.cancel: Callable[[], None] | None = None  # ends a command that waits for `accept`
        self._suggested: frozenset[int] = frozenset()
        self._outlined: set[int] = set()
        self._remover = remover
        self._prepared: Any = None  # a prompter's embeddings
        self.events = Broadcast()
        self._other: dict[str, Remover] = {}  # with the last inpainter that is not the server's
        self._lock = threading.Lock()

    # --- the photo

    @property
    def original(self) -> Path:
        """The photo's file as it was uploaded."""
        return self.folder / "original"

    def open(self) -> Photo:
        """Return the decoded photo.

        Raises:
            PhotoError: it cannot be read.
        """
        return replace(read_photo(self.original), path=self.name)

    @property
    def about(self) -> dict[str, Any]:
        """Format, bits, has_alpha and notes of the photo."""
        known: dict[str, Any] = json.loads((self.folder / "about.json").read_text("utf-8"))
        return known

    def pixels(self, n: int) -> npt.NDArray[np.uint8]:
        """Return (H, W, 3) uint8 of the photo (0) or a fill, mapped from its file.

        Raises:
            MissingSessionError: there is no such fill.
        """
        path = self.folder / f"{n}.npy"
        if not path.exists():
            raise MissingSessionError(f"no such fill: {n}")
        return np.asarray(np.load(path, mmap_mode="r"))

    def tile(self, n: int, level: int, column: int, row: int) -> bytes:
        """Return a JPEG of at most 512 x 512 px; level 0 is full size, each next one half of it.

        Raises:
            MissingSessionError: there is no such tile.
        """
        image = self.pixels(n)
        height, width = image.shape[:2]
        if level not in range(levels_of((height, width))) or min(column, row) < 0:
            raise MissingSessionError(f"no such tile: {level}, {column}, {row}")
        side = TILE_PX << level
        part = image[row * side : (row + 1) * side, column * side : (column + 1) * side]
        if part.size == 0:
            raise MissingSessionError(f"no such tile: {level}, {column}, {row}")
        return _jpeg(_shrunk(part, 1 << level))

    def preview(self, n: int) -> bytes:
        """Return a JPEG of the whole picture, of a long side of at most 2,048 px."""
        path = self.folder / f"{n}.jpg"
        if not path.exists():
            image = self.pixels(n)
            write_bytes_atomic(path, _jpeg(_fitted(image, preview_size(image.shape))))
        return path.read_bytes()

    # --- finding

    def find(self, labels: tuple[str, ...], options: RemovalOptions, ticket: Ticket) -> None:
        """Find the objects of some classes; without any, of all, and suggest what may go.

        Suggested are people in the background; where labels are given, all that is found.

        Raises:
            InputError: an option or label that cannot be used.
            CancelledError: it was cancelled.
        """
        self.report_progress("find", "Detecting objects")
        photo = self.open()
        ticket.check()
        if labels or not options.classes:
            options = replace(options, classes=labels or (ALL,))
        plan = self._remover.plan(photo, options=options)
        chosen: Sequence[Instance] = plan.instances
        if ALL in options.classes:  # the plan has all, so that the shadows of all are known
            people = [it for it in chosen if it.label == PERSON]
            rules = Rules(background_people=True)
            chosen = select(photo.pixels, people, min_score=0, min_area=0, rules=rules).chosen
        with self._lock:
            self.plan, self._suggested = plan, frozenset(it.id for it in chosen)
            self._outlined.clear()
        self.report_progress("done", "")

    def outline(
        self, points: list[tuple[float, float, bool]], box: tuple[float, ...] | None, ticket: Ticket
    ) -> dict[str, Any]:
        """Outline what is at some points or in a box, and add it as an object.

        Raises:
            InputError: no promptable model is installed, or nothing is there.
        """
        prompter = self._remover.prompter
        if prompter is None:
            raise InputError(
                "clicks need a promptable model, and none is installed; run "
                "'cleanplate models pull sam21_hiera_tiny.sav'"
            )
        photo = self.open()
        if self._prepared is None:
            self._prepared = prompter.set_image(photo.pixels)
        ticket.check()
        box_xyxy = None
        if box is not None:
            left, top, width, height = (round(value) for value in box)
            box_xyxy = (left, top, left + width, top + height)
        outline = prompter.predict(self._prepared, points=points, box_xyxy=box_xyxy)
        if not outline.mask.any():
            raise InputError("no object found there; click elsewhere, or use the brush")
        with self._lock:
            plan = self._planned(photo)
            ids = [it.id for it in (*plan.instances, *plan.kept)]
            added = replace(instance_of(outline), id=max(ids, default=0) + 1, reason="outlined")
            self.plan = replace(plan, kept=(*plan.kept, added))
            self._outlined.add(added.id)
        size_hw = photo.size_hw
        return describe_instance(added, selected=True, size_hw=size_hw, source="outlined")

    def objects(self) -> list[dict[str, Any]] | None:
        """Return what was found, with its effects; None before the first search."""
        plan = self.plan
        if plan is None:
            return None
        return describe_plan(plan, self._suggested, self._outlined)

    # --- filling

    def edited(self, photo: Photo, edits: Edits) -> RemovalPlan:
        """Return what would be filled.

        Raises:
            InputError: an object that was not found.
        """
        with self._lock:
            plan = self._planned(photo)
            known = [it.id for it in (*plan.instances, *plan.kept)]
            wanted = {number: number in self._suggested for number in known} | edits.objects
        edits = edits.model_copy(update={"objects": wanted})
        return edited_plan(
            photo.pixels,
            plan,
            edits,
            self._remover.outliner.complete,
            lambda: self._remover.effects_detector,
        )

    def fill(
        self,
        edits: Edits,
        inpainter: str | None,
        verify: bool | None,
        ticket: Ticket,
        *,
        seed: int = 0,
    ) -> SessionFill:
        """Fill what the edits ask for.

        Raises:
            InputError: nothing is to be filled, or too many fills, or the inpainter fills this the
                same with every seed.
            UnknownNameError: no such inpainter.
            CancelledError: it was cancelled.
        """
        if len(self.fills) >= _MAX_FILLS:
            raise InputError(f"{_MAX_FILLS} fills of one photo are kept; open it again for more")
        self.report_progress("mask", "Outlining objects")
        photo = self.open()
        plan = self.edited(photo, edits)
        if not plan.mask.any():
            raise InputError("nothing is selected; choose an object, or use the brush")
        if verify is not None:
            plan = replace(plan, options=replace(plan.options, verify=verify))
        ticket.check()
        remover = self._remover
        if inpainter is not None and inpainter != remover.inpainter.name:
            if inpainter.startswith(PIPELINES):  # a folder of this computer, named by a client
                raise InputError("give a pipeline of diffusers to cleanplate serve --inpainter")
            remover = self._remover_with(inpainter)

        def tell_part(part: int) -> None:
            self.report_progress("fill", "Filling", part=part)

        removal: Removal[RGBImage] = stoppable(remover, ticket, tell_part).fill(
            photo, plan, seed=seed
        )
        ticket.check()
        name = remover.inpainter.name
        for former in self.fills:
            is_try = former.inpainter == name and former.seed != seed
            if is_try and np.array_equal(self.pixels(former.n), removal.image):
                raise InputError(f"{name} gives the same fill with any seed; choose another model")
        self.report_progress("write", "Saving")
        fill = SessionFill(
            n=len(self.fills) + 1,
            inpainter=name,
            seed=seed,
            changed_px=int(np.count_nonzero(removal.mask)),
            remaining=removal.remaining,
            notes=removal.notes,
            timings_s=removal.timings_s,
        )
        fill = self.keep(photo, fill, removal)
        self.report_progress("done", "")
        return fill

    def keep(self, photo: Photo, fill: SessionFill, removal: Removal[RGBImage]) -> SessionFill:
        """Store a fill: its pixels, its file and its mask; return it with the file's notes."""
        np.save(self.folder / f"{fill.n}.npy", removal.image)
        content, notes = encode_with_notes(photo, removal.image, removal.mask)
        (self.folder / f"{fill.n}.result").write_bytes(content)
        fill = replace(fill, notes=(*fill.notes, *notes))
        write_mask(self.folder / f"{fill.n}.mask.png", removal.mask, removal.effects)
        self.fills.append(fill)
        return fill

    def _remover_with(self, inpainter: str) -> Remover:
        """Return a remover with another inpainter; the last one stays loaded."""
        if inpainter not in self._other:
            self._other = {inpainter: self._remover.with_inpainter(inpainter)}
        return self._other[inpainter]

    def result(self, n: int, kind: str) -> tuple[Path, str]:
        """Return the file of a fill, of its mask, or of a PNG of it, and the name to save it under.

        Raises:
            MissingSessionError: there is no such fill.
        """
        if not 1 <= n <= len(self.fills):
            raise MissingSessionError(f"no such fill: {n}")
        if kind == "mask":
            return self.folder / f"{n}.mask.png", f"{Path(self.name).stem}-mask.png"
        if kind == "png" and self.about["format"] != "PNG":
            path = self.folder / f"{n}.png"
            if not path.exists():
                pixels = cv2.cvtColor(self.pixels(n), cv2.COLOR_RGB2BGR)
                write_bytes_atomic(path, cv2.imencode(".png", pixels)[1].tobytes())
            return path, f"{Path(self.name).stem}-clean.png"
        return self.folder / f"{n}.result", download_name(self.name, self.about["format"])

    # --- what is reported to the page

    def describe(self) -> dict[str, Any]:
        """Return the session as JSON can hold it."""
        photo_hw = self.pixels(0).shape[:2]
        width, height = preview_size(photo_hw)
        return {
            "id": self.id,
            "name": self.name,
            "width": photo_hw[1],
            "height": photo_hw[0],
            **self.about,
            "preview": {"width": width, "height": height},
            "tile": TILE_PX,
            "levels": [_level(photo_hw, level) for level in range(levels_of(photo_hw))],
            "objects": self.objects(),
            "fills": [fill.describe() for fill in self.fills],
            "accepts": self.accept is not None,
            "cancels": self.cancel is not None,
        }

    def report_progress(self, stage: str, message: str, **more: Any) -> None:
        """Send progress to whoever listens; from any thread."""
        self.events.publish("progress", {"stage": stage, "message": message, **more})

    def tell_waiting(self, before: int) -> None:
        """Say how many photos come before this one."""
        self.report_progress("queued", "Waiting for other photos", position=before)

    def _planned(self, photo: Photo) -> RemovalPlan:
        """Return the plan, or one of nothing where nothing was searched for."""
        if self.plan is None:
            return RemovalPlan(
                mask=np.zeros(photo.size_hw, np.bool_),
                instances=(),
                kept=(),
                options=RemovalOptions(),
                wraps=photo.wraps,
                transparent=photo.transparent,
            )
        return self.plan


class SessionStore:
    """The sessions of a server, in a folder that only its user can read.

    Args:
        remover: shared by all.
        max_pixels: larger photos are refused before they are decoded.
    """

    def __init__(self, remover: Remover, max_pixels: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cleanplate-server-"))  # mode 0700
        self._remover, self._max_pixels = remover, max_pixels
        self._sessions: OrderedDict[str, EditSession] = OrderedDict()

    def create(self, name: str, content: bytes) -> EditSession:
        """Open a photo.

        Raises:
            PhotoError: it cannot be read.
        """
        self.remove_idle()
        id = secrets.token_urlsafe(12)
        folder = self.folder / id
        folder.mkdir(mode=0o700)
        session = EditSession(id, folder, Path(name).name or "photo", self._remover)
        try:
            session.original.write_bytes(content)
            photo = replace(read_photo(content, max_pixels=self._max_pixels), path=session.name)
            np.save(folder / "0.npy", photo.pixels)
            about = {
                "format": photo.format,
                "bits": 16 if photo.samples.samples16 is not None else 8,
                "has_alpha": photo.alpha is not None,
                "notes": list(photo.notes),
            }
            (folder / "about.json").write_text(json.dumps(about), "utf-8")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._sessions[id] = session
        return session

    def get(self, id: str) -> EditSession:
        """Return a session.

        Raises:
            MissingSessionError: there is none of this name, or it was not used for too long.
        """
        session = self._sessions.get(id)
        if session is None:
            raise MissingSessionError("no such photo; open it again")
        session.used = time.monotonic()
        self._sessions.move_to_end(id)
        return session

    def delete(self, id: str) -> None:
        """Delete a session and its files.

        Raises:
            MissingSessionError: there is none of this name.
        """
        session = self.get(id)
        if session.ticket is not None:
            session.ticket.cancel()
        self._sessions.pop(id, None)
        shutil.rmtree(session.folder, ignore_errors=True)

    def remove_idle(self) -> None:
        """Delete sessions that were not used for long, and the oldest ones of too many."""
        now = time.monotonic()
        sizes = {id: _size_bytes(it.folder) for id, it in list(self._sessions.items())}
        for id, session in list(self._sessions.items()):
            known = [sizes.get(it, 0) for it in self._sessions]
            too_many = len(known) >= _MAX_SESSIONS or sum(known) > _MAX_BYTES
            if too_many or now - session.used > _IDLE_S:
                with suppress(MissingSessionError):  # deleted meanwhile
                    self.delete(id)

    def end_streams(self) -> None:
        """End all streams of events."""
        for session in tuple(self._sessions.values()):
            session.events.end()

    def close(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _size_bytes(folder: Path) -> int:
    with suppress(OSError):  # files come and go
        return sum(path.stat().st_size for path in folder.iterdir())
    return 0


class _Stoppable:
    """An inpainter that ends where its task was cancelled, and counts the windows."""

    def __init__(self, inpainter: Any, ticket: Ticket, on_window: Callable[[int], None]) -> None:
        self._inpainter, self._ticket, self._on_window = inpainter, ticket, on_window
        self._numbers = itertools.count(1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inpainter, name)

    def with_seed(self, seed: int) -> "_Stoppable":
        """Return the same with another seed; see `cleanplate.inpainting.with_seed`."""
        seeded = with_seed(self._inpainter, seed)
        other = _Stoppable(seeded, self._ticket, self._on_window)
        other._numbers = self._numbers
        return other

    def inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        """Fill, unless the task was cancelled."""
        self._ticket.check()
        self._on_window(next(self._numbers))
        filled: RGBImage = self._inpainter.inpaint(image, mask)
        return filled


def stoppable(
    remover: Remover, ticket: Ticket, on_window: Callable[[int], None] = lambda _: None
) -> Remover:
    """Return a remover of the same models that raises `CancelledError` before the next window.

    Args:
        remover: finds and fills.
        ticket: of the task.
        on_window: called before each window is filled, with its number: 1, 2, ...
    """
    inpainter: Any = _Stoppable(remover.inpainter, ticket, on_window)
    return remover.with_inpainter(inpainter)


def describe_plan(
    plan: RemovalPlan, selected: Collection[int], outlined: Collection[int] = ()
) -> list[dict[str, Any]]:
    """Return the objects of a plan, with their effects, as JSON can hold them.

    Args:
        plan: what was found.
        selected: ids of those that are suggested for removal.
        outlined: ids of those that a person has pointed at.
    """
    casts = {cast.id: cast for cast in plan.casts}
    return [
        describe_instance(
            it,
            selected=it.id in selected,
            cast=casts.get(it.id),
            size_hw=plan.mask.shape,
            source="outlined" if it.id in outlined else "found",
        )
        for it in sorted((*plan.instances, *plan.kept), key=lambda it: it.id)
    ]


def describe_instance(
    instance: Instance,
    *,
    selected: bool,
    cast: Instance | None = None,
    size_hw: tuple[int, ...] | None = None,
    source: str = "found",
) -> dict[str, Any]:
    """Return an object as JSON can hold it.

    Args:
        instance: the object.
        selected: whether it is suggested for removal.
        cast: its shadow and reflection, as an object of the same id.
        size_hw: of the photo, for shares of it.
        source: "found" or "outlined".
    """
    left, top, right, bottom = instance.box_xyxy
    photo_px = math.prod(size_hw[:2]) if size_hw else 0
    return {
        "id": instance.id,
        "label": instance.label,
        "score": round(instance.score, 3),
        "box": [left, top, right - left, bottom - top],
        "area_px": instance.area_px,
        "share": instance.area_px / photo_px if photo_px else None,
        "selected": selected,
        "reason": instance.reason,
        "outline": outlines_of(instance),
        "effects": None if cast is None else outlines_of(cast),
        "effects_share": cast.area_px / photo_px if cast is not None and photo_px else 0,
        "source": source,
    }


def encode_result(
    content: bytes, photo: Photo, removal: Removal[RGBImage]
) -> tuple[bytes, tuple[str, ...]]:
    """Return the file of a result and all notes; the photo's own file if nothing went."""
    if not removal.mask.any():
        return content, removal.notes
    encoded, notes = encode_with_notes(photo, removal.image, removal.mask)
    return encoded, (*removal.notes, *notes)


def download_name(name: str, format: str) -> str:
    """Return the name of a result: never one that opens as something else than a picture.

    Args:
        name: of the photo, as the client gave it.
        format: of the photo.
    """
    path = Path(result_name(name, "tiff"))
    suffixes = SUFFIXES_BY_FORMAT[format] if format != "RAW" else tuple(RESULT_SUFFIXES.values())
    suffix = path.suffix if path.suffix.lower() in suffixes else suffixes[0]
    return f"{path.stem}-clean{suffix}"


def preview_size(size_hw: tuple[int, ...]) -> tuple[int, int]:
    """Return width and height of the preview of a photo."""
    scale = max(1.0, max(size_hw[:2]) / PREVIEW_PX)
    return max(1, round(size_hw[1] / scale)), max(1, round(size_hw[0] / scale))


def levels_of(size_hw: tuple[int, ...]) -> int:
    """Return how many levels of tiles a photo has; the last one is a single tile."""
    return max(1, math.ceil(math.log2(max(1, max(size_hw[:2]) / TILE_PX))) + 1)


def _level(size_hw: tuple[int, ...], level: int) -> dict[str, float]:
    height, width = (math.ceil(side / (1 << level)) for side in size_hw[:2])
    return {
        "scale": 1 / (1 << level),
        "width": width,
        "height": height,
        "cols": math.ceil(width / TILE_PX),
        "rows": math.ceil(height / TILE_PX),
    }


def _shrunk(image: npt.NDArray[np.uint8], by: int) -> npt.NDArray[np.uint8]:
    height, width = (math.ceil(side / by) for side in image.shape[:2])
    return _fitted(image, (width, height))


def _fitted(image: npt.NDArray[np.uint8], size_wh: tuple[int, int]) -> npt.NDArray[np.uint8]:
    if image.shape[1::-1] == size_wh:
        return image
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def _jpeg(image: npt.NDArray[np.uint8]) -> bytes:
    flags = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), flags)
    return encoded.tobytes()
