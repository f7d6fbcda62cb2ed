"""The floor: the same requests by hand, with aiohttp and msgspec and nothing else.

It checks nothing, limits nothing and repeats nothing. No client on these two libraries can
cost less. `send_everyone` is the same for the rivals: each brings its own way to make a request.
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
"""Makes one request of a method, a path and a payload; returns the message's id."""


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


class Person(msgspec.Struct, gc=False):
    number: str
    fields: dict[str, str]


_encode = msgspec.json.Encoder().encode
_one = msgspec.json.Decoder(One)
_listed = msgspec.json.Decoder(Listed)
_HEADERS = {"Authorization": "Bearer token", "Content-Type": "application/json"}


@asynccontextmanager
async def sending(url: str) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    """Open a session and yield what sends one message."""
    async with aiohttp.ClientSession() as session:

        async def send() -> None:
            async with session.post(
                f"{url}/messages/", data=_encode(ONE), headers=_HEADERS
            ) as response:
                _listed.decode(await response.read())

        yield send


@asynccontextmanager
async def requesting(url: str, concurrency: int = CONCURRENCY) -> AsyncGenerator[Request]:
    """Open a session and yield what makes the requests of a message with many recipients."""
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector, headers=_HEADERS) as session:

        async def request(method: str, path: str, payload: dict[str, Any] | None) -> str:
            body = None if payload is None else _encode(payload)
            async with session.request(method, url + path, data=body) as response:
                answer = await response.read()
            if method == "PUT":
                return _one.decode(answer).data.id
            return _listed.decode(answer).data[0].id

        yield request


def objects(batch: list[tuple[str, dict[str, str]]]) -> list[Person]:
    """Write recipients with fields the fastest way that there is."""
    return [Person(number, fields) for number, fields in batch]


async def send_everyone(
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
    """Open, fill by concurrent PUTs, look, close, look; message after message.

    `count` recipients are whole batches, at least two on each message. They are taken as they leave:
    holding many of them would cost time in the garbage collector.
    """

    def taken() -> Any:
        batch = list(islice(recipients, batch_size))
        return batch if pack is None else pack(batch)

    async def append(message_id: str, between: Iterator[int]) -> None:
        for _ in between:
            payload = {"recipients": taken(), "transaction": True}
            await request("PUT", f"/messages/{message_id}", payload)

    for begun in range(0, count, per_message):
        batches = min(per_message, count - begun) // batch_size
        opening = {"sender": "ACME", "body": body, "recipients": taken(), "transaction": True}
        message_id = await request("POST", "/messages/", opening)
        between = iter(range(batches - 2))
        await asyncio.gather(*(append(message_id, between) for _ in range(concurrency)))
        await request("GET", f"/messages/{message_id}", None)
        closing = {"recipients": taken(), "transaction": False}
        await request("PUT", f"/messages/{message_id}", closing)
        await request("GET", f"/messages/{message_id}", None)
