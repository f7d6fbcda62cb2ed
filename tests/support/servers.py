"""Real servers for tests: Redis, started once for a session and empty for each test."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

NEEDED = "GATEWAY_SMS_SERVERS"
"""In CI, where this variable is set, a missing server is an error."""


def need(program: str) -> str:
    """Return the path of a server's program, or skip the test."""
    if (found := shutil.which(program)) is None:
        if os.environ.get(NEEDED):
            raise RuntimeError(f"{program} is not installed, and {NEEDED} is set")
        pytest.skip(f"{program} is not installed")
    return found


class RedisServer:
    """A Redis server on a socket of its own, which a test may stop and start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "redis"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> None:
        program = need("redis-server")
        self._process = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", str(self._socket), "--save", ""],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        while not self._socket.exists():
            assert self._process.poll() is None, "redis-server has ended"
            time.sleep(0.005)

    def send_signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._socket.unlink(missing_ok=True)
            self._process = None


@contextmanager
def redis_server(folder: Path) -> Generator[RedisServer]:
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
