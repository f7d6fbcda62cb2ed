"""A campaign as `bulk` and `resume` run it: with progress, signals, receipt and exit code."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from .._client import GatewayClient
from .._receipt import Progress, Receipt
from ..errors import BulkSendError, GatewayError
from .exit_codes import UNKNOWN, after_campaign, by_signal, with_output
from .signals import on_signal, on_signal_in_loop, raise_ended
from .terminal.console import print_status
from .terminal.progress import ProgressView, show_progress
from .terminal.receipt import print_receipt, print_summary

Send = Callable[
    [GatewayClient, Callable[[Progress], None], asyncio.Event], Coroutine[Any, Any, Receipt]
]
"""Runs a campaign: called with the client, a function for progress, and the event that stops it."""

_PATIENCE = 2
"""Signals after the end of a campaign; one more ends the command, whatever it is doing."""


class CampaignRun:
    """Runs a campaign, and prints and writes its results, under signal handlers.

    The first signal stops it gracefully, the second cancels it. Once it has ended, signals no
    longer change its results: the second leaves out the files, and the receipt is always printed.
    """

    def __init__(self, send: Send, *, total: int | None, journal: str | None) -> None:
        self.receipt: Receipt | None = None
        self._send = send
        self._total = total
        self._journal = journal
        self._failure: BulkSendError | None = None
        self._signal: int | None = None
        self._progress = Progress()
        self._stop = asyncio.Event()
        self._late_signals = 0
        self._is_over = self._is_writing = False

    def complete(
        self,
        client: AbstractAsyncContextManager[GatewayClient],
        write_files: Callable[[Receipt], bool] | None = None,
    ) -> int:
        """Send, then write the files, print the receipt, and return the exit code.

        `write_files` returns False if a file that was asked for could not be written.
        """
        with on_signal(self._handle_signal_outside):
            try:
                asyncio.run(self._run(client))
            except KeyboardInterrupt:
                # Only the connections were still being closed.
                if not self._is_over:
                    raise
            return self._conclude(write_files)

    async def _run(self, client: AbstractAsyncContextManager[GatewayClient]) -> None:
        """Send, and keep the receipt or the error."""
        async with client as gateway:
            with show_progress(self._total) as view:

                def report(progress: Progress) -> None:
                    self._progress = progress
                    view.show(progress)

                sending = asyncio.create_task(self._send(gateway, report, self._stop))
                with on_signal_in_loop(partial(self._handle_signal, sending, view)):
                    await asyncio.wait([sending])
                    # Before the handlers change: a signal between would not know.
                    self._is_over = True
                try:
                    self.receipt = sending.result()
                except BulkSendError as error:
                    self.receipt, self._failure = error.receipt, error
                except asyncio.CancelledError:
                    pass
                if self.receipt is None or self._failure is not None:
                    view.stopped()

    def _handle_signal(
        self, sending: asyncio.Task[Receipt], view: ProgressView, number: int
    ) -> None:
        if self._signal is None:
            self._signal = number
            self._stop.set()
            view.stopping()
            print_status(
                "Stopping: no request that adds recipients starts, those in flight are completed. "
                "Press Ctrl-C again to abort."
            )
        else:
            sending.cancel()

    def _handle_signal_outside(self, number: int) -> None:
        """Handle a signal that arrives before the sending begins, or after its end."""
        if not self._is_over:
            if self._signal is not None:
                raise_ended(number)
            self._signal = number
            self._stop.set()
            return
        self._late_signals += 1
        if self._late_signals == 1:
            print_status(
                "The campaign has ended; its files and its receipt are being written. Press Ctrl-C "
                "again to leave out the files."
            )
        elif self._is_writing or self._late_signals > _PATIENCE:
            raise_ended(number)

    def _conclude(self, write_files: Callable[[Receipt], bool] | None) -> int:
        """Write the files, print the receipt and what to do next, and return the exit code.

        Whatever `write_files` raises, the code tells what happened to the recipients. It comes
        first, because what it prints belongs before the receipt.
        """
        interrupted = 0 if self._signal is None else by_signal(self._signal)
        if self.receipt is None:
            last = self._progress
            print_status(
                f"Aborted after {last.read:,} recipients, {last.accepted:,} of them accepted. "
                "There is no receipt; to see which messages exist: gateway-sms list"
            )
            self._print_resume_hint()
            return UNKNOWN if last.unknown else interrupted
        written = write_files is None or self._writes(write_files, self.receipt)
        print_receipt(self.receipt)
        failure = self._failure
        if failure is not None and not interrupted:
            print_status(f"Stopped: {failure.reason}")
        resumable = failure is not None and failure.resumable
        print_summary(self.receipt, resumable=resumable)
        if not self.receipt.source_exhausted:
            unread = (self._total or self.receipt.total) - self.receipt.total
            print_status(
                f"The list was not read to its end: {unread:,} rows are in none of these counts."
            )
        if resumable:
            self._print_resume_hint()
        elif failure is not None and self.receipt.accepted:
            print_status(
                "Do not send the same list again: some of it was sent. The option --unsent FILE "
                "writes the recipients that remain."
            )
        return with_output(after_campaign(self.receipt, failure, interrupted), written=written)

    def _writes(self, write_files: Callable[[Receipt], bool], receipt: Receipt) -> bool:
        self._is_writing = True
        try:
            return write_files(receipt)
        except KeyboardInterrupt:
            print_status("gateway-sms: the files were not all written: interrupted")
        except (OSError, ValueError, GatewayError) as error:
            # For example a list that was deleted while it was sent.
            print_status(f"gateway-sms: the files were not all written: {error}")
        except Exception:  # noqa: BLE001 - the recipients have got the text all the same
            traceback.print_exc()
        finally:
            self._is_writing = False
        return False

    def _print_resume_hint(self) -> None:
        if self._journal is not None:
            print_status(
                f"To resume it: gateway-sms resume {self._journal} (do not send the list again)"
            )
