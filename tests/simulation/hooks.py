"""Hooks into the library: requests that leave, commits of the journal, and the clock."""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from gateway_sms_async._campaign import backlog
from gateway_sms_async._campaign.bookkeeping import Bookkeeping
from gateway_sms_async._http.transport import Transport
from gateway_sms_async._journal.store import Store
from gateway_sms_async._postgres.shards import PostgresShards
from gateway_sms_async._postgres.store import ClaimedJournal, NewJournal, OnlyJournal
from gateway_sms_async._shards.folder import ShardFolder
from gateway_sms_async._shards.spool import Spool
from tests.support.virtual_time import ReplayLoop

EPOCH = 1_700_000_000.0
"""The wall time when the loop's clock is zero."""

PointCallback = Callable[[str, str], None]
"""Called with the point ("request", "answer", "close answer", "commit") and its side ("before", "after").

And with the path of each request whose answer has "shown closed" its message, and when a campaign is
"over": its journal is closed then.
"""


@contextlib.contextmanager
def hooked(loop: ReplayLoop, passing: PointCallback) -> Iterator[None]:
    """Call `passing` for requests and commits, and use the loop's clock as wall clock."""
    with contextlib.ExitStack() as stack:

        def patch(owner: Any, name: str, value: Any) -> None:
            original = getattr(owner, name)
            setattr(owner, name, value)
            stack.callback(setattr, owner, name, original)

        attempt = Transport.attempt

        @functools.wraps(attempt)
        async def attempting(self: Any, *args: Any, depart: Any, **kwargs: Any) -> Any:
            async def leaving() -> None:
                await depart()
                passing("request", "before")
                loop.call_soon(passing, "request", "after")

            reply = await attempt(self, *args, depart=leaving, **kwargs)
            if _shows_closed(args[0], reply.status, reply.body):
                passing(args[1], "shown closed")
            # The answer is here, and nobody has seen it yet.
            passing("answer", "before")
            if b'"transaction":false' in (args[2] or b""):
                passing("close answer", "before")
            return reply

        patch(Transport, "attempt", attempting)
        close = Bookkeeping.close

        @functools.wraps(close)
        async def closing(self: Any) -> None:
            passing("", "over")
            await close(self)

        patch(Bookkeeping, "close", closing)
        for name in ("add_recipients", "publish", "commit"):
            patch(Store, name, _watched(getattr(Store, name), passing))
        for owner, name in ((Spool, "write"), (ShardFolder, "begin"), (ShardFolder, "publish")):
            patch(owner, name, _watched(getattr(owner, name), passing))
        for owner, name in (
            (NewJournal, "add_recipients"),
            (OnlyJournal, "publish"),
            (ClaimedJournal, "commit"),
            (PostgresShards, "publish"),
        ):
            patch(owner, name, _watched(getattr(owner, name), passing))
        # A row size of the journal that is no multiple of any batch size.
        patch(backlog, "_TOGETHER", 3)
        patch(time, "time", lambda: EPOCH + loop.time())
        yield


def _watched(write: Callable[..., Any], passing: PointCallback) -> Callable[..., Any]:
    @functools.wraps(write)
    def watched(*args: Any, **kwargs: Any) -> Any:
        passing("commit", "before")
        done = write(*args, **kwargs)
        passing("commit", "after")
        return done

    return watched


def _shows_closed(method: str, status: int, body: bytes) -> bool:
    """Return whether an answer to a request about one message shows that it is closed."""
    try:
        document = json.loads(body)
        if isinstance(document, str):
            document = json.loads(document)
        if status == 422:
            return bool(method == "DELETE" or document["error"] == 212)
        data = document["data"]
        one = data[0] if isinstance(data, list) else data
        return bool(status < 300 and one["transaction"] is False)
    except (ValueError, LookupError, TypeError):
        return False
