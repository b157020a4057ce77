"""Photos that are rows of a Ray Dataset already."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from cleanplate.batch import Job, describe_models, describe_result, describe_settings, is_portable
from cleanplate.distributed.cluster import actor_options, import_ray
from cleanplate.distributed.driver import make_actor
from cleanplate.distributed.places import name_of
from cleanplate.distributed.report_files import report_row, report_type
from cleanplate.distributed.tasks import Actor, Workers
from cleanplate.errors import InputError
from cleanplate.io import RawOutput
from cleanplate.options import Area, Rules
from cleanplate.segmentation import asked_labels

if TYPE_CHECKING:
    import pyarrow
    from ray.data import Dataset

    from cleanplate.remover import Remover

_ROWS = 8  # photos of a batch, with their results; they are in memory at once
_NO_RULES = Rules()
_ONE_WORKER = Workers()


def remove_dataset(
    dataset: "Dataset",
    labels: Collection[str] | str,
    *,
    remover: "Remover | None" = None,
    column: str = "bytes",
    name_column: str | None = None,
    min_score: float | None = None,
    min_area: Area = 0,
    grow: int | None = None,
    shadows: bool = False,
    verify: bool = True,
    rules: Rules = _NO_RULES,
    raw_output: RawOutput = "tiff",
    workers: Workers = _ONE_WORKER,
) -> "Dataset":
    """Return a dataset with two columns more: `result` and `report`.

    `result` holds the new file, which is the old one where nothing is to be removed, and null where
    it failed. `report` holds what stands in a report's line, see
    `cleanplate.batch.describe_result`; its `photo` and `output` are the photo's name, its
    `settings` is JSON. A photo that cannot be done, or that kills the process it is done in, is a
    row with the status "failed" and costs no other row.

    Args:
        dataset: its rows hold photos; is read when the result is.
        labels: what to remove: names, everyday words or ids.
        remover: tells which models the workers load; None takes the built-in ones.
        column: where the photos' files are, as bytes.
        name_column: where their names are, of which a suffix may tell the format.
        min_score: [0, 1]; objects below it stay; None takes the default.
        min_area: as for `Remover.remove`, as the next four.
        grow: likewise.
        shadows: likewise.
        verify: likewise.
        rules: likewise.
        raw_output: what camera RAW files are written as.
        workers: how many, and what each takes.

    Raises:
        InputError: a label is unknown, or the remover's models cannot be sent.
        MissingExtraError: Ray is not installed.
        WeightsError: a model is not on this machine.
    """
    import_ray()
    from cleanplate.options import DEFAULT_MIN_SCORE
    from cleanplate.remover import Remover

    remover = remover or Remover(device="auto")
    if not is_portable(remover):
        raise InputError("workers need models given by name, as each loads its own")
    segmenter, inpainter, _ = remover.recipe
    # On the CPU, as this machine only looks up names and labels; it may have no other device.
    local = Remover(segmenter=segmenter, inpainter=inpainter, device="cpu", threads=1)
    job = Job(
        labels=asked_labels(labels, rules, local.segmenter.labels)[0],
        min_score=DEFAULT_MIN_SCORE if min_score is None else min_score,
        min_area=min_area,
        rules=rules,
        grow=grow,
        shadows=shadows,
        verify=verify,
        raw_output=raw_output,
    )
    names = describe_models(local, job)["models"]
    known = tuple(local.segmenter.labels)
    return dataset.map_batches(
        _RowCleaner,
        batch_size=_ROWS,
        batch_format="pyarrow",
        fn_constructor_kwargs={
            "actor": make_actor(remover, job, workers),
            "column": column,
            "name_column": name_column,
            "models": names,
            "known": known,
        },
        **actor_options(workers),
    )


class _RowCleaner:
    """Does the photos of batches; its arguments are those of `remove_dataset`."""

    def __init__(
        self,
        actor: Actor,
        column: str,
        name_column: str | None,
        models: dict[str, str | None],
        known: tuple[str, ...],
    ) -> None:
        self._remover, self._settings = actor.start(), describe_settings(actor.job)
        self._column, self._name_column = column, name_column
        self._models, self._known = models, known

    def __call__(self, batch: "pyarrow.Table") -> "pyarrow.Table":
        import pyarrow as pa

        names = (
            batch[self._name_column].to_pylist()
            if self._name_column is not None
            else ["photo"] * len(batch)
        )
        done = [
            self._do(content.as_py(), name_of(name))
            for content, name in zip(batch[self._column], names, strict=True)
        ]
        contents, lines = [it[0] for it in done], [it[1] for it in done]
        batch = batch.append_column("result", pa.array(contents, pa.large_binary()))
        return batch.append_column("report", pa.array(lines, report_type()))

    def _do(self, content: bytes | None, name: str) -> tuple[bytes | None, dict[str, Any]]:
        result = self._remover.do(content or b"", name)
        models: Any = {
            "models": self._models,
            "provider": result.provider or {"segmenter": None, "inpainter": None},
        }
        line = describe_result(result.outcome, models, self._known)
        return result.content, report_row(line, self._settings)
