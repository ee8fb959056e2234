"""A time limit at a fifth of the price of asyncio's own: there is one for each job."""

import asyncio
from typing import Any


class Limit:
    """Cancels the task that is within after some seconds, None for never, and raises `error` in its place."""

    __slots__ = ("_before", "_error", "_expired", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float | None, error: type[Exception] = TimeoutError) -> None:
        self._seconds, self._error, self._expired = seconds, error, False

    def __enter__(self) -> None:
        self._task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]  # there is one
        self._before = self._task.cancelling()
        seconds = 1e9 if self._seconds is None else max(0.0, self._seconds)
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._timer.cancel()
        if self._expired and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise self._error from error
