"""One realtime message per minute: the second is refused with the seconds to wait, or it waits."""

import asyncio
from collections.abc import Callable

import pytest

from gateway_sms_async import BulkSendError, GatewayClient, Options, RateLimitError, RetryPolicy
from gateway_sms_async._http.limiter import RealtimePace
from gateway_sms_async.testing import Fault, Simulator

from ..support.accounting import check, number, numbers
from ..support.virtual_time import VirtualLoop, run

pytestmark = pytest.mark.anyio

NOW = Options(realtime=True)


def send(gateway: GatewayClient, n: int, **more: object):
    return gateway.messages.send(
        sender="ACME", body="123456", recipients=number(n), options=NOW, **more
    )


def test_the_pace():
    async def main(loop: VirtualLoop) -> None:
        pace = RealtimePace()
        assert await pace.ask("a") == 0
        assert await pace.ask("b") == pytest.approx(60)
        await asyncio.sleep(59)
        assert await pace.ask("b") == pytest.approx(1, abs=1e-3)
        await asyncio.sleep(1)
        assert await pace.ask("b") == 0
        await pace.not_sent("a")
        assert await pace.ask("c") == pytest.approx(60), "the minute of another message"
        await pace.not_sent("b")
        assert await pace.ask("c") == 0
        await asyncio.sleep(30)
        await pace.sent("c")
        assert await pace.ask("d") == pytest.approx(60)

    run(main)


async def test_a_second_one_is_refused_before_any_request(
    gateway: GatewayClient, simulator: Simulator
):
    await send(gateway, 1)
    sent = len(simulator.requests)
    with pytest.raises(RateLimitError, match="wait 60 s; nothing was sent") as caught:
        await send(gateway, 2)
    assert 59 < (caught.value.retry_after or 0) <= 60
    assert len(simulator.requests) == sent
    # Other messages are not delayed.
    await gateway.messages.send(sender="ACME", body="Ciao", recipients=number(3))
    assert dict(simulator.ledger) == {number(1): 1, number(3): 1}


async def test_views_share_the_pace(gateway: GatewayClient):
    await send(gateway.with_options(timeout=3), 1)
    with pytest.raises(RateLimitError):
        await send(gateway, 2)


async def test_what_was_not_sent_does_not_count(gateway: GatewayClient, simulator: Simulator):
    simulator.faults.add(Fault.status(402), on="send")
    with pytest.raises(Exception, match="402"):
        await send(gateway, 1)
    await send(gateway, 1)
    assert dict(simulator.ledger) == {number(1): 1}


async def test_one_that_is_cancelled_while_it_is_queued_does_not_count(simulator: Simulator):
    async with GatewayClient(
        simulator.token, base_url=simulator.url, rate=None, concurrency=1
    ) as gateway:
        simulator.faults.add(Fault.hang(), on="get")
        busy = asyncio.create_task(gateway.messages.get("0" * 24))
        await until(lambda: simulator.requests)
        queued = asyncio.create_task(send(gateway, 1))
        await asyncio.sleep(0.02)
        queued.cancel()
        busy.cancel()
        await asyncio.wait([queued, busy])
        await send(gateway, 2)
        with pytest.raises(RateLimitError):
            await send(gateway, 3)
    assert dict(simulator.ledger) == {number(2): 1}


async def test_one_that_is_cancelled_on_the_wire_counts(
    gateway: GatewayClient, simulator: Simulator
):
    simulator.faults.add(Fault.hang(after_apply=True), on="send")
    sending = asyncio.create_task(send(gateway, 1))
    await until(lambda: simulator.requests)
    sending.cancel()
    await asyncio.wait([sending])
    with pytest.raises(RateLimitError):
        await send(gateway, 2)
    assert dict(simulator.ledger) == {number(1): 1}


async def test_a_close_that_never_left_does_not_count(simulator: Simulator):
    async with GatewayClient(
        simulator.token, base_url=simulator.url, rate=None, concurrency=1
    ) as gateway:
        message = await gateway.transaction(sender="ACME", body="123456", options=NOW).__aenter__()
        await message.add(numbers(2))
        simulator.faults.add(Fault.hang(), on="get", skip=1)
        closing = asyncio.create_task(message.close())
        # The look before the close is answered, and another call comes between.
        busy = asyncio.create_task(gateway.messages.get("0" * 24))
        await until(lambda: sum(one.operation == "get" for one in simulator.requests) == 2)
        await asyncio.sleep(0.02)
        closing.cancel()
        busy.cancel()
        await asyncio.wait([closing, busy])
        assert not simulator.ledger
        await send(gateway, 9)
    assert dict(simulator.ledger) == {number(9): 1}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_simulated_one_does_not_count(gateway: GatewayClient):
    await send(gateway, 1, test=True)
    await send(gateway, 1, test=True)
    await send(gateway, 1)


async def test_waiting_longer_than_the_call_may_last_is_refused_at_once(gateway: GatewayClient):
    await send(gateway, 1)
    hasty = gateway.with_options(retry=RetryPolicy(max_elapsed=30))
    with pytest.raises(RateLimitError):
        await send(hasty, 2, wait_realtime=True)


async def test_it_is_waited_for_on_request(
    gateway: GatewayClient, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gateway_sms_async._http.limiter.REALTIME_PAUSE", 0.1)
    monkeypatch.setattr("gateway_sms_async._simulator.gateway._REALTIME_PAUSE", 0.05)
    await send(gateway, 1)
    waiting = [asyncio.create_task(send(gateway, n, wait_realtime=True)) for n in (2, 3)]
    await asyncio.gather(*waiting)
    assert dict(simulator.ledger) == {number(n): 1 for n in (1, 2, 3)}


async def test_the_messages_of_a_campaign_wait_for_each_other(
    gateway: GatewayClient, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gateway_sms_async._http.limiter.REALTIME_PAUSE", 0.1)
    monkeypatch.setattr("gateway_sms_async._simulator.gateway._REALTIME_PAUSE", 0.05)
    receipt = await gateway.send_bulk(
        numbers(6), sender="ACME", body="Ciao", options=NOW, recipients_per_message=2
    )
    check(receipt, simulator, set(numbers(6)))
    assert len(receipt.message_ids) == 3


async def test_a_campaign_that_waits_for_its_minute_can_be_stopped(
    gateway: GatewayClient, simulator: Simulator
):
    stop = asyncio.Event()
    sending = asyncio.create_task(
        gateway.send_bulk(
            numbers(4),
            sender="ACME",
            body="Ciao",
            options=NOW,
            recipients_per_message=2,
            stop=stop,
        )
    )
    while len(simulator.ledger) < 2 or not sum("PUT" in str(one) for one in simulator.requests):
        await asyncio.sleep(0.01)
    stop.set()
    with pytest.raises(BulkSendError) as caught:
        await sending
    receipt = caught.value.receipt
    check(receipt, simulator, set(numbers(4)))
    assert (receipt.accepted, len(receipt.unsent)) == (2, 2)


async def test_wait_realtime_is_a_bool(gateway: GatewayClient):
    with pytest.raises(TypeError):
        await send(gateway, 1, wait_realtime=1)
