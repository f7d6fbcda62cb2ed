"""The commands on a database of journals."""

import asyncio
from typing import Annotated

import typer

from ..._postgres.address import is_address
from ...postgres import PostgresJournal, PostgresJournals
from ..app import app, command
from ..options import option
from ..terminal.console import print_json, print_status

_postgres = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
app.add_typer(_postgres, name="postgres", help="Prepare PostgreSQL to keep journals, and see them.")

Address = Annotated[
    str,
    typer.Argument(metavar="ADDRESS", help="The database: postgresql://host/database."),
]

Journal = Annotated[
    str,
    typer.Argument(metavar="JOURNAL", help="The campaign: postgresql://host/database#NAME."),
]

Schema = Annotated[str, option("The schema of the tables.")]


@command("gateway-sms postgres install postgresql://localhost/sms", within=_postgres)
def install(address: Address, schema: Schema = "gateway_sms") -> None:
    """Create the tables that keep journals, unless they are there. May be repeated.

    Exit codes: 0 they are there; 1 they cannot be created; 2 wrong usage.
    """
    asyncio.run(_journals(address, schema).install())
    print_status(f"The tables of journals are in the schema {schema}.")


@command("gateway-sms postgres list postgresql://localhost/sms", within=_postgres)
def list_(address: Address, schema: Schema = "gateway_sms") -> None:
    """Print all campaigns in a database as JSON, the oldest first.

    Each has its name, how many shards there are, how many of them are finished, run now, or were set aside
    because one process after the other died at them, and, if it is stopped, why ("held").

    Exit codes: 0 printed; 1 the database cannot be read; 2 wrong usage.
    """
    listed = asyncio.run(_journals(address, schema).listed())
    print_json([one._asdict() for one in listed])


@command("gateway-sms postgres stop postgresql://localhost/sms#spring", within=_postgres)
def stop(journal: Journal, schema: Schema = "gateway_sms") -> None:
    """Stop a campaign in all processes, until `go-on`. They know within two seconds.

    Requests in flight complete, and no recipient is texted twice when it goes on.

    Exit codes: 0 stopped; 1 there is no such campaign, or the database cannot be used; 2 wrong usage.
    """
    place = _journal(journal, schema)
    asyncio.run(place.hold())
    print_status(
        f"Stopped: {place.name}. To let it go on: gateway-sms postgres go-on ...#{place.name}"
    )


@command("gateway-sms postgres go-on postgresql://localhost/sms#spring", within=_postgres)
def go_on(
    journal: Journal,
    schema: Schema = "gateway_sms",
    *,
    after_failover: Annotated[
        bool,
        option(
            "A standby took over, or a backup was restored. Only if it has all that was acknowledged, "
            "as a synchronous standby has, and the old database is not used any more: what is missing "
            "would be sent again."
        ),
    ] = False,
) -> None:
    """Let a campaign go on that was stopped, with the shards that were set aside.

    Sends nothing itself: the workers do, or `gateway-sms resume`.

    Exit codes: 0 it may go on; 1 there is no such campaign, or the database cannot be used; 2 wrong
    usage.
    """
    place = _journal(journal, schema)
    asyncio.run(place.go_on(after_failover=after_failover))
    print_status(f"{place.name} may go on.")


def _journals(address: str, schema: str) -> PostgresJournals:
    if not is_address(address):
        raise ValueError("the address of a database is postgresql://host/database")
    return PostgresJournals(address.rpartition("#")[0] or address, schema=schema)


def _journal(journal: str, schema: str) -> PostgresJournal:
    address, _, name = journal.rpartition("#")
    if not is_address(address) or not name:
        raise ValueError("the address of a campaign is postgresql://host/database#NAME")
    return PostgresJournals(address, schema=schema)[name]
