"""The app with all its commands.

`exit_codes` chooses the exit code of each.
"""

import sys
from typing import Annotated

import typer

from .. import __version__
from .app import app, join_lines, run
from .exit_codes import NOT_WRITTEN
from .terminal.console import print_status
from .terminal.streams import stdout_was_closed

# Importing a module registers its commands; `--help` lists them in this order.
from .commands import (  # isort: skip
    messages,
    campaigns,
    split,
    journals,
    report,
    track,
    account,
    simulator,
    postgres,
    worker,
)

__all__ = ["app", "start"]

_PRINTS_ONLY = frozenset({"-h", "--help", "--version"})

_COMMANDS = (
    messages,
    campaigns,
    split,
    journals,
    report,
    track,
    account,
    simulator,
    postgres,
    worker,
)


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer passes it by position
    if value:
        typer.echo(f"gateway-sms {__version__}")
        raise typer.Exit


@app.callback(
    help=join_lines("""Send text messages through Openapi's Gateway SMS, to one recipient or a million, none
    of them twice.

    Every command has its own help with examples: gateway-sms bulk --help

    Exit codes: 0 success; 1 failure, and nothing was sent; 2 wrong usage; 3 some recipients are
    invalid or did not get the text; 4 it is unknown whether something was sent; 5 not finished:
    resume, or ask again later; 6 success, but a file or the output could not be written; 129, 130
    and 143 interrupted."""),
    epilog="Try it without an account:\n\n"
    'gateway-sms bulk people.csv --sender ACME --body "Ciao {{name}}" --simulate',
)
def _main(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Handle the options that come before a command."""


def start() -> None:
    """Run the command line. Help that could not be written has an exit code that says so."""
    try:
        app(prog_name="gateway-sms")
    except SystemExit as ended:
        if ended.code or _PRINTS_ONLY.isdisjoint(sys.argv):
            raise
        sys.exit(run(_after_printing))


def _after_printing() -> int:
    if not stdout_was_closed():
        return 0
    print_status("gateway-sms: stdout is closed, so nothing was printed")
    return NOT_WRITTEN
