"""The event loop that a simulator runs in: the test's own, or one in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Any

from anyio.from_thread import start_blocking_portal


class HomeLoop:
    """One event loop, whose coroutines can be awaited from other loops too."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = ExitStack()

    def settle(self) -> None:
        """Make the running event loop the home."""
        self._loop = asyncio.get_running_loop()

    def start_thread(self, tenant: AbstractAsyncContextManager[Any]) -> None:
        """Start a thread with an event loop, and enter the context manager there."""
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(portal.wrap_async_context_manager(tenant))
            self._thread = stack.pop_all()

    def stop_thread(self) -> None:
        """Leave the context manager, and end the thread."""
        self._thread.close()

    async def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Await a coroutine in this loop, also from another one."""
        loop = self._loop
        if loop is None or loop is asyncio.get_running_loop():
            await coroutine
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))
