"""Where the journals of a schedule are: files, or a database that `--postgres` starts.

A kill leaves a journal as it is at that moment. Of a file, a copy is made, because tasks of the killed
process still run. To a database they have no connection any more.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import time
from pathlib import Path
from typing import Any, Protocol

ADDRESS = "GATEWAY_SMS_SIMULATION_POSTGRES"
"""The environment variable with the address of the database."""

_names = itertools.count(1)


class JournalStore(Protocol):
    """The journal of one schedule."""

    @property
    def place(self) -> Any:
        """What the library is given."""
        ...

    @property
    def exists(self) -> bool:
        """Whether there is a whole journal."""
        ...

    def kill(self) -> None:
        """Keep the journal as it is now, whatever the killed process still does."""
        ...

    def close(self) -> None:
        """Delete it."""
        ...


class FileStore:
    """A journal in a file, or a folder of shards."""

    def __init__(self, folder: Path) -> None:
        self.place = folder / "0" / "campaign.db"
        self.place.parent.mkdir(parents=True)

    @property
    def exists(self) -> bool:
        return self.place.exists()

    def kill(self) -> None:
        original = self.place
        self.place = original.parent.parent / str(int(original.parent.name) + 1) / original.name
        self.place.parent.mkdir()
        for file in original.parent.glob(original.name + "*"):
            copy = shutil.copytree if file.is_dir() else shutil.copy
            copy(file, self.place.parent / file.name)

    def close(self) -> None:
        """Do nothing: the folder is deleted."""


class DatabaseStore:
    """A journal in the database of `ADDRESS`."""

    def __init__(self, address: str) -> None:
        from gateway_sms_async.postgres import PostgresJournals

        self._own = _connection(address)
        self._name = f"{os.getpid()} {next(_names)}"
        self.place = PostgresJournals(address)[self._name]
        self._opened: list[Any] = []
        _opened_by_library().append(self._opened)

    @property
    def exists(self) -> bool:
        found = "SELECT 1 FROM gateway_sms.campaign WHERE name = %s"
        return self._own.execute(found, (self._name,)).fetchone() is not None

    def kill(self) -> None:
        processes: list[int] = []
        for connection in self._opened:
            if not connection.closed:
                processes.append(connection.info.backend_pid)
                connection.close()
        self._opened.clear()
        alive = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
        while processes and self._own.execute(alive, (processes,)).fetchone() != (0,):
            time.sleep(0.001)  # the server has not noticed yet

    def close(self) -> None:
        _opened_by_library().remove(self._opened)
        for connection in self._opened:
            connection.close()
        self._own.execute("DELETE FROM gateway_sms.campaign WHERE name = %s", (self._name,))


def new_store(folder: Path) -> JournalStore:
    """Return the store of a schedule that begins."""
    address = os.environ.get(ADDRESS)
    return DatabaseStore(address) if address else FileStore(folder)


@functools.cache
def _connection(address: str) -> Any:
    """Return this process's own connection."""
    import psycopg

    return psycopg.connect(address, autocommit=True)


@functools.cache
def _opened_by_library() -> list[list[Any]]:
    """Note each connection that the library opens, for the store that is in use."""
    from gateway_sms_async._postgres.connection import Database

    stores: list[list[Any]] = []
    identify = Database._identify

    @functools.wraps(identify)
    def identifying(self: Any) -> Any:
        for opened in stores[-1:]:
            opened.append(self._connection)
        return identify(self)

    Database._identify = identifying  # type: ignore[method-assign]
    return stores
