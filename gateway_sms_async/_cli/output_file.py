"""Files to write, whole or not at all."""

import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .. import GatewayError
from .terminal.console import say

__all__ = ["Output", "check_outputs", "open_output"]


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[str | Path | None]) -> None:
    """Refuse files to write that are one another, or a file that is read."""
    read = (Path(one) for one in inputs if one is not None and one != "-")
    taken = {path.resolve(): "a file that is read" for path in read}
    for option, file in outputs.items():
        if file is None or (file.exists() and not file.is_file()):
            continue
        if (other := taken.get(file.resolve())) is not None:
            raise ValueError(f"{option} would overwrite {other}; give another file")
        taken[file.resolve()] = f"the file of {option}"


class Output:
    """A file to write that takes its place when all is in it; what was there before stays if not."""

    def __init__(self, path: Path, file: IO[str]) -> None:
        self._path = path
        self._file = file
        self.is_complete = False
        self._is_broken = False

    def write(self, write: Callable[[IO[str]], None]) -> bool:
        """Write all of it; say what went wrong, for what became of a campaign matters more than this."""
        self.write_part(write)
        return self.complete()

    def write_part(self, write: Callable[[IO[str]], None]) -> None:
        """Write some of it, which alone does not make it complete; nothing after what went wrong."""
        if self._is_broken:
            return
        try:
            write(self._file)
            self._file.flush()
        except (OSError, ValueError, GatewayError) as error:
            say(f"gateway-sms: {self._path} could not be written: {error}")
            self._is_broken = True

    def complete(self) -> bool:
        """Say that all parts are written; False when one of them could not be."""
        self.is_complete = not self._is_broken
        return self.is_complete


@contextmanager
def open_output(path: Path | None) -> Generator[Output | None]:
    """Open a file to write, readable by its owner only, before anything is sent.

    ValueError when it cannot be written.
    """
    if path is None:
        yield None
        return
    # A pipe or a device is written as it is.
    is_file = not path.exists() or path.is_file()
    new = path
    try:
        if is_file:
            # A name that nobody has: a neighbour's file must not be written over, nor deleted.
            number, name = tempfile.mkstemp(path.suffix, f".{path.stem}-", path.parent)
            os.close(number)
            new = Path(name)
        file = new.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}; give a file to write to") from None
    output = Output(path, file)
    try:
        yield output
    finally:
        # Of the file alone: a connection that failed is an OSError too, and goes on its way.
        with suppress(OSError):
            file.close()
        if is_file:
            if output.is_complete:
                new.replace(path)
            new.unlink(missing_ok=True)
