"""Requests under way that are waited for, whatever cancels whoever waits.

Builders, transactions, campaigns and the client enter. Nothing of ours is known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, TypeVar

import anyio

__all__ = ["GRACE_PERIOD", "drain", "wait_for"]

T = TypeVar("T")

GRACE_PERIOD = 5.0
"""Seconds that requests under way are given to land when a campaign is stopped or cancelled."""


_AGAIN = 0.05


async def wait_for(tasks: Collection[asyncio.Task[None]]) -> None:
    """Wait until all of these have ended, whatever they came to."""
    if tasks:
        await asyncio.wait(list(tasks))


async def drain(tasks: Collection[asyncio.Task[Any]], deadline: float | None = None) -> None:
    """Give tasks their time to end, whatever cancels the caller; then cancel what is left.

    `deadline` is on the loop's clock, GRACE_PERIOD from now if not given.

    A cancellation that arrives meanwhile is raised at the end.
    """
    # The scope keeps anyio's cancellation out, the loop a plain `task.cancel()`.
    cancelled: asyncio.CancelledError | None = None
    loop = asyncio.get_running_loop()
    if deadline is None:
        deadline = loop.time() + GRACE_PERIOD
    pending = set(tasks)
    with anyio.CancelScope(shield=True):
        while pending:
            left = deadline - loop.time()
            if left <= 0:
                for task in pending:
                    task.cancel()
            try:
                # Again and again: aiohttp can take a cancellation that comes together with its own
                # timeout for the timeout.
                _, pending = await asyncio.wait(pending, timeout=left if left > 0 else _AGAIN)
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled


_PATIENCE = 5.0
"""Seconds that the last write is given when the campaign is cancelled."""


async def _to_its_end(future: asyncio.Future[T]) -> T:
    """Wait for the journal's thread whatever cancels the caller, for some seconds at the most.

    A cancellation that arrives meanwhile is raised at the end.
    """
    cancelled: asyncio.CancelledError | None = None
    loop = asyncio.get_running_loop()
    deadline: float | None = None
    with anyio.CancelScope(shield=True):
        while not future.done():
            left = None if deadline is None else max(0.0, deadline - loop.time())
            if left == 0.0:
                break
            try:
                await asyncio.wait([future], timeout=left)
            except asyncio.CancelledError as error:
                cancelled = error
                deadline = deadline or loop.time() + _PATIENCE
    if cancelled is not None:
        raise cancelled
    return future.result()
