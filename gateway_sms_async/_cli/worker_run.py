"""A worker as the command runs it: Procrastinate on the database, signals, and lines about shards."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .._background.campaigns import Campaigns
from .._client import GatewayClient
from .._postgres.journals import PostgresJournals
from ..errors import JournalError
from .exit_codes import by_signal
from .signals import on_signal_in_loop
from .terminal.console import print_status

if TYPE_CHECKING:
    from procrastinate import App

__all__ = ["WorkerRun"]

_NEEDS_EXTRA = (
    "a worker needs the extra procrastinate: pip install 'gateway-sms-async[procrastinate]'"
)


_AGAIN_IN = 5
"""Seconds until another attempt when the database is away."""


class WorkerRun:
    """Runs one worker until a signal arrives."""

    def __init__(
        self, conninfo: str, journals: PostgresJournals, *, queue: str, at_once: int
    ) -> None:
        self._conninfo = conninfo
        self._journals = journals
        self._queue = queue
        self._at_once = at_once
        self._signal: int | None = None
        self._stopping = asyncio.Event()

    async def complete(self, client: GatewayClient) -> int:
        """Work, and return the exit code. Raises JournalError if the database cannot be used."""
        try:
            from procrastinate import exceptions  # noqa: PLC0415 - an extra
        except ImportError:
            raise JournalError(_NEEDS_EXTRA) from None
        await self._journals.install()
        with on_signal_in_loop(self._handle_signal), _lines_about_shards():
            try:
                await self._work(client)
            except exceptions.ConnectorException as error:
                raise JournalError(f"the queue cannot be used: {_cause_of(error)}") from error
        assert self._signal is not None
        print_status("Stopped. Other workers continue what is left.")
        return by_signal(self._signal)

    async def _work(self, client: GatewayClient) -> None:
        from ..tasks_procrastinate import install_queue, wake_workers  # noqa: PLC0415 - an extra

        campaigns = Campaigns(client, self._journals, run=False)
        app = self._app(campaigns)
        async with client, app.open_async():
            await install_queue(app)
            # Now, not only when the minute is over.
            await wake_workers(app)
            async with campaigns:
                working = asyncio.create_task(self._run_worker(app))
                stopping = asyncio.create_task(self._stopping.wait())
                print_status(f"Working on the queue {self._queue}. Ctrl-C stops it.")
                await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
                stopping.cancel()
                # It takes no further shards. Those it has end when `campaigns` is left.
                working.cancel()
            with suppress(asyncio.CancelledError):
                await working

    def _app(self, campaigns: Campaigns) -> App:
        from procrastinate import App, PsycopgConnector  # noqa: PLC0415 - an extra

        from ..tasks_procrastinate import add_tasks  # noqa: PLC0415 - an extra

        app = App(connector=PsycopgConnector(conninfo=self._conninfo))
        add_tasks(app, lambda: campaigns, queue=self._queue)
        return app

    async def _run_worker(self, app: App) -> None:
        """Work, and begin again when the database was away."""
        from procrastinate.exceptions import ConnectorException  # noqa: PLC0415 - an extra

        while True:
            try:
                await app.run_worker_async(
                    queues=[self._queue],
                    concurrency=self._at_once,
                    delete_jobs="successful",
                    install_signal_handlers=False,
                )
            except ConnectorException as error:
                print_status(f"The queue cannot be used: {_cause_of(error)}")
            print_status(f"Trying again in {_AGAIN_IN} seconds.")
            await asyncio.sleep(_AGAIN_IN)

    def _handle_signal(self, number: int) -> None:
        if self._signal is not None:
            # At once, also if the database does not answer: that is what the journals are for.
            os._exit(by_signal(number))
        self._signal = number
        self._stopping.set()
        print_status("Stopping: requests in flight are completed. Press Ctrl-C again to abort.")


def _cause_of(error: BaseException) -> str:
    """Return the words of the error that the database gave, on one line."""
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {' '.join(str(cause).split()) or 'no answer'}"


class _ToStatus(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print_status(record.getMessage())


@contextmanager
def _lines_about_shards() -> Generator[None]:
    """Print what the log says about shards and campaigns, and not what the queue's libraries say."""
    logger = logging.getLogger("gateway_sms_async")
    others = [logging.getLogger(name) for name in ("procrastinate", "psycopg.pool")]
    levels = {one: one.level for one in (logger, *others)}
    handler = _ToStatus(logging.INFO)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    for one in others:
        one.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        for one, level in levels.items():
            one.setLevel(level)
