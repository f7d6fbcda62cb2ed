"""Which references were used: stands for a table in your own database.

Every example that sends one message stores its reference here before the send. A repeated request
then finds the reference and sends nothing, also after a crash.

The driver of SQLite blocks, so each statement runs in a thread. With an asynchronous driver, such
as asyncpg or aiosqlite, await the statements themselves.
"""

import asyncio
import sqlite3
from contextlib import closing
from typing import Literal

ReferenceState = Literal["unused", "reserved", "sent"]


class ReferenceStore:
    """A table of references; several processes may share its file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._execute("CREATE TABLE IF NOT EXISTS sent (reference TEXT PRIMARY KEY, state TEXT)")

    async def reserve(self, reference: str) -> bool:
        """Store a reference before its send; returns False if it was used before."""
        statement = "INSERT INTO sent VALUES (?, 'reserved')"
        try:
            await asyncio.to_thread(self._execute, statement, reference)
        except sqlite3.IntegrityError:
            return False
        return True

    async def mark_sent(self, reference: str) -> None:
        """Store that the gateway has accepted the message."""
        statement = "UPDATE sent SET state = 'sent' WHERE reference = ?"
        await asyncio.to_thread(self._execute, statement, reference)

    async def release(self, reference: str) -> None:
        """Forget a reference for which nothing was sent, so that it can be used again."""
        statement = "DELETE FROM sent WHERE reference = ? AND state = 'reserved'"
        await asyncio.to_thread(self._execute, statement, reference)

    async def state(self, reference: str) -> ReferenceState:
        """Return "reserved" if it is not known here whether the message was sent."""
        statement = "SELECT state FROM sent WHERE reference = ?"
        match await asyncio.to_thread(self._execute, statement, reference):
            case [("sent",)]:
                return "sent"
            case [_]:
                return "reserved"
            case _:
                return "unused"

    def _execute(self, statement: str, *values: str) -> list[tuple[object, ...]]:
        # A connection of its own for each statement, because each runs in another thread.
        with closing(sqlite3.connect(self._path)) as connection, connection:
            return connection.execute(statement, values).fetchall()
