"""A receipt accounts for every recipient, or there is an error that says that it does not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    JournalCorruptError,
    Receipt,
    read_journal,
)
from gateway_sms_async._transaction.results import Results
from gateway_sms_async.testing import Simulator

from ..support.accounting import numbers

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}
RECIPIENTS = numbers(12)
WRONG = {
    "does not account for 2 recipients": -2,
    "counts 2 recipients more than there are": 2,
}

Miscount = Callable[[int], None]


@pytest.fixture
def miscount(monkeypatch: pytest.MonkeyPatch) -> Miscount:
    """A fault of the program: as if recipients were forgotten, or counted twice."""
    right = Results.receipt

    def apply(by: int) -> None:
        def wrong(self: Results, *current: Any, **more: Any) -> Receipt:
            receipt = right(self, *current, **more)
            return replace(receipt, accepted=receipt.accepted + by)

        monkeypatch.setattr(Results, "receipt", wrong)

    return apply


@pytest.mark.parametrize("words", WRONG)
@pytest.mark.parametrize("with_journal", [False, True])
async def test_a_campaign_whose_receipt_does_not_add_up_is_not_complete(
    words: str,
    *,
    with_journal: bool,
    gateway: GatewayClient,
    simulator: Simulator,
    miscount: Miscount,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = tmp_path / "campaign.db" if with_journal else None
    miscount(WRONG[words])
    with pytest.raises(BulkSendError) as caught:
        await gateway.send_bulk(RECIPIENTS, **ACME, journal=journal)
    assert words in caught.value.reason
    assert not caught.value.receipt.complete
    assert caught.value.resumable == with_journal
    monkeypatch.undo()
    if journal is not None:
        assert not (await read_journal(journal)).complete, "it was not recorded as finished"
        assert (await gateway.resume_bulk(journal)).complete
    assert simulator.ledger == dict.fromkeys(RECIPIENTS, 1)


@pytest.mark.parametrize("words", WRONG)
async def test_a_campaign_that_was_stopped_says_so_beside_its_reason(
    words: str, gateway: GatewayClient, simulator: Simulator, miscount: Miscount
) -> None:
    miscount(WRONG[words])
    simulator.fail_next("open", status=402)
    with pytest.raises(BulkSendError) as caught:
        await gateway.send_bulk(RECIPIENTS, **ACME)
    assert "402" in caught.value.reason
    assert words in caught.value.reason


@pytest.mark.parametrize("words", WRONG)
async def test_a_transaction_whose_receipt_does_not_add_up_is_an_error(
    words: str, gateway: GatewayClient, miscount: Miscount
) -> None:
    miscount(WRONG[words])
    transaction = gateway.transaction(**ACME)
    await transaction.add(RECIPIENTS)
    with pytest.raises(BulkSendError) as caught:
        await transaction.close()
    assert words in caught.value.reason
    assert not caught.value.receipt.complete
    assert not transaction.receipt.complete


@pytest.mark.parametrize("words", WRONG)
async def test_a_journal_whose_receipt_does_not_add_up_is_damaged(
    words: str, gateway: GatewayClient, miscount: Miscount, tmp_path: Path
) -> None:
    journal = tmp_path / "campaign.db"
    await gateway.send_bulk(RECIPIENTS, **ACME, journal=journal)
    miscount(WRONG[words])
    with pytest.raises(JournalCorruptError, match=words):
        await read_journal(journal)
