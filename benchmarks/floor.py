"""The floor: the same requests by hand, with aiohttp and msgspec and nothing else.

It checks nothing, limits nothing and repeats nothing. No client on these two libraries can
cost less.
"""

import asyncio
from collections.abc import Iterator
from itertools import islice

import aiohttp
import msgspec


class Count(msgspec.Struct):
    count: int


class Counts(msgspec.Struct):
    valid: Count


class Message(msgspec.Struct):
    id: str
    transaction: bool
    recipients: Counts


class One(msgspec.Struct):
    data: Message


class Listed(msgspec.Struct):
    data: list[Message]


_encode = msgspec.json.Encoder().encode
_one = msgspec.json.Decoder(One)
_listed = msgspec.json.Decoder(Listed)
_HEADERS = {"Authorization": "Bearer token", "Content-Type": "application/json"}


async def send_many(url: str, count: int) -> None:
    """Send `count` messages one after another."""
    async with aiohttp.ClientSession() as session:
        for _ in range(count):
            body = _encode({"sender": "ACME", "body": "Ciao", "recipients": "+39-3401234567"})
            async with session.post(f"{url}/messages/", data=body, headers=_HEADERS) as response:
                _listed.decode(await response.read())


async def send_bulk(
    url: str, numbers: Iterator[str], *, batch_size: int, per_message: int, concurrency: int
) -> None:
    """Open, fill by concurrent PUTs, look, close, look; message after message."""
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector, headers=_HEADERS) as session:

        async def put(message_id: str, batch: list[str], *, last: bool) -> None:
            body = _encode({"recipients": batch, "transaction": not last})
            async with session.put(f"{url}/messages/{message_id}", data=body) as response:
                _one.decode(await response.read())

        async def look(message_id: str) -> None:
            async with session.get(f"{url}/messages/{message_id}") as response:
                _listed.decode(await response.read())

        async def work(message_id: str, batches: Iterator[list[str]]) -> None:
            for batch in batches:
                await put(message_id, batch, last=False)

        while first := list(islice(numbers, batch_size)):
            body = _encode(
                {"sender": "ACME", "body": "Ciao", "recipients": first, "transaction": True}
            )
            async with session.post(f"{url}/messages/", data=body) as response:
                message_id = _listed.decode(await response.read()).data[0].id
            rest = per_message - 2 * batch_size
            batches = iter(
                [list(islice(numbers, batch_size)) for _ in range(max(0, rest // batch_size))]
            )
            await asyncio.gather(*(work(message_id, batches) for _ in range(concurrency)))
            last = list(islice(numbers, batch_size))
            await look(message_id)
            await put(message_id, last, last=True)
            await look(message_id)
