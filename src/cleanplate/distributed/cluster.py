"""All uses of Ray and Ray Data but the datasource: connecting, tasks, options of actors."""

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from cleanplate.distributed.config import Workers
from cleanplate.errors import CleanplateError, InputError, MissingExtraError

_IN_FLIGHT = 2  # groups at each actor; those of a dead one wait until it is restarted
_CAUSE = re.compile(r"cleanplate\.errors\.\w+: (.+)")


def import_ray() -> ModuleType:
    """Return Ray.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError(
            f"Ray is not installed ({error}); run 'pip install \"cleanplate[ray]\"' on every "
            "machine"
        ) from error
    module: ModuleType = ray
    return module


@contextmanager
def connect_to_cluster(address: str | None) -> Iterator[None]:
    """Connect to a cluster, or start one on this machine, until the context ends.

    A cluster that is started here sends no usage statistics. Ray's messages on lost groups go to
    its log files only, as the run reports them itself.

    Args:
        address: as `ray.init` takes it; None takes RAY_ADDRESS, or starts one.

    Raises:
        InputError: there is no cluster at that address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    ray = import_ray()
    try:
        # Without the dashboard, a server that a run does not need.
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if address or os.environ.get("RAY_ADDRESS") else {"include_dashboard": False}),
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"--address {address}: no Ray cluster at this address ({reason})"
        ) from error
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        ray.shutdown()


def here() -> dict[str, str]:
    """Return the label that keeps a task on this machine, whose failure ends the run anyway.

    The listing must not be restarted elsewhere, where it could differ.
    """
    return {"ray.io/node-id": import_ray().get_runtime_context().get_node_id()}


def run_here(work: Callable[..., Any], *arguments: object) -> Any:
    """Call a function in a task on this machine, and return its result.

    Raises:
        CleanplateError: it failed.
    """
    ray = import_ray()
    task = ray.remote(num_cpus=0, max_retries=0, label_selector=here())(work)
    try:
        return ray.get(task.remote(*arguments))
    except ray.exceptions.RayError as error:
        raise first_cause(error) from error


def actor_options(workers: Workers) -> dict[str, Any]:
    """Return the options of `map_batches` for a class that runs in such workers.

    A killed actor is restarted where there is room, and Ray resends its groups without limit;
    `PhotoActor` counts the attempts. Groups that are lost nevertheless do not end the run, see
    `one_row_blocks`.
    """
    from ray.data import ActorPoolStrategy

    count = workers.count
    pool = ActorPoolStrategy(
        min_size=count or 1,
        max_size=count,
        initial_size=count or _capacity(workers),
        max_tasks_in_flight_per_actor=_IN_FLIGHT,
    )
    return {
        "compute": pool,
        "num_cpus": workers.cpus,
        "num_gpus": workers.gpus,
    }


class Counter:
    """A Ray actor that counts the groups that came back.

    It is here because its process then needs no Ray Data, whose import takes a second.
    """

    def __init__(self) -> None:
        self._count = 0

    def add(self) -> None:
        """Count one more."""
        self._count += 1

    def read(self) -> int:
        """Return the count."""
        return self._count


@contextmanager
def one_row_blocks() -> Iterator[None]:
    """Make Ray Data put each row in a block, and continue when a block is lost."""
    from ray.data import DataContext

    context = DataContext.get_current()
    settings = {
        "target_max_block_size": 1,
        "max_errored_blocks": -1,
        "enable_progress_bars": False,
    }
    before = {name: getattr(context, name) for name in settings}
    _set(context, settings)
    try:
        yield
    finally:
        _set(context, before)


def first_cause(error: Exception) -> CleanplateError:
    """Return the cause of a Ray error, in one line."""
    causes = _CAUSE.findall(str(error))
    if causes:
        return CleanplateError(str(causes[-1]).strip())
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return CleanplateError(f"Ray stopped the run: {lines[-1] if lines else type(error).__name__}")


def _capacity(workers: Workers) -> int:
    """Return how many workers fit in the cluster now, at least 1."""
    total: Mapping[str, float] = import_ray().cluster_resources()
    count = total.get("CPU", 0.0) // workers.cpus
    if workers.gpus:
        count = min(count, total.get("GPU", 0.0) // workers.gpus)
    return max(1, int(count))


def _set(context: Any, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        setattr(context, name, value)
