"""The alternatives, each used well: one shared client that keeps its connections.

httpx with `json=`, and the vendor's own SDK. The SDK is a thin `httpx.Client` that needs an older
httpx, so it is installed once into its own environment, and runs in its own process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from .floor import ONE, Request

SDK = "openapi-python-sdk==0.2.0"
_INSTALL_TIME = 180.0  # s


def _client(in_flight: int) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    headers = {"Authorization": "Bearer token"}
    return httpx.AsyncClient(http1=True, http2=False, limits=limits, headers=headers)


@asynccontextmanager
async def httpx_sending(url: str, in_flight: int) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    """Open a client, and yield a function that sends one message."""
    async with _client(in_flight) as client:

        async def send() -> None:
            (await client.post(f"{url}/messages/", json=ONE)).json()

        yield send


@asynccontextmanager
async def httpx_requesting(url: str, in_flight: int) -> AsyncGenerator[Request]:
    """Open a client, and yield a function that makes one request."""
    async with _client(in_flight) as client:

        async def request(method: str, path: str, payload: dict[str, Any] | None) -> str:
            data = (await client.request(method, url + path, json=payload)).json()["data"]
            message = data if method == "PUT" else data[0]
            return str(message["id"])

        yield request


def sdk_python() -> Path:
    """Return the Python with the vendor's SDK; raises RuntimeError if it cannot be installed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    here = f"{SDK.replace('==', '-')}-py{sys.version_info[0]}.{sys.version_info[1]}"
    folder = cache / "gateway-sms-async-benchmarks" / here
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "installed"
    if done.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    try:
        venv.create(folder, with_pip=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", SDK],
            check=True,
            capture_output=True,
            timeout=_INSTALL_TIME,
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise RuntimeError(f"{SDK} could not be installed ({type(error).__name__})") from error
    done.touch()
    return python


def sdk_cpu(python: Path, url: str, count: int) -> float:
    """Return CPU microseconds per send with the vendor's SDK, one send at a time."""
    script = Path(__file__).with_name("sdk_child.py")
    done = subprocess.run(
        [python, script, url, str(count)], check=True, capture_output=True, text=True
    )
    return float(done.stdout)
