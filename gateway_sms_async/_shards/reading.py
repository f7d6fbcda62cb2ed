"""What the journal of a campaign says, be it in one piece or in shards."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from heapq import merge
from typing import NamedTuple

from .._campaign import stored
from .._campaign.stored import purge_journal as purge_file
from .._journal.numbers import StoredRecipients
from .._journal.place import JournalLike
from .._receipt import Progress, Receipt
from ..errors import JournalError
from .account import read_accounts
from .disk import on_disk
from .receipt import progress_of, receipt_of, sum_of
from .store import ShardStore, open_store, read_shards

__all__ = [
    "JournalState",
    "journal_numbers",
    "purge_journal",
    "read_campaign",
    "read_journal",
    "read_state",
]


class JournalState(NamedTuple):
    """How far a campaign has come: its counts, how many shards it has, and which are not finished."""

    progress: Progress
    shards: int
    unfinished: list[int]


async def read_journal(journal: JournalLike) -> Receipt:
    """Return the receipt of a campaign from its journal. Makes no request.

    ```python
    receipt = await read_journal("campaign.db")
    print(receipt.accepted, "of", receipt.total, "is running" if receipt.running else "")
    ```

    Recipients on a message that may have been closed are `unknown`; recipients on no message are
    `unsent`. While another process has locked the journal, `running` is True, and the receipt is
    that of the moment: `unsent` then means not sent yet.

    Raises JournalError if the file cannot be read, JournalCorruptError if it is damaged.
    """
    return (await read_campaign(journal))[1]


async def read_campaign(journal: JournalLike) -> tuple[str, Receipt]:
    """Return the base URL that a journal's campaign was sent to, and its receipt."""
    async with _read(journal) as store:
        if store is None:
            return await stored.read_campaign(journal)
        accounts = await read_accounts(store)
        receipt = await on_disk(store, receipt_of, store, accounts)
        running = store.is_in_use and not all(one.finished for one in accounts)
        return accounts[0].settings.base_url, replace(receipt, running=running)


async def read_state(journal: JournalLike) -> JournalState:
    """Return how far a campaign has come, also while another process runs it. Reads no recipients."""
    async with _read(journal) as store:
        if store is None:
            progress, is_finished = await stored.read_state(journal)
            return JournalState(progress, 1, [] if is_finished else [0])
        accounts = await read_accounts(store)
        return JournalState(
            sum_of([progress_of(one) for one in accounts]),
            store.shards,
            [shard for shard, one in enumerate(accounts) if not one.finished],
        )


async def purge_journal(journal: JournalLike) -> None:
    """Delete the journal of a finished campaign, with the numbers and texts in it.

    Raises JournalError if the file cannot be read, if `journal` is a link to it, or if its campaign is
    not finished: then resume it first, or delete the file yourself if its outcome does not matter.
    Raises JournalLockedError while its campaign is running.
    """
    store = await open_store(journal)
    if store is None:
        await purge_file(journal)
        return
    try:
        for account in await read_accounts(store):
            if not account.finished:
                raise JournalError(
                    f"{account.journal}: the campaign in it is not finished; resume it first, or "
                    "delete it yourself"
                )
        await on_disk(store, store.remove)
    finally:
        await on_disk(store, store.close)


async def journal_numbers(journal: JournalLike) -> AsyncIterator[tuple[int, str]]:
    """Yield the numbers in a journal as the caller wrote them, each with its position in the source.

    A journal keeps no duplicates and no excluded numbers. Raises JournalError if the file cannot be
    read.
    """
    async with _read(journal) as store:
        if store is None:
            async for found in stored.journal_numbers(journal):
                yield found
            return
        for found in merge(*(_placed(store, shard) for shard in range(store.shards))):
            yield found


@asynccontextmanager
async def _read(journal: JournalLike) -> AsyncGenerator[ShardStore | None]:
    """Open a campaign in shards to read it; None if it is no such campaign."""
    store = await on_disk(journal, read_shards, journal)
    try:
        yield store
    finally:
        if store is not None:
            await on_disk(store, store.close)


def _placed(store: ShardStore, shard: int) -> Iterator[tuple[int, str]]:
    """Yield the numbers of a shard as written, each with its position in the whole source."""
    places = store.places(shard)
    stored = StoredRecipients(store.journal(shard), store.campaign)
    for position, number in stored.as_written():
        yield places[position], number
