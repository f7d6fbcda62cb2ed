"""The client: checks the settings, opens and closes, hands out what sends.

The way in for users. Nothing is created before `open` runs inside an event loop.
"""

from __future__ import annotations

import asyncio
import copy
import math
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from decimal import Decimal
from http import HTTPStatus
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from ._arguments import (
    check_count,
    check_number,
    check_stop,
    check_timeout,
)
from ._auth.environment import token_source
from ._campaign.resume import resumed
from ._campaign.start import CampaignSettings, started
from ._connection import Connection, SessionSettings
from ._events import Event, Stats, check_listener, emitter
from ._http.address import check_proxy, choose_base_url
from ._http.retry import RetryPolicy, check_retry
from ._http.session import Session
from ._http.tokens import TokenSource
from ._http.transport import BaseConnector, ConnectorLike
from ._messages.api import message_path
from ._messages.draft import Draft, Options
from ._messages.messages import Messages
from ._receipt import Progress, Receipt
from ._recipients.batches import Batcher
from ._recipients.recipient import Recipients
from ._recipients.source import Source
from ._transaction.results import Results
from ._transaction.transaction import Transaction
from ._transaction.tuning import Tuning
from .errors import InvalidRequestError, NotFoundError
from .models import Message

if TYPE_CHECKING:
    from ._delivery.summary import DeliveryChange, DeliverySummary
    from .callbacks._callback import Callback

__all__ = ["GatewayClient"]

_DEFAULT_RETRY = RetryPolicy()


class GatewayClient:
    """A client of the Gateway SMS service. One serves many tasks of one event loop.

    - `token`: a token, or a source of tokens: an `ApiKey`, or anything with `async token()` and
      `async renew(rejected)`. None reads `OPENAPI_TOKEN`, else `OPENAPI_EMAIL` and
      `OPENAPI_API_KEY`.
    - `sandbox`: use the vendor's sandbox, which has tokens of its own. `base_url` names another
      address, https unless it is this machine's own; else `GATEWAY_SMS_BASE_URL` is used.
    - `rate`: requests a second, None for no limit; `burst`: how many may follow each other at
      once after a quiet time. At most `rate * W + burst` leave in any window of W seconds.
    - `concurrency`: requests under way at once. `timeout`: seconds for one attempt, body included.
    - `retry`: how often and how long one call is tried.
    - `connector`: an aiohttp connector, which is never closed here, or a function making one,
      which is. `proxy`: the address of an HTTP proxy.
    - `on_event`: called with an event for each attempt, hold and retry, each batch and each end
      of a message. It is called between two steps of the work, so it must be quick and must not
      wait. What it raises is logged and changes nothing.
    """

    def __init__(
        self,
        token: str | TokenSource | None = None,
        *,
        sandbox: bool = False,
        base_url: str | None = None,
        rate: float | None = 10.0,
        burst: int = 1,
        concurrency: int = 8,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        connector: ConnectorLike | None = None,
        proxy: str | None = None,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        if sandbox and base_url is not None:
            raise ValueError("give either sandbox=True or base_url, not both")
        self._base_url = choose_base_url(base_url, sandbox=sandbox)
        source = token_source(token, self._base_url)
        if rate is not None and not 0 < check_number("rate", rate) < math.inf:
            raise ValueError("rate is a positive number of requests a second, or None for no limit")
        self._concurrency = check_count("concurrency", concurrency)
        self._timeout = check_timeout(timeout)
        self._retry = check_retry(_DEFAULT_RETRY if retry is None else retry)
        if connector is not None and not (
            isinstance(connector, BaseConnector) or callable(connector)
        ):
            raise TypeError("connector must be an aiohttp connector, or a function that makes one")
        if proxy is not None:
            check_proxy(proxy)
        self._connection = Connection(
            SessionSettings(
                base_url=self._base_url,
                source=source,
                rate=rate,
                burst=check_count("burst", burst),
                concurrency=self._concurrency,
                timeout=self._timeout,
                policy=self._retry,
                connector=connector,
                proxy=proxy,
                emit=None if on_event is None else emitter(check_listener(on_event)),
            )
        )
        self._messages: Messages | None = None

    @property
    def base_url(self) -> str:
        """Where the requests go."""
        return self._base_url

    @property
    def credit(self) -> Decimal | None:
        """The credit that the newest answer named, in euro; None before the first."""
        session = self._connection.session
        return None if session is None else session.credit

    @property
    def stats(self) -> Stats:
        """How the client stands at this moment. May be asked at any time, and from any thread."""
        return self._connection.stats

    @property
    def messages(self) -> Messages:
        """The seven calls."""
        if self._messages is None or self._connection.closed:
            self._messages = Messages(self._view())
        return self._messages

    async def confirm(self, callback: Callback) -> Message | None:
        """Ask the gateway about the message of a callback; None when there is no such message.

        Callbacks are not signed: what this returns is so, what a callback says may be made up.
        For one recipient, `messages.recipient(callback.message_id, callback.number)` says more.
        Raises a GatewayError when the gateway cannot be asked. (`GET /messages/{id}`)
        """
        try:
            return await self.messages.get(callback.message_id)
        except NotFoundError:
            return None
        except InvalidRequestError as error:
            # 406: an id that the gateway cannot have given.
            if error.status != HTTPStatus.NOT_ACCEPTABLE:
                raise
            return None

    async def open(self) -> Self:
        """Open the client; the same as entering it."""
        await self._connection.open()
        return self

    async def aclose(self) -> None:
        """Stop what is running, as `stop` does, and close. May be called again."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def with_options(
        self, *, timeout: float | None = None, retry: RetryPolicy | None = None
    ) -> GatewayClient:
        """Return a view with other patience; connections, rate, budget and token are shared."""
        view = copy.copy(self)
        view._messages = None  # noqa: SLF001 - it is one of us
        if timeout is not None:
            view._timeout = check_timeout(timeout)  # noqa: SLF001
        if retry is not None:
            view._retry = check_retry(retry)  # noqa: SLF001
        return view

    def transaction(
        self,
        *,
        sender: str,
        body: str,
        priority: float | Decimal | None = None,
        options: Options | None = None,
        test: bool = False,
        batch_size: int = 500,
        concurrency: int | None = None,
    ) -> Transaction:
        """Return a builder for one message that many recipients are added to.

        `batch_size` recipients travel in one request, `concurrency` requests at once (the
        client's when None).
        """
        draft = Draft(sender=sender, body=body, priority=priority, options=options, test=test)
        session = self._view(bulk=True)
        return Transaction(
            session,
            draft,
            Results(Batcher(draft.placeholders, allow_missing_fields=False), session),
            Tuning(batch_size=check_count("batch_size", batch_size), per_message=sys.maxsize),
            permits=asyncio.Semaphore(self._check_concurrency(concurrency)),
        )

    async def send_bulk(
        self,
        recipients: Recipients,
        *,
        sender: str,
        body: str,
        priority: float | Decimal | None = None,
        options: Options | None = None,
        test: bool = False,
        batch_size: int = 500,
        concurrency: int | None = None,
        recipients_per_message: int = 20_000,
        careful: bool = False,
        verify: Literal["auto", "always"] = "auto",
        journal: str | PathLike[str] | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        stop: asyncio.Event | None = None,
        total: int | None = None,
        default_region: str | None = None,
        strict_numbers: bool = False,
        allow_missing_fields: bool = False,
        exclude: Iterable[str] | None = None,
        max_cost: Decimal | float | str | None = None,
        max_recipients: int | None = None,
    ) -> Receipt:
        """Send one text to everyone in a sync or async iterable, each number once.

        Recipients are taken ahead of the requests: at most two messages' worth with a `rate`, about
        200,000 without one. Each message holds up to `recipients_per_message` (at most 50,000). A recipient
        that cannot be sent to is named in the receipt and stops nothing; one without a field
        that the text uses is refused too unless `allow_missing_fields`.

        `default_region`, such as "IT", is the country of numbers without an international prefix,
        which are refused otherwise; `strict_numbers` refuses also those that no numbering plan has
        (both with the extra `phone`). Numbers in `exclude`, written in any of these ways, are not
        sent to and counted as excluded.

        No batch is sent twice into a message. Who is on a message is proven by its counts, or, as
        soon as anything was lost or does not fit, by its list of recipients after it was closed;
        who is proven to be missing goes to another message, in at most ten rounds. `careful` makes
        each message of one POST and one close, which is exact even behind a proxy that repeats
        requests; `verify="always"` reads the list of every message, about 1 kB a recipient.

        `journal` names a file that must not be there yet. The whole source is written to it before
        the first request, then everything that must be known after a crash: `resume_bulk` goes on
        from it. It holds numbers and texts, readable by its owner only.

        `max_recipients` and `max_cost` (in euro) stop before the close that would cross them.
        Messages that were opened and lost, or deleted, count towards `max_cost`; the recipients that
        come with a close are reckoned at the price of those already on the message.

        `on_progress` is called with a Progress at most four times a second and once at the end;
        `total` lets it tell the time left. Setting `stop` ends the campaign: nothing new
        leaves, what is under way has five seconds to land, and the receipt says where everyone
        is. Cancelling does the same, but leaves no receipt, only a last report of progress (and
        the journal): to stop on purpose, set `stop`.

        Raises BulkSendError, whose receipt accounts for everyone taken, when not everyone could
        be accepted; JournalError when the journal cannot be used and nothing was sent; ValueError
        or TypeError before any request.
        """
        source = Source(recipients)
        settings = CampaignSettings(
            sender=sender,
            body=body,
            priority=priority,
            options=options,
            test=test,
            batch_size=batch_size,
            concurrency=self._check_concurrency(concurrency),
            recipients_per_message=recipients_per_message,
            careful=careful,
            verify=verify,
            default_region=default_region,
            strict_numbers=strict_numbers,
            allow_missing_fields=allow_missing_fields,
            exclude=exclude,
            max_cost=max_cost,
            max_recipients=max_recipients,
        )
        check_stop(stop)
        campaign = await started(
            self._view(bulk=True),
            source,
            settings,
            base_url=self._base_url,
            journal=journal,
            on_progress=on_progress,
            total=total,
        )
        return await self._connection.run(campaign, stop)

    async def resume_bulk(
        self,
        journal: str | PathLike[str],
        *,
        on_progress: Callable[[Progress], object] | None = None,
        stop: asyncio.Event | None = None,
    ) -> Receipt:
        """Go on with a campaign from its journal, after a crash or a stop.

        Nobody is sent to again who may have been texted: messages that may be closed are looked
        at first. What is still unknown then stays so, and may be looked at again by another
        resume. A finished campaign returns its receipt; nothing is sent or asked.

        Raises JournalError when the journal cannot be used, or belongs to another address; and
        BulkSendError as `send_bulk` does.
        """
        check_stop(stop)
        campaign = await resumed(
            self._view(bulk=True),
            journal,
            base_url=self._base_url,
            concurrency=self._concurrency,
            on_progress=on_progress,
        )
        if isinstance(campaign, Receipt):
            return campaign
        return await self._connection.run(campaign, stop)

    def delivery(
        self, message_id: str, *, timeout: float | None = None
    ) -> AsyncIterator[DeliveryChange]:
        """Follow a message: yield each recipient when it is further on, until everybody is final.

        Looks at the message after ever longer pauses (at most a minute), behind the client's other
        calls. Its list of recipients, about 1 kB each, is read when the message has moved, but
        all in all at no more than 100 kB a second: one of 20,000 every 200 seconds. A state only
        moves forward; nobody is told of as pending. Looks that fail are taken again.

        Ends when everybody is final, or after `timeout` seconds (None: never). Raises
        NotFoundError; AuthenticationError; GatewayError when the message is open, has no
        recipients, goes out only after the timeout, or is not listed whole.
        (`GET /messages/{id}`, `GET /messages/{id}/recipients/`)
        """
        # Only here: who only sends starts sooner without it.
        from ._delivery.polling import follow  # noqa: PLC0415

        message_path(message_id)
        limit = None if timeout is None else check_timeout(timeout)
        return follow(self._view(bulk=True), message_id, timeout=limit)

    async def wait_delivered(
        self,
        message_ids: str | Iterable[str],
        *,
        timeout: float,
        on_progress: Callable[[DeliverySummary], object] | None = None,
    ) -> DeliverySummary:
        """Wait until everybody on these messages is final, or `timeout` seconds; say how far all is.

        Takes one id or several, such as a receipt's `message_ids`. Nothing but AuthenticationError
        is raised once a request was made: what cannot be waited for (a message that is open, has no
        recipients, goes out only after the timeout, or is not there) is said at once in its
        `MessageDelivery.unfinished`, and the others are waited for.

        Looks at each message after ever longer pauses (at most a minute), behind the client's other
        calls. The list of recipients is read when the message says that everybody is final, shortly
        before the timeout, and seldom in between, in case the message's statistics stand still;
        so `counts` move seldom, and `message.statistics` with each look. Eight bytes are kept a
        recipient. `on_progress` is called, and awaited where it is async, after each look; what it
        raises ends the waiting.
        (`GET /messages/{id}`, `GET /messages/{id}/recipients/`)
        """
        from ._delivery.polling import wait_until_final  # noqa: PLC0415

        return await wait_until_final(
            self._view(bulk=True),
            message_ids,
            timeout=check_timeout(timeout),
            on_progress=on_progress,
        )

    def _view(self, *, bulk: bool = False) -> Session:
        return self._connection.view(bulk=bulk, timeout=self._timeout, policy=self._retry)

    def _check_concurrency(self, concurrency: int | None) -> int:
        if concurrency is None:
            return self._concurrency
        if check_count("concurrency", concurrency) > self._concurrency:
            raise ValueError(f"concurrency is at most the client's, {self._concurrency}")
        return concurrency

    def __repr__(self) -> str:
        return f"GatewayClient(base_url={self._base_url!r})"
