"""Progress, sent to pages as server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse

_KEEP_ALIVE_S = 15.0


class Broadcast:
    """Hands messages from any thread to all who listen."""

    def __init__(self) -> None:
        self._listeners: set[Callable[[str | None], None]] = set()

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def publish(self, event: str, content: dict[str, Any]) -> None:
        """Send an event; from any thread."""
        text = _message(event, content)
        for listener in tuple(self._listeners):
            listener(text)

    def end(self) -> None:
        """End all streams; from any thread."""
        for listener in tuple(self._listeners):
            listener(None)

    def stream(
        self, request: Request, now: Callable[[], dict[str, Any]] | None = None
    ) -> StreamingResponse:
        """Return a response that goes on until the client goes.

        Args:
            request: of the client.
            now: content of a "progress" to begin with: what came before is not sent again.
        """

        async def events() -> AsyncIterator[str]:
            with self._listen() as messages:
                yield ": open\n\n"
                if now is not None:
                    yield _message("progress", now())
                while not await request.is_disconnected():
                    try:
                        text = await asyncio.wait_for(messages.get(), _KEEP_ALIVE_S)
                    except TimeoutError:
                        text = ": still here\n\n"
                    if text is None:
                        return
                    yield text

        return StreamingResponse(events(), media_type="text/event-stream")

    @contextmanager
    def _listen(self) -> "Iterator[asyncio.Queue[str | None]]":
        loop, messages = asyncio.get_running_loop(), asyncio.Queue[str | None]()

        def hand_over(text: str | None) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(messages.put_nowait, text)

        self._listeners.add(hand_over)
        try:
            yield messages
        finally:
            self._listeners.discard(hand_over)


def _message(event: str, content: dict[str, Any]) -> str:
    return f"event: {event}\ndata: {json.dumps(content)}\n\n"
