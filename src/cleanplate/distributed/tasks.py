"""What is sent to the machines of a cluster: the job, and how an actor makes its remover."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cleanplate.batch import Job, WorkerConfig
from cleanplate.distributed.isolated import IsolatedRemover
from cleanplate.distributed.model_transfer import Packed, unpack_models
from cleanplate.distributed.places import Place
from cleanplate.errors import CleanplateError, InputError

if TYPE_CHECKING:
    from cleanplate.inpainting import Inpainter
    from cleanplate.segmentation import Segmenter

_TRIAL_PX = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """How many actors a run has, and what each of them takes of its machine.

    Raises:
        InputError: there would be none, or one that takes nothing.
    """

    count: int | None = None  # None: as many as the cluster carries, also when it grows
    cpus: float = 1.0  # of each; also its threads
    gpus: float = 0.0  # of each; 0.25 lets four share one

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.count is not None and self.count < 1:
            raise InputError(f"--workers {self.count}: at least 1 is needed")
        if self.cpus <= 0 or self.gpus < 0:
            raise InputError(
                f"a worker with {self.cpus:g} processor cores and {self.gpus:g} GPUs cannot be; "
                "give more than 0 cores, and 0 GPUs or more"
            )
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise InputError(
                f"--gpus-per-worker {self.gpus:g}: Ray shares one GPU, but no larger number, in "
                "parts; give a fraction of 1, or a whole number"
            )

    @property
    def threads(self) -> int:
        """Threads of each worker's networks."""
        return max(1, int(self.cpus))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterJob:
    """What every actor of a run needs to know."""

    source: Place
    output: Place
    job: Job
    settings: Mapping[str, object]  # from `describe_settings`
    made_with: str  # from `settings_in_words`, as JSON
    run: str  # name of this run, different from all others
    models: Mapping[str, str | None]  # {"segmenter": name, "inpainter": name}
    known: tuple[str, ...]  # the segmenter's labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """How an actor makes its remover."""

    recipe: "tuple[str | Segmenter, str | Inpainter, str]"  # `Remover.recipe`
    job: Job
    threads: int
    # In Ray's object store, from where each machine fetches it once; a list, or it would be fetched
    # before it is known whether it is needed.
    packed: "list[Any]" = field(default_factory=list)
    hashes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def start(self) -> IsolatedRemover:
        """Return a remover that has done its first photo, an empty one.

        Raises:
            CleanplateError: a model is missing or cannot be loaded on this machine.
        """
        unpack_models(self.hashes, self._fetch)
        remover = IsolatedRemover(
            WorkerConfig(
                recipe=self.recipe,
                threads=self.threads,
                job=self.job,
                traced=False,
                tells_provider=True,
            )
        )
        outcome = remover.do(_trial_photo(), "trial.png").outcome
        if outcome.status == "failed":
            import socket

            cause = (outcome.error or "").removeprefix("trial.png: ")
            raise CleanplateError(f"{socket.gethostname()}: no photo can be done there: {cause}")
        return remover

    def _fetch(self) -> Packed:
        import ray

        packed: Packed = ray.get(self.packed[0])
        return packed


def _trial_photo() -> bytes:
    from PIL import Image

    sink = io.BytesIO()
    Image.new("RGB", (_TRIAL_PX, _TRIAL_PX), (127, 127, 127)).save(sink, "PNG")
    return sink.getvalue()
