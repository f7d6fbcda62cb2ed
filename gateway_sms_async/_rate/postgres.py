"""The rate of an account in PostgreSQL, for those who have no Redis: one row an account.

Each step is one statement, so that it is done as a whole, and on the server's clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

from ..errors import SharedRateError
from .pace import REALTIME_PAUSE, Pace

if TYPE_CHECKING:
    from psycopg import AsyncConnection

__all__ = ["RateInPostgres"]

T = TypeVar("T")

# How long the server's answer may take, in seconds, and a new connection, which has several answers.
# Without a limit, a partition would hang.
_PATIENCE = 1.0
_PATIENCE_TO_CONNECT = 5.0

_LOCK: LiteralString = "SELECT pg_advisory_xact_lock(hashtext('gateway_sms.rate'))"

_FIND_TABLE: LiteralString = "SELECT to_regclass('gateway_sms.rate')"

_CREATE_TABLE: LiteralString = """
CREATE SCHEMA IF NOT EXISTS gateway_sms;
CREATE TABLE IF NOT EXISTS gateway_sms.rate (
    account text PRIMARY KEY,
    arrival double precision NOT NULL DEFAULT 0,
    realtime double precision NOT NULL DEFAULT 0,
    owner text NOT NULL DEFAULT ''
)
"""

_CREATE_ROW: LiteralString = (
    "INSERT INTO gateway_sms.rate (account) VALUES (%(account)s) ON CONFLICT DO NOTHING"
)

# All moments are seconds of the server's clock. One that is farther away than any wait can be was
# written before that clock was set back.
_ASK: LiteralString = """
WITH clock AS (SELECT extract(epoch FROM clock_timestamp())::double precision AS now),
taken AS (
    UPDATE gateway_sms.rate SET arrival = %(interval)s + CASE
        WHEN arrival - %(tolerance)s - now > %(longest)s THEN now ELSE greatest(arrival, now) END
    FROM clock
    WHERE account = %(account)s
        AND NOT arrival - %(tolerance)s - now BETWEEN 1e-9 AND %(longest)s
    RETURNING 0::double precision AS wait
)
SELECT wait FROM taken UNION ALL
SELECT greatest(arrival - %(tolerance)s - now, 0.001) FROM gateway_sms.rate, clock
WHERE account = %(account)s AND NOT EXISTS (SELECT 1 FROM taken)
"""

_HOLD: LiteralString = """
WITH clock AS (SELECT extract(epoch FROM clock_timestamp())::double precision AS now),
held AS (
    UPDATE gateway_sms.rate SET arrival = greatest(arrival, now + %(seconds)s + %(tolerance)s)
    FROM clock WHERE account = %(account)s RETURNING 0::double precision AS wait
)
SELECT wait FROM held
"""

_ASK_REALTIME: LiteralString = """
WITH clock AS (SELECT extract(epoch FROM clock_timestamp())::double precision AS now),
taken AS (
    UPDATE gateway_sms.rate SET realtime = now + %(pause)s, owner = %(owner)s FROM clock
    WHERE account = %(account)s
        AND (owner = %(owner)s OR NOT realtime - now BETWEEN 1e-9 AND %(pause)s)
    RETURNING 0::double precision AS wait
)
SELECT wait FROM taken UNION ALL
SELECT greatest(realtime - now, 0.001) FROM gateway_sms.rate, clock
WHERE account = %(account)s AND NOT EXISTS (SELECT 1 FROM taken)
"""

_BEGIN_REALTIME: LiteralString = """
WITH clock AS (SELECT extract(epoch FROM clock_timestamp())::double precision AS now),
begun AS (
    UPDATE gateway_sms.rate SET realtime = now + %(pause)s, owner = %(owner)s FROM clock
    WHERE account = %(account)s RETURNING 0::double precision AS wait
)
SELECT wait FROM begun
"""

_END_REALTIME: LiteralString = """
WITH ended AS (
    UPDATE gateway_sms.rate SET realtime = 0, owner = ''
    WHERE account = %(account)s AND owner = %(owner)s RETURNING 1
)
SELECT count(*)::double precision FROM ended
"""


class RateInPostgres:
    """The store of a `SharedRate` with an address of PostgreSQL. See `RateStore`."""

    def __init__(self, conninfo: str, pace: Pace, account: str) -> None:
        try:
            from psycopg import AsyncConnection  # noqa: PLC0415 - an extra
        except ImportError:
            raise SharedRateError(
                "a SharedRate in PostgreSQL needs the extra postgres: pip install "
                "'gateway-sms-async[postgres]'"
            ) from None
        self._connect = AsyncConnection.connect
        self._conninfo = conninfo
        self._values = {
            "account": account,
            "interval": 1 / pace.per_second,
            "tolerance": pace.tolerance,
            "longest": pace.longest_wait,
            "pause": REALTIME_PAUSE,
        }
        self._one_step = asyncio.Lock()
        self._connection: AsyncConnection | None = None
        self._abandoned: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Connect to the server, and create the table if there is none."""
        async with self._one_step:
            await self._connected()

    async def ask(self) -> float:
        """Take the permission for one request, and return 0; or return the seconds to wait."""
        return await self._run(_ASK)

    async def hold(self, seconds: float) -> None:
        """Let no request of any process leave for so many seconds."""
        await self._run(_HOLD, seconds=seconds)

    async def ask_realtime(self, owner: str) -> float:
        """Take the permission for a realtime message, and return 0; or return the seconds to wait."""
        return await self._run(_ASK_REALTIME, owner=owner)

    async def realtime_sent(self, owner: str) -> None:
        """Begin the minute anew: the message has arrived just now."""
        await self._run(_BEGIN_REALTIME, owner=owner)

    async def realtime_not_sent(self, owner: str) -> None:
        """End the minute of this owner, whose message was not sent."""
        await self._run(_END_REALTIME, owner=owner)

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _run(self, statement: LiteralString, **values: float | str) -> float:
        async with self._one_step:
            was_connected = self._connection is not None
            try:
                return await self._execute(statement, values)
            except _BrokenError:
                if not was_connected:
                    raise
            # The server may have been started again since the last step.
            return await self._execute(statement, values)

    async def _execute(self, statement: LiteralString, values: dict[str, float | str]) -> float:
        connection = await self._connected()
        row = await self._within(_PATIENCE, connection, self._fetch(connection, statement, values))
        if row is None:
            self._connection = None
            await connection.close()
            raise _BrokenError("the rate in PostgreSQL: its row has disappeared")
        return float(row[0])

    async def _fetch(
        self, connection: AsyncConnection, statement: LiteralString, values: dict[str, float | str]
    ) -> tuple[Any, ...] | None:
        cursor = await connection.execute(statement, {**self._values, **values})
        return await cursor.fetchone()

    async def _connected(self) -> AsyncConnection:
        if self._connection is None:
            # Without prepared statements, which some poolers lose.
            connecting = self._connect(self._conninfo, prepare_threshold=None)
            connection = await self._within(_PATIENCE_TO_CONNECT, None, connecting)
            await self._within(_PATIENCE_TO_CONNECT, connection, self._prepare(connection))
            self._connection = connection
        return self._connection

    async def _prepare(self, connection: AsyncConnection) -> None:
        """Create the row of the account, and the table if there is none."""
        async with connection.transaction():
            found = await (await connection.execute(_FIND_TABLE)).fetchone()
            if found == (None,):
                # Two processes must not create it at once: IF NOT EXISTS fails then.
                await connection.execute(_LOCK)
                await connection.execute(_CREATE_TABLE)
            # A write, which a replica refuses.
            await connection.execute(_CREATE_ROW, self._values)
        await connection.set_autocommit(True)

    async def _within(
        self, seconds: float, connection: AsyncConnection | None, step: Coroutine[None, None, T]
    ) -> T:
        """Await a step on a connection; raise SharedRateError if it fails or takes longer.

        A step that did not succeed, or is cancelled, is the last one on its connection.
        """
        from psycopg import Error  # noqa: PLC0415

        task = asyncio.ensure_future(step)
        try:
            # Not wait_for: it would also wait until psycopg has cancelled what the server does.
            await asyncio.wait({task}, timeout=seconds)
        finally:
            if not task.done() or task.cancelled() or task.exception() is not None:
                self._connection = None
                self._abandon(task, connection)
        if not task.done():
            raise SharedRateError("the rate in PostgreSQL: the server does not answer")
        error = task.exception()
        if error is None:
            return task.result()
        if not isinstance(error, Error | OSError):
            raise error
        # Other texts may hold the address, with a password.
        words = isinstance(error, Error) and error.diag.message_primary
        raise _BrokenError(f"the rate in PostgreSQL: {words or type(error).__name__}")

    def _abandon(self, task: asyncio.Task[Any], connection: AsyncConnection | None) -> None:
        """Cancel a step, and close its connection once it has ended: not while it is in use."""

        def close(_: object) -> None:
            self._abandoned.discard(task)
            made = task.result() if _is_connection(task) else connection
            if made is not None:
                made.pgconn.finish()

        self._abandoned.add(task)
        task.add_done_callback(close)
        task.cancel()


class _BrokenError(SharedRateError):
    """The connection is broken: another one may work."""


def _is_connection(task: asyncio.Task[Any]) -> bool:
    """Whether a step that was abandoned has still made a connection. Reads the error of any other."""
    from psycopg import AsyncConnection  # noqa: PLC0415

    return (
        not task.cancelled()
        and task.exception() is None
        and isinstance(task.result(), AsyncConnection)
    )
