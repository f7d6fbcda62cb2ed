"""The delivery state of a recipient, from the gateway's words."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest

from gateway_sms_async._delivery.state import DeliveryState, is_permanent, state_of
from gateway_sms_async.models import RecipientReport


def report(**parts: Any) -> RecipientReport:
    document = {"number": "+39-3401234567", **parts}
    return msgspec.json.decode(json.dumps(document), type=RecipientReport)


@pytest.mark.parametrize(
    ("parts", "state"),
    [
        ({}, DeliveryState.PENDING),
        ({"state": "QUEUED"}, DeliveryState.PENDING),
        ({"state": 7}, DeliveryState.PENDING),
        ({"state": "SOMETHING_NEW"}, DeliveryState.PENDING),
        ({"state": "DELIVERED"}, DeliveryState.DELIVERED),
        ({"state": "SENT", "state_description": "DELIVERED_TO_HANDSET"}, DeliveryState.DELIVERED),
        (
            {"state": "DELIVERED", "state_description": "DELIVERED_TO_OPERATOR"},
            DeliveryState.AT_OPERATOR,
        ),
        ({"state": "EXPIRED"}, DeliveryState.EXPIRED),
        ({"state": "INVALID"}, DeliveryState.REJECTED),
        ({"report": {"status": {"groupId": 1}}}, DeliveryState.PENDING),
        ({"report": {"status": {"groupId": 2}}}, DeliveryState.UNDELIVERED),
        ({"report": {"status": {"groupId": 3}}}, DeliveryState.DELIVERED),
        ({"report": {"status": {"groupId": 4}}}, DeliveryState.EXPIRED),
        ({"report": {"status": {"groupId": 5}}}, DeliveryState.REJECTED),
        (
            {"report": {"status": {"id": 2, "groupId": 3, "name": "DELIVERED_TO_OPERATOR"}}},
            DeliveryState.AT_OPERATOR,
        ),
        ({"report": {"status": {"id": 2, "groupId": 3}}}, DeliveryState.AT_OPERATOR),
        ({"report": {"status": {"id": 2, "groupName": "DELIVERED"}}}, DeliveryState.AT_OPERATOR),
        ({"report": {"status": {"id": 5, "groupId": 3}}}, DeliveryState.DELIVERED),
        # The carrier's report outranks the gateway's own word.
        ({"state": "DELIVERED", "report": {"status": {"groupId": 2}}}, DeliveryState.UNDELIVERED),
        ({"state": "DELIVERED", "report": []}, DeliveryState.DELIVERED),
        ({"state": "DELIVERED", "report": {"status": {"groupId": 77}}}, DeliveryState.DELIVERED),
        ({"report": {"status": {"name": "EXPIRED"}}}, DeliveryState.EXPIRED),
    ],
)
def test_the_gateways_words(parts: dict[str, Any], state: DeliveryState) -> None:
    assert state_of(report(**parts)) is state


def test_states_only_move_forward() -> None:
    final = {one for one in DeliveryState if one.is_final}
    assert final == set(DeliveryState) - {DeliveryState.PENDING, DeliveryState.AT_OPERATOR}
    for old, new in itertools.product(DeliveryState, repeat=2):
        forward = old not in final and new is not old and new is not DeliveryState.PENDING
        assert old.may_become(new) is forward


@pytest.mark.parametrize(
    ("error", "permanent"),
    [(None, False), ({}, False), ({"permanent": False}, False), ({"permanent": True}, True)],
)
def test_permanent_is_what_the_carrier_calls_so(error: Any, *, permanent: bool) -> None:
    assert is_permanent(report(report={"error": error})) is permanent
    assert not is_permanent(report())


def test_an_invalid_number_is_a_permanent_failure() -> None:
    assert is_permanent(report(state="INVALID"))
    assert is_permanent(report(state=4, state_description="INVALID"))
    assert not is_permanent(report(state="INVALID", report={"error": {"permanent": False}}))
