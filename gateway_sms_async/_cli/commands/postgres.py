"""The commands on a database of journals."""

import asyncio
from typing import Annotated

import typer

from ..._postgres.address import is_address
from ...postgres import PostgresJournals
from ..app import app, command
from ..options import option
from ..terminal.console import print_json, print_status

_postgres = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
app.add_typer(_postgres, name="postgres", help="Prepare PostgreSQL to keep journals.")

Address = Annotated[
    str,
    typer.Argument(metavar="ADDRESS", help="The database: postgresql://host/database."),
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
    """Print the names of all journals in a database, as JSON, the oldest first.

    Exit codes: 0 printed; 1 the database cannot be read; 2 wrong usage.
    """
    print_json(asyncio.run(_journals(address, schema).names()))


def _journals(address: str, schema: str) -> PostgresJournals:
    if not is_address(address):
        raise ValueError("the address of a database is postgresql://host/database")
    return PostgresJournals(address.partition("#")[0], schema=schema)
