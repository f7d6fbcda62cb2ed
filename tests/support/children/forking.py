"""A process that has imported everything, and forks a child for each line of its standard input."""

from __future__ import annotations

import os
import subprocess
import sys

from ...support.paths import ROOT


class ForkServer:
    """Such a process; usable from any event loop. With `unfenced`, its children write without a claim."""

    def __init__(self, module: str, *, unfenced: bool = False) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.support.children.{module}"],
            cwd=ROOT,
            env=os.environ | ({"UNFENCED": "1"} if unfenced else {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def request(self, line: str) -> str:
        """Write a line, and return the line that is the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def close(self) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(10)
