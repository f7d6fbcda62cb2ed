"""Texts that nobody would send, rows that are no recipients, and a campaign that sends to nobody."""

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import BulkSendError, GatewayClient, Options, Recipient, preview
from gateway_sms_async._messages import draft
from gateway_sms_async.testing import Simulator

from ..support.accounting import check, number, numbers

pytestmark = pytest.mark.anyio

EMPTY = "the text is empty with the values of this recipient"
SOME_EMPTY: list[Any] = [
    (number(0), {"text": "Ciao"}),
    (number(1), {"text": ""}),
    (number(2), {"text": " \u200b"}),
    Recipient(number(3), {"text": "\0"}),
    Recipient(number(4), {"text": "!"}),
]


async def test_a_recipient_whose_text_is_empty_is_invalid_by_position(
    gateway: GatewayClient, simulator: Simulator
):
    receipt = await gateway.send_bulk(SOME_EMPTY, sender="ACME", body="{{ text }}\n")
    assert [(one.position, one.reason) for one in receipt.invalid] == [
        (1, EMPTY),
        (2, EMPTY),
        (3, EMPTY),
    ]
    check(receipt, simulator, set(numbers(5)))
    assert [text.body for text in simulator.texts] == ["Ciao\n", "!\n"]
    looked_at = await preview(SOME_EMPTY, sender="ACME", body="{{ text }}\n")
    assert looked_at.invalid == receipt.invalid


async def test_a_transaction_does_not_take_a_recipient_whose_text_is_empty(
    gateway: GatewayClient, simulator: Simulator
):
    async with gateway.transaction(sender="ACME", body="{{text}}") as transaction:
        await transaction.add(SOME_EMPTY)
    assert [one.position for one in transaction.receipt.invalid] == [1, 2, 3]
    assert simulator.ledger == {number(0): 1, number(4): 1}


async def test_a_field_between_other_marks_is_refused_for_those_who_have_it(
    gateway: GatewayClient, simulator: Simulator
):
    recipients: list[Any] = [number(0), (number(1), {"name": "Anna"}), (number(2), {"city": "x"})]
    receipt = await gateway.send_bulk(recipients, sender="ACME", body="Ciao [NAME]")
    [refused] = receipt.invalid
    assert (refused.position, refused.reason) == (
        1,
        "the text has the field 'name' between other marks than {{ }}",
    )
    assert simulator.ledger == {number(0): 1, number(2): 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"body": "Ciao {{name}"},
        {"body": "Ciao {name}"},
        {"body": "\u200b"},
        {"sender": "   "},
        {"options": Options(timestamp_send=date(2020, 1, 1))},
    ],
    ids=repr,
)
async def test_nothing_is_sent_to_anybody(
    wrong: dict[str, Any], gateway: GatewayClient, simulator: Simulator, tmp_path: Path
):
    saying: dict[str, Any] = {"sender": "ACME", "body": "Ciao"} | wrong
    journal = tmp_path / "campaign.db"
    with pytest.raises(ValueError, match=r"body|sender|timestamp_send"):
        await gateway.send_bulk(numbers(2), **saying, journal=journal)
    with pytest.raises(ValueError, match=r"body|sender|timestamp_send"):
        await preview(numbers(2), **saying)
    with pytest.raises(ValueError, match=r"body|sender|timestamp_send"):
        gateway.transaction(**saying)
    assert not simulator.requests
    assert not journal.exists()


async def test_a_campaign_begun_by_other_rules_is_resumed(
    gateway: GatewayClient,
    simulator: Simulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    journal = tmp_path / "campaign.db"
    passed = datetime.now(UTC).date() - timedelta(days=30)
    with monkeypatch.context() as earlier:
        for name in ("check_day", "check_body", "check_sender", "canonical"):
            earlier.setattr(draft, name, lambda value: value)
        with pytest.raises(BulkSendError) as stopped:
            await gateway.send_bulk(
                [(one, {" name ": "Anna"}) for one in numbers(4)],
                sender=" ACME",
                body="Ciao {x} {{ name }}",
                options=Options(timestamp_send=passed),
                allow_missing_fields=True,
                journal=journal,
                max_recipients=2,
            )
        assert stopped.value.resumable
    receipt = await gateway.resume_bulk(journal, max_recipients=4)
    check(receipt, simulator, set(numbers(4)))
    assert {text.body for text in simulator.texts} == {"Ciao {x} Anna"}


async def test_a_journal_keeps_the_text_that_its_fields_fill(
    gateway: GatewayClient, simulator: Simulator, tmp_path: Path
):
    journal = tmp_path / "campaign.db"
    with pytest.raises(BulkSendError):
        await gateway.send_bulk(
            [(one, {"name": "Anna"}) for one in numbers(4)],
            sender="ACME",
            body="Ciao {{ name }}",
            journal=journal,
            max_recipients=2,
        )
    check(await gateway.resume_bulk(journal, max_recipients=4), simulator, set(numbers(4)))
    assert {text.body for text in simulator.texts} == {"Ciao Anna"}


# Rows


class Row:
    """A row as some database drivers return it, without being a mapping."""

    def keys(self) -> list[str]:
        return ["number", "name"]


@pytest.mark.parametrize("row", [{"number": number(0)}, Row()], ids=["dict", "other"])
@pytest.mark.parametrize("with_journal", [False, True])
async def test_rows_instead_of_recipients_are_a_type_error(
    row: Any, with_journal: bool, gateway: GatewayClient, simulator: Simulator, tmp_path: Path
):
    async def awaited() -> Any:
        for one in (row, row):
            yield one

    def generated() -> Iterator[Any]:
        yield from (row, row)

    journal = tmp_path / "campaign.db" if with_journal else None
    named = "recipients, position 0: .* take the number and the fields out of each row"
    for source in ([row, row], generated(), awaited()):
        with pytest.raises(TypeError, match=named) as raised:
            await gateway.send_bulk(source, sender="ACME", body="Ciao", journal=journal)
        assert number(0) not in str(raised.value)
    with pytest.raises(TypeError, match=named):
        await preview([row], sender="ACME", body="Ciao")
    with pytest.raises(TypeError, match="exclude, position 1: "):
        await preview(numbers(1), sender="ACME", body="Ciao", exclude=[number(5), row])
    assert not simulator.requests
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


async def test_a_row_among_recipients_is_invalid_by_position(
    gateway: GatewayClient, simulator: Simulator
):
    recipients: list[Any] = [number(0), {"number": number(1)}, number(2)]
    receipt = await gateway.send_bulk(recipients, sender="ACME", body="Ciao")
    assert [one.position for one in receipt.invalid] == [1]
    assert simulator.ledger == {number(0): 1, number(2): 1}


# Nobody is sent to


async def test_a_campaign_without_a_valid_recipient_says_so(
    gateway: GatewayClient, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, logger="gateway_sms_async"):
        receipt = await gateway.send_bulk(["340 1234567", "x"], sender="ACME", body="Ciao")
    assert receipt.complete
    assert not receipt.all_accepted
    [record] = caplog.records
    assert record.getMessage().startswith("no recipient was accepted; 2 are invalid, the first at ")
    assert "1234567" not in record.getMessage()


async def test_a_campaign_with_a_valid_recipient_says_nothing(
    gateway: GatewayClient, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, logger="gateway_sms_async"):
        some = await gateway.send_bulk([number(0), "x"], sender="ACME", body="Ciao")
        everybody = await gateway.send_bulk([number(0), number(0)], sender="ACME", body="Ciao")
        nobody = await gateway.send_bulk([], sender="ACME", body="Ciao")
    assert not caplog.records
    assert [one.complete for one in (some, everybody, nobody)] == [True] * 3
    assert [one.all_accepted for one in (some, everybody, nobody)] == [False, True, False]
