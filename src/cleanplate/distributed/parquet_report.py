"""The report of a run on a cluster: Parquet files, a row per photo, from which a run resumes.

A row has the fields of a report's line (`cleanplate.batch.describe_result`) and those of a
journal: sizes, times and hashes of photo and output, and the settings it was made with.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cleanplate.batch import JOURNAL_FOLDER, FileState
from cleanplate.distributed.location import Location

if TYPE_CHECKING:
    import pyarrow

REPORT_FOLDER = f"{JOURNAL_FOLDER}/report"
"""Below the output folder: the Parquet files of all runs."""

STARTED_FOLDER = f"{JOURNAL_FOLDER}/started"
"""Below the output folder: which photos are being processed, or were in a run that was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The journal's columns of a row."""

    source: FileState | None  # when it was read
    output: FileState | None  # None: nothing was written
    made_with: str  # JSON object: option or model -> its value in words, see `settings_in_words`
    run: str  # name of the run that made it
    finished: float  # seconds since 1970


def report_type() -> "pyarrow.DataType":
    """Return the type of a report's line, as a struct."""
    import pyarrow as pa

    instance = {
        "id": pa.int32(),
        "label": pa.string(),
        "label_id": pa.int32(),
        "score": pa.float64(),
        "box_xyxy": pa.list_(pa.int32()),
        "area_px": pa.int64(),
    }
    roles = pa.struct({"segmenter": pa.string(), "inpainter": pa.string()})
    return pa.struct(
        {
            "photo": pa.string(),
            "output": pa.string(),
            "status": pa.string(),
            "skipped": pa.string(),
            "size_wh": pa.list_(pa.int32()),
            "found": pa.list_(
                pa.struct({**instance, "removed": pa.bool_(), "reason": pa.string()})
            ),
            "remaining": pa.list_(pa.struct(instance)),
            "refills": pa.int32(),
            "mask_area_px": pa.int64(),
            "effects_area_px": pa.int64(),
            "mask_share": pa.float64(),
            "timings_s": pa.map_(pa.string(), pa.float64()),
            "models": roles,
            "provider": roles,
            "notes": pa.list_(pa.string()),
            "error": pa.string(),
            "settings": pa.string(),
        }
    )


def row_schema() -> "pyarrow.Schema":
    """Return the columns of a report's file."""
    import pyarrow as pa

    state = {"size": pa.int64(), "mtime_ns": pa.int64(), "sha256": pa.string()}
    kept = {f"{kind}_{name}": it for kind in ("source", "output") for name, it in state.items()}
    journal = {
        "relative": pa.string(),
        **kept,
        "made_with": pa.string(),
        "run": pa.string(),
        "finished": pa.float64(),
    }
    fields = [pa.field(name, it) for name, it in journal.items()]
    return pa.schema([*report_type(), *fields])


def report_row(line: Mapping[str, object], settings: Mapping[str, object] | None) -> dict[str, Any]:
    """Return a report's line as a value of `report_type`; the settings become JSON."""
    timings: Any = line["timings_s"]
    return {**line, "timings_s": list(timings.items()), "settings": json.dumps(settings)}


def full_row(row: Mapping[str, object], relative: str, record: Record) -> dict[str, object]:
    """Return a row of a report's file.

    Args:
        row: from `report_row`.
        relative: the photo's path below the input.
        record: compared by the next run.
    """
    states = {"source": record.source, "output": record.output}
    kept = {
        f"{kind}_{name}": None if state is None else getattr(state, name)
        for kind, state in states.items()
        for name in ("size", "mtime_ns", "sha256")
    }
    return {
        **row,
        "relative": relative,
        **kept,
        "made_with": record.made_with,
        "run": record.run,
        "finished": record.finished,
    }


def write_part(output: Location, name: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Write one Parquet file of the report atomically.

    Raises:
        OSError: it cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    clean = [{key: _valid(value) for key, value in row.items()} for row in rows]
    sink = io.BytesIO()
    table = pa.Table.from_pylist(clean, schema=row_schema())
    parquet.write_table(table, sink, compression="zstd")
    output.write(f"{REPORT_FOLDER}/{name}.parquet", sink.getvalue())


def read_part(output: Location, name: str, columns: Iterable[str]) -> list[dict[str, Any]]:
    """Return columns of one Parquet file of the report, a dict per row.

    Raises:
        OSError: it cannot be read, or is not such a file.
    """
    import pyarrow as pa
    from pyarrow import parquet

    content = output.read(f"{REPORT_FOLDER}/{name}.parquet")
    try:
        rows: list[dict[str, Any]] = parquet.read_table(
            io.BytesIO(content), columns=list(columns)
        ).to_pylist()
    except pa.ArrowException as error:
        place = output.url_of(f"{REPORT_FOLDER}/{name}.parquet")
        raise OSError(f"{place}: is not part of a report ({error})") from error
    return rows


def valid_text(text: str) -> str:
    """Return text as valid Unicode: invalid bytes of file names become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _valid(value: object) -> object:
    if isinstance(value, str):
        return valid_text(value)
    if isinstance(value, list):
        return [_valid(item) for item in value]
    return value
