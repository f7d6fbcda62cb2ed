"""What the journal of a campaign says, be it a file or a folder of shards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from heapq import merge
from os import PathLike

from .._campaign import stored
from .._campaign.stored import purge_journal as purge_file
from .._journal.numbers import numbers_as_written
from .._receipt import Progress, Receipt
from ..errors import JournalError
from .account import ShardAccount, read_account
from .folder import ShardFolder, is_sharded
from .receipt import progress_of, receipt_of, sum_of

__all__ = ["journal_numbers", "purge_journal", "read_campaign", "read_journal", "read_progress"]


async def read_journal(path: str | PathLike[str]) -> Receipt:
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
    return (await read_campaign(path))[1]


async def read_campaign(path: str | PathLike[str]) -> tuple[str, Receipt]:
    """Return the base URL that a journal's campaign was sent to, and its receipt."""
    if not is_sharded(path):
        return await stored.read_campaign(path)
    folder = ShardFolder.read(path)
    accounts = await _accounts(folder)
    receipt = receipt_of(folder, accounts)
    running = folder.is_in_use and not all(one.finished for one in accounts)
    return accounts[0].settings.base_url, replace(receipt, running=running)


async def read_progress(path: str | PathLike[str]) -> Progress:
    """Return how far a campaign has come that another process runs. Reads no recipients."""
    if not is_sharded(path):
        return await stored.read_progress(path)
    return sum_of([progress_of(one) for one in await _accounts(ShardFolder.read(path))])


async def purge_journal(path: str | PathLike[str]) -> None:
    """Delete the journal of a finished campaign, with the numbers and texts in it.

    Raises JournalError if the file cannot be read, if `path` is a link to it, or if its campaign is
    not finished: then resume it first, or delete the file yourself if its outcome does not matter.
    Raises JournalLockedError while its campaign is running.
    """
    if not is_sharded(path):
        await purge_file(path)
        return
    folder = ShardFolder.open(path)
    try:
        for account in await _accounts(folder):
            if not account.finished:
                raise JournalError(
                    f"{account.journal}: the campaign in it is not finished; resume it first, or "
                    "delete the folder yourself"
                )
        await asyncio.to_thread(folder.remove)
    finally:
        folder.close()


async def journal_numbers(path: str | PathLike[str]) -> AsyncIterator[tuple[int, str]]:
    """Yield the numbers in a journal as the caller wrote them, each with its position in the source.

    A journal keeps no duplicates and no excluded numbers. Raises JournalError if the file cannot be
    read.
    """
    if not is_sharded(path):
        async for found in stored.journal_numbers(path):
            yield found
        return
    folder = ShardFolder.read(path)
    for found in merge(*(_placed(folder, shard) for shard in range(folder.shards))):
        yield found


def _placed(folder: ShardFolder, shard: int) -> Iterator[tuple[int, str]]:
    """Yield the numbers of a shard as written, each with its position in the whole source."""
    places = folder.places(shard)
    for position, number in numbers_as_written(folder.journal(shard)):
        yield places[position], number


async def _accounts(folder: ShardFolder) -> Sequence[ShardAccount]:
    return [await read_account(folder.journal(shard)) for shard in range(folder.shards)]
