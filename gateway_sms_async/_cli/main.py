"""The app with all its commands.

`exit_codes` chooses the exit code of each.
"""

from typing import Annotated

import typer

from .. import __version__
from .app import app, join_lines

# Importing a module registers its commands; `--help` lists them in this order.
from .commands import messages, campaigns, journals, report, track, account, simulator  # isort: skip

__all__ = ["app"]

_COMMANDS = (messages, campaigns, journals, report, track, account, simulator)


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
