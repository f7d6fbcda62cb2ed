"""The question before a large campaign: what is sent to how many, where, and for how much."""

from __future__ import annotations

import sys

import typer

from .._http.address import PRODUCTION, SANDBOX
from .._preview import Preview
from .exit_codes import FAILED, by_signal
from .terminal.console import print_status

ASK_ABOVE = 1_000
"""Recipients: a larger campaign is sent only after confirmation."""


def confirm(preview: Preview, *, sender: str, address: str, text: str) -> int:
    """Ask before a large campaign; return 0 for yes, else an exit code.

    `text` is what one of the recipients would get, and `address` is the gateway's. Raises ValueError
    if nobody can be asked.
    """
    if preview.recipients <= ASK_ABOVE:
        return 0
    if not _is_interactive():
        raise ValueError(
            f"this would send to {preview.recipients:,} recipients, and there is no terminal to ask "
            "on; nothing was sent. Add --yes to send without being asked"
        )
    print_status(f"Sender: {sender}. Gateway: {_name_of(address)}. A recipient gets, for example:")
    for line in text.split("\n"):
        print_status(f"  {line}")
    cost = "at a cost that is not known" if preview.cost is None else f"for {preview.cost:.2f} EUR"
    question = f"Send {preview.parts:,} parts to {preview.recipients:,} recipients now, {cost}?"
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        return by_signal()
    return 0 if agreed else FAILED


def _name_of(address: str) -> str:
    name = {PRODUCTION: "production", SANDBOX: "the sandbox"}.get(address)
    return address if name is None else f"{name} ({address})"


def _is_interactive() -> bool:
    # A stream is None if the command was started with it closed.
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))
