"""An event loop whose clock jumps: whoever sleeps an hour wakes at once, an hour later.

`run` is `asyncio.run` on such a loop; `stall` is a loop that was blocked.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# What one round of a real loop takes at least; without it a wait that rounds to nothing spins.
_TICK = 1e-6


class _JumpingSelector(selectors.DefaultSelector):
    """Passes the time that it is asked to wait, instead of waiting."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everybody waits for somebody else: nothing will ever happen")
            self.now += max(timeout, _TICK)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own; `stall` blocks it."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def stall(self, seconds: float) -> None:
        """Let time pass as if a callback had held up the loop for so long."""
        self._jumping.now += seconds


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run `main`, which gets the loop, until it is done; no real time passes."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(main(loop))
