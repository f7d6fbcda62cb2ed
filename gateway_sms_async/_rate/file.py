"""The rate of an account in a file, for the processes of one machine.

Each process locks the file for some microseconds, reads the two moments in it, and moves them on.
The kernel frees the lock of a process that dies. The moments are on the machine's monotonic clock,
which begins anew at each boot, so the file also names the boot and the machine.
"""

from __future__ import annotations

import asyncio
import math
import os
import platform
import stat
import struct
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from .._private_folder import create_private_folder
from ..errors import SharedRateError
from .pace import REALTIME_PAUSE, Pace

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["RateFile"]

T = TypeVar("T")

_FORM = struct.Struct("<8s40s64sdd")
_MAGIC = b"GSRATE1\n"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MACHINE_ID = Path("/etc/machine-id")

# The lock is held for some microseconds, unless its process was stopped in just these.
_WHILE_LOCKED = 0.001
_LONGEST_LOCKED = 1.0


class _Moments(NamedTuple):
    """Both are on the monotonic clock: see `Pace`, and when a realtime message may be sent."""

    arrival: float
    realtime: float


class RateFile:
    """The store of a `SharedRate` with a path. See `RateStore`."""

    def __init__(self, path: str, pace: Pace) -> None:
        self._path = _absolute(path)
        if fcntl is None:
            raise SharedRateError(
                f"{self._path}: on this system, share the rate through redis:// or postgresql://"
            )
        self._pace = pace
        self._clock = (_boot_id(), _machine_id())
        self._file: int | None = None
        self._owned = ("", 0.0)
        # What this process has written last, for a file that is made anew.
        self._last = _Moments(0.0, 0.0)
        self._is_new = False

    async def open(self) -> None:
        """Open the file, or create it."""
        await self._change(lambda moments, _: (None, moments))

    async def ask(self) -> float:
        """Take the permission for one request, and return 0; or return the seconds to wait."""

        def ask(moments: _Moments, now: float) -> tuple[float, _Moments]:
            wait, arrival = self._pace.ask(moments.arrival, now)
            return wait, moments._replace(arrival=arrival)

        return await self._change(ask)

    async def hold(self, seconds: float) -> None:
        """Let no request of any process leave for so many seconds."""

        def hold(moments: _Moments, now: float) -> tuple[None, _Moments]:
            arrival = self._pace.hold(moments.arrival, now + seconds)
            return None, moments._replace(arrival=arrival)

        await self._change(hold)

    async def ask_realtime(self, owner: str) -> float:
        """Take the permission for a realtime message, and return 0; or return the seconds to wait."""

        def ask(moments: _Moments, now: float) -> tuple[float, _Moments]:
            wait = moments.realtime - now
            if 0.0 < wait <= REALTIME_PAUSE and self._owned != (owner, moments.realtime):
                return wait, moments
            self._owned = owner, now + REALTIME_PAUSE
            return 0.0, moments._replace(realtime=now + REALTIME_PAUSE)

        return await self._change(ask)

    async def realtime_sent(self, owner: str) -> None:
        """Begin the minute anew: the message has arrived just now."""

        def begin(moments: _Moments, now: float) -> tuple[None, _Moments]:
            self._owned = owner, now + REALTIME_PAUSE
            return None, moments._replace(realtime=now + REALTIME_PAUSE)

        await self._change(begin)

    async def realtime_not_sent(self, owner: str) -> None:
        """End the minute of this owner, whose message was not sent."""

        def end(moments: _Moments, now: float) -> tuple[None, _Moments]:
            is_own = self._owned == (owner, moments.realtime)
            return None, moments._replace(realtime=now) if is_own else moments

        await self._change(end)

    async def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    async def _change(self, change: Callable[[_Moments, float], tuple[T, _Moments]]) -> T:
        give_up = time.monotonic() + _LONGEST_LOCKED
        while True:
            try:
                file = self._opened()
                with suppress(BlockingIOError), _locked(file):
                    if self._is_at_path(file):
                        return self._changed(file, change)
            except OSError as error:
                raise SharedRateError(f"{self._path}: {error.strerror or error}") from error
            if time.monotonic() > give_up:
                raise SharedRateError(
                    f"{self._path}: another process has locked the file, and hangs"
                )
            await asyncio.sleep(_WHILE_LOCKED)

    def _changed(self, file: int, change: Callable[[_Moments, float], tuple[T, _Moments]]) -> T:
        now = time.monotonic()
        result, moments = change(self._read(file, now), now)
        os.pwrite(file, _FORM.pack(_MAGIC, *self._clock, *moments), 0)
        self._last, self._is_new = moments, False
        return result

    def _opened(self) -> int:
        # A file that was deleted or renamed, by a cleaner of temporary files for example, is shared
        # no more.
        if self._file is not None and not self._is_at_path(self._file):
            os.close(self._file)
            self._file = None
        if self._file is None:
            create_private_folder(self._path.parent)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._file, self._is_new = os.open(self._path, flags, 0o600), True
        return self._file

    def _is_at_path(self, file: int) -> bool:
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(file), os.lstat(self._path))
        return False

    def _read(self, file: int, now: float) -> _Moments:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise SharedRateError(f"{self._path}: this is no regular file; name another path")
        content = os.pread(file, _FORM.size + 1, 0)
        if not content:
            return _Moments(max(now, self._last.arrival), max(now, self._last.realtime))
        if len(content) != _FORM.size or not content.startswith(_MAGIC):
            raise SharedRateError(
                f"{self._path}: this is no file of a SharedRate; name another path"
            )
        _, boot, machine, *moments = _FORM.unpack(content)
        if machine != self._clock[1]:
            raise SharedRateError(
                f"{self._path}: another machine uses this file, and its clock is not this one's; for "
                "several machines, share the rate through redis:// or postgresql://"
            )
        if boot == self._clock[0] and all(map(math.isfinite, moments)):
            return _Moments(*map(max, moments, self._last)) if self._is_new else _Moments(*moments)
        # Of the time before the machine was started again: a whole burst may have left just then.
        return _Moments(self._pace.hold(now, now + 1 / self._pace.per_second), now + REALTIME_PAUSE)


@contextmanager
def _locked(file: int) -> Generator[None]:
    """Lock a file, or raise BlockingIOError."""
    assert fcntl is not None
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _absolute(path: str) -> Path:
    try:
        return Path(path).absolute()
    except OSError as error:
        raise SharedRateError(
            f"{path}: the working directory does not exist; name an absolute path"
        ) from error


def _boot_id() -> bytes:
    with suppress(OSError):
        return _BOOT_ID.read_bytes().strip()[:40].ljust(40, b"\0")
    # Not known, as on macOS. Moments of an earlier boot may then be waited for, as long as `Pace` allows.
    return bytes(40)


def _machine_id() -> bytes:
    identity = platform.node().encode()
    with suppress(OSError):
        identity = _MACHINE_ID.read_bytes().strip() or identity
    return identity[:64].ljust(64, b"\0")
