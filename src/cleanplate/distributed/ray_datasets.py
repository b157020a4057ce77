"""Photos that are rows of a Ray Dataset."""

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cleanplate.batch import Job, describe_models, describe_result, describe_settings, is_portable
from cleanplate.distributed.cluster import actor_options, import_ray
from cleanplate.distributed.config import RemoverFactory, Workers
from cleanplate.distributed.driver import make_factory
from cleanplate.distributed.location import name_of
from cleanplate.distributed.parquet_report import report_row, report_type
from cleanplate.errors import InputError
from cleanplate.io import RawOutput
from cleanplate.options import RemovalOptions
from cleanplate.segmentation import requested_labels

if TYPE_CHECKING:
    import pyarrow
    from ray.data import Dataset

    from cleanplate.remover import Remover

_ROWS = 8  # photos of a batch, with their results; they are in memory at once
_ONE_WORKER = Workers()


def remove_dataset(
    dataset: "Dataset",
    classes: Collection[str] | str | None = None,
    options: RemovalOptions | None = None,
    *,
    remover: "Remover | None" = None,
    column: str = "bytes",
    name_column: str | None = None,
    raw_output: RawOutput = "tiff",
    workers: Workers = _ONE_WORKER,
) -> "Dataset":
    """Add the columns `result` and `report` to a dataset of photos.

    `result` holds the new file, equal to the old one if nothing is to be removed, null if it
    failed. `report` holds the fields of a report's line, see
    `cleanplate.batch.describe_result`; its `photo` and `output` are the photo's name, its
    `settings` is JSON. A photo that cannot be processed, or that kills its worker process, is a
    row with the status "failed" and affects no other row.

    Args:
        dataset: its rows hold photos; is read when the result is.
        classes: what to remove: names, everyday words or ids; instead of those of `options`.
        options: how.
        remover: names the models that the workers load; None: the built-in ones.
        column: where the photos' files are, as bytes.
        name_column: where their names are, of which a suffix may tell the format.
        raw_output: what camera RAW files are written as.
        workers: how many, and the resources of each.

    Raises:
        InputError: a label is unknown, or the remover's models cannot be sent.
        MissingExtraError: Ray is not installed.
        WeightsError: a model is not installed.
    """
    import_ray()
    from cleanplate.remover import Remover

    remover = remover or Remover(device="auto")
    if not is_portable(remover):
        raise InputError("workers need models given by name, as each loads its own")
    segmenter, inpainter, _ = remover.config
    # On the CPU: this machine only looks up names, and may have no other device.
    local = Remover(segmenter=segmenter, inpainter=inpainter, device="cpu", threads=1)
    options = options or RemovalOptions()
    wanted = options.classes if classes is None else classes
    job = Job(
        options=replace(
            options, classes=requested_labels(wanted, options.rules, remover.labels)[0]
        ),
        raw_output=raw_output,
    )
    names = describe_models(local, job)["models"]
    return dataset.map_batches(
        _RowProcessor,
        batch_size=_ROWS,
        batch_format="pyarrow",
        fn_constructor_kwargs={
            "factory": make_factory(remover, job, workers),
            "column": column,
            "name_column": name_column,
            "models": names,
            "known": remover.labels,
        },
        **actor_options(workers),
    )


class _RowProcessor:
    """Processes batches of rows; its arguments are those of `remove_dataset`."""

    def __init__(
        self,
        factory: RemoverFactory,
        column: str,
        name_column: str | None,
        models: dict[str, str | None],
        known: tuple[str, ...],
    ) -> None:
        self._remover, self._settings = factory.start(), describe_settings(factory.job)
        self._column, self._name_column = column, name_column
        self._models, self._known = models, known

    def __call__(self, batch: "pyarrow.Table") -> "pyarrow.Table":
        import pyarrow as pa

        names = (
            batch[self._name_column].to_pylist()
            if self._name_column is not None
            else ["photo"] * len(batch)
        )
        rows = [
            self._process(content.as_py(), name_of(name))
            for content, name in zip(batch[self._column], names, strict=True)
        ]
        contents, lines = [row[0] for row in rows], [row[1] for row in rows]
        batch = batch.append_column("result", pa.array(contents, pa.large_binary()))
        return batch.append_column("report", pa.array(lines, report_type()))

    def _process(self, content: bytes | None, name: str) -> tuple[bytes | None, dict[str, Any]]:
        processed = self._remover.process(content or b"", name)
        models: Any = {
            "models": self._models,
            "provider": processed.provider or {"segmenter": None, "inpainter": None},
        }
        line = describe_result(processed.result, models, self._known)
        return processed.content, report_row(line, self._settings)
