"""Events as OpenTelemetry spans and metrics, read back from the SDK's own exporters in memory."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from gateway_sms_async import (
    BulkSendError,
    CloseEvent,
    GatewayClient,
    GatewayError,
    RetryPolicy,
    __version__,
)
from gateway_sms_async.otel import OTelEvents
from gateway_sms_async.testing import Fault, Simulator

A = "+39-3401234567"
NUMBERS = [f"+39-3402{i:06}" for i in range(100)]
QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01)
SENDING: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}


class Collected:
    """The providers of one test, and the spans and metrics they have collected."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.telemetry = OTelEvents(tracer_provider=self.tracers, meter_provider=self.meters)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def metrics(self) -> dict[str, Any]:
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        (resource,) = data.resource_metrics
        (scope,) = resource.scope_metrics
        assert (scope.scope.name, scope.scope.version) == ("gateway_sms_async", __version__)
        return {metric.name: metric for metric in scope.metrics}

    def values(self, name: str) -> dict[Any, float]:
        """Return the values of a metric by their attributes, without those of the server."""
        metric = self.metrics().get(name)
        points = [] if metric is None else metric.data.data_points
        return {
            "/".join(
                str(value)
                for key, value in sorted(point.attributes.items())
                if not key.startswith("server.")
            ): getattr(point, "value", getattr(point, "count", None))
            for point in points
        }


@pytest.fixture
def collected() -> Collected:
    return Collected()


@asynccontextmanager
async def traced(
    simulator: Simulator, collected: Collected, **settings: Any
) -> AsyncIterator[GatewayClient]:
    settings = {"rate": None, "timeout": 5, "retry": QUICK} | settings
    async with GatewayClient(
        simulator.token, base_url=simulator.url, on_event=collected.telemetry, **settings
    ) as client:
        yield client


# Spans


async def test_an_attempt_is_a_client_span(simulator: Simulator, collected: Collected) -> None:
    async with traced(simulator, collected) as client:
        message = await client.messages.send(**SENDING, recipients=A)
        await client.messages.get(message.id)
    port = int(simulator.url.rpartition(":")[2])
    send, get = collected.spans
    assert (send.name, get.name) == ("POST /messages/", "GET /messages/{id}")
    for span in (send, get):
        assert span.kind is SpanKind.CLIENT
        assert span.status.status_code is StatusCode.UNSET
        assert span.parent is None
        assert span.start_time is not None
        assert span.end_time is not None
        assert 0 < span.end_time - span.start_time < 5e9
        assert span.instrumentation_scope is not None
        assert span.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.29.0"
    assert dict(send.attributes or {}) == {
        "http.request.method": "POST",
        "http.response.status_code": 201,
        "server.address": "127.0.0.1",
        "server.port": port,
        "url.full": f"{simulator.url}/messages/",
        "url.template": "/messages/",
        "gateway_sms.operation": "send",
        "gateway_sms.message.id": message.id,
        "gateway_sms.outcome": "done",
    }
    assert (get.attributes or {})["url.full"] == f"{simulator.url}/messages/{message.id}"


async def test_a_number_in_a_path_is_redacted(simulator: Simulator, collected: Collected) -> None:
    async with traced(simulator, collected) as client:
        message = await client.messages.send(**SENDING, recipients=A)
        await client.messages.recipient(message.id, A)
    span = collected.spans[-1]
    full = f"{simulator.url}/messages/{message.id}/recipients/REDACTED"
    assert (span.attributes or {})["url.full"] == full
    assert span.name == "GET /messages/{id}/recipients/{number}"
    assert "3401234567" not in "".join(one.to_json() for one in collected.spans)


async def test_repeats_are_counted_and_errors_named(
    simulator: Simulator, collected: Collected
) -> None:
    async with traced(simulator, collected) as client:
        await client.messages.send(**SENDING, recipients=A)
        simulator.faults.add(Fault.status(503))
        simulator.faults.add(Fault.reset())
        await client.messages.list()
    first, second, third = collected.spans[1:]
    found = [dict(span.attributes or {}) for span in (first, second, third)]
    assert [one.get("http.request.resend_count") for one in found] == [None, 1, 2]
    assert [one.get("http.response.status_code") for one in found] == [503, None, 200]
    assert [one.get("error.type") for one in found] == ["503", "GatewayConnectionError", None]
    assert [one["gateway_sms.outcome"] for one in found] == ["ambiguous", "ambiguous", "done"]
    assert found[0]["gateway_sms.error_code"] == 503
    codes = [span.status.status_code for span in (first, second, third)]
    assert codes == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert collected.values("gateway_sms.retries") == {"read": 2}


async def test_attempts_belong_to_the_span_around_the_call(
    simulator: Simulator, collected: Collected
) -> None:
    tracer = collected.tracers.get_tracer("test")
    simulator.faults.add(Fault.status(503), on="list")
    async with traced(simulator, collected) as client:
        with tracer.start_as_current_span("one"):
            await client.messages.send(**SENDING, recipients=A)
            await client.messages.list()
        with tracer.start_as_current_span("campaign"):
            await client.send_bulk(NUMBERS, **SENDING, batch_size=10, recipients_per_message=30)
        with tracer.start_as_current_span("filling"):
            transaction = client.transaction(**SENDING, batch_size=10)
            await transaction.add(NUMBERS)
        with tracer.start_as_current_span("closing"):
            await transaction.close()
    roots = {span.context.span_id: span.name for span in collected.spans if span.parent is None}  # type: ignore[union-attr]
    assert sorted(roots.values()) == ["campaign", "closing", "filling", "one"]
    under: dict[str, list[str]] = {}
    for span in collected.spans:
        if span.parent is not None:
            operation = str((span.attributes or {})["gateway_sms.operation"])
            under.setdefault(roots[span.parent.span_id], []).append(operation)
    assert under["one"] == ["send", "read", "read"]
    assert {"open", "append", "read", "close"} == set(under["campaign"])
    assert "open" in under["filling"]
    assert "close" in under["closing"]


async def test_concurrent_calls_keep_to_their_own_spans(
    simulator: Simulator, collected: Collected
) -> None:
    tracer = collected.tracers.get_tracer("test")
    simulator.faults.add(Fault.status(503), times=5)

    async def one(client: GatewayClient, name: str) -> None:
        with tracer.start_as_current_span(name):
            await client.messages.update("5af0c2a1d7e3b40001a2b3c4", recipients=A)

    async with traced(simulator, collected, concurrency=2) as client:
        calls = [one(client, str(at)) for at in range(10)]
        assert all(
            isinstance(error, GatewayError)
            for error in await asyncio.gather(*calls, return_exceptions=True)
        )
    roots = {span.context.span_id for span in collected.spans if span.parent is None}  # type: ignore[union-attr]
    parents = [span.parent.span_id for span in collected.spans if span.parent is not None]
    assert set(parents) == roots
    assert len(roots) == len(parents) == 10


async def test_what_never_reached_for_the_network_is_no_span(
    simulator: Simulator, collected: Collected
) -> None:
    simulator.faults.add(Fault.status(429, retry_after=200))
    async with traced(simulator, collected, retry=RetryPolicy(max_elapsed=0.5)) as client:
        for _ in range(3):
            with pytest.raises(GatewayError):
                await client.messages.list()
    (span,) = collected.spans
    assert (span.attributes or {})["error.type"] == "429"
    assert collected.values("gateway_sms.wait.duration") == {"read": 3}
    assert collected.values("gateway_sms.holds") == {"read": 1}


# Metrics


async def test_durations_are_in_seconds_and_in_the_recommended_buckets(
    simulator: Simulator, collected: Collected
) -> None:
    async with traced(simulator, collected) as client:
        await client.messages.send(**SENDING, recipients=A)
        with pytest.raises(GatewayError):
            await client.messages.get("5af0c2a1d7e3b40001a2b3c4")
    metric = collected.metrics()["http.client.request.duration"]
    assert metric.unit == "s"
    points = {point.attributes["http.request.method"]: point for point in metric.data.data_points}
    # fmt: off
    assert points["POST"].explicit_bounds == (
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
    )
    # fmt: on
    assert dict(points["GET"].attributes) == {
        "http.request.method": "GET",
        "http.response.status_code": 404,
        "error.type": "404",
        "server.address": "127.0.0.1",
        "server.port": int(simulator.url.rpartition(":")[2]),
        "url.template": "/messages/{id}",
    }
    assert 0 < points["POST"].sum < 5


async def test_what_became_of_messages_and_recipients(
    simulator: Simulator, collected: Collected
) -> None:
    simulator.gateway.unroutable.add(NUMBERS[7])
    async with traced(simulator, collected) as client:
        receipt = await client.send_bulk(
            NUMBERS, **SENDING, batch_size=10, recipients_per_message=50
        )
        message = await client.messages.send(**SENDING, recipients=A)
        simulator.faults.add(Fault.status(402, 201), on="append", times=None)
        with pytest.raises(BulkSendError):
            await client.send_bulk(NUMBERS, **SENDING, batch_size=10)
    assert collected.values("gateway_sms.recipients") == {"accepted": 100, "invalid": 1}
    assert collected.values("gateway_sms.messages") == {"closed": 3, "left_open": 1}
    batches = collected.values("gateway_sms.batches")
    assert batches["acknowledged"] > 5
    assert batches["unsent"] >= 1
    assert receipt.cost is not None
    assert message.price is not None
    (cost,) = collected.values("gateway_sms.cost").values()
    assert cost == pytest.approx(float(receipt.cost + message.price))


def test_what_must_not_happen_is_counted_too(collected: Collected) -> None:
    collected.telemetry(CloseEvent(result="unknown", message_id=None, unknown=5, price=Decimal(1)))
    collected.telemetry(CloseEvent(result="closed", message_id=None, doubled=2))
    collected.telemetry(CloseEvent(result="closed", message_id=None, price=Decimal(-1)))
    assert collected.values("gateway_sms.recipients") == {"unknown": 5, "doubled": 2}
    assert collected.values("gateway_sms.cost") == {}


async def test_how_a_client_stands_is_observed_until_it_is_closed(
    simulator: Simulator, collected: Collected
) -> None:
    simulator.faults.add(Fault.hang())
    async with traced(simulator, collected, concurrency=1) as client:
        collected.telemetry.observe(client, {"account": "one"})
        tasks = [asyncio.create_task(client.messages.list()) for _ in range(3)]
        while client.stats.waiting_interactive < 2:
            await asyncio.sleep(0.001)
        assert collected.values("gateway_sms.in_flight") == {"one": 1}
        assert collected.values("gateway_sms.waiting") == {"one/interactive": 2, "one/bulk": 0}
        assert collected.values("gateway_sms.held") == {"one": 0}
        assert collected.values("gateway_sms.campaigns") == {"one": 0}
        assert collected.values("gateway_sms.retry_budget.utilization") == {"one": 0}
        (point,) = collected.metrics()["gateway_sms.held"].data.data_points
        assert point.attributes["server.address"] == "127.0.0.1"
        tasks[0].cancel()
        await asyncio.wait(tasks)
    assert "gateway_sms.in_flight" not in collected.metrics()


async def test_a_client_is_not_kept_alive(simulator: Simulator, collected: Collected) -> None:
    client = GatewayClient(simulator.token, base_url=simulator.url)
    collected.telemetry.observe(client)
    del client
    gc.collect()
    collected.telemetry.observe(GatewayClient(simulator.token, base_url=simulator.url))
    assert len(collected.telemetry._observed) == 1
    assert "gateway_sms.in_flight" not in collected.metrics()


async def test_without_an_sdk_it_does_nothing(simulator: Simulator) -> None:
    telemetry = OTelEvents()
    async with GatewayClient(simulator.token, base_url=simulator.url, on_event=telemetry) as client:
        telemetry.observe(client)
        await client.messages.send(**SENDING, recipients=A)
    assert len(simulator.ledger) == 1


async def test_no_trace_header_is_sent(simulator: Simulator, collected: Collected) -> None:
    async with traced(simulator, collected) as client:
        with collected.tracers.get_tracer("test").start_as_current_span("around"):
            await client.messages.list()
    assert {"traceparent", "tracestate", "baggage"}.isdisjoint(simulator.requests[0].headers)


def test_the_package_does_not_import_opentelemetry() -> None:
    probe = (
        "import sys, gateway_sms_async as g; g.GatewayClient('token', on_event=g.LogEvents()); "
        "print([name for name in sys.modules if 'opentelemetry' in name])"
    )
    found = subprocess.run(
        [sys.executable, "-c", probe], check=True, capture_output=True, text=True
    ).stdout
    assert found.strip() == "[]"
