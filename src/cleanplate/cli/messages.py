"""Texts about photos and their objects; nothing here prints."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cleanplate.batch import FoundObject, PhotoResult

_SKIPPED = {
    "exists": "exists",
    "done": "was done before",
    "other settings": "was made with other settings",
    "edited": "was changed since it was made",
}
STATUS_TEXTS = {
    "removed": "removed",
    "copy": "copied unchanged",
    "link": "linked unchanged",
    "skip": "unchanged and not written",
    "untouched": "unchanged",
    "would-remove": "would be changed",
    "would-copy": "would be copied",
    "done": "skipped (done before)",
    "exists": "skipped (output exists; --overwrite replaces it)",
    "other settings": "skipped (made with other settings)",
    "edited": "skipped (changed since it was made; --overwrite replaces it)",
    "failed": "failed",
}
"""Outcomes of photos, as a summary names them and in its order."""

_KEPT = {"copy": "copied", "link": "linked", "skip": "not written"}
_PLURALS = {"bus": "buses", "person": "people", "sheep": "sheep"}


def describe_photo(result: "PhotoResult") -> str:
    """Return the result of a photo in one line."""
    return f"{result.source}: {_describe_status(result)}"


def describe_details(result: "PhotoResult") -> list[str]:
    """Return the lines that `-v` adds: objects, stages, notes."""
    lines = [
        f"  {'removed' if instance.chosen else 'kept'} {_describe_object(instance)}"
        + (f" ({instance.reason})" if instance.reason else "")
        for instance in result.found
    ]
    lines += [f"  still detected {_describe_object(instance)}" for instance in result.remaining]
    if result.refills:
        lines.append(f"  rechecked, refilled {count_of(result.refills, 'time')}")
    if result.timings_s:
        stages = (f"{stage} {spent:.2f} s" for stage, spent in result.timings_s.items())
        lines.append("  " + ", ".join(stages))
    lines.extend(f"  note: {note}" for note in result.notes)
    lines.extend(f"  {line}" for line in (result.trace or "").splitlines())
    return lines


def cause_of(result: "PhotoResult") -> str:
    """Return why a photo failed, its path first."""
    return f"{result.source}: {(result.error or '').removeprefix(f'{result.source}: ')}"


def count_of(count: int, noun: str) -> str:
    """Return "1 photo", "2 photos", "3 buses"."""
    return f"{count} {noun}" if count == 1 else f"{count} {_PLURALS.get(noun, noun + 's')}"


def describe_difference(count: int, difference: str) -> str:
    """Return the line about photos that were made with other settings."""
    return (
        f"{count_of(count, 'photo')} skipped, made with other settings: {difference}; --overwrite "
        "processes them again"
    )


def list_counts(counts: Mapping[str, int]) -> str:
    """Return "12 people, 3 cars", the most first."""
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(count_of(count, label) for label, count in ordered)


def _describe_status(result: "PhotoResult") -> str:
    from cleanplate.batch import EMPTY_MASK, NO_MASK

    removed = _list_objects(instance for instance in result.found if instance.chosen)
    kept = _list_objects(instance for instance in result.found if not instance.chosen)
    rest = f"; kept {kept}" if kept else ""
    remaining = _list_objects(result.remaining)
    if remaining:
        rest += f"; still detected {remaining}"
    nothing = "nothing to remove" if kept else "nothing found"
    nothing = next((note for note in result.notes if note in (EMPTY_MASK, NO_MASK)), nothing)
    if result.skipped is not None:
        reason = f"{result.target} {_SKIPPED[result.skipped]}"
        if result.kept_by == "skip":
            reason = f"done before: {nothing}, {_KEPT['skip']}"
        return f"skipped, {reason}"
    match result.status:
        case "removed":
            what = f"removed {removed}" if removed else "filled the mask"
            if not removed and (result.mask_share or 0) > 0.5:
                rest += "; if black marks what is to be removed, give --invert-mask"
            return f"{what}, {_share(result)}, {result.timings_s['total']:.1f} s{rest}"
        case "untouched":
            return f"{nothing}, {_KEPT[result.kept_by or 'copy']}{rest}"
        case "would-remove":
            return (f"would remove {removed}" if removed else "would fill the mask") + rest
        case "would-copy":
            return f"{nothing}, would be copied{rest}"
        case _:
            return "failed: " + cause_of(result).removeprefix(f"{result.source}: ")


def _describe_object(instance: "FoundObject") -> str:
    box = " ".join(str(edge) for edge in instance.box_xyxy)
    score, area_px = f"{instance.score:.2f}", instance.area_px
    return f"{instance.id}: {instance.label} {score}, box {box}, {area_px} px"


def _list_objects(instances: Iterable["FoundObject"]) -> str:
    scores: dict[str, list[str]] = {}
    for instance in instances:
        scores.setdefault(instance.label, []).append(f"{instance.score:.2f}")
    listed = [
        f"{count_of(len(values), label)} ({', '.join(values)})" for label, values in scores.items()
    ]
    return " and ".join([", ".join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed)


def _share(result: "PhotoResult") -> str:
    percent = 100 * (result.mask_share or 0)
    return "under 0.1 % of the photo" if percent < 0.1 else f"{percent:.1f} % of the photo"
