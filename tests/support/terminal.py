"""The command line on a pseudo-terminal, and what a user sees there."""

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from unicodedata import category

import anyio

from .paths import ROOT

HEIGHT = 24

CHILD = ROOT / "tests" / "support" / "children" / "terminal_child.py"

_CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")

# Readable on a dark and on a light background: no black or white, and no colour but the terminal's own.
_ATTRIBUTES = {"", "0", "1", "2", "3", "4", "22", "23", "24", "39"}
_COLOURS = {str(base + colour) for base in (30, 90) for colour in range(1, 7)} | {"90"}


class Screen:
    """The lines of a terminal. Fails on what it must not be sent."""

    def __init__(self, width: int) -> None:
        self.lines = [""]
        self.cursor_is_shown = True
        self._width = width
        self._row = self._column = 0

    def feed(self, text: str) -> None:
        while text:
            if control := _CONTROL.match(text):
                self._obey(*control.groups())
                text = text[control.end() :]
            else:
                self._write(text[0])
                text = text[1:]

    def _obey(self, parameters: str, command: str) -> None:
        match command:
            case "m":
                odd = set(parameters.split(";")) - _ATTRIBUTES - _COLOURS
                assert not odd, f"not readable on every background: {odd}"
            case "A":
                self._row = max(0, self._row - int(parameters or 1))
            case "K":
                self.lines[self._row] = ""
            case "h" | "l":
                assert parameters == "?25", parameters
                self.cursor_is_shown = command == "h"
            case _:
                raise AssertionError(f"ESC [ {parameters} {command}")

    def _write(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._next()
        else:
            assert category(character) not in {"Cc", "Cf"}, f"{character!r} in {self.lines}"
            if self._column == self._width:
                self._column = 0
                self._next()
            line = self.lines[self._row].ljust(self._column)
            self.lines[self._row] = line[: self._column] + character + line[self._column + 1 :]
            self._column += 1

    def _next(self) -> None:
        self._row += 1
        if self._row == len(self.lines):
            self.lines.append("")

    @property
    def text(self) -> str:
        return "\n".join(map(str.rstrip, self.lines))

    @property
    def words(self) -> str:
        """All words, as if no line was broken between two of them."""
        return " ".join(self.text.split())


class Terminal:
    """A command that runs on a terminal of its own."""

    def __init__(self, width: int) -> None:
        self.screen = Screen(width)
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, width, 0, 0))
        self._bytes = b""
        asyncio.get_running_loop().add_reader(self._master, self._read)

    @property
    def name(self) -> str:
        return os.ttyname(self._slave)

    def _read(self) -> None:
        self._bytes += os.read(self._master, 65_536)
        text = self._bytes.decode("utf-8", "ignore")
        # The end of what was read may be the first half of a character or of an escape.
        cut = re.search(r"\x1b\[?[0-9;?]*$", text)
        text = text[: cut.start()] if cut else text
        self._bytes = self._bytes[len(text.encode()) :]
        self.screen.feed(text)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(15):
            while not condition():
                await asyncio.sleep(0.01)

    async def shows(self, words: str) -> None:
        """Wait until the screen shows these words."""
        await self.until(lambda: words in self.screen.words)

    async def close(self) -> None:
        # The command has ended, so all that it wrote can be read now.
        await asyncio.sleep(0.05)
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._master)
        os.set_blocking(self._master, False)
        try:
            while True:
                self._read()
        except BlockingIOError:
            pass
        os.close(self._slave)
        os.close(self._master)


class Shell:
    """Starts commands, one after the other, in one folder."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path, env: dict[str, str]) -> None:
        self._process = process
        self._folder = folder
        self.env = env
        self.pid = 0
        self.code: int | None = None

    @asynccontextmanager
    async def start(
        self, *args: str, width: int = 120, streams: Mapping[int, str] | None = None
    ) -> AsyncIterator[Terminal]:
        """Start a command, and wait at the end of the block until it has ended."""
        terminal = Terminal(width)
        command = {
            "terminal": terminal.name,
            "args": args,
            "env": self.env,
            "streams": streams or {},
            "folder": str(self._folder),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        self.pid, self.code = await self._answer(), None
        try:
            yield terminal
            self.code = await self._answer()
        finally:
            if self.code is None:
                os.kill(self.pid, signal.SIGKILL)
                await self._answer()
            await terminal.close()

    async def _answer(self) -> int:
        assert self._process.stdout is not None
        return int(await anyio.to_thread.run_sync(self._process.stdout.readline))

    async def run(
        self, *args: str, width: int = 120, streams: Mapping[int, str] | None = None
    ) -> Screen:
        """Run a command to its end, and return what the terminal shows then."""
        async with self.start(*args, width=width, streams=streams) as terminal:
            pass
        return terminal.screen


@contextmanager
def start_shells() -> "Iterator[subprocess.Popen[str]]":
    """Start the process that all shells of a module start their commands with."""
    hidden = ("OPENAPI_", "GATEWAY_SMS", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PYTEST")
    inherited = {name: one for name, one in os.environ.items() if not name.startswith(hidden)}
    with subprocess.Popen(
        [sys.executable, str(CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=inherited | {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
    ) as process:
        yield process
