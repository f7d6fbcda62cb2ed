"""One server for all tests, and a schema of its own for each."""

from collections.abc import Iterator
from itertools import count

import pytest

from gateway_sms_async.postgres import PostgresJournals

from ..support.servers import PostgresServer, started

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with started("postgres") as server:
        assert isinstance(server, PostgresServer)
        yield server


@pytest.fixture
async def journals(postgres: PostgresServer) -> PostgresJournals:
    made = PostgresJournals(postgres.url, schema=f"test_{next(_numbers)}")
    await made.install()
    return made
