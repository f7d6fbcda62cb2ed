"""Text files made clean: unpacked, decoded to UTF-8, with one kind of line break.

A file is copied first, so that the list cannot change while it is sent, and so that each later pass
reads clean lines. Errors in the bytes are found here; the meaning of the lines is left to
`formats`.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import sys
import tempfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TextIO, cast

_CHUNK = 256 * 1024
"""Bytes cleaned at once; encoded as UTF-8, they stay below `_LONGEST`."""

_LONGEST = 1024 * 1024
"""Most bytes of one line, so that a file without line breaks does not fill the memory."""

# Codecs of Python that are not encodings of text files: its escapes, and those of host names.
_NO_TEXT = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"})

_LARGEST = 4 * 1024**3
"""Most bytes of a file, once unpacked, so that an endless one does not fill the disk."""

_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1f]")

_SNIFFED = 4096

_GZIP = b"\x1f\x8b"

# The longer marks first: the UTF-32 mark begins with the UTF-16 mark.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}

# Encodings whose byte order is known only by the mark.
_MARKED = frozenset({"utf-16", "utf-32"})

_OTHER_KINDS = {
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Excel workbook (.xls)",
    b"%PDF-": "a PDF file",
}

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


class ListError(ValueError):
    """A file that cannot be read as a list. The message has the problem, the line and the remedy."""


class _NotTextError(ListError):
    """The bytes of a file are not text in the encoding that was tried."""


class TextFile:
    """The clean text of one file, which can be read any number of times.

    `name` is the file's name in errors; `marked` is True if it began with a byte order mark.
    `needs_mark` is True if a file with its lines in UTF-8 needs one to be read with the same options.
    """

    def __init__(self, copy: io.FileIO, name: str, *, marked: bool, needs_mark: bool) -> None:
        self.name = name
        self.marked = marked
        self.needs_mark = needs_mark
        self._copy = copy

    def lines(self) -> Iterator[str]:
        """Yield all lines, each with its line break and shorter than 1 MiB.

        Several passes may be made at the same time.
        """
        return io.TextIOWrapper(
            io.BufferedReader(_Pass(self._copy), _CHUNK), encoding="utf-8", newline="\n"
        )

    def error(self, problem: str, line: int) -> ListError:
        """Return an error with the file's name and the line, counted from 1."""
        return ListError(f"{self.name}:{line}: {problem}")


class _Pass(io.RawIOBase):
    """One pass through a file, with its own position, since several passes share the file."""

    def __init__(self, file: io.FileIO) -> None:
        super().__init__()
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what is passed
        self._file.seek(self._at)
        count = self._file.readinto(buffer) or 0
        self._at += count
        return count


@contextmanager
def open_text(
    path: str, encoding: str | None = None, *, utf8_first: bool = False
) -> Generator[TextFile]:
    """Copy a file, `-` for standard input, and yield its clean text.

    gzip is unpacked. The encoding is that of the byte order mark, else `encoding`, else UTF-8. With
    `utf8_first`, `encoding` is used only if the file is not valid UTF-8. Raises ListError.
    """
    encoding = None if encoding is None else _check_encoding(encoding)
    name = "standard input" if path == "-" else path
    # The copy is readable by its owner only and has no name, so a crash leaves nothing behind.
    with _create_copy() as copy:
        with _open(path) as stream:
            source = _ByteSource(stream, name)
            if utf8_first and encoding is not None:
                marked = _fill_utf8_first(copy, source, encoding)
            else:
                marked = _fill(copy, source, encoding)
        needs_mark = encoding not in {None, "utf-8", "utf-8-sig"}
        yield TextFile(copy, name, marked=marked, needs_mark=needs_mark)


def _check_encoding(encoding: str) -> str:
    try:
        "1".encode(encoding)
        codecs.getincrementaldecoder(encoding)
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError):
        name = None
    if name is None or name in _NO_TEXT:
        raise ListError(
            f"{encoding!r} is not a text encoding; give, for example, utf-8, cp1252 or latin-1"
        )
    return name


def _open(path: str) -> IO[bytes] | nullcontext[IO[bytes]]:
    if path == "-":
        stdin = cast("TextIO | None", sys.stdin)
        # The command line opens os.devnull in the place of a stream that is closed.
        if stdin is None or getattr(stdin, "name", None) == os.devnull:
            raise ListError("standard input is closed; give a file, or send the list by a pipe")
        return nullcontext(stdin.buffer)
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(name: str, error: OSError) -> ListError:
    return ListError(f"{name}: {error.strerror or error}; give a file that can be read")


def _create_copy() -> io.FileIO:
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError as error:
        raise _no_room(error) from None


def _no_room(error: OSError) -> ListError:
    return ListError(
        f"cannot make a temporary copy of the list ({error.strerror or error}); "
        "free some disk space, or set TMPDIR to a folder that has some"
    )


class _ByteSource:
    """The bytes of a file, unpacked. They are read once, since a pipe cannot be rewound."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.name = name
        self._stream: IO[bytes] | gzip.GzipFile = stream
        self._ahead = self._read(stream, _CHUNK)
        if self._ahead.startswith(_GZIP):
            self._stream = gzip.GzipFile(fileobj=_Rejoined(self._ahead, stream))
            self._ahead = self._read(self._stream, _CHUNK)
        self.head = self._ahead[:_SNIFFED]

    def chunks(self, start: int) -> Iterator[bytes]:
        """Yield all bytes after the first `start`."""
        yield self._ahead[start:]
        read = len(self._ahead)
        while chunk := self._read(self._stream, _CHUNK):
            read += len(chunk)
            if read > _LARGEST:
                raise ListError(
                    f"{self.name}: more than {_LARGEST:,} bytes cannot be a list; check the file"
                )
            yield chunk

    def _read(self, stream: IO[bytes] | gzip.GzipFile, size: int) -> bytes:
        try:
            return stream.read(size)
        except (gzip.BadGzipFile, zlib.error, EOFError):
            raise ListError(
                f"{self.name}: the gzip file is broken or incomplete; create or download it again"
            ) from None
        except OSError as error:
            raise _unreadable(self.name, error) from None


class _Rejoined(io.RawIOBase):
    """A stream with the bytes that were already read from it put back at its front."""

    def __init__(self, ahead: bytes, rest: IO[bytes]) -> None:
        super().__init__()
        self._ahead = ahead
        self._rest = rest

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what is passed
        data = self._ahead[: len(buffer)] or self._rest.read(len(buffer))
        self._ahead = self._ahead[len(data) :]
        buffer[: len(data)] = data
        return len(data)


class _KeptSource:
    """The bytes of a source, kept in a file, so that they can be read from the beginning again."""

    def __init__(self, source: _ByteSource, kept: io.FileIO) -> None:
        self.name = source.name
        self.head = source.head
        self._unread = source.chunks(0)
        self._kept = kept

    def chunks(self, start: int) -> Iterator[bytes]:
        """Yield all bytes after the first `start`."""
        self._kept.seek(0)
        chunks = self._all_chunks()
        yield next(chunks, b"")[start:]
        yield from chunks

    def _all_chunks(self) -> Iterator[bytes]:
        while chunk := self._kept.read(_CHUNK):
            yield chunk
        for chunk in self._unread:
            _write(self._kept, chunk)
            yield chunk


_Source = _ByteSource | _KeptSource


def _fill(copy: io.FileIO, source: _Source, encoding: str | None) -> bool:
    """Write the clean text to the copy. Returns whether there was a byte order mark."""
    if kind := _other_kind(source.head):
        raise ListError(f"{source.name}: this is {kind}; export the list as CSV in UTF-8")
    mark, marked = find_mark(source.head)
    cleaner = _Cleaner(source, marked or encoding or "utf-8")
    for chunk in source.chunks(len(mark)):
        _write(copy, cleaner.clean(chunk))
    _write(copy, cleaner.clean(b"", final=True))
    return bool(mark)


def _fill_utf8_first(copy: io.FileIO, source: _ByteSource, encoding: str) -> bool:
    """Do the same as `_fill`, using `encoding` only if the bytes are not UTF-8."""
    # The last byte may prove that it is not UTF-8, and a pipe cannot be rewound.
    with _create_copy() as kept:
        kept_source = _KeptSource(source, kept)
        try:
            return _fill(copy, kept_source, None)
        except _NotTextError:
            copy.seek(0)
            copy.truncate()
            return _fill(copy, kept_source, encoding)


def find_mark(head: bytes) -> tuple[bytes, str | None]:
    """Return the byte order mark at the beginning of a file, and its encoding, if there is one."""
    return next(
        ((mark, name) for mark, name in _MARKS.items() if head.startswith(mark)), (b"", None)
    )


def _other_kind(head: bytes) -> str | None:
    """Return the kind of a file whose first bytes show that it is not text, else None."""
    if not head.startswith(_ZIP):
        return next((kind for magic, kind in _OTHER_KINDS.items() if head.startswith(magic)), None)
    if b"[Content_Types].xml" in head or b"xl/" in head:
        return "an Excel workbook (.xlsx)"
    if b"opendocument.spreadsheet" in head:
        return "an OpenDocument spreadsheet (.ods)"
    return "a ZIP archive"


def _write(copy: io.FileIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[copy.write(left) :]
        except OSError as error:
            raise _no_room(error) from None


class _Cleaner:
    """Turns the bytes of a file into UTF-8 with one kind of line break, chunk by chunk."""

    def __init__(self, source: _Source, encoding: str) -> None:
        self._source = source
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._breaks = io.IncrementalNewlineDecoder(None, translate=True)
        self._lines = 0
        self._begun = 0

    def clean(self, chunk: bytes, *, final: bool = False) -> bytes:
        """Return the clean text of a chunk. Raises ListError if it is not text."""
        try:
            text = self._breaks.decode(self._decoder.decode(chunk, final), final)
            data = text.encode()
        except (UnicodeDecodeError, UnicodeEncodeError) as error:
            raise self._not_text(error) from None
        except UnicodeError:
            # Up to Python 3.12, the error for a missing mark has neither position nor bytes.
            raise _NotTextError(self._place(0) + self._not_marked()) from None
        if (nul := data.find(b"\0")) >= 0:
            raise _NotTextError(
                self._place(data.count(b"\n", 0, nul))
                + "this is not a text file, or UTF-16 without a byte order mark; export the list as "
                "CSV in UTF-8, or give --encoding utf-16-le"
            )
        end = data.find(b"\n")
        self._begun += len(data) if end < 0 else end
        # Lines within the chunk need no check: the chunk itself is shorter than `_LONGEST`.
        if self._begun >= _LONGEST:
            raise ListError(
                f"{self._place(0)}a line of more than 1 MiB cannot be a recipient; check the file"
            )
        if end >= 0:
            self._begun = len(data) - data.rfind(b"\n") - 1
        self._lines += data.count(b"\n")
        return data

    def _not_text(self, error: UnicodeDecodeError | UnicodeEncodeError) -> _NotTextError:
        good = error.object[: error.start]
        text = good if isinstance(good, str) else good.decode(self._encoding, "replace")
        lines = self._breaks.decode(text, final=True).count("\n")
        if self._encoding in _MARKED:
            problem = self._not_marked()
        elif self._encoding != "utf-8":
            problem = (
                f"this is not {self._encoding}; save the file as UTF-8, or give its --encoding"
            )
        elif _CONTROLS.search(self._source.head):
            problem = "this is not a text file; export the list as CSV in UTF-8"
        else:
            # cp1252 is what Excel writes on Windows. In Latin-1, its euro sign is a control character.
            problem = (
                "this is not UTF-8; save the file as UTF-8, "
                "or give --encoding cp1252 if it is Latin-1 or from an older Windows"
            )
        return _NotTextError(self._place(lines) + problem)

    def _not_marked(self) -> str:
        return (
            f"this is not {self._encoding} with a byte order mark; save the file as UTF-8, or give its "
            f"--encoding, such as {self._encoding}-le"
        )

    def _place(self, lines: int) -> str:
        """Return the file and line for an error after so many line breaks of this chunk."""
        return f"{self._source.name}:{self._lines + lines + 1}: "
