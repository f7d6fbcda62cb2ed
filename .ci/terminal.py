"""Draws docs/terminal.svg from a real run of `gateway-sms bulk --simulate`: python .ci/terminal.py.

The command runs in a pseudo-terminal, so the picture shows what a user sees. Run it again when the
command line prints something else, and look at the picture before you commit it. (Not on Windows.)
"""

import io
import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "terminal.svg"
COMMAND = (
    "gateway-sms bulk tests/data/campaign.csv"
    ' --sender ACME --body "Ciao {{name}}" --simulate > receipt.json'
)
COLUMNS = 124
INVALID_ONLY = 3  # the exit code: finished, and the list holds invalid numbers on purpose


def run(command: str) -> str:
    """Return what a command writes to the terminal; its stdout goes to a file, as it asks for."""
    terminal, inside = pty.openpty()
    termios.tcsetwinsize(inside, (40, COLUMNS))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        environment.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        words, _, file = command.partition(" > ")
        with (Path(folder) / file).open("wb") as receipt:
            process = subprocess.Popen(
                shlex.split(words), cwd=ROOT, env=environment, stdout=receipt, stderr=inside
            )
            os.close(inside)
            written = bytearray()
            try:
                while chunk := os.read(terminal, 65_536):
                    written += chunk
            except OSError:  # how Linux reports that the other end was closed
                pass
            if process.wait() != INVALID_ONLY:
                raise SystemExit(written.decode())
    os.close(terminal)
    return written.decode()


def on_screen(written: str) -> str:
    """Return what stays on the screen: progress bars overwrite their line, or erase it at the end."""
    lines = [""]
    row = 0
    for part in re.split(r"(\r?\n|\r|\x1b\[1A|\x1b\[2K|\x1b\[\?25[hl])", written):
        if part.endswith("\n"):
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\x1b[1A":
            row -= 1
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part != "\r" and not part.startswith("\x1b[?25"):
            lines[row] += part
    return "\n".join(lines).rstrip()


def main() -> None:
    """Run the command and write the picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "bold green"), (COMMAND, "bold")))
    console.print(Text.from_ansi(on_screen(run(COMMAND))))
    console.print(Text.assemble(("$ ", "bold green")))
    picture = console.export_svg(title="gateway-sms", unique_id="terminal")
    # The fonts are those of the reader's machine: nothing is loaded from elsewhere.
    picture = re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    PICTURE.write_text(picture.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
