"""Files that a command writes: whole, or not at all.

They hold numbers and texts, so they go only where the user means them to go. Others may have put a
pipe or a link at the place, in a folder that they can write to.
"""

import os
import re
import stat
import tempfile
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .. import GatewayError
from .terminal.console import print_status


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[str | Path | None]) -> None:
    """Raise ValueError if an output is also an input, or the same file as another output."""
    read = (Path(one) for one in inputs if one is not None and one != "-")
    taken = {path.resolve(): "a file that is read" for path in read}
    for option, file in outputs.items():
        if file is None or (file.exists() and not file.is_file()):
            continue
        if (other := taken.get(file.resolve())) is not None:
            raise ValueError(f"{option} would overwrite {other}; give another file")
        taken[file.resolve()] = f"the file of {option}"


class Output:
    """A file to write. It replaces what was there before only once it is complete.

    Nothing is raised: a file that failed must not hide the result of a campaign.
    """

    def __init__(self, path: Path, file: IO[str], written: Path | None) -> None:
        self._path = path
        self._file = file
        self._written = written
        self._is_broken = False

    def write(self, write: Callable[[IO[str]], None]) -> bool:
        """Write the whole file and return True, or print the error and return False."""
        self.write_part(write)
        return self.complete()

    def write_part(self, write: Callable[[IO[str]], None]) -> None:
        """Write a part of the file. After an error, which is printed, this does nothing."""
        self._do(write)

    def complete(self) -> bool:
        """Put the file in its place once all parts are written; returns False if that failed."""

        def put_in_place(file: IO[str]) -> None:
            file.close()
            if self._written is not None:
                self._written.replace(self._path)

        self._do(put_in_place)
        return not self._is_broken

    def _do(self, step: Callable[[IO[str]], None]) -> None:
        if self._is_broken:
            return
        try:
            step(self._file)
        except (OSError, ValueError, GatewayError) as error:
            print_status(f"gateway-sms: {self._path} could not be written: {error}")
            self._is_broken = True


@contextmanager
def open_output(path: Path | None) -> Generator[Output | None]:
    """Open a file to write, readable by its owner only; yields None if `path` is None.

    To be called before anything is sent. Raises ValueError if the file cannot be written.
    """
    if path is None:
        yield None
        return
    try:
        file, written = _open(path)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}; give a file to write to") from None
    try:
        yield Output(path, file, written)
    finally:
        # Only around the close: an OSError of the block, such as a failed connection, must get out.
        with suppress(OSError):
            file.close()
        if written is not None:
            with suppress(OSError):
                written.unlink()


_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}

_STREAM = re.compile(r"/dev/fd/([0-9]{1,9})", re.ASCII)


def _open(path: Path) -> tuple[IO[str], Path | None]:
    """Return what to write to, and its path if it has yet to be put in the place of `path`."""
    stream = _stream_at(path)
    written: Path | None = None
    if stream is None:
        _check_place(path)
        # A fixed name could be that of another file, which would be overwritten.
        number, temporary = tempfile.mkstemp(path.suffix, f".{path.stem}-", path.parent)
        written = Path(temporary)
    else:
        # Opened by its name, a file would be written from its beginning, over what is in it.
        number = os.dup(stream)
    # By its number: another file may be at the name by now. The name's suffix says what to write.
    name = str(written or path)
    file = open(name, "w", encoding="utf-8", newline="", opener=lambda _, __: number)  # noqa: SIM115
    return file, written


def _stream_at(path: Path) -> int | None:
    """Return the number of the open stream that a path names, such as /dev/stdout."""
    name = str(path)
    if found := _STREAM.fullmatch(name):
        return int(found[1])
    return _STREAMS.get(name)


def _check_place(path: Path) -> None:
    """Raise ValueError if something is at a place that must not be replaced."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    kind = next((name for is_kind, name in _KINDS.items() if is_kind(found.st_mode)), None)
    if kind is not None:
        raise ValueError(f"{path}: this is {kind}; give a file, or /dev/stdout")
    if _is_database(path):
        raise ValueError(
            f"{path}: this is a database, such as the journal of a campaign; give another file"
        )
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise ValueError(f"{path}: this file belongs to another user; give another file")


def _is_database(path: Path) -> bool:
    """Whether a file is one of SQLite. Without its journal, a campaign can never be resumed."""
    try:
        with path.open("rb") as file:
            return file.read(len(_DATABASE)) == _DATABASE
    except OSError:
        return False


_DATABASE = b"SQLite format 3\0"

_KINDS = {
    stat.S_ISLNK: "a symbolic link",
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISDIR: "a directory",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}
