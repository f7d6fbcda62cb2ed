"""One recipient that is sent to by a POST of its own: its answer, and what a look at it proves."""

from __future__ import annotations

from typing import Any

import pytest

from gateway_sms_async import BulkSendError, GatewayClient, Receipt
from gateway_sms_async.testing import Dialect, Simulator

from ..support.accounting import numbers
from ..support.policy import QUICK

pytestmark = pytest.mark.anyio

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}


def client_of(simulator: Simulator) -> GatewayClient:
    return GatewayClient(simulator.token, base_url=simulator.url, rate=None, retry=QUICK)


async def send(gateway: GatewayClient, **settings: Any) -> Receipt:
    try:
        return await gateway.send_bulk(numbers(1), **ACME, **settings)
    except BulkSendError as error:
        return error.receipt


async def test_the_answer_of_an_earlier_single_send_proves_nothing() -> None:
    dialect = Dialect(empty_close=False, custom_returned=False)
    async with Simulator(dialect=dialect) as simulator, client_of(simulator) as gateway:
        post, answers = simulator.gateway.post, []

        def answered_before(body: Any) -> Any:
            if not body.get("transaction") and answers:
                return answers[0]
            answer = post(body)
            if not body.get("transaction"):
                answers.append(answer)
            return answer

        simulator.gateway.post = answered_before  # type: ignore[method-assign]
        await gateway.messages.send(**ACME, recipients=numbers(1, start=500))
        receipt = await send(gateway)
        assert receipt.unknown == tuple(numbers(1))
        assert not receipt.complete
        assert simulator.ledger == {numbers(1, start=500)[0]: 1}


async def test_a_single_send_that_is_still_open_is_not_accepted() -> None:
    async with Simulator(dialect=Dialect(empty_close=False)) as simulator:
        get = simulator.gateway.get

        def seen_open(message_id: str) -> Any:
            answer = get(message_id)
            for one in answer.body["data"] or ():
                one["transaction"] = True
            return answer

        async with client_of(simulator) as gateway:
            simulator.gateway.get = seen_open  # type: ignore[method-assign]
            receipt = await send(gateway)
        assert receipt.unknown == tuple(numbers(1))


async def test_a_single_send_whose_answer_is_its_own_is_accepted() -> None:
    dialect = Dialect(empty_close=False, custom_returned=False)
    async with Simulator(dialect=dialect) as simulator, client_of(simulator) as gateway:
        await gateway.messages.send(**ACME, recipients=numbers(1, start=500))
        receipt = await send(gateway)
        assert receipt.complete
        assert simulator.ledger[numbers(1)[0]] == 1
