"""Waits that outlast a cancellation of the caller, with a deadline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import anyio

__all__ = ["GRACE_PERIOD", "drain", "in_thread", "wait_for", "wait_shielded"]

T = TypeVar("T")

_logger = logging.getLogger("gateway_sms_async")

GRACE_PERIOD = 5.0
"""Seconds that requests in flight have to end after a campaign is stopped or cancelled."""


_CANCEL_INTERVAL = 0.05


_CANCELLATIONS = 10
"""How often a task is cancelled before it is left running: half a second in all."""


async def wait_for(tasks: Collection[asyncio.Task[None]]) -> None:
    """Wait until all of these tasks have ended, whatever their results."""
    if tasks:
        await asyncio.wait(list(tasks))


async def drain(tasks: Collection[asyncio.Task[Any]], deadline: float | None = None) -> None:
    """Wait for tasks until a deadline, even if the caller is cancelled; then cancel the rest.

    `deadline` is on the loop's clock, GRACE_PERIOD from now if not given. A task that swallows all
    cancellations is left running, with a warning in the log. A cancellation of the caller that
    arrives meanwhile is raised at the end.
    """
    # The scope keeps out anyio's cancellation, the `try` below a plain `task.cancel()`.
    cancelled: asyncio.CancelledError | None = None
    loop = asyncio.get_running_loop()
    if deadline is None:
        deadline = loop.time() + GRACE_PERIOD
    pending = set(tasks)
    give_up = max(deadline, loop.time()) + _CANCELLATIONS * _CANCEL_INTERVAL
    cancellations = 0
    with anyio.CancelScope(shield=True):
        while pending and (cancellations < _CANCELLATIONS or loop.time() < give_up):
            left = deadline - loop.time()
            if left <= 0:
                cancellations += 1
                for task in pending:
                    task.cancel()
            try:
                # Past the deadline, cancel repeatedly: aiohttp can mistake a cancellation for its
                # own timeout if both come at the same time.
                _, pending = await asyncio.wait(
                    pending, timeout=left if left > 0 else _CANCEL_INTERVAL
                )
            except asyncio.CancelledError as error:
                cancelled = error
    for task in pending:
        _leave_running(task)
    if cancelled is not None:
        raise cancelled


def _leave_running(task: asyncio.Task[Any]) -> None:
    _logger.warning(
        "%s did not end though it was cancelled %d times: it is left running",
        getattr(task.get_coro(), "__qualname__", "a task"),
        _CANCELLATIONS,
    )
    _drop_error(task)


def _drop_error(future: asyncio.Future[Any]) -> None:
    """Retrieve its error, now or later, because no caller does."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())


_PATIENCE = 5.0
"""Seconds that the journal's last write has to end after the campaign is cancelled."""


async def wait_shielded(future: asyncio.Future[T]) -> T:
    """Wait for the journal's thread even if the caller is cancelled, then for `_PATIENCE` at most.

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
        _drop_error(future)
        raise cancelled
    return future.result()


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Call a function that blocks in a thread; if the caller is cancelled, first wait for its end.

    The thread is a new one: those of the loop may all be busy with work of the application.
    """
    executor = ThreadPoolExecutor(1, thread_name_prefix="gateway-sms")
    try:
        running = asyncio.get_running_loop().run_in_executor(executor, function, *args)
        return await wait_shielded(running)
    finally:
        executor.shutdown(wait=False)
