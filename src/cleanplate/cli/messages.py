"""What is said about photos, in words; nothing here prints."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cleanplate.batch import FoundObject, PhotoResult

_SKIPPED = {
    "exists": "exists",
    "done": "is done",
    "other settings": "was made with other settings",
    "edited": "was changed since it was made",
}
COUNTED = {
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
"""What became of photos, in the words of a summary and in its order."""

_KEPT = {"copy": "copied", "link": "linked", "skip": "not written"}
_PLURALS = {"bus": "buses", "person": "people", "sheep": "sheep"}


def describe_photo(outcome: "PhotoResult") -> str:
    """Return one line on what became of a photo."""
    return f"{outcome.source}: {_describe_status(outcome)}"


def describe_details(outcome: "PhotoResult") -> list[str]:
    """Return the lines that `-v` adds: objects, stages, notes."""
    lines = [
        f"  {'removed' if thing.chosen else 'left'} {_describe_object(thing)}"
        + (f" ({thing.reason})" if thing.reason else "")
        for thing in outcome.found
    ]
    lines += [f"  remains {_describe_object(thing)}" for thing in outcome.remaining]
    if outcome.refills:
        lines.append(f"  looked again, filled {count_of(outcome.refills, 'time')} more")
    if outcome.timings_s:
        stages = (f"{stage} {spent:.2f} s" for stage, spent in outcome.timings_s.items())
        lines.append("  " + ", ".join(stages))
    lines.extend(f"  note: {note}" for note in outcome.notes)
    lines.extend(f"  {line}" for line in (outcome.trace or "").splitlines())
    return lines


def cause_of(outcome: "PhotoResult") -> str:
    """Return why a photo failed, led by its name."""
    return f"{outcome.source}: {(outcome.error or '').removeprefix(f'{outcome.source}: ')}"


def count_of(count: int, noun: str) -> str:
    """Return "1 photo", "2 photos", "3 buses"."""
    return f"{count} {noun}" if count == 1 else f"{count} {_PLURALS.get(noun, noun + 's')}"


def told_difference(count: int, difference: str) -> str:
    """Return what to say about photos that were made with other settings."""
    return (
        f"{count_of(count, 'photo')} left as made with other settings: {difference}; --overwrite "
        "makes them anew"
    )


def list_counts(counts: Mapping[str, int]) -> str:
    """Return "12 people, 3 cars", the most first."""
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(count_of(count, label) for label, count in ordered)


def _describe_status(outcome: "PhotoResult") -> str:
    from cleanplate.batch import EMPTY_MASK

    removed = _list_objects(thing for thing in outcome.found if thing.chosen)
    left = _list_objects(thing for thing in outcome.found if not thing.chosen)
    stays = f"; left {left}" if left else ""
    remaining = _list_objects(outcome.remaining)
    if remaining:
        stays += f"; still looks like {remaining}"
    nothing = "nothing to remove" if left else "nothing found"
    if EMPTY_MASK in outcome.notes:
        nothing = EMPTY_MASK
    if outcome.skipped is not None:
        told = f"{outcome.target} {_SKIPPED[outcome.skipped]}"
        if outcome.kept_by == "skip":
            told = f"done before: {nothing}, {_KEPT['skip']}"
        return f"skipped, {told}"
    match outcome.status:
        case "removed":
            what = f"removed {removed}" if removed else "filled the mask"
            return f"{what}, {_share(outcome)}, {outcome.timings_s['total']:.1f} s{stays}"
        case "untouched":
            return f"{nothing}, {_KEPT[outcome.kept_by or 'copy']}{stays}"
        case "would-remove":
            return (f"would remove {removed}" if removed else "would fill the mask") + stays
        case "would-copy":
            return f"{nothing}, would be copied{stays}"
        case _:
            return "failed: " + cause_of(outcome).removeprefix(f"{outcome.source}: ")


def _describe_object(thing: "FoundObject") -> str:
    box = " ".join(str(edge) for edge in thing.box_xyxy)
    return f"{thing.id}: {thing.label} {thing.score:.2f}, box {box}, {thing.area_px} px"


def _list_objects(things: Iterable["FoundObject"]) -> str:
    scores: dict[str, list[str]] = {}
    for thing in things:
        scores.setdefault(thing.label, []).append(f"{thing.score:.2f}")
    listed = [
        f"{count_of(len(values), label)} ({', '.join(values)})" for label, values in scores.items()
    ]
    return " and ".join([", ".join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed)


def _share(outcome: "PhotoResult") -> str:
    percent = 100 * (outcome.mask_share or 0)
    return "under 0.1 % of the photo" if percent < 0.1 else f"{percent:.1f} % of the photo"
