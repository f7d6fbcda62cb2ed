"""Text that a crash report must not show.

Crash reporters and `traceback.TracebackException(capture_locals=True)` show the repr of every local
variable of every function on the way of an exception.
"""

from __future__ import annotations

__all__ = ["Secret"]


class Secret(str):
    """A str like any other, except that its repr does not show it.

    What is made from it, such as `f"Bearer {secret}"`, is an ordinary str again.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(...)"
