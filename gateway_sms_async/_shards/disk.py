"""Calls in a thread that read or write journals; a failure of any kind is an error of the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .._cancellation import in_thread
from ..errors import JournalError

__all__ = ["on_disk"]

T = TypeVar("T")


async def on_disk(where: object, function: Callable[..., T], *args: Any) -> T:
    """Call a function that blocks; if the caller is cancelled, first wait for its end."""
    try:
        return await in_thread(function, *args)
    except (JournalError, TypeError, ValueError):
        raise
    except Exception as error:
        raise JournalError(
            f"{where}: the journal cannot be used: {type(error).__name__}"
        ) from error
