"""A process that serves one of the examples on a socket that it inherits, until SIGTERM.

The tests of the examples start it; the working directory is where the example keeps its files.
"""

import importlib
import socket
import sys
from pathlib import Path


def main(name: str, descriptor: int) -> None:
    sys.path.insert(0, str(Path(__file__).parent / "examples"))
    app = importlib.import_module(name).app
    listening = socket.socket(fileno=descriptor)
    if name == "aiohttp_app":
        from aiohttp import web

        web.run_app(app, sock=listening, print=None)
    else:
        import uvicorn

        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
        server.run([listening])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
