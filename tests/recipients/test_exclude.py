"""Excluded numbers, and numbers in national format."""

import os
from pathlib import Path

import pytest

from gateway_sms_async import BulkSendError, GatewayClient, read_journal
from gateway_sms_async.testing import Fault, Simulator

from ..support.accounting import check, number, numbers

pytestmark = pytest.mark.anyio


async def test_the_excluded_are_compared_by_their_digits_and_counted(
    gateway: GatewayClient, simulator: Simulator
):
    recipients = numbers(6)
    receipt = await gateway.send_bulk(
        [*recipients, recipients[1], recipients[4]],
        sender="ACME",
        body="Ciao",
        exclude=["0039 340 0000001", "+39 (340) 000.0002", "+39-3409999999"],
    )
    check(receipt, simulator, set(recipients) - {recipients[1], recipients[2]})
    assert receipt.complete
    assert (receipt.excluded, receipt.duplicates) == (3, 1)
    assert [at for at, one in enumerate(receipt.outcomes) if one.name == "excluded"] == [1, 2, 6]


@pytest.mark.parametrize("wrong", ["340 0000001", "", "+39-34", "see above"])
async def test_an_exclusion_that_cannot_be_read_stops_everything(
    gateway: GatewayClient, simulator: Simulator, tmp_path: Path, wrong: str
):
    with pytest.raises(ValueError, match="exclude, position 1: ") as caught:
        await gateway.send_bulk(
            numbers(3),
            sender="ACME",
            body="Ciao",
            exclude=[number(0), wrong],
            journal=tmp_path / "campaign.db",
        )
    assert "0000001" not in str(caught.value)
    assert not simulator.requests
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - a Path would block


@pytest.mark.parametrize("wrong", ["+39-3400000000", b"+39", {"+39": ""}, 5])
async def test_one_number_is_no_list_to_exclude(gateway: GatewayClient, wrong: object):
    with pytest.raises(TypeError):
        await gateway.send_bulk(numbers(2), sender="ACME", body="Ciao", exclude=wrong)  # type: ignore[arg-type]


async def test_when_all_recipients_are_excluded_nothing_is_sent(
    gateway: GatewayClient, simulator: Simulator
):
    receipt = await gateway.send_bulk(
        numbers(3), sender="ACME", body="Ciao", exclude=iter(numbers(4))
    )
    assert receipt.complete
    assert (receipt.accepted, receipt.excluded) == (0, 3)
    assert not simulator.requests


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("recipient", "opted_out"),
    [
        ("+52 55 1234 5678", "+52 1 55 1234 5678"),
        ("+54 9 11 2345-6789", "+54 11 15 2345-6789"),
        ("+54 9 11 2345-6789", "+54 11 2345-6789"),
        ("+54 11 2345-6789", "+54 9 11 2345-6789"),
        ("+54 11 2345-6789", "+54 11 15 2345-6789"),
        ("+55 11 98765-4321", "+55 11 8765-4321"),
        ("+55 11 97765-4321", "+55 11 7765-4321"),
        ("+229 01 97 12 34 56", "+229 97 12 34 56"),
        ("+241 66 03 12 34", "+241 06 03 12 34"),
        ("+84 32 345 6789", "+84 162 345 6789"),
    ],
)
async def test_a_phone_is_excluded_in_every_notation(
    gateway: GatewayClient, simulator: Simulator, recipient: str, opted_out: str, *, strict: bool
):
    receipt = await gateway.send_bulk(
        [recipient, number(1)],
        sender="ACME",
        body="Ciao",
        exclude=[opted_out],
        strict_numbers=strict,
    )
    assert (receipt.accepted, receipt.excluded) == (1, 1)
    assert dict(simulator.ledger) == {number(1): 1}


async def test_an_exclusion_in_an_old_notation_of_the_region(
    gateway: GatewayClient, simulator: Simulator
):
    receipt = await gateway.send_bulk(
        ["11 98765-4321", "+55 11 8765-4321", number(1)],
        sender="ACME",
        body="Ciao",
        default_region="BR",
        exclude=["11 8765-4321"],
    )
    assert (receipt.accepted, receipt.excluded) == (1, 1)
    [refused] = receipt.invalid
    assert refused.reason.endswith("write a 9 after the area code")
    assert dict(simulator.ledger) == {number(1): 1}


async def test_an_exclusion_whose_number_in_use_is_not_known_stops_everything(
    gateway: GatewayClient, simulator: Simulator
):
    with pytest.raises(ValueError, match="exclude, position 0: numbers in Ivory Coast"):
        await gateway.send_bulk(
            [number(1)], sender="ACME", body="Ciao", exclude=["+225 07 08 09 10"]
        )
    assert not simulator.requests


async def test_a_resume_needs_no_list_to_exclude(
    gateway: GatewayClient, simulator: Simulator, tmp_path: Path
):
    recipients = numbers(20)
    simulator.faults.add(Fault.status(402), on="append")
    with pytest.raises(BulkSendError) as caught:
        await gateway.send_bulk(
            recipients,
            sender="ACME",
            body="Ciao",
            batch_size=4,
            exclude=recipients[::3],
            journal=tmp_path / "campaign.db",
        )
    assert caught.value.resumable
    stored = await read_journal(tmp_path / "campaign.db")
    assert (stored.excluded, stored.duplicates) == (7, 0)
    receipt = await gateway.resume_bulk(tmp_path / "campaign.db")
    check(receipt, simulator, set(recipients) - set(recipients[::3]))
    assert receipt.complete
    assert [at for at, one in enumerate(receipt.outcomes) if one.name == "excluded"] == list(
        range(0, 20, 3)
    )


async def test_numbers_without_a_prefix_are_those_of_the_region(
    gateway: GatewayClient, simulator: Simulator
):
    receipt = await gateway.send_bulk(
        ["340 0000000", "+39 340 0000001", "06 1234567", "no number"],
        sender="ACME",
        body="Ciao",
        default_region="IT",
        exclude=["340 0000001"],
    )
    assert dict(simulator.ledger) == {"+39-3400000000": 1, "+39-061234567": 1}
    assert (receipt.accepted, receipt.excluded, len(receipt.invalid)) == (2, 1, 1)


async def test_without_a_region_no_country_is_guessed(gateway: GatewayClient, simulator: Simulator):
    receipt = await gateway.send_bulk(["340 0000000", number(1)], sender="ACME", body="Ciao")
    [refused] = receipt.invalid
    assert refused.reason.startswith("no international prefix")
    assert dict(simulator.ledger) == {number(1): 1}


async def test_strict_numbers_are_those_of_a_numbering_plan(
    gateway: GatewayClient, simulator: Simulator
):
    recipients = [number(1), "+39-9990000000"]
    lenient = await gateway.send_bulk(recipients, sender="ACME", body="Ciao", test=True)
    assert lenient.accepted == 2
    strict = await gateway.send_bulk(recipients, sender="ACME", body="Ciao", strict_numbers=True)
    assert [one.position for one in strict.invalid] == [1]
    assert dict(simulator.ledger) == {number(1): 1}


async def test_an_unknown_region_is_refused_at_once(gateway: GatewayClient, simulator: Simulator):
    with pytest.raises(ValueError, match="region"):
        await gateway.send_bulk(numbers(2), sender="ACME", body="Ciao", default_region="XX")
    assert not simulator.requests
