"""Standard streams that outlast their readers.

A reader that leaves, a full disk or a closed stream must not end a command that sends: the work is
done all the same. What cannot be written is dropped, and the first error is kept.
"""

from __future__ import annotations

import io
import os
import select
import sys
from pathlib import Path
from typing import IO, Any, cast


class _Output(io.RawIOBase):
    """Passes bytes on to a stream, until that fails."""

    def __init__(self, stream: IO[str], raw: io.RawIOBase) -> None:
        super().__init__()
        self._stream = stream  # it closes the raw one at its own end
        self._raw = raw
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: memoryview) -> int:  # type: ignore[override]  # what is passed
        try:
            while self.error is None:
                if (written := self._raw.write(data)) is not None:
                    return written
                # Another process has made it non-blocking, and it is full.
                select.select([], [self._raw], [])
        except OSError as error:
            self.error = error
        return len(data)

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()


def make_streams_last() -> None:
    """Replace the standard streams of this process by ones whose use raises no OSError.

    A character that the encoding of a stream lacks is escaped. A stream that is closed reads or
    writes nothing: left closed, its number would be given to the next file that is opened.
    """
    # In the order of their numbers: a file that is opened takes the lowest one.
    sys.stdin = sys.stdin or _nothing("r")
    sys.stdout = _lasting(sys.stdout)
    sys.stderr = _lasting(sys.stderr)


def _nothing(mode: str) -> IO[str]:
    return Path(os.devnull).open(mode, encoding="utf-8")


def _lasting(stream: Any) -> Any:
    if stream is None:
        return _nothing("w")
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    if not isinstance(raw, io.RawIOBase):
        # Not a file: something else has replaced it.
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(cast("io.RawIOBase", _Output(stream, raw))),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def lost_output() -> OSError | None:
    """Return the error because of which a part of stdout was dropped, if there is one.

    A reader that has left wanted no more, so nothing is lost.
    """
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if not isinstance(raw, _Output) or isinstance(raw.error, BrokenPipeError):
        return None
    return raw.error


def stdout_was_closed() -> bool:
    """Return whether the command was started without a stdout."""
    return getattr(sys.stdout, "name", None) == os.devnull
