"""The queue of what runs networks."""

import asyncio
import threading

import pytest

from cleanplate.server.work import CancelledError, WorkQueue


async def nobody_goes():
    return False


def test_what_waits_and_what_runs_end_with_the_server():
    released = threading.Event()

    async def end():
        queue = WorkQueue(3)
        runs, waits = (
            asyncio.create_task(queue.run(lambda _: released.wait(20), nobody_goes))
            for _ in range(2)
        )
        await asyncio.sleep(0.05)
        queue.cancel_all()
        with pytest.raises(CancelledError):
            await waits
        runs.cancel()  # as the server does when it has waited long enough
        with pytest.raises(CancelledError):
            await runs
        assert len(queue) == 0
        released.set()
        queue.close()

    asyncio.run(end())
