"""Runs the command line again and again, each time in a process and on a terminal of its own.

It imports the command line once and forks for each command, which saves the time of a start. For each
line of JSON on stdin it prints the id of the process, then its exit code.
"""

import json
import os
import signal
import sys
from typing import Any

from gateway_sms_async.__main__ import main
from gateway_sms_async._cli import main as _commands  # noqa: F401 - imported before the fork


def become(command: dict[str, Any]) -> None:
    """Become a process that a user has started on a terminal."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The tests themselves may run under nohup, which leaves SIGHUP ignored.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # The first terminal that the leader of a session opens is the one that Ctrl-C comes from.
    terminal = os.open(command["terminal"], os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(terminal, number)
    os.close(terminal)
    for number, place in command["streams"].items():
        redirect(int(number), place)
    os.environ.update(command["env"])
    os.chdir(command["folder"])
    sys.stdin, sys.stdout, sys.stderr = (
        open_stream(number, mode) for number, mode in enumerate("rww")
    )
    sys.argv = ["gateway-sms", *command["args"]]


def redirect(number: int, place: str) -> None:
    if place == "closed":
        os.close(number)
    elif place == "gone":
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, number)
        os.close(writer)
    else:
        file = os.open(place, os.O_RDWR)
        os.dup2(file, number)
        os.close(file)


def open_stream(number: int, mode: str) -> Any:
    try:
        os.fstat(number)
    except OSError:  # as Python itself does
        return None
    stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
    if stream.isatty():
        stream.reconfigure(line_buffering=True)
    return stream


def answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def serve() -> None:
    for line in sys.stdin:
        command = json.loads(line)
        child = os.fork()
        if not child:
            become(command)
            main()
            os._exit(0)
        answer(child)
        answer(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    serve()
