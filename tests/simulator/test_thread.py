"""A simulator in a thread: for tests without asyncio, and for tests in any other event loop."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aiohttp import web

from gateway_sms_async import GatewayClient
from gateway_sms_async.testing import Deliveries, Simulator

ANNA = "+39 340 1234567"


def post(simulator: Simulator, number: str = "+39-3401234567", **more: Any) -> str:
    """Send a text as a program without asyncio would; return the id of the message."""
    fields = {"sender": "ACME", "body": "Ciao", "recipients": [number], **more}
    request = urllib.request.Request(
        f"{simulator.url}/messages/",
        data=json.dumps(fields).encode(),
        headers={"Authorization": f"Bearer {simulator.token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        data = json.load(response)["data"]
    return str((data[0] if isinstance(data, list) else data)["id"])


def test_a_program_without_asyncio_is_tested():
    with Simulator() as simulator:
        post(simulator)
        simulator.assert_sent({ANNA: "Ciao"})
        assert simulator.ledger == {"+39-3401234567": 1}
        [request] = simulator.requests
        assert request.operation == "send"


def test_faults_apply_in_the_thread():
    with Simulator() as simulator:
        simulator.fail_next("send", status=402)
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(simulator)
        refused.value.close()
        assert refused.value.code == 402
        simulator.assert_sent({})


def test_the_clock_is_advanced_without_a_loop():
    with Simulator(frozen=True, deliveries=Deliveries(spread=3600)) as simulator:
        message = simulator.gateway.messages[post(simulator)]
        before = simulator.now()
        asyncio.run(simulator.advance(4000))
        assert simulator.now() == before + 4000
        assert message.state(simulator.now()) == 2


async def test_a_client_in_another_loop_uses_it():
    with Simulator() as simulator:
        async with GatewayClient(simulator.token, base_url=simulator.url, rate=None) as gateway:
            await gateway.send_bulk([ANNA], sender="ACME", body="Ciao")
        simulator.assert_sent({ANNA: "Ciao"})


async def test_callbacks_reach_a_receiver_in_the_loop_of_the_test():
    states: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        states.append(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_post("/callbacks", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        with Simulator(frozen=True) as simulator:
            url = f"http://{host}:{port}/callbacks"
            callback = {"callback_url": url, "callback_method": "JSON"}
            await asyncio.to_thread(post, simulator, options=callback)
            await simulator.advance(60)
            assert states == ["/callbacks"] * 2
    finally:
        await runner.cleanup()


async def test_it_stops_listening_and_listens_again():
    with Simulator() as simulator:
        await simulator.stop_listening()
        with pytest.raises(OSError, match=r".+"):
            await asyncio.to_thread(post, simulator)
        await simulator.start_listening()
        await asyncio.to_thread(post, simulator)
        simulator.assert_sent({ANNA: "Ciao"})


def test_it_is_read_while_requests_arrive():
    with Simulator() as simulator, ThreadPoolExecutor(4) as pool:
        posts = [pool.submit(post, simulator, f"+39-340{n:07}") for n in range(200)]
        while not all(one.done() for one in posts):
            assert simulator.ledger.total() <= 200
            assert len(simulator.texts) <= 200
        assert simulator.ledger.total() == 200


def test_the_thread_ends_and_the_port_is_free():
    threads = threading.active_count()
    with Simulator() as simulator:
        port = int(simulator.url.rpartition(":")[2])
        with pytest.raises(OSError, match="address"), Simulator(port=port):
            pass
    assert threading.active_count() == threads
    with Simulator(port=port) as again:
        post(again)


def test_an_error_of_the_test_is_not_hidden():
    with pytest.raises(ZeroDivisionError), Simulator() as simulator:
        1 / len(simulator.requests)
