"""Events as OpenTelemetry spans and metrics. Needs the extra `otel`, and an SDK to collect them.

Names are those of the semantic conventions for HTTP clients where they define one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit
from weakref import ref

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider, get_tracer_provider

from ._client import GatewayClient
from ._events import AttemptEvent, BatchEvent, CloseEvent, Event, HoldEvent, RetryEvent, Stats
from ._version import __version__

__all__ = ["OTelEvents"]

Attributes = dict[str, str | int | float]
_SCHEMA = "https://opentelemetry.io/schemas/1.29.0"
_NAME = "gateway_sms_async"

# The buckets that the conventions recommend for http.client.request.duration; waits may be longer.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_WAITS = (*_SECONDS, 30, 60, 120, 300)
_FIRST_ERROR = 400


class OTelEvents:
    """Turns events into spans and metrics; for `GatewayClient(on_event=...)`.

    ```python
    from gateway_sms_async.otel import OTelEvents
    from gateway_sms_async.testing import Simulator

    telemetry = OTelEvents()
    async with Simulator() as simulator:
        async with GatewayClient(
            simulator.token, base_url=simulator.url, on_event=telemetry
        ) as gateway:
            telemetry.observe(gateway)
            await gateway.messages.send(
                sender="ACME", body="Ciao Anna", recipients="+39 340 1234567"
            )
    ```

    Spans: one of kind CLIENT for each attempt that used the network. Its parent is the current
    span of the call: for a campaign the span around `send_bulk`, for a transaction the span around
    the `add` or `close` that sent the request. A span covers the time from connecting to the end
    of the response, and is created when the attempt has ended. In `url.full`, phone numbers are
    replaced by REDACTED. No trace header is added to requests.

    Metrics: the histograms `http.client.request.duration` and `gateway_sms.wait.duration`, and the
    counters `gateway_sms.retries`, `.holds`, `.batches`, `.messages`, `.recipients` and `.cost`.
    Unsent recipients are not counted: they may be sent with another message. `observe` adds gauges
    of `gateway.stats`.

    - `tracer_provider`, `meter_provider`: the global ones if None.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        tracers = get_tracer_provider() if tracer_provider is None else tracer_provider
        meters = get_meter_provider() if meter_provider is None else meter_provider
        self._tracer = tracers.get_tracer(_NAME, __version__, schema_url=_SCHEMA)
        meter = meters.get_meter(_NAME, __version__, schema_url=_SCHEMA)
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._waited = meter.create_histogram(
            "gateway_sms.wait.duration",
            "s",
            "Time that attempts waited for a token, in the queue, and for the rate or a hold.",
            explicit_bucket_boundaries_advisory=_WAITS,
        )
        self._retries = meter.create_counter("gateway_sms.retries", "{retry}", "Retries of calls.")
        self._holds = meter.create_counter(
            "gateway_sms.holds", "{hold}", "Times that the gateway asked to wait."
        )
        self._batches = meter.create_counter(
            "gateway_sms.batches", "{batch}", "Batches of recipients whose request has ended."
        )
        self._messages = meter.create_counter(
            "gateway_sms.messages", "{message}", "Messages that have ended."
        )
        self._recipients = meter.create_counter(
            "gateway_sms.recipients", "{recipient}", "Recipients of messages that have ended."
        )
        self._cost = meter.create_counter(
            "gateway_sms.cost", "EUR", "Prices that the gateway named for closed messages."
        )
        self._observed: list[tuple[ref[GatewayClient], Attributes]] = []
        for name, unit, description, read in _GAUGES:
            meter.create_observable_gauge(name, [self._observing(read)], unit, description)

    def __call__(self, event: Event) -> None:
        """Record one event."""
        match event:
            case AttemptEvent():
                self._record_attempt(event)
            case RetryEvent():
                self._retries.add(1, _operation(event))
            case HoldEvent():
                self._holds.add(1, _operation(event))
            case BatchEvent():
                self._batches.add(1, {"gateway_sms.outcome": event.outcome})
            case CloseEvent():
                self._record_close(event)

    def observe(
        self, gateway: GatewayClient, attributes: Mapping[str, str | int | float] | None = None
    ) -> None:
        """Report `gateway.stats` as gauges too, until the client is closed.

        `attributes` distinguish several clients of one address.
        """
        combined = {**_server(gateway.base_url), **(attributes or {})}
        # Drop clients that no longer exist.
        self._observed = [one for one in self._observed if one[0]() is not None]
        self._observed.append((ref(gateway), combined))

    def _observing(
        self, read: Callable[[Stats], Iterable[tuple[float, Attributes]]]
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observations(_: CallbackOptions) -> Iterable[Observation]:
            # Runs on a thread of the exporter.
            for reference, attributes in tuple(self._observed):
                gateway = reference()
                stats = None if gateway is None else gateway.stats
                if stats is not None and stats.open:
                    for value, more in read(stats):
                        yield Observation(value, {**attributes, **more})

        return observations

    def _record_attempt(self, event: AttemptEvent) -> None:
        self._waited.record(event.waited, _operation(event))
        if event.duration is None:
            return
        attributes: Attributes = {
            "http.request.method": event.method,
            "url.template": event.url_template,
            **_server(event.base_url),
        }
        ended: Attributes = {}
        if event.status is not None:
            ended["http.response.status_code"] = event.status
        if event.error is not None:
            refused = event.status is not None and event.status >= _FIRST_ERROR
            ended["error.type"] = str(event.status) if refused else event.error
        self._duration.record(event.duration, {**attributes, **ended})
        self._record_span(event, attributes, ended)

    def _record_span(self, event: AttemptEvent, attributes: Attributes, ended: Attributes) -> None:
        assert event.duration is not None
        path = event.url_template.replace("{number}", "REDACTED")
        attributes["url.full"] = event.base_url + path.replace(
            "{id}", event.message_id or "REDACTED"
        )
        attributes["gateway_sms.operation"] = event.operation
        if event.message_id is not None:
            attributes["gateway_sms.message.id"] = event.message_id
        if event.tries > 1:
            attributes["http.request.resend_count"] = event.tries - 1
        if event.code is not None:
            ended["gateway_sms.error_code"] = event.code
        now = time.time_ns()
        span = self._tracer.start_span(
            f"{event.method} {event.url_template}",
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=now - round(event.duration * 1e9),
        )
        span.set_attributes({**ended, "gateway_sms.outcome": event.outcome})
        if event.error is not None:
            span.set_status(Status(StatusCode.ERROR))
        span.end(now)

    def _record_close(self, event: CloseEvent) -> None:
        self._messages.add(1, {"gateway_sms.result": event.result})
        for outcome, recipients in (
            ("accepted", event.accepted),
            ("invalid", event.invalid),
            ("doubled", event.doubled),
            ("unknown", event.unknown),
        ):
            if recipients:
                self._recipients.add(recipients, {"gateway_sms.fate": outcome})
        if event.result == "closed" and event.price is not None and event.price > 0:
            self._cost.add(float(event.price))


def _operation(event: AttemptEvent | RetryEvent | HoldEvent) -> Attributes:
    return {"gateway_sms.operation": event.operation}


@lru_cache(maxsize=16)
def _server(base_url: str) -> Attributes:
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname or "", "server.port": port}


def _queued(stats: Stats) -> Iterable[tuple[float, Attributes]]:
    yield stats.waiting_interactive, {"gateway_sms.line": "interactive"}
    yield stats.waiting_bulk, {"gateway_sms.line": "bulk"}


_GAUGES: tuple[tuple[str, str, str, Callable[[Stats], Iterable[tuple[float, Attributes]]]], ...] = (
    (
        "gateway_sms.in_flight",
        "{call}",
        "Calls in flight.",
        lambda stats: [(stats.in_flight, {})],
    ),
    ("gateway_sms.waiting", "{call}", "Calls that are queued.", _queued),
    (
        "gateway_sms.held",
        "s",
        "Time until requests are sent again after the gateway asked to wait.",
        lambda stats: [(stats.held_for, {})],
    ),
    (
        "gateway_sms.retry_budget.utilization",
        "1",
        "Share of the retry budget that is used up.",
        lambda stats: [(1 - stats.budget_left / stats.budget_capacity, {})],
    ),
    (
        "gateway_sms.campaigns",
        "{campaign}",
        "Running campaigns.",
        lambda stats: [(stats.campaigns, {})],
    ),
)
