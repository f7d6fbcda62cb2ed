"""Calls in a thread that read or write files; whatever they raise is an error of the journal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from .._cancellation import in_thread
from ..errors import JournalError

__all__ = ["on_disk"]

T = TypeVar("T")


async def on_disk(path: Path, function: Callable[..., T], *args: Any) -> T:
    """Call a function that blocks; if the caller is cancelled, first wait for its end."""
    try:
        return await in_thread(function, *args)
    except JournalError:
        raise
    except Exception as error:
        raise JournalError(f"{path}: the journal cannot be used: {type(error).__name__}") from error
