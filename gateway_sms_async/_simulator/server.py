"""The simulator: the gateway and the OAuth service behind a real HTTP server on this machine.

Tests start it in their own event loop, or in a thread; the command line runs it alone.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from . import fault_effects, outbox, undocumented
from .callbacks import CallbackSender, RecordedCallback
from .deliveries import Deliveries
from .dialect import Dialect
from .dispatch import PUTS, Arrival, Dispatcher
from .faults import Fault, Faults
from .gateway import DEFAULT_CREDIT, DEFAULT_PRICE, Gateway
from .home_loop import HomeLoop
from .listener import Listener
from .oauth import OAuthService
from .oauth_v1 import call_v1
from .outbox import Text
from .requests import (
    OAUTH_PREFIX,
    UNKNOWN,
    OAuthRequest,
    RecordedRequest,
    read_body,
    read_oauth_target,
    read_target,
)
from .responses import Response

DEFAULT_TOKEN: Final = "simulator-token"  # noqa: S105 - opens nothing but the simulator
DEFAULT_EMAIL: Final = "simulator@example.com"
DEFAULT_API_KEY: Final = "simulator-key"
_SUMMARY_PATH: Final = "/_simulator"
_LOWEST_FAILURE: Final = 300
_HIGHEST_STATUS: Final = 599

# These faults concern messages. At the OAuth service the request is applied once, or lost, and the
# response is the usual one.
_SILENT_AT_OAUTH: Final = ("partial", "lost", "repeat", "mixed_up", "closed_by_others")


class Simulator:
    """An SMS gateway for tests, on a local HTTP server; used with `with` or `async with`.

    ```python
    from gateway_sms_async.testing import Simulator

    with Simulator() as simulator:
        async with GatewayClient(simulator.token, base_url=simulator.url) as gateway:
            await gateway.messages.send(
                sender="ACME", body="Ciao Anna", recipients="+39 340 1234567"
            )
        simulator.assert_sent({"+39 340 1234567": "Ciao Anna"})
    ```

    With `with` it runs in a thread of its own. That suits every kind of test, also one without
    asyncio, which advances the clock with `asyncio.run(simulator.advance(3600))`. With `async with`
    it runs in the event loop of the test, which must be the loop that also awaits the client.

    The gateway listens on `url` and accepts `token`. The OAuth service listens on `oauth_url`:
    there `email` and `api_key` create tokens for the calls that their scopes name.

    - `host`, `port`: where to listen; port 0 picks a free one.
    - `path`: listen on a Unix socket at this path instead.
    - `credit`: in EUR; `price`: in EUR per SMS part.
    - `dialect`: settings for what the vendor's documentation leaves open.
    - `latency`: seconds added to each response.
    - `sent_after`, `delivered_after`: seconds after queueing until recipients are sent and
      delivered; `deliveries` varies them, and lets some recipients fail.
    - `clock`: the wall clock of messages, in seconds. With `frozen` it stands still, and only
      `advance` moves it.
    - `callback_times`: how often each callback is made. With `callbacks_in_order` false, a
      message's callbacks are made once all are due, the last state first.
    - `keep_requests`: the most entries kept in `requests` and `callbacks`; None keeps all.

    A message's `callback_url`, if it is on this machine, is called when the state of the message
    becomes 1 (sent) and 2 (all recipients final).

    While it runs:

    - `faults`: the faults that apply to the next requests.
    - `delay`: a function, or None, that returns the seconds a request waits before it is applied;
      it is not called for a request that `Fault.late` delays.
    - `requests`: the requests that arrived, oldest first.
    - `ledger`: how often each number was texted; `texts`: each text.
    - `gateway`: the messages; `oauth`: the account and the tokens created for it.
    - `tokens`: the other tokens that the gateway accepts, at first only `token`.
    - `callbacks`: the callbacks made, and those skipped because their host is another machine.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        path: str | os.PathLike[str] | None = None,
        token: str = DEFAULT_TOKEN,
        email: str = DEFAULT_EMAIL,
        api_key: str = DEFAULT_API_KEY,
        credit: Decimal | int | str = DEFAULT_CREDIT,
        price: Decimal | int | str = DEFAULT_PRICE,
        dialect: Dialect | None = None,
        latency: float = 0.0,
        sent_after: float = 1.0,
        delivered_after: float = 3.0,
        deliveries: Deliveries | None = None,
        clock: Callable[[], float] = time.time,
        frozen: bool = False,
        callback_times: int = 1,
        callbacks_in_order: bool = True,
        keep_requests: int | None = None,
    ) -> None:
        self.token = token
        self.tokens: set[str] = {token}
        self._clock = clock
        self._frozen_at = clock() if frozen else None
        self._ahead = 0.0
        self.gateway: Gateway = Gateway(
            credit=Decimal(credit),
            price=Decimal(price),
            dialect=dialect,
            sent_after=sent_after,
            delivered_after=delivered_after,
            deliveries=deliveries,
            clock=self.now,
        )
        self.email = email
        self.api_key = api_key
        self.oauth: OAuthService = OAuthService(
            email=email, api_key=api_key, clock=self.now, credit=lambda: self.gateway.credit
        )
        self.faults: Faults = Faults()
        self.requests: list[RecordedRequest] = []
        self.latency = latency
        self.delay: Callable[[RecordedRequest], float] | None = None
        self._dispatcher = Dispatcher(self.gateway)
        self._callback_sender = CallbackSender(
            self.gateway,
            self.now,
            times=callback_times,
            in_order=callbacks_in_order,
            keep=keep_requests,
        )
        self._keep_requests = keep_requests
        self._operations: Counter[str] = Counter()
        self._listener = Listener(self._serve, host=host, port=port, path=path)
        self._home = HomeLoop()

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash; known once the simulator listens."""
        return self._listener.url

    @property
    def oauth_url(self) -> str:
        """The base URL of the OAuth service, without a trailing slash."""
        return self.url + OAUTH_PREFIX

    @property
    def ledger(self) -> Counter[str]:
        """How often each number was texted: on closed messages, test sends excluded.

        `ledger[number]` takes any international form, and raises ValueError for another text.
        """
        return outbox.Ledger(self.gateway.ledger)

    @property
    def texts(self) -> list[Text]:
        """Every text that was sent, message after message; the same that `ledger` counts."""
        # A copy, because a simulator in a thread may get a message meanwhile.
        return list(outbox.texts(list(self.gateway.messages.values())))

    def sent_to(self, number: str) -> list[str]:
        """Return the texts sent to a number, written in any international form.

        Raises ValueError for a text that is no such number.
        """
        return outbox.sent_to(self.texts, number)

    def assert_sent(self, expected: Mapping[str, str | Iterable[str]]) -> None:
        """Assert that exactly these texts were sent: a dict of number to text or texts.

        The AssertionError has one line per difference, with full numbers: this is a tool for
        tests.
        """
        if found := outbox.differences(self.texts, expected):
            raise AssertionError(f"the texts sent are not the texts expected:\n{found}")

    def fail_next(
        self,
        on: str = "*",
        *,
        after_apply: bool = False,
        status: int | None = None,
        error: int | None = None,
        retry_after: float | str | None = None,
        times: int | None = 1,
    ) -> None:
        """Let the next request fail: with a reset connection, or with an HTTP `status`.

        - `on`: an HTTP method, an operation or "*", as for `Faults.add`, which takes other faults.
        - `after_apply`: the gateway applies the request before it fails.
        - `status`, `error`, `retry_after`: the HTTP status, the error code in its envelope, and
          the Retry-After header, in seconds or as a date.
        - `times`: how many requests fail; None means every one.
        """
        if status is None and (error is not None or retry_after is not None):
            raise ValueError("error and retry_after need a status")
        if status is not None and not _LOWEST_FAILURE <= status <= _HIGHEST_STATUS:
            raise ValueError(f"status={status} is no failure: give one from 300 to 599")
        fault = Fault.reset(after_apply=after_apply)
        if status is not None:
            fault = Fault.status(status, error, retry_after=retry_after, after_apply=after_apply)
        self.faults.add(fault, on=on, times=times)

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._listener.accepted

    @property
    def callbacks(self) -> list[RecordedCallback]:
        """The callbacks made so far, oldest first."""
        return self._callback_sender.made

    def now(self) -> float:
        """Return the simulator's time, in wall seconds."""
        return (self._clock() if self._frozen_at is None else self._frozen_at) + self._ahead

    async def advance(self, seconds: float) -> None:
        """Advance the clock, and wait until the callbacks that are then due have been made."""
        if seconds < 0:
            raise ValueError("seconds must not be negative: the clock only advances")
        await self._home.run(self._advance(seconds))

    async def _advance(self, seconds: float) -> None:
        self._ahead += seconds
        self._start_callbacks()
        await self._callback_sender.settle()

    def _start_callbacks(self) -> None:
        self._callback_sender.start_due(clock_runs=self._frozen_at is None)

    def __enter__(self) -> Self:
        self._home.start_thread(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._home.stop_thread()

    async def __aenter__(self) -> Self:
        self._home.settle()
        await self._listener.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._listener.stop()
        finally:
            self.land_late()
            await self._callback_sender.close()

    async def serve_forever(self, announce: Callable[[str], object] | None = None) -> None:
        """Listen, pass the URL to `announce`, and serve until cancelled."""
        async with self:
            if announce is not None:
                announce(self.url)
            await fault_effects.until_gone()

    async def start_listening(self) -> None:
        """Accept connections again, on the same port or path as before."""
        await self._home.run(self._listener.start())

    async def stop_listening(self) -> None:
        """Refuse new connections and drop the existing ones; requests in flight get no response."""
        await self._home.run(self._listener.stop())

    def land_late(self) -> int:
        """Apply now the requests that faults have delayed, and return how many there were."""
        return self._dispatcher.land_late()

    def summary(self) -> dict[str, object]:
        """Return counts, as `GET /_simulator` shows them to another process."""
        messages = list(self.gateway.messages.values())
        ledger = self.ledger
        open_messages = sum(message.is_open for message in messages)
        return {
            "messages": len(messages),
            "open": open_messages,
            "closed": len(messages) - open_messages,
            "recipients": ledger.total(),
            "distinct": len(ledger),
            "doubled": sum(times > 1 for times in ledger.values()),
            "requests": dict(self._operations),
            "credit": f"{self.gateway.credit:f}",
        }

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            raw = await request.content.read()
            if request.path == _SUMMARY_PATH:
                return web.json_response(self.summary())
            if request.path.startswith(f"{OAUTH_PREFIX}/"):
                return await self._serve_oauth(request, raw)
            arrival = self._arrive(request, raw)
            record = arrival.record
            if arrival.target is UNKNOWN:
                return self._refuse(record, self._is_call(record.path))
            fault = self.faults.take(record)
            before, after = self._waits(arrival, fault)
            if before:
                await asyncio.sleep(before)
            response, fault = self._dispatcher.dispatch(arrival, fault)
            self._start_callbacks()
            if after:
                await asyncio.sleep(after)
            status = response.status
            record.status = status if fault is None else fault.shown_status(status)
            return (
                fault_effects.respond(response)
                if fault is None
                else await fault_effects.play(fault, request, response)
            )
        except ConnectionResetError:
            # The client has disconnected while the response was written: not an error here.
            return await fault_effects.until_gone()

    def _waits(self, arrival: Arrival, fault: Fault | None) -> tuple[float, float]:
        """Return the seconds that the request waits before and after it is applied."""
        if fault is not None and fault.kind == "late":
            return 0, self.latency  # it must be delayed before its client can disconnect
        before = self.delay(arrival.record) if self.delay else 0
        if arrival.seen is not None:  # an update is lost between the read and the response
            return before + self.latency, 0
        return before, self.latency

    async def _serve_oauth(self, request: web.BaseRequest, raw: bytes) -> web.StreamResponse:
        method = self._method(request)
        target = read_oauth_target(method, request.path)
        path = request.path.replace(f"/{target.token}", "/...") if target.token else request.path
        record = self._record(request, path, target.operation, read_body(raw))
        if target.operation == "unknown":
            return self._refuse(
                record, lambda other: read_oauth_target(other, request.path).operation != "unknown"
            )
        fault = self.faults.take(record)
        if wait := self.latency + (self.delay(record) if self.delay else 0):
            await asyncio.sleep(wait)
        undo = self.oauth.checkpoint()
        authorization = request.headers.get("authorization", "")
        call = OAuthRequest(target, method, request.query, authorization, record.body)
        response = call_v1(self.oauth, call) if target.version == 1 else self.oauth.call(call)
        if fault is None or fault.after_apply:
            record.applied = response.body.get("success", True)
        else:
            undo()
        record.status = response.status if fault is None else fault.shown_status(response.status)
        if fault is None or fault.kind in _SILENT_AT_OAUTH:
            return fault_effects.respond(response)
        return await fault_effects.play(fault, request, response)

    def _method(self, request: web.BaseRequest) -> str:
        """Return the method that a request counts as: a HEAD is a GET, unless it is refused."""
        is_get = request.method == "HEAD" and not self.gateway.dialect.unknown_as_page
        return "GET" if is_get else request.method

    def _refuse(self, record: RecordedRequest, is_call: Callable[[str], bool]) -> web.Response:
        """Answer a request that is no call; `is_call`: whether another method would make it one."""
        as_page = self.gateway.dialect.unknown_as_page
        answer = undocumented.answer(record.method, is_call, as_page=as_page)
        record.status = answer.status
        return answer

    def _is_call(self, path: str) -> Callable[[str], bool]:
        strict = self.gateway.dialect.strict_slashes
        return lambda method: read_target(method, path, None, strict_slashes=strict) is not UNKNOWN

    def _arrive(self, request: web.BaseRequest, raw: bytes) -> Arrival:
        method, path, body = self._method(request), request.path, read_body(raw)
        strict_slashes = self.gateway.dialect.strict_slashes
        target = read_target(method, path, body, strict_slashes=strict_slashes)
        record = self._record(request, path, target.operation, body)
        is_put = target.operation in PUTS
        seen = self.gateway.look_up(target.message_id) if is_put else None
        return Arrival(record, target, self._refusal(request), seen)

    def _refusal(self, request: web.BaseRequest) -> Response | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        is_bearer = scheme.lower() == "bearer"
        if is_bearer and token in self.tokens:
            return None
        return self.oauth.refusal(token if is_bearer else "", self._method(request))

    def _record(
        self, request: web.BaseRequest, path: str, operation: str, body: Any
    ) -> RecordedRequest:
        headers = {name.lower(): value for name, value in request.headers.items()}
        headers.pop("authorization", None)
        record = RecordedRequest(
            method=request.method,
            path=path,
            operation=operation,
            body=body,
            headers=headers,
            at=asyncio.get_running_loop().time(),
            connection=self._listener.connection_number(request),
        )
        self._operations[operation] += 1
        if self._keep_requests != 0:
            self.requests.append(record)
            if self._keep_requests is not None:
                del self.requests[: -self._keep_requests]
        return record
