"""What the driver sends to the actors: the job, and how to make a remover."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cleanplate.batch import Job, WorkerConfig
from cleanplate.distributed.location import Location
from cleanplate.distributed.model_transfer import PackedModels, unpack_models
from cleanplate.distributed.subprocess_remover import SubprocessRemover
from cleanplate.errors import CleanplateError, InputError

if TYPE_CHECKING:
    from cleanplate.inpainting import Inpainter
    from cleanplate.segmentation import Segmenter

_TEST_PX = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """How many actors a run has, and the resources of each.

    Raises:
        InputError: there would be none, or one without resources.
    """

    count: int | None = None  # None: as many as fit in the cluster, also when it grows
    cpus: float = 1.0  # of each; also its threads
    gpus: float = 0.0  # of each; 0.25: four share one

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.count is not None and self.count < 1:
            raise InputError(f"--workers {self.count}: must be at least 1")
        if self.cpus <= 0 or self.gpus < 0:
            raise InputError(
                f"a worker with {self.cpus:g} processor cores and {self.gpus:g} GPUs is not "
                "possible; give more than 0 cores, and 0 GPUs or more"
            )
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise InputError(
                f"--gpus-per-worker {self.gpus:g}: only one GPU can be shared; give a "
                "fraction of 1, or an integer"
            )

    @property
    def threads(self) -> int:
        """Threads of each worker's networks."""
        return max(1, int(self.cpus))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterJob:
    """What every actor of a run needs."""

    source: Location
    output: Location
    job: Job
    settings: Mapping[str, object]  # from `describe_settings`
    made_with: str  # from `settings_in_words`, as JSON
    run: str  # unique name of this run
    models: Mapping[str, str | None]  # {"segmenter": name, "inpainter": name}
    known: tuple[str, ...]  # the segmenter's labels


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoverFactory:
    """Makes the remover of an actor."""

    models: "tuple[str | Segmenter, str | Inpainter, str]"  # `Remover.config`
    job: Job
    threads: int
    # Reference to Ray's object store, from which each machine fetches it once if it needs it; in a
    # list, or Ray would always fetch it.
    packed: "list[Any]" = field(default_factory=list)
    hashes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def start(self) -> SubprocessRemover:
        """Return a remover that has processed a test photo.

        Raises:
            CleanplateError: a model is missing or cannot be loaded on this machine.
        """
        unpack_models(self.hashes, self._fetch)
        remover = SubprocessRemover(
            WorkerConfig(
                models=self.models,
                threads=self.threads,
                job=self.job,
                traced=False,
                reports_provider=True,
            )
        )
        result = remover.process(_test_photo(), "test.png").result
        if result.status == "failed":
            import socket

            cause = (result.error or "").removeprefix("test.png: ")
            raise CleanplateError(
                f"{socket.gethostname()}: no photo can be processed there: {cause}"
            )
        return remover

    def _fetch(self) -> PackedModels:
        import ray

        packed: PackedModels = ray.get(self.packed[0])
        return packed


def _test_photo() -> bytes:
    from PIL import Image

    sink = io.BytesIO()
    Image.new("RGB", (_TEST_PX, _TEST_PX), (127, 127, 127)).save(sink, "PNG")
    return sink.getvalue()
