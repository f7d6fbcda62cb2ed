"""A connection to PostgreSQL for one thread: checked, with answers in time, and errors of our own."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from ..errors import JournalError
from .tables import CREATE, FORMAT, SERVER, VERSION

if TYPE_CHECKING:
    from .patience import PatientConnection

__all__ = ["Database", "Server"]

# Seconds. Without a limit, a partition would hang.
_TO_CONNECT = 10
_TO_ANSWER = 60


class Server(NamedTuple):
    """The identity of the server: that of its data, and of its history."""

    identifier: str
    timeline: int


class Database:
    """One connection, opened at once. Raises JournalError; `where` names it in errors.

    Each statement is a transaction of its own until `begin`.
    """

    def __init__(self, conninfo: str, schema: str, where: object) -> None:
        try:
            import psycopg  # noqa: PLC0415 - an extra
            from psycopg import sql  # noqa: PLC0415

            from .patience import PatientConnection  # noqa: PLC0415
        except ImportError:
            raise JournalError(
                "a journal in PostgreSQL needs the extra postgres: pip install "
                "'gateway-sms-async[postgres]'"
            ) from None
        self._errors: type[Exception] = psycopg.Error
        self._undefined = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
        self._where = where
        self._schema = schema
        self._sql = sql.SQL
        self._named = {"schema": sql.Identifier(schema)}
        self._connection: PatientConnection | None = None
        try:
            with self._explained():
                self._connection = PatientConnection.connect(
                    conninfo,
                    autocommit=True,
                    connect_timeout=_TO_CONNECT,
                    tcp_user_timeout=_TO_ANSWER * 1000,
                    application_name="gateway_sms_async",
                )
                self._prepare(self._connection)
                self.server: Server = self._identify()
        except BaseException:
            self.close()
            raise

    def _prepare(self, connection: PatientConnection) -> None:
        connection.execute(
            "SELECT set_config('statement_timeout', %s, false)", (str(_TO_ANSWER * 1000),)
        )
        connection.execute("SET synchronous_commit = on")
        # While a long list is read, nothing is written for a while.
        connection.execute("SET idle_in_transaction_session_timeout = 0")
        # Nor while a shard is sent that makes no request for a while. Older servers do not know it.
        connection.execute(
            "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
        )

    def _identify(self) -> Server:
        assert self._connection is not None
        row = self._connection.execute(SERVER).fetchone()
        assert row is not None
        identifier, timeline, process, is_standby = row
        if is_standby:
            raise JournalError(
                f"{self._where}: the server is a standby, which can only be read; name the primary, "
                "or add target_session_attrs=read-write to the address"
            )
        if process != self._connection.info.backend_pid:
            raise JournalError(
                f"{self._where}: a pooler stands between this process and the server; connect to the "
                "server itself: a journal needs a session of its own"
            )
        return Server(identifier, timeline)

    def install(self) -> None:
        """Create the tables, unless they are there. Raises JournalError for newer ones."""
        self.be_patient()
        with self._explained(), self._opened.transaction():
            self._opened.execute(self._sql(_LOCK_INSTALL))
            found = self._opened.execute(_FIND_SCHEMA, {"schema": self._schema}).fetchone()
            if found is None:
                self._opened.execute(self._sql(CREATE).format(**self._named))
        self.check_version()

    def check_version(self) -> None:
        """Raise JournalError unless the tables are there, and this library knows them."""
        row = self.one(VERSION)
        version = 0 if row is None else row[0]
        if version > FORMAT:
            raise JournalError(
                f"{self._where}: its tables were made by a newer version of gateway_sms_async (format "
                f"{version}, this one knows {FORMAT}); use that one"
            )

    def one(
        self, statement: LiteralString, values: Mapping[str, object] | None = None
    ) -> tuple[Any, ...] | None:
        """Return the first row of a statement, None if there is none."""
        with self._explained():
            return self._opened.execute(
                self._sql(statement).format(**self._named), values
            ).fetchone()

    def all(
        self, statement: LiteralString, values: Mapping[str, object] | None = None
    ) -> list[tuple[Any, ...]]:
        """Return all rows of a statement."""
        with self._explained():
            return self._opened.execute(
                self._sql(statement).format(**self._named), values
            ).fetchall()

    def run(self, statement: LiteralString, values: Mapping[str, object]) -> None:
        """Run a statement that returns nothing."""
        with self._explained():
            self._opened.execute(self._sql(statement).format(**self._named), values)

    def be_patient(self) -> None:
        """From now on, wait longer for an answer: a whole list is written, or deleted."""
        self._opened.patience = _TO_ANSWER

    def begin(self) -> None:
        """Begin a transaction, which ends with `commit` or with the connection."""
        with self._explained():
            self._opened.execute("BEGIN")

    def begin_to_read(self) -> None:
        """Begin a transaction that sees the database as it is at its first statement."""
        with self._explained():
            self._opened.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def commit(self) -> None:
        """Make the transaction durable."""
        with self._explained():
            self._opened.execute("COMMIT")

    def answers(self) -> bool:
        """Whether the connection is still there."""
        try:
            self.one("SELECT 1")
        except JournalError:
            return False
        return True

    def roll_back(self) -> None:
        """Undo the transaction, if there is one."""
        with self._explained():
            self._opened.rollback()

    def close(self) -> None:
        """Close the connection; an open transaction is undone. May be repeated."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @property
    def _opened(self) -> PatientConnection:
        if self._connection is None:
            raise JournalError(f"{self._where}: the connection to the database is closed")
        return self._connection

    @contextmanager
    def _explained(self) -> Generator[None]:
        """Raise an error of the database as a JournalError without its text, which may hold anything."""
        try:
            yield
        except self._undefined:
            raise JournalError(
                f"{self._where}: the tables are not there: run `gateway-sms postgres install`, or "
                "`await journals.install()`, once"
            ) from None
        except self._errors as error:
            code = getattr(error, "sqlstate", None)
            kind = f"{type(error).__name__}" + (f", SQLSTATE {code}" if code else "")
            raise JournalError(f"{self._where}: the database cannot be used: {kind}") from None


_LOCK_INSTALL: LiteralString = "SELECT pg_advisory_xact_lock(hashtext('gateway_sms.install'))"

_FIND_SCHEMA: LiteralString = (
    "SELECT 1 FROM pg_tables WHERE schemaname = %(schema)s AND tablename = 'log'"
)
