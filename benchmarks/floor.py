"""The floor: the same requests by hand, with aiohttp and msgspec only.

It has no checks, no limits and no retries, so no client on these two libraries can cost less.
`send_all` is also used for httpx: each candidate passes its own function to make a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import aiohttp
import msgspec

BATCH = 500
PER_MESSAGE = 20_000
CONCURRENCY = 8
ONE: dict[str, Any] = {"sender": "ACME", "body": "Ciao", "recipients": "+39-3401234567"}

Request = Callable[[str, str, dict[str, Any] | None], Awaitable[str]]
"""Makes one request with a method, a path and a payload; returns the message's id."""


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


class RecipientObject(msgspec.Struct, gc=False):
    number: str
    fields: dict[str, str]


_encode = msgspec.json.Encoder().encode
_one = msgspec.json.Decoder(One)
_listed = msgspec.json.Decoder(Listed)
_HEADERS = {"Authorization": "Bearer token", "Content-Type": "application/json"}


@asynccontextmanager
async def sending(url: str) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    """Open a session, and yield a function that sends one message."""
    async with aiohttp.ClientSession() as session:

        async def send() -> None:
            async with session.post(
                f"{url}/messages/", data=_encode(ONE), headers=_HEADERS
            ) as response:
                _listed.decode(await response.read())

        yield send


@asynccontextmanager
async def requesting(url: str, concurrency: int = CONCURRENCY) -> AsyncGenerator[Request]:
    """Open a session, and yield a function that makes one request."""
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector, headers=_HEADERS) as session:

        async def request(method: str, path: str, payload: dict[str, Any] | None) -> str:
            body = None if payload is None else _encode(payload)
            async with session.request(method, url + path, data=body) as response:
                content = await response.read()
            if method == "PUT":
                return _one.decode(content).data.id
            return _listed.decode(content).data[0].id

        yield request


def objects(batch: list[tuple[str, dict[str, str]]]) -> list[RecipientObject]:
    """Return recipients with fields in the form that is encoded fastest."""
    return [RecipientObject(number, fields) for number, fields in batch]


async def send_all(
    request: Request,
    recipients: Iterator[Any],
    count: int,
    *,
    body: str = "Ciao",
    pack: Callable[[list[Any]], Any] | None = None,
    batch_size: int = BATCH,
    per_message: int = PER_MESSAGE,
    concurrency: int = CONCURRENCY,
) -> None:
    """Send message after message: open, add by concurrent PUTs, read, close, read.

    `count` must be whole batches, at least two for each message. Recipients are taken from the
    iterator as they are sent: holding many of them would cost time in the garbage collector.
    """

    def next_batch() -> Any:
        batch = list(islice(recipients, batch_size))
        return batch if pack is None else pack(batch)

    async def append(message_id: str, between: Iterator[int]) -> None:
        for _ in between:
            payload = {"recipients": next_batch(), "transaction": True}
            await request("PUT", f"/messages/{message_id}", payload)

    for started in range(0, count, per_message):
        batches = min(per_message, count - started) // batch_size
        opening = {"sender": "ACME", "body": body, "recipients": next_batch(), "transaction": True}
        message_id = await request("POST", "/messages/", opening)
        between = iter(range(batches - 2))
        await asyncio.gather(*(append(message_id, between) for _ in range(concurrency)))
        await request("GET", f"/messages/{message_id}", None)
        closing = {"recipients": next_batch(), "transaction": False}
        await request("PUT", f"/messages/{message_id}", closing)
        await request("GET", f"/messages/{message_id}", None)
