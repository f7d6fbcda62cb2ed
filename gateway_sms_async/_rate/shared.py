"""One rate that several processes share: where it is kept, and how fast it is."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from os import PathLike, fspath

from .._arguments import check_count, check_number
from .file import RateFile
from .pace import Pace
from .postgres import RateInPostgres
from .redis import RateInRedis
from .store import RateStore

__all__ = ["SharedRate"]

_REDIS = ("redis://", "rediss://", "unix://")
_POSTGRES = ("postgresql://", "postgres://")


class SharedRate:
    """One rate for several processes, which together send at most `per_second` requests a second.

    ```python
    rate = SharedRate("/run/acme/gateway-sms.rate", per_second=10)
    async with GatewayClient(rate=rate) as gateway:
        ...
    ```

    - `where`: a path, for processes of one machine. For several machines, the address of a Redis server
      (`redis://`, `rediss://`, `unix://`; extra `redis`) or of a PostgreSQL database (`postgresql://`;
      extra `postgres`), which gets a table `gateway_sms.rate`.
    - `per_second`, `burst`: at most `per_second * W + burst` requests of all processes are permitted in
      any window of W seconds, and each leaves within 250 ms. Each process must name the same.
    - `account`: processes that name another account do not share. For a path, name another path.
    - `alone`: requests a second that this process may send while the store cannot be reached; n
      processes then send up to `n * alone`. None: nothing is sent until the store is back. A
      campaign waits; a single call ends after its `max_elapsed`, as not sent.

    After a 429 all processes wait, and the minute between two realtime messages is shared too. Raises
    ValueError or TypeError for an argument that cannot be used. Entering the client raises
    SharedRateError if the store cannot be used, unless `alone` is given.
    """

    def __init__(
        self,
        where: str | PathLike[str],
        per_second: float,
        *,
        burst: int = 1,
        account: str = "default",
        alone: float | None = None,
    ) -> None:
        self._where = fspath(where)
        if not isinstance(self._where, str) or not self._where or not _can_be_encoded(self._where):
            raise ValueError("where is a path or an address of Redis or PostgreSQL, as text")
        if "://" in self._where and not self._where.startswith(_REDIS + _POSTGRES):
            raise ValueError(
                "where is a path, or begins with redis://, rediss://, unix:// or postgresql://"
            )
        for name, rate in (("per_second", per_second), ("alone", alone)):
            if rate is not None and not 0 < check_number(name, rate) < math.inf:
                raise ValueError(f"{name} is a positive number of requests a second")
        check_count("burst", burst)
        if not isinstance(account, str) or not account.isprintable() or not account:
            raise ValueError("account is a name")
        self.pace: Pace = Pace(per_second, burst)
        self.alone: float | None = alone
        self._account = account

    def __repr__(self) -> str:
        # An address may hold a password.
        return f"SharedRate(..., per_second={self.pace.per_second}, burst={self.pace.burst})"

    def store(self) -> RateStore:
        """Return the store. Each client has one of its own, so that a forked process shares none."""
        if self._where.startswith(_REDIS):
            return RateInRedis(self._where, self.pace, self._account)
        if self._where.startswith(_POSTGRES):
            return RateInPostgres(self._where, self.pace, self._account)
        return RateFile(self._where, self.pace)


def _can_be_encoded(where: str) -> bool:
    with suppress(UnicodeEncodeError):
        return b"\0" not in os.fsencode(where)
    return False
