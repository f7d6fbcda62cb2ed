"""Real servers for tests, each on a socket of its own: Redis and PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest

NEEDED = "GATEWAY_SMS_SERVERS"
"""In CI, where this variable is set, a missing server is an error."""


def skip(program: str) -> NoReturn:
    """Skip the test, because a server's program is missing."""
    if os.environ.get(NEEDED):
        raise RuntimeError(f"{program} is not installed, and {NEEDED} is set")
    pytest.skip(f"{program} is not installed")


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
        program = shutil.which("redis-server") or skip("redis-server")
        self._process = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", str(self._socket), "--save", ""],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        while not self._answers():
            assert self._process.poll() is None, "redis-server has ended"
            time.sleep(0.005)

    def _answers(self) -> bool:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self._socket))
            client.sendall(b"PING\r\n")
            return client.recv(64) == b"+PONG\r\n"
        return False

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._socket.unlink(missing_ok=True)
            self._process = None


class PostgresServer:
    """A PostgreSQL server on a socket of its own, which a test may stop, pause and start.

    With `network`, other machines reach it, too.
    """

    def __init__(self, folder: Path, *, network: bool = False) -> None:
        self._folder = folder
        self._port = _free_port() if network else 0
        self._data = folder / "data"
        self._programs = postgres_programs()
        for program in ("initdb", "pg_ctl"):
            if program not in self._programs:
                skip(program)
        # PostgreSQL refuses to run as root.
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self._is_running = False

    @property
    def url(self) -> str:
        port = f"&port={self._port}" if self._port else ""
        return f"postgresql://postgres@/postgres?host={self._folder}{port}"

    def address(self, host: str) -> str:
        """Return the address of the server for a machine that reaches this one under `host`."""
        return f"postgresql://postgres@{host}:{self._port}/postgres"

    def start(self) -> None:
        if not self._data.exists():
            if self._as_user:
                shutil.chown(self._folder, "postgres")
            self._run("initdb", "-A", "trust", "-U", "postgres", "--no-sync")
        options = f"-k {self._folder} -c listen_addresses='' -c fsync=off"
        if self._port:
            with (self._data / "pg_hba.conf").open("a") as file:
                file.write("host all all 198.18.0.0/15 trust\n")
            options = f"-k {self._folder} -c listen_addresses='*' -p {self._port} -c fsync=off"
        self._run("pg_ctl", "-w", "-o", options, "-l", str(self._folder / "log"), "start")
        self._is_running = True

    def standby(self, folder: Path) -> PostgresServer:
        """Start a standby of this server."""
        copy = PostgresServer(folder)
        if self._as_user:
            shutil.chown(folder, "postgres")
        copied = [
            "-R",
            "-D",
            str(copy._data),
            "-h",
            str(self._folder),
            "-U",
            "postgres",
            "-c",
            "fast",
        ]
        copy._command("pg_basebackup", *copied)
        copy.start()
        return copy

    def promote(self) -> None:
        """Make a standby the primary."""
        self._run("pg_ctl", "-w", "promote")

    def pause(self) -> None:
        """Let no process of the server go on."""
        self._send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._is_running:
            self._run("pg_ctl", "-w", "-m", "immediate", "stop")
            self._is_running = False

    def _send_signal(self, number: int) -> None:
        main = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for process in (main, *map(int, children)):
            os.kill(process, number)

    def _run(self, program: str, *arguments: str) -> None:
        self._command(program, "-D", str(self._data), *arguments)

    def _command(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, self._programs[program], *arguments]
        # Not into a pipe: the server would keep it open.
        with (self._folder / "output").open("ab") as output:
            subprocess.run(command, cwd="/", stdout=output, stderr=output, check=True)


def postgres_programs() -> dict[str, str]:
    """Return the paths of the programs that start a PostgreSQL server, as far as they are found."""
    # Debian does not put them into the path.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    programs = ("initdb", "pg_ctl", "pg_basebackup")
    found = {program: shutil.which(program, path=path) for program in programs}
    return {program: at for program, at in found.items() if at is not None}


Server = RedisServer | PostgresServer


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("", 0))
        return int(one.getsockname()[1])


@contextmanager
def started(kind: str, *, network: bool = False) -> Generator[Server]:
    # The path of a socket is short, so not in the folder of the test.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        at = Path(folder)
        server = RedisServer(at) if kind == "redis" else PostgresServer(at, network=network)
        try:
            server.start()
            yield server
        finally:
            server.stop()
