"""The first fault of a message, and whether the message is halted: nothing new is then sent for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager

from ..errors import GatewayError
from .message import RestartMessageError

__all__ = ["FaultRecord"]


class FaultRecord:
    """What stops one message.

    - `fault`: its first error, None if there is none.
    - `halted`: whether it was told to send nothing new.

    `on_fault` is called after each error.
    """

    def __init__(self, on_fault: Callable[[], None]) -> None:
        self._on_fault = on_fault
        self.fault: BaseException | None = None
        self.halted = False

    @property
    def stopped(self) -> bool:
        """Whether no more batches are sent, because of a fault or a halt."""
        return self.halted or self.fault is not None

    @contextmanager
    def recording(self) -> Generator[None]:
        """Record an error as the fault, so that other batches continue and all are counted."""
        try:
            yield
        except asyncio.CancelledError:
            if not self.halted:
                # Not cancelled by the builder: something that the request awaited was cancelled.
                self._fail(GatewayError("a request was cancelled from outside"))
            raise
        except (KeyboardInterrupt, SystemExit) as error:
            # These also end the event loop.
            self._fail(error)
            raise
        except BaseException as error:  # noqa: BLE001 - a listener may raise anything
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        # An error that prevents the restart of a message matters more than the cause of the restart.
        if self.fault is None or isinstance(self.fault, RestartMessageError):
            self.fault = error
        self._on_fault()
