"""The app with all its commands."""

from typing import Annotated

import typer

from .. import __version__
from .app import app

# Importing a module registers its commands; `--help` lists them in this order.
from .commands import messages, campaigns, journals, report, track, account, simulator  # isort: skip

__all__ = ["app"]

_COMMANDS = (messages, campaigns, journals, report, track, account, simulator)


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer's own way to call it
    if value:
        typer.echo(f"gateway-sms {__version__}")
        raise typer.Exit


@app.callback(
    epilog="Begin without an account:\n\n"
    'gateway-sms bulk people.csv --sender ACME --body "Ciao {{name}}" --simulate'
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
    """Send text messages by Openapi's Gateway SMS, one or a million, nobody twice.

    Exit codes: 0 all accepted, 1 a failure, 2 wrong use, 3 some recipients invalid or without the
    text, 4 it is not known whether something was sent, 5 not at its end: resume, or ask again, 130
    and 143 interrupted.
    """
