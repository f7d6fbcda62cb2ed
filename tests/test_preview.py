"""The preview: its counts are those of the campaign that follows."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from gateway_sms_async import (
    CountryPreview,
    GatewayClient,
    InsufficientCreditError,
    Options,
    TextSize,
    preview,
)
from gateway_sms_async.testing import Fault, Simulator

from .support.accounting import check, number, numbers

pytestmark = pytest.mark.anyio

SAYING = {"sender": "ACME", "body": "Ciao"}


async def test_no_recipients():
    looked_at = await preview([], **SAYING)
    assert (looked_at.total, looked_at.recipients, looked_at.requests, looked_at.messages) == (
        0,
    ) * 4
    assert looked_at.longest is None
    assert looked_at.cost is None
    assert looked_at.countries == {}


async def test_recipients_are_counted_by_what_becomes_of_them():
    looked_at = await preview(
        [*numbers(4), "0039 340 0000002", "340 1", "+44 7911 123456", number(0)],
        **SAYING,
        exclude=[number(1)],
    )
    assert (looked_at.total, looked_at.recipients) == (8, 4)
    assert (looked_at.duplicates, looked_at.excluded) == (2, 1)
    [refused] = looked_at.invalid
    assert (refused.number, refused.position) == ("340 1", 5)
    assert looked_at.countries == {
        "+39": CountryPreview(recipients=3, parts=3),
        "+44": CountryPreview(recipients=1, parts=1),
    }
    assert list(looked_at.countries) == ["+39", "+44"]


async def test_an_async_source_is_read_to_its_end():
    async def source() -> AsyncIterator[str]:
        for one in numbers(5):
            yield one

    assert (await preview(source(), **SAYING)).recipients == 5


async def test_parts_are_counted_after_the_fields_are_filled_in():
    body = "{{name}}" + "x" * 150
    recipients = [
        (number(0), {"name": "Anna"}),
        (number(1), {"name": "Bartholomew the Third"}),
        (number(2), {"name": "Łucja"}),
        (number(3), {"other": "no name"}),
    ]
    looked_at = await preview(recipients, sender="ACME", body=body)
    assert [one.position for one in looked_at.invalid] == [3]
    assert looked_at.recipients == 3
    assert looked_at.spread == {1: 1, 2: 1, 3: 1}
    assert looked_at.parts == 6
    assert looked_at.encodings == {"GSM-7": 2, "UCS-2": 1}
    assert looked_at.not_gsm == {"Ł": 1}
    assert looked_at.longest == TextSize("UCS-2", 3, 155, 3 * 67 - 155)
    assert looked_at.longest_position == 2
    allowed = await preview(recipients, sender="ACME", body=body, allow_missing_fields=True)
    assert (allowed.recipients, len(allowed.invalid)) == (4, 0)


async def test_what_typographic_characters_cost():
    body = "\u201c" + "x" * 100 + "\u201d"
    looked_at = await preview(numbers(10), sender="ACME", body=body)
    assert (looked_at.parts, looked_at.parts_in_gsm) == (20, 10)
    assert looked_at.not_gsm == {"\u201c": 10, "\u201d": 10}
    plain = await preview(numbers(10), **SAYING)
    assert (plain.parts, plain.parts_in_gsm, plain.not_gsm) == (10, 10, {})


@pytest.mark.parametrize(
    "way", [{}, {"careful": True}, {"verify": "always"}, {"careful": True, "verify": "always"}]
)
@pytest.mark.parametrize("with_fields", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5, 20, 21, 39, 100, 137])
async def test_requests_are_those_that_a_campaign_takes(
    gateway: GatewayClient,
    simulator: Simulator,
    count: int,
    with_fields: bool,
    way: dict[str, object],
):
    recipients: list[object] = list(numbers(count))
    if with_fields:
        recipients = [(one, {"name": "A"}) for one in numbers(count)]
    pace = {"batch_size": 20, "recipients_per_message": 90, **way}
    looked_at = await preview(recipients, **SAYING, **pace)  # type: ignore[arg-type]
    receipt = await gateway.send_bulk(recipients, **SAYING, **pace)  # type: ignore[arg-type]
    check(receipt, simulator, set(numbers(count)))
    assert looked_at.requests == receipt.requests
    assert looked_at.messages == len(receipt.message_ids)


async def test_the_time_is_what_the_rate_allows():
    looked_at = await preview(numbers(2_000), **SAYING, rate=2)
    assert looked_at.seconds == (looked_at.requests - 1) / 2
    assert (await preview(numbers(20), **SAYING, rate=None)).seconds is None


async def test_the_cost_by_a_price():
    looked_at = await preview([*numbers(3), "+44 7911 123456"], **SAYING, price_per_part="0.035")
    assert looked_at.cost == Decimal("0.140")
    assert looked_at.countries["+39"].price_per_part == Decimal("0.035")


async def test_the_cost_by_the_gateways_own_answer(gateway: GatewayClient, simulator: Simulator):
    recipients = [(one, {"name": "x" * 200}) for one in numbers(5)]
    recipients.append(("+44 7911 123456", {"name": ""}))
    looked_at = await preview(recipients, sender="ACME", body="Ciao {{name}}", gateway=gateway)
    assert simulator.ledger == {}, "a preview texts no recipient"
    assert len(simulator.requests) == 2, "one request a country"
    credit = gateway.credit
    receipt = await gateway.send_bulk(recipients, sender="ACME", body="Ciao {{name}}")
    assert looked_at.parts == 11
    assert looked_at.cost == receipt.cost
    assert credit is not None
    assert gateway.credit == credit - looked_at.cost


async def test_another_is_asked_about_when_the_first_of_a_country_is_refused(
    gateway: GatewayClient, simulator: Simulator
):
    simulator.gateway.unroutable.add(number(0))
    assert (await preview(numbers(3), **SAYING, gateway=gateway)).cost is not None
    simulator.gateway.unroutable.update(numbers(3))
    assert (await preview(numbers(4), **SAYING, gateway=gateway)).cost is None


@pytest.mark.parametrize("body", ["Ciao {{name}}", "{{name}}"])
async def test_the_price_is_asked_for_though_a_field_may_be_missing(
    body: str, gateway: GatewayClient
):
    looked_at = await preview(
        [number(0), (number(1), {"name": "A"})],
        sender="ACME",
        body=body,
        allow_missing_fields=True,
        gateway=gateway,
    )
    assert looked_at.cost is not None


async def test_realtime_messages_are_a_minute_apart():
    looked_at = await preview(
        numbers(50), **SAYING, options=Options(realtime=True), recipients_per_message=20
    )
    assert (looked_at.messages, looked_at.seconds) == (3, 120)
    unlimited = await preview(
        numbers(50), **SAYING, options=Options(realtime=True), recipients_per_message=20, rate=None
    )
    assert unlimited.seconds == 120


async def test_priority_costs_more(gateway: GatewayClient):
    plain = await preview(numbers(3), **SAYING, gateway=gateway)
    dear = await preview(numbers(3), **SAYING, priority=2, gateway=gateway)
    assert plain.cost is not None
    assert dear.cost == plain.cost * 2


async def test_a_price_that_is_not_to_be_had_is_an_error(
    gateway: GatewayClient, simulator: Simulator
):
    simulator.faults.add(Fault.status(402), on="send")
    with pytest.raises(InsufficientCreditError):
        await preview(numbers(3), **SAYING, gateway=gateway)


async def test_progress_is_reported():
    reported: list[int] = []
    await preview(numbers(2_500), **SAYING, on_read=reported.append)
    assert reported[-1] == 2_500
    assert len(reported) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"sender": "A"},
        {"body": ""},
        {"batch_size": 0},
        {"recipients_per_message": 50_001},
        {"rate": 0},
        {"price_per_part": 0},
        {"price_per_part": "much"},
        {"priority": 0.5},
        {"default_region": "XX"},
        {"exclude": ["nobody"]},
    ],
)
async def test_what_a_campaign_refuses_is_refused(wrong: dict[str, object]):
    with pytest.raises(ValueError, match=r"\w"):
        await preview(numbers(2), **(SAYING | wrong))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"careful": 1}, {"options": {}}, {"rate": "10"}, {"batch_size": 2.5}]
)
async def test_what_is_of_another_kind_is_refused(wrong: dict[str, object]):
    with pytest.raises(TypeError):
        await preview(numbers(2), **SAYING, **wrong)  # type: ignore[arg-type]


async def test_it_takes_the_options_of_a_campaign():
    assert (await preview(numbers(1), **SAYING, options=Options(flash=True))).recipients == 1
