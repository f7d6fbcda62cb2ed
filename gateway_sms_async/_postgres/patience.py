"""A connection that does not wait for ever for a server that has stopped to answer.

The limits of the server itself, and those of TCP, do not help against one that is paused.
"""

from __future__ import annotations

from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

__all__ = ["PatientConnection"]

T = TypeVar("T")

_INTERVAL = 0.1
"""Seconds between two looks at the clock."""


class PatientConnection(psycopg.Connection[tuple[Any, ...]]):
    """Waits `patience` seconds for each answer, then raises an error and is of no more use."""

    patience: float = 10.0

    def wait(self, gen: PQGen[T], interval: float = _INTERVAL, timeout: float | None = None) -> T:
        """Wait for the end of an operation. Called by psycopg."""
        return super().wait(gen, interval, self.patience if timeout is None else timeout)
