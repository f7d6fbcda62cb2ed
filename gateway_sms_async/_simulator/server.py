"""The simulator: the gateway's rules behind a real HTTP server on this machine.

Tests and users start it in their own event loop; the command line runs it on its own.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from aiohttp import web

from . import fault_effects as wire, outbox
from .callbacks import Caller, RecordedCallback
from .deliveries import Deliveries
from .dialect import Dialect
from .dispatch import PUTS, Arrival, Carrier
from .faults import Fault, Faults
from .gateway import DEFAULT_CREDIT, DEFAULT_PRICE, Gateway
from .oauth import OAuthService, read_path
from .outbox import Text
from .requests import OAUTH_PREFIX, UNKNOWN, RecordedRequest, read_target
from .responses import Answer

DEFAULT_TOKEN: Final = "simulator-token"  # noqa: S105 - opens nothing but the simulator


DEFAULT_EMAIL: Final = "simulator@example.com"


DEFAULT_API_KEY: Final = "simulator-key"


_SUMMARY_PATH: Final = "/_simulator"


_PATIENCE: Final = 0.05


_BACKLOG: Final = 1024


# What these do to a message has no like here: the request is carried out, or lost, in silence.
_NEVER_AT_OAUTH: Final = ("partial", "lost", "repeat")


_decode = msgspec.json.Decoder().decode


class _Listener(web.Server):
    """aiohttp's server, which in addition numbers the connections it accepts."""

    accepted = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.transports: dict[web.RequestHandler, asyncio.Transport] = {}
        self.numbers: dict[web.RequestHandler, int] = {}

    def connection_made(
        self,
        handler: web.RequestHandler,
        transport: asyncio.Transport,
    ) -> None:
        self.accepted += 1
        self.transports[handler] = transport
        self.numbers[handler] = self.accepted
        super().connection_made(handler, transport)

    def connection_lost(
        self,
        handler: web.RequestHandler,
        exc: BaseException | None = None,
    ) -> None:
        self.numbers.pop(handler, None)
        self.transports.pop(handler, None)
        super().connection_lost(handler, exc)


class Simulator:
    """An SMS gateway on `url`, for whoever brings `token`; an async context manager.

    It plays the OAuth service too, on `oauth_url`: whoever brings `email` and `api_key` makes
    tokens there, for the calls that their scopes name.

    `port=0` takes a free one; with `path` it listens on a Unix socket there instead. `credit` is
    in EUR and `price` in EUR per SMS part, `latency` in seconds added to each answer, `sent_after`
    and `delivered_after` in seconds after queueing by `clock` (wall seconds); `deliveries` says
    who is delivered later, or not at all. With `frozen` the clock stands still, and only
    `advance` moves it. `keep_requests` bounds `requests` and `callbacks` (None: all are kept).

    A message's `callback_url`, if on this machine, is told of each change of its state (to 1 when
    sent, to 2 when everybody is final): `callback_times` times each, and with
    `callbacks_in_order` false of the last one first, when all are due.

    While it runs: `faults` says what goes wrong, `requests` what has arrived (oldest first),
    `ledger` who was texted how often, `gateway` holds the messages, `oauth` the account and the
    tokens made for it, `tokens` those accepted besides,
    `callbacks` the calls made, and those left out because their host is another machine.
    `delay`, if set, says how many seconds a request waits before it is carried out; one that
    `Fault.late` puts off is not asked about.
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
        self._carrier = Carrier(self.gateway)
        self._caller = Caller(
            self.gateway,
            self.now,
            times=callback_times,
            in_order=callbacks_in_order,
            keep=keep_requests,
        )
        self._host = host
        self._port = port
        self._path = None if path is None else Path(path)
        self._keep_requests = keep_requests
        self._operations: Counter[str] = Counter()
        self._listener: _Listener | None = None
        self._socket: asyncio.Server | None = None
        self._serving: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end; known once the simulator listens."""
        if self._path is not None:
            return "http://localhost"
        if not self._port:
            raise RuntimeError("the simulator has no port yet: use it in 'async with'")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def oauth_url(self) -> str:
        """The address of the OAuth service, without a slash at the end."""
        return self.url + OAUTH_PREFIX

    @property
    def ledger(self) -> Counter[str]:
        """How often each number was texted: on closed messages, simulated sends left out."""
        return self.gateway.ledger

    @property
    def texts(self) -> list[Text]:
        """Everything that was texted, message after message; as the ledger counts it."""
        return list(outbox.texts(self.gateway.messages.values()))

    def sent_to(self, number: str) -> list[str]:
        """Return the texts to a number, which may be written in any international way."""
        wanted = outbox.digits(number)
        return [text.body for text in self.texts if outbox.digits(text.number) == wanted]

    def assert_sent(self, expected: Mapping[str, str | Iterable[str]]) -> None:
        """Assert that exactly these were texted: number to text, or to several texts.

        What is wrong is said line by line, with whole numbers: this is a tool for tests.
        """
        if found := outbox.differences(self.texts, expected):
            raise AssertionError(f"what was sent is not what was expected:\n{found}")

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
        """Let the next request fail: without an answer, or with an HTTP `status`.

        `on` is a method or an operation as for `Faults.add`, which takes other faults; with
        `after_apply` the gateway carries the request out before. `error` is the code in the
        envelope of a `status`, `retry_after` its header. `times=None` is for ever.
        """
        if status is None and (error is not None or retry_after is not None):
            raise ValueError("error and retry_after belong to an answer: give its status")
        fault = Fault.reset(after_apply=after_apply)
        if status is not None:
            fault = Fault.status(status, error, retry_after=retry_after, after_apply=after_apply)
        self.faults.add(fault, on=on, times=times)

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._listener.accepted if self._listener else 0

    @property
    def callbacks(self) -> list[RecordedCallback]:
        """The callbacks made so far, the oldest first."""
        return self._caller.made

    def now(self) -> float:
        """Return the time that messages live by, in wall seconds."""
        return (self._clock() if self._frozen_at is None else self._frozen_at) + self._ahead

    async def advance(self, seconds: float) -> None:
        """Put the clock forward; return when the callbacks that are due by then were made."""
        if seconds < 0:
            raise ValueError("the clock only goes forward")
        self._ahead += seconds
        self._look_at_callbacks()
        await self._caller.settle()

    def _look_at_callbacks(self) -> None:
        self._caller.look(clock_runs=self._frozen_at is None)

    async def __aenter__(self) -> Self:
        self._listener = _Listener(
            self._serve,
            handler_cancellation=True,  # a fault that waits ends when its client leaves
            access_log=None,
        )
        await self.start_listening()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.stop_listening()
        finally:
            self.land_late()
            await self._caller.close()

    async def serve_forever(self, announce: Callable[[str], object] | None = None) -> None:
        """Listen, pass the URL to `announce`, and serve until cancelled."""
        async with self:
            if announce is not None:
                announce(self.url)
            await wire.until_gone()

    async def start_listening(self) -> None:
        """Accept connections (again), on the same port or path as before."""
        if self._listener is None:
            raise RuntimeError("the simulator is not running: use it in 'async with'")
        if self._socket is None:
            self._socket = await self._listen(self._listener)

    async def _listen(self, listener: _Listener) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        if self._path is not None:
            return await loop.create_unix_server(listener, self._path, backlog=_BACKLOG)
        server = await loop.create_server(listener, self._host, self._port, backlog=_BACKLOG)
        self._port = server.sockets[0].getsockname()[1]
        return server

    async def stop_listening(self) -> None:
        """Refuse new connections and drop those there are; requests under way get no answer."""
        if self._socket is None or self._listener is None:
            return
        self._socket.close()
        self._socket = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        self._listener.pre_shutdown()
        for transport in self._listener.transports.values():
            transport.abort()  # a client that does not read would hold a polite close up
        # All is said; from here on we only wait for it, and may be cancelled meanwhile.
        await asyncio.gather(*serving, return_exceptions=True)
        await self._listener.shutdown(_PATIENCE)
        await asyncio.sleep(0)  # transports report their end in the loop's next round

    def land_late(self) -> int:
        """Carry out now what faults have put off, and return how many requests that were."""
        return self._carrier.land_late()

    def summary(self) -> dict[str, object]:
        """Return counts, as `GET /_simulator` shows them to another process."""
        messages = self.gateway.messages.values()
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
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            raw = await request.content.read()
            if request.path == _SUMMARY_PATH:
                return web.json_response(self.summary())
            if request.path.startswith(f"{OAUTH_PREFIX}/"):
                return await self._serve_oauth(request, raw)
            arrival = self._record(request, raw)
            record = arrival.record
            if arrival.target is UNKNOWN:
                record.status = 404
                return wire.page(404)
            fault = self.faults.take(record)
            before, after = self._waits(arrival, fault)
            if before:
                await asyncio.sleep(before)
            answer, fault = self._carrier.carry(arrival, fault)
            self._look_at_callbacks()
            if after:
                await asyncio.sleep(after)
            if fault is None or fault.answers:
                record.status = (fault and fault.code) or answer.status
            return (
                wire.respond(answer) if fault is None else await wire.play(fault, request, answer)
            )
        except ConnectionResetError:
            # The client has left in the middle of it, which is nobody's fault here.
            return await wire.until_gone()
        finally:
            self._serving.discard(task)

    def _waits(self, arrival: Arrival, fault: Fault | None) -> tuple[float, float]:
        """Return how long the request waits before and after it is carried out."""
        if fault is not None and fault.kind == "late":
            return 0, self.latency  # it must be put off before its client can leave
        before = self.delay(arrival.record) if self.delay else 0
        if arrival.seen is not None:  # updates get lost between what was read and the answer
            return before + self.latency, 0
        return before, self.latency

    async def _serve_oauth(self, request: web.BaseRequest, raw: bytes) -> web.StreamResponse:
        operation, token = read_path(request.method, request.path)
        shown = request.path.replace(token, "...") if token else request.path
        record = self._note(request, shown, operation, _read_body(raw))
        if operation == "unknown":
            record.status = 404
            return wire.page(404)
        fault = self.faults.take(record)
        if waiting := self.latency + (self.delay(record) if self.delay else 0):
            await asyncio.sleep(waiting)
        undo = self.oauth.checkpoint()
        authorization = request.headers.get("authorization", "")
        answer = self.oauth.call(operation, token, authorization, record.body)
        if fault is None or fault.after_apply:
            record.applied = answer.body.get("success", True)
        else:
            undo()
        if fault is None or fault.answers:
            record.status = (fault and fault.code) or answer.status
        if fault is None or fault.kind in _NEVER_AT_OAUTH:
            return wire.respond(answer)
        return await wire.play(fault, request, answer)

    def _record(self, request: web.BaseRequest, raw: bytes) -> Arrival:
        method, path, body = request.method, request.path, _read_body(raw)
        strict_slashes = self.gateway.dialect.strict_slashes
        target = read_target(method, path, body, strict_slashes=strict_slashes)
        record = self._note(request, path, target.operation, body)
        is_put = target.operation in PUTS
        seen = self.gateway.look_up(target.message_id) if is_put else None
        return Arrival(record, target, self._refusal(request), seen)

    def _refusal(self, request: web.BaseRequest) -> Answer | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        is_bearer = scheme.lower() == "bearer"
        if is_bearer and token in self.tokens:
            return None
        return self.oauth.refusal(token if is_bearer else "", request.method)

    def _note(
        self, request: web.BaseRequest, path: str, operation: str, body: Any
    ) -> RecordedRequest:
        headers = {name.lower(): value for name, value in request.headers.items()}
        headers.pop("authorization", None)
        assert self._listener is not None
        record = RecordedRequest(
            method=request.method,
            path=path,
            operation=operation,
            body=body,
            headers=headers,
            at=asyncio.get_running_loop().time(),
            connection=self._listener.numbers.get(request.protocol, 0),
        )
        self._operations[operation] += 1
        if self._keep_requests != 0:
            self.requests.append(record)
            if self._keep_requests is not None:
                del self.requests[: -self._keep_requests]
        return record


def _read_body(raw: bytes) -> Any:
    try:
        return _decode(raw) if raw else None
    except msgspec.DecodeError:
        return None
