"""The keywords of a campaign are the same wherever they are spelled out."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest
from typer.main import get_command

from gateway_sms_async import CampaignOptions, Campaigns, GatewayClient, preview
from gateway_sms_async._campaign.start import CampaignSettings
from gateway_sms_async._cli.main import app
from gateway_sms_async._journal.schema import Settings

REQUIRED = inspect.Parameter.empty
# Name -> default and type.
Keywords = dict[str, tuple[object, object]]

# Where the run is kept, reported and stopped: not what is sent, and not how.
RUN = {"journal", "on_progress", "stop", "total", "shards"}


def keywords(function: Callable[..., Any]) -> Keywords:
    hints = get_type_hints(function)
    return {
        name: (parameter.default, hints[name])
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


SEND_BULK = keywords(GatewayClient.send_bulk)


def without(names: set[str]) -> Keywords:
    assert names <= SEND_BULK.keys(), "an exception of no use"
    return {name: one for name, one in SEND_BULK.items() if name not in names}


def test_send_bulk_takes_its_recipients_by_position_and_all_else_by_name() -> None:
    kinds = {
        name: parameter.kind
        for name, parameter in inspect.signature(GatewayClient.send_bulk).parameters.items()
    }
    by_position = {name for name, kind in kinds.items() if name not in SEND_BULK}
    assert by_position == {"self", "recipients"}
    assert list(SEND_BULK)[:2] == ["sender", "body"]
    assert {name for name, (default, _) in SEND_BULK.items() if default is REQUIRED} == {
        "sender",
        "body",
    }


def test_the_settings_of_a_campaign_are_the_keywords_of_send_bulk() -> None:
    hints = get_type_hints(CampaignSettings)
    declared = {
        field.name: (
            REQUIRED if field.default is dataclasses.MISSING else field.default,
            hints[field.name],
        )
        for field in dataclasses.fields(CampaignSettings)
        if field.init
    }
    assert declared == without(RUN)


def test_preview_takes_the_keywords_of_send_bulk() -> None:
    of_its_own = {"rate", "price_per_part", "gateway", "on_read"}
    # It sends nothing, so there is nothing to test, to limit or to send at once.
    not_sending = {"test", "concurrency", "max_cost", "max_recipients"}
    taken = keywords(preview)
    assert of_its_own <= taken.keys()
    assert {n: one for n, one in taken.items() if n not in of_its_own} == without(RUN | not_sending)
    assert next(iter(inspect.signature(preview).parameters)) == "recipients"


def test_a_resume_takes_the_limits_of_send_bulk_and_how_it_is_run() -> None:
    # The journal holds what is sent and how; only the limits can be changed.
    taken = {"max_cost", "max_recipients", "on_progress", "stop"}
    assert keywords(GatewayClient.resume_bulk) == {name: SEND_BULK[name] for name in taken}
    command: Any = get_command(app)
    given = {parameter.name: parameter.default for parameter in command.commands["resume"].params}
    assert {"max_cost", "max_recipients"} <= given.keys()


def test_a_background_campaign_takes_the_keywords_of_send_bulk() -> None:
    # `Campaigns` has a journal, reports and stops by itself.
    own = {"journal", "on_progress", "stop"}
    assert keywords(Campaigns.start) == {name: SEND_BULK[name] for name in ("sender", "body")}
    assert get_type_hints(CampaignOptions) == {
        name: hint for name, (_, hint) in without(own | {"sender", "body"}).items()
    }
    # None has a value if it is not given: the defaults are those of send_bulk.
    assert not CampaignOptions.__required_keys__


def test_the_command_line_takes_the_keywords_of_send_bulk() -> None:
    command: Any = get_command(app)
    given = {parameter.name: parameter.default for parameter in command.commands["bulk"].params}
    # The command counts the list, shows progress and stops at a signal by itself.
    not_given = {"on_progress", "stop", "total"}
    assert not not_given & given.keys()
    # --concurrency is that of the client, which a campaign's follows.
    other_default = {"concurrency"}
    # Each of the message's options is an option of its own.
    in_parts = {"options"}
    assert {"flash", "realtime", "on", "callback_url", "callback_field", "custom"} <= given.keys()
    # A body may also come from a file, so the parser requires neither; the command does.
    required = {"sender", "body"}
    assert {"body_file", *required} <= given.keys()
    wanted = without(not_given | in_parts)
    assert {name for name, (default, _) in wanted.items() if given[name] != default} == (
        other_default | required
    )


def test_a_journal_keeps_the_settings_of_send_bulk() -> None:
    kept = set(Settings.__struct_fields__)
    # The source is read before anything is kept, so what it was read with is not needed again.
    reading = {"default_region", "strict_numbers", "allow_missing_fields", "exclude"}
    stored_as = {"verify": "verify_always"}
    assert kept - {"base_url", "campaign", "shard"} == {
        stored_as.get(n, n) for n in without(RUN | reading)
    }


@pytest.mark.parametrize(
    ("keyword", "error"),
    [
        ({"batch_size": 0}, ValueError),
        ({"batch_size": True}, TypeError),
        ({"concurrency": 0}, ValueError),
        ({"recipients_per_message": 50_001}, ValueError),
        ({"careful": 1}, TypeError),
        ({"verify": "never"}, ValueError),
        ({"strict_numbers": None}, TypeError),
        ({"max_cost": "-1"}, ValueError),
        ({"max_recipients": 0}, ValueError),
        ({"priority": float("nan")}, ValueError),
    ],
)
def test_settings_are_checked_when_they_are_made(
    keyword: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        CampaignSettings(**{"sender": "ACME", "body": "Ciao"} | keyword)


async def test_an_exclusion_need_not_be_in_use_where_numbers_must_be() -> None:
    pytest.importorskip("phonenumbers")
    settings = CampaignSettings(
        sender="ACME", body="Ciao", strict_numbers=True, exclude=["+39-999999999"]
    )
    await settings.batcher()
