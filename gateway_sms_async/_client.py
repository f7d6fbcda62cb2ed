"""The client: checks its settings, opens and closes, and offers everything that sends.

Creates nothing until `open` is called in a running event loop. Other modules do the actual work.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Iterable
from decimal import Decimal
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from ._arguments import (
    check_count,
    check_stop,
    check_timeout,
)
from ._auth.environment import token_source
from ._bulk import BulkSender
from ._campaign.start import CampaignSettings
from ._core import ClientCore, SessionSettings
from ._events import Event, Stats, check_listener, emitter
from ._http.address import choose_base_url
from ._http.retry import RetryPolicy, check_retry
from ._http.secret import Secret
from ._http.session import Session
from ._http.tokens import TokenSource
from ._http.transport import ConnectorLike
from ._journal.place import JournalLike
from ._messages.api import message_path
from ._messages.draft import Draft, Options
from ._messages.messages import Messages
from ._rate.shared import SharedRate
from ._receipt import Progress, Receipt
from ._recipients.recipient import Recipients, RowError
from ._recipients.source import Source
from ._transaction.transaction import Transaction
from .errors import BulkSendError, InvalidRequestError, NotFoundError
from .models import Message

if TYPE_CHECKING:
    from ._delivery.summary import DeliveryChange, DeliverySummary
    from .callbacks._callback import Callback

__all__ = ["GatewayClient", "bulk_of"]

_DEFAULT_RETRY = RetryPolicy()


class GatewayClient:
    """A client of the Gateway SMS service. One client serves many tasks of one event loop.

    ```python
    async with GatewayClient(rate=10) as gateway:
        message = await gateway.messages.send(sender="ACME", body="Ciao", recipients=recipients)
        print(message.id, message.price, gateway.credit)
    ```

    - `token`: a token, an `ApiKey`, or any object with `async token()` and
      `async renew(rejected)`. None reads the environment: `OPENAPI_TOKEN`, or else
      `OPENAPI_EMAIL` and `OPENAPI_API_KEY`.
    - `sandbox`: use the vendor's sandbox, which has tokens of its own.
    - `base_url`: a different server address. It must be https unless the host is this machine. None
      reads `GATEWAY_SMS_BASE_URL`.
    - `rate`: requests per second, None for no limit. A `SharedRate` is that of several processes.
    - `burst`: requests that may be sent back to back after an idle period, 1 by default. At most
      `rate * W + burst` requests are sent in any window of W seconds. A `SharedRate` has its own.
    - `concurrency`: requests in flight at once.
    - `timeout`: seconds for one attempt, including the body of the response.
    - `retry`: how often and for how long one call is attempted.
    - `connector`: an aiohttp connector, which the client never closes, or a function that returns
      one, which the client closes. `proxy`: the address of an HTTP proxy.
    - `on_event`: called with an event for each attempt, hold and retry, each batch and each end
      of a message. It is called synchronously in the middle of the work, so it must be quick and
      must not block. An exception it raises is logged and otherwise ignored.

    Raises ValueError or TypeError for an argument that cannot be used.
    """

    def __init__(
        self,
        token: str | TokenSource | None = None,
        *,
        sandbox: bool = False,
        base_url: str | None = None,
        rate: float | SharedRate | None = 10.0,
        burst: int | None = None,
        concurrency: int = 8,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        connector: ConnectorLike | None = None,
        proxy: str | None = None,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        token = Secret(token) if isinstance(token, str) else token
        if sandbox and base_url is not None:
            raise ValueError("give either sandbox=True or base_url, not both")
        self._base_url = choose_base_url(base_url, sandbox=sandbox)
        settings = SessionSettings(
            base_url=self._base_url,
            source=token_source(token, self._base_url),
            rate=rate,
            burst=burst,
            concurrency=concurrency,
            timeout=timeout,
            policy=_DEFAULT_RETRY if retry is None else retry,
            connector=connector,
            proxy=proxy,
            emit=None if on_event is None else emitter(check_listener(on_event)),
        )
        self._concurrency = concurrency
        self._timeout = timeout
        self._retry = settings.policy
        self._core = ClientCore(settings)
        self._bulk = BulkSender(
            self._core,
            base_url=self._base_url,
            concurrency=concurrency,
            timeout=timeout,
            policy=settings.policy,
        )
        self._messages: Messages | None = None

    @property
    def base_url(self) -> str:
        """The address that requests are sent to."""
        return self._base_url

    @property
    def credit(self) -> Decimal | None:
        """The credit in euro reported by the latest response; None before the first one."""
        session = self._core.session
        return None if session is None else session.credit

    @property
    def stats(self) -> Stats:
        """The client's figures at this moment. Safe to read at any time and from any thread."""
        return self._core.stats

    @property
    def messages(self) -> Messages:
        """The seven calls on messages."""
        if self._messages is None or self._core.closed:
            self._messages = Messages(self._view())
        return self._messages

    async def confirm(self, callback: Callback) -> Message | None:
        """Return the message of a callback from the gateway; None if there is no such message.

        Callbacks are not signed, so their content can be forged; the returned message is read from
        the gateway. For one recipient, `messages.recipient(callback.message_id, callback.number)`
        says more. Raises a GatewayError if the gateway cannot be asked. (`GET /messages/{id}`)
        """
        try:
            return await self.messages.get(callback.message_id)
        except NotFoundError:
            return None
        except InvalidRequestError as error:
            # 406: the gateway never assigns ids of this form.
            if error.status != HTTPStatus.NOT_ACCEPTABLE:
                raise
            return None

    async def open(self) -> Self:
        """Open the client, as `async with` does. Raises RuntimeError if it was closed."""
        await self._core.open()
        return self

    async def aclose(self) -> None:
        """Stop all campaigns, as setting `stop` would, and close the client. May be repeated."""
        await self._core.close()

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
        """Return a view with another timeout or retry policy; everything else is shared."""
        view = copy.copy(self)
        view._messages = None  # noqa: SLF001 - same class
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
        """Return a transaction: one message that recipients are added to until it is closed.

        ```python
        async with gateway.transaction(sender="ACME", body="Ciao") as transaction:
            await transaction.add(recipients)
        print(transaction.receipt.accepted)
        ```

        The first batch of `batch_size` recipients opens the message, each further one is added by
        one request, and leaving the block sends the message. `concurrency` requests are in flight
        at once; None uses the client's.

        Raises ValueError or TypeError for an argument that cannot be used, RuntimeError if the
        client is not open. (`POST /messages/` with `transaction`, then `PUT /messages/{id}`)
        """
        return Transaction(
            self._view(bulk=True),
            Draft(sender=sender, body=body, priority=priority, options=options, test=test),
            batch_size=check_count("batch_size", batch_size),
            concurrency=self._bulk.check_concurrency(concurrency),
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
        journal: JournalLike | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        stop: asyncio.Event | None = None,
        total: int | None = None,
        default_region: str | None = None,
        strict_numbers: bool = False,
        allow_missing_fields: bool = False,
        exclude: Iterable[str] | None = None,
        max_cost: Decimal | float | str | None = None,
        max_recipients: int | None = None,
        shards: int = 1,
    ) -> Receipt:
        """Send one text to all recipients of a sync or async iterable, to each number once.

        ```python
        receipt = await gateway.send_bulk(
            recipients, sender="ACME", body="Ciao", journal="campaign.db"
        )
        print(receipt.accepted, receipt.cost)
        ```

        Each message holds up to `recipients_per_message` recipients (at most 50,000), added in
        batches of `batch_size`. The source is read ahead of the requests: by at most two messages
        with a `rate`, by at most about 200,000 recipients without one. A recipient that cannot be
        sent to is listed in the receipt, and the campaign continues. A recipient without a field
        that the text uses is refused too, unless `allow_missing_fields`.

        `default_region`, such as "IT", is the country of numbers without an international prefix;
        without it they are refused. `strict_numbers` also refuses numbers that are not in any
        numbering plan. Both need the extra `phone`. Numbers in `exclude` may be written in any
        accepted form; they are skipped and counted as excluded.

        No batch is sent to the same message twice. The message's counts prove which recipients are
        on it. If a response was lost or the counts do not add up, the client reads the list of
        recipients after the close instead. Recipients that are proven missing go to another
        message, in at most ten rounds, the first included. With `careful`, each message is sent
        with one POST and one close, which is exact even behind a proxy that repeats requests.
        `verify="always"` reads the list of every message, about 1 kB a recipient.

        `journal` names a new file. The whole source is written to it before the first request, and
        then every later step, so that `resume_bulk` can continue after a crash. The file holds
        numbers and texts and is readable by its owner only.

        `shards`, from 2 to 1,000, is for lists of many millions: `journal` is then a folder with a
        journal for each shard, of half a million to a million recipients. Takes the memory of two
        shards instead of the whole list. A number is in one shard only. The list is read to its end
        before anything is sent, and an end before that sends nothing and names nobody. The numbers
        and outcomes in the receipt are read from the journals when they are used, which blocks, and
        its `elapsed` is the sum of all shards.

        `max_recipients` and `max_cost` (in euro) stop the campaign before it exceeds them;
        `resume_bulk` takes higher ones. The last message takes only as many recipients as still
        fit, at the highest price for one recipient so far. Messages that were opened and lost, or
        deleted, count towards `max_cost`. Recipients that are sent with a close are estimated at
        the price of those already on the message.

        `on_progress` is called with a Progress at most four times a second and once at the end; it
        includes the time left if the source has a length, or with `total`, the number of its
        recipients. Setting `stop` ends the campaign: nothing new is sent, requests in flight have
        five seconds to complete. Cancelling does the same but returns no receipt, only a last report
        of progress (and the journal). To stop on purpose, set `stop`.

        Whenever a campaign ends early, its receipt names every recipient of a source that has a
        length, such as a list: those that were not read yet are `unsent`. Another iterable may be
        endless, so it is read for five seconds after the end, and an async one is not read any
        more. `source_exhausted` is False if recipients may be left in the source. With a journal,
        all are named.

        Recipients may be invalid, even all of them: see `Receipt.all_accepted`.

        Raises BulkSendError, with that receipt, if not all recipients were accepted; JournalError
        if the journal cannot be used and nothing was sent; ValueError or TypeError before any
        request, also if the source begins with a row, such as a dict. (`POST /messages/`,
        `PUT /messages/{id}`, `GET /messages/{id}`, `GET /messages/{id}/recipients/`,
        `DELETE /messages/{id}`)
        """
        source = Source(recipients)
        settings = CampaignSettings(
            sender=sender,
            body=body,
            priority=priority,
            options=options,
            test=test,
            batch_size=batch_size,
            concurrency=self._bulk.check_concurrency(concurrency),
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
        try:
            return await self._bulk.send(
                source,
                settings,
                journal=journal,
                shards=shards,
                on_progress=on_progress,
                stop=stop,
                total=total,
            )
        except BulkSendError as error:
            if not isinstance(error.__cause__, RowError):
                raise
            row = error.__cause__
        # The first item was already wrong, so nothing was sent.
        raise row

    async def resume_bulk(
        self,
        journal: JournalLike,
        *,
        max_cost: Decimal | float | str | None = None,
        max_recipients: int | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        stop: asyncio.Event | None = None,
    ) -> Receipt:
        """Continue a campaign from its journal, after a crash or a stop.

        ```python
        receipt = await gateway.resume_bulk("campaign.db")
        if receipt.complete:
            await purge_journal("campaign.db")
        ```

        A recipient that may have been texted is never sent to again: messages that may be closed
        are looked up first. A recipient whose outcome stays unknown may be looked up again by
        another resume. For a finished campaign, returns its receipt and makes no request.
        `on_progress` and `stop` are as in `send_bulk`.

        `max_cost` (in euro) and `max_recipients` replace the limits that the campaign was started
        with, and hold for all of it, earlier runs included; None keeps those of the start. A limit
        that is reached already stops the campaign again. `max_cost=math.inf` removes that limit.
        They are not written to the journal: a later resume needs them again.

        Raises ValueError or TypeError for a limit that cannot be used; JournalError if the journal
        cannot be used or belongs to another base URL, among them JournalHeldError for a campaign that
        was stopped until it is let go on; and BulkSendError as `send_bulk` does.
        """
        check_stop(stop)
        return await self._bulk.resume(
            journal,
            max_cost=max_cost,
            max_recipients=max_recipients,
            on_progress=on_progress,
            stop=stop,
        )

    def delivery(
        self, message_id: str, *, timeout: float | None = None
    ) -> AsyncIterator[DeliveryChange]:
        """Follow a message: yield a change whenever a recipient's state advances, until all are final.

        Polls the message at growing intervals (at most a minute), behind the client's other calls.
        The list of recipients, about 1 kB each, is read when the message has changed, but on average
        at no more than 100 kB a second: a list of 20,000 every 200 seconds. States only advance, and
        no change is reported for a recipient that is still pending. Failed polls are retried.

        Ends when all recipients are final, or after `timeout` seconds (None: never). Raises
        NotFoundError; AuthenticationError; GatewayError if the message is open, has no recipients,
        is scheduled for after the timeout, or is not listed completely.
        (`GET /messages/{id}`, `GET /messages/{id}/recipients/`)
        """
        # Imported lazily: programs that only send need not pay for it at start-up.
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
        """Wait until all recipients of these messages are final, and return a summary.

        Waits for at most `timeout` seconds. Takes one id or several, such as a receipt's
        `message_ids`. After the first request only AuthenticationError is raised. A message that
        cannot be waited for (it is open, has no recipients, is scheduled for after the timeout, or
        does not exist) is reported at once in its `MessageDelivery.unfinished`, and the others are
        still waited for.

        Polls each message at growing intervals (at most a minute), behind the client's other calls.
        The list of recipients is read when the message says that all are final, shortly before the
        timeout, and rarely in between, in case the message's statistics do not advance. `counts`
        therefore change rarely, and `message.statistics` with every poll. Takes eight bytes of
        memory a recipient. `on_progress` is called, and awaited if it is async, after each poll;
        an exception it raises ends the wait.
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
        return self._core.view(bulk=bulk, timeout=self._timeout, policy=self._retry)

    def __repr__(self) -> str:
        # Also shown by the report of an error in the constructor, when there is no address yet.
        return f"GatewayClient(base_url={getattr(self, '_base_url', None)!r})"


def bulk_of(client: GatewayClient) -> BulkSender:
    """Return what runs the campaigns of a client, for the modules above this one."""
    return client._bulk  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - of this module
