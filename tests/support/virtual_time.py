"""Event loops with a clock of their own.

`PatientLoop` waits in real time, but however long the loop works, its clock advances by little, so that no
timeout fires because the machine is busy. All async tests run on it.

`VirtualLoop` waits for nothing: a sleep of an hour advances the clock and takes no real time. `run` is `asyncio.run` on such a loop; `stall` simulates a blocked loop. `ReplayLoop` runs the same
program in the same order each time. With sockets too, if both ends are in the loop and they are
Unix sockets, which the kernel delivers at once.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

# The least time of one round of the loop; without it, a wait that rounds to zero never ends.
_TICK = 1e-6

_LONGEST_ROUND = 0.001


class DeadlockError(RuntimeError):
    """All tasks wait, and no event will wake them."""


class _PatientSelector(selectors.DefaultSelector):
    """Advances the clock by the waits that end because their time is over, and by little else."""

    now = 1000.0
    _last = time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        worked = time.monotonic() - self._last
        self.now += min(max(worked, _TICK), _LONGEST_ROUND)
        ready = super().select(timeout)
        if not ready and timeout is not None:
            self.now += timeout
        self._last = time.monotonic()
        return ready


class PatientLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock advances by a millisecond at most while it works, in each round."""

    def __init__(self) -> None:
        self._patient = _PatientSelector()
        super().__init__(self._patient)

    def time(self) -> float:
        return self._patient.now


on_a_real_clock = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""For a test that measures how long work takes, or that compares with the wall clock."""


class _JumpingSelector(selectors.DefaultSelector):
    """Advances the clock by the time that it should wait, instead of waiting."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise DeadlockError("all tasks wait, and no event will wake them")
            self.now += max(timeout, _TICK)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a virtual clock; `stall` blocks it."""

    def __init__(self, selector: _JumpingSelector | None = None) -> None:
        self._jumping = selector or _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def stall(self, seconds: float) -> None:
        """Advance the clock as if a callback had blocked the loop for so long."""
        self._jumping.now += seconds


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run `main(loop)` until it is done; no real time passes."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(main(loop))


class EndlessError(Exception):
    """The loop has run more rounds than allowed."""


class _CountingSelector(_JumpingSelector):
    """Counts the rounds of the loop, and returns ready sockets in the order of registration."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.rounds = 0
        self._most = most
        self._due: list[tuple[int, Callable[[], object]]] = []
        self._numbers: dict[int, int] = {}
        self._registered = 0

    def at(self, round_: int, callback: Callable[[], object]) -> None:
        self._due.append((round_, callback))

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        self._registered += 1
        self._numbers[key.fd] = self._registered
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.rounds += 1
        if self.rounds > self._most:
            raise EndlessError(f"still not done after {self._most} rounds of the loop")
        if self._due:
            for entry in [entry for entry in self._due if entry[0] <= self.rounds]:
                self._due.remove(entry)
                entry[1]()
                timeout = 0
        ready = super().select(timeout)
        if len(ready) > 1:
            numbers = self._numbers
            ready.sort(key=lambda event: numbers[event[0].fd])
        return ready


_task_numbers = itertools.count()


class _NumberedTask(asyncio.Task[T]):
    """A task whose hash, and so its order in a set, does not depend on its address."""

    def __hash__(self) -> int:
        return self._number

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._number = next(_task_numbers)
        super().__init__(*args, **kwargs)


def _make_task(loop: asyncio.AbstractEventLoop, coro: Any, **more: Any) -> asyncio.Task[Any]:
    return _NumberedTask(coro, loop=loop, **more)


class ReplayLoop(VirtualLoop):
    """Runs the same program in the same order each time.

    Work for executors is done in the loop, in the order it was submitted, after
    `executor_rounds` rounds. After more than `most_rounds` rounds it raises EndlessError.
    """

    def __init__(self, *, most_rounds: int = 1_000_000, executor_rounds: int = 0) -> None:
        global _task_numbers  # noqa: PLW0603 - the order of sets of tasks depends on these numbers
        _task_numbers = itertools.count(1)
        self._counting = _CountingSelector(most_rounds)
        self._executor_rounds = executor_rounds
        super().__init__(self._counting)
        self.set_task_factory(_make_task)

    @property
    def rounds(self) -> int:
        """How many rounds the loop has run so far."""
        return self._counting.rounds

    def at_round(self, round_: int, callback: Callable[[], object]) -> None:
        """Call `callback` at the beginning of a later round."""
        self._counting.at(round_, callback)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        self._work(self._executor_rounds, done, functools.partial(func, *args))
        return done

    def _work(self, rounds: int, done: asyncio.Future[T], func: Callable[[], T]) -> None:
        # As in a thread, the work can be cancelled only before it starts.
        if rounds:
            self.call_soon(self._work, rounds - 1, done, func)
            return
        if done.cancelled():
            return
        try:
            done.set_result(func())
        except BaseException as error:  # as a thread pool does
            done.set_exception(error)
