"""Photos of a plan, processed one after the other in this process."""

from cleanplate.batch.execution.engine import Engine, Resources


def run_plan(plan, remover, job, **options):
    with Engine(remover, job, Resources(workers=1, threads=1, max_memory=None), **options) as it:
        yield from it.run(plan)
