"""Waiting for a condition with a deadline, instead of sleeping for luck."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], bool | Awaitable[bool]], *, seconds: float = 30) -> None:
    """Wait until `condition` holds; fail where it does not in time."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                holds = condition()
                if holds if isinstance(holds, bool) else await holds:
                    return
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"still not so after {seconds} s") from None


async def arq_has_ended() -> None:
    """Wait for what arq's own Worker shields from its cancellation: it goes on when the worker has ended."""
    shielded = [task for task in asyncio.all_tasks() if "finish_" in str(task.get_coro())]
    if shielded:
        await asyncio.wait(shielded, timeout=5)
