"""A campaign's open message that another client closes, as read by another part of this program.

The search for a lost send reads every message of the account, and a user may read any. Once the
answer is here, no recipient of that message may be reported as unsent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    InvalidRequestError,
    Receipt,
    TransactionClosedError,
    read_journal,
)
from gateway_sms_async.testing import Fault, Simulator

from ..support.accounting import check, numbers
from ..support.policy import QUICK

pytestmark = pytest.mark.anyio

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}


async def _get(gateway: GatewayClient, message_id: str) -> None:
    await gateway.messages.get(message_id)


async def _find(gateway: GatewayClient, message_id: str) -> None:
    await gateway.messages.find("order-4711")


async def _append(gateway: GatewayClient, message_id: str) -> None:
    with pytest.raises(TransactionClosedError):
        await gateway.messages.update(message_id, recipients=numbers(1, start=900))


async def _delete(gateway: GatewayClient, message_id: str) -> None:
    with pytest.raises(InvalidRequestError):
        await gateway.messages.delete(message_id)


async def _close(gateway: GatewayClient, message_id: str) -> None:
    await gateway.messages.update(message_id, transaction=False)


@pytest.mark.parametrize("journaled", [False, True])
@pytest.mark.parametrize("read", [_get, _find, _append, _delete, _close])
async def test_a_message_that_any_answer_shows_closed_is_never_unsent(
    read: Callable[[GatewayClient, str], Awaitable[None]],
    simulator: Simulator,
    tmp_path: Path,
    *,
    journaled: bool,
) -> None:
    stop, journal = asyncio.Event(), tmp_path / "campaign.db" if journaled else None
    # Nothing that the campaign is answered shows that the message is closed.
    simulator.faults.add(Fault.hang(after_apply=True), on="append")
    async with GatewayClient(
        simulator.token, base_url=simulator.url, rate=None, timeout=1, retry=QUICK
    ) as gateway:
        sending = asyncio.create_task(_send(gateway, journal, stop))
        while [one.operation for one in simulator.requests] != ["open", "append"]:
            await asyncio.sleep(0.001)
        [message_id] = simulator.gateway.messages
        if read is not _close:
            simulator.gateway.close_all()
        await read(gateway, message_id)
        stop.set()
        receipt = await sending
        texted = simulator.ledger
        assert texted == dict.fromkeys(numbers(3), 1)
        assert not texted.keys() & set(receipt.unsent)
        check(receipt, simulator)
        if journal is not None:
            check(await read_journal(journal), simulator)
            receipt = await _resume(gateway, journal)
            check(receipt, simulator)
            assert receipt.complete
            assert simulator.ledger == dict.fromkeys(numbers(5), 1)


async def _send(gateway: GatewayClient, journal: Path | None, stop: asyncio.Event) -> Receipt:
    settings: dict[str, Any] = {"batch_size": 2, "recipients_per_message": 5, "stop": stop}
    try:
        return await gateway.send_bulk(numbers(5), **ACME, journal=journal, **settings)
    except BulkSendError as error:
        return error.receipt


async def _resume(gateway: GatewayClient, journal: Path) -> Receipt:
    try:
        return await gateway.resume_bulk(journal)
    except BulkSendError as error:
        return error.receipt
