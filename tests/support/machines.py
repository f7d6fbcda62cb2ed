"""Machines as network namespaces, each with one cable to the database and one to the gateway.

Needs root, and `ip` of iproute2. A cable that is pulled loses packets without a word, as a broken
network does, and a cable that is put back delivers what TCP sends again.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from .servers import NEEDED

CABLES = ("database", "gateway")


class Machine:
    """One namespace. `hosts` are the addresses of this host at the other end of each cable."""

    def __init__(self, number: int) -> None:
        self._name = f"sms-{os.getpid()}-{number}"
        self._ends = {cable: f"s{os.getpid()}{cable[0]}{number}" for cable in CABLES}
        # In the range for tests of networks; other processes test at the same time.
        nets = ipaddress.ip_network("198.18.0.0/15")
        first = os.getpid() % 2**12 * 2**5 + number * 2**3
        self._nets = {cable: int(nets[0]) + first + at * 2**2 for at, cable in enumerate(CABLES)}
        self.hosts = {
            cable: str(ipaddress.ip_address(net + 1)) for cable, net in self._nets.items()
        }

    def build(self) -> None:
        _ip("netns", "add", self._name)
        _ip("-n", self._name, "link", "set", "lo", "up")
        for cable, end in self._ends.items():
            here, there = self.hosts[cable], ipaddress.ip_address(self._nets[cable] + 2)
            _ip("link", "add", end, "type", "veth", "peer", "name", cable, "netns", self._name)
            _ip("address", "add", f"{here}/30", "dev", end)
            _ip("-n", self._name, "address", "add", f"{there}/30", "dev", cable)
            _ip("link", "set", end, "up")
            _ip("-n", self._name, "link", "set", cable, "up")

    def pull(self, cable: str) -> None:
        """Lose every packet from now on."""
        _ip("link", "set", self._ends[cable], "down")

    def put_back(self, cable: str) -> None:
        _ip("link", "set", self._ends[cable], "up")

    def command(self, *command: str) -> list[str]:
        """Return what runs a command on this machine."""
        return ["ip", "netns", "exec", self._name, *command]

    def remove(self) -> None:
        for command in (
            *(["link", "delete", end] for end in self._ends.values()),
            ["netns", "delete", self._name],
        ):
            subprocess.run(["ip", *command], check=False, capture_output=True)


@contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """Yield machines; skip the test where they cannot be made."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        _skip("needs root, and ip of iproute2")
    made = [Machine(number) for number in range(1, count + 1)]
    try:
        try:
            for machine in made:
                machine.build()
        except subprocess.CalledProcessError as error:
            _skip(f"no network namespaces here: {error.stderr.strip()}")
        yield made
    finally:
        for machine in made:
            machine.remove()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def _skip(why: str) -> NoReturn:
    if os.environ.get(NEEDED) and os.geteuid() == 0:
        raise RuntimeError(f"{why}, and {NEEDED} is set")
    pytest.skip(why)
