"""The simulated gateway's rules, without any socket: documented responses, codes and arithmetic."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from gateway_sms_async._simulator.responses import Response
from gateway_sms_async._simulator.segments import count_parts
from gateway_sms_async.testing import Dialect, Gateway

UNKNOWN_ID = "5cf7cc139f272546624d3795"
NOW = 1_700_000_000.0  # 2023-11-14


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def make(clock: Clock | None = None, **knobs: Any) -> Gateway:
    own = {name: knobs.pop(name) for name in ("credit", "price") if name in knobs}
    return Gateway(clock=clock or Clock(), dialect=Dialect(**knobs), **own)


def request(recipients: Any = "+39-3401234567", **more: Any) -> dict[str, Any]:
    return {"sender": "ACME", "body": "Ciao", "recipients": recipients, **more}


def opened(gateway: Gateway, recipients: Any = (), **more: Any) -> str:
    answer = gateway.post(request(list(recipients), transaction=True, **more))
    assert answer.status == 201, answer
    message_id: str = answer.body["data"][0]["id"]
    return message_id


def sent(gateway: Gateway, recipients: Any = "+39-3401234567", **more: Any) -> str:
    answer = gateway.post(request(recipients, **more))
    assert answer.status == 201, answer
    message_id: str = answer.body["data"][0]["id"]
    return message_id


def close(gateway: Gateway, message_id: str, recipients: Any = ()) -> Response:
    return gateway.put(message_id, {"recipients": list(recipients), "transaction": False})


def fails(answer: Response, status: int, error: int, message: str | None = None) -> None:
    assert (answer.status, answer.body["error"]) == (status, error), answer
    assert answer.body["success"] is False
    assert answer.body["data"] is None
    assert message is None or answer.body["message"] == message


# The shapes of the vendor's examples


def test_send_is_answered_with_a_list_of_one_message_and_credit_as_text() -> None:
    gateway = make(price=Decimal("0.0315"), credit=Decimal("90.94"))
    answer = gateway.post(request(test=False))
    assert answer.status == 201
    message = answer.body["data"].pop()
    assert answer.body == {
        "data": [],
        "success": True,
        "message": "Message Queued",
        "credit": "90.9085",
        "error": None,
    }
    assert len(message.pop("id")) == 24
    options = message.pop("options")
    assert options == {
        "flash": False,
        "realtime": False,
        "bulk": False,
        "timestamp_send": "1700000000000",
    }
    assert message == {
        "test": False,
        "sender": "ACME",
        "body": "Ciao",
        "recipients": {"valid": {"count": 1}, "invalid": {"total": 0, "list": []}},
        "transaction": False,
        "statistics": {"error": 0, "sent": 0, "delivered": 0, "total": 1, "sms_total": 1},
        "base_price": 0.0315,
        "timestamp": "1700000000000",
        "last_update": "1700000000000",
        "priority": 1.0,
        "price": 0.0315,
        "state": 0,
    }


def test_append_is_answered_with_an_object_that_counts_the_whole_message() -> None:
    gateway = make()
    message_id = opened(gateway, ["+39-1", "nonsense"])
    answer = gateway.put(message_id, {"recipients": ["+39-2", "0039 3"], "transaction": True})
    assert answer.status == 200
    assert answer.body["message"] == "Updated"
    message = answer.body["data"]
    assert message["transaction"] is True
    assert message["recipients"] == {
        "valid": {"count": 2},
        "invalid": {"total": 2, "list": ["nonsense", "0039 3"]},
    }
    assert gateway.get(message_id).body["data"] == [message]


def test_list_is_newest_first_and_empty_is_404() -> None:
    clock = Clock()
    gateway = make(clock)
    fails(gateway.list_messages(), 404, 203, "No message found")
    first = sent(gateway)
    clock.now += 1
    second = opened(gateway)
    answer = gateway.list_messages()
    assert (answer.status, answer.body["message"]) == (200, "2 Results")
    assert [message["id"] for message in answer.body["data"]] == [second, first]
    assert answer.body["data"][1] == {
        "sender": "ACME",
        "timestamp": "1700000000000",
        "id": first,
    }


def test_delete_shows_an_empty_list_and_no_credit() -> None:
    gateway = make()
    message_id = opened(gateway, ["+39-1"])
    answer = gateway.delete(message_id)
    assert answer.status == 200
    assert answer.body == {
        "data": [],
        "message": f"{message_id} Deleted",
        "success": True,
        "error": None,
    }
    fails(gateway.get(message_id), 404, 203)


def test_delivered_recipient_has_the_form_of_the_vendors_example() -> None:
    clock = Clock()
    gateway = make(clock)
    message_id = sent(gateway, "+39-349155018", body="test summary2")
    clock.now += 3.168
    answer = gateway.recipients(message_id)
    assert answer.body["message"] == "1 Result"
    assert answer.body["credit"] == 999_999.97
    (recipient,) = answer.body["data"]
    recipient_id = f"{int(message_id, 16) + 1:024x}"
    assert recipient == {
        "number": "+39-349155018",
        "prefix": "+39",
        "send_id": f"{message_id}_0",
        "body": "test summary2",
        "sms": 1,
        "remaining_chr": 147,
        "state": "DELIVERED",
        "state_description": "DELIVERED_TO_HANDSET",
        "price": 0.03,
        "fields": [],
        "message_id": message_id,
        "i": 0,
        "state_detail": "Message delivered to handset",
        "timestamp_sent": {"$date": {"$numberLong": "1700000001000"}},
        "real_cost": 0.03,
        "report": {
            "price": {"pricePerMessage": 0.03, "currency": "EUR"},
            "status": {
                "id": 5,
                "groupId": 3,
                "groupName": "DELIVERED",
                "name": "DELIVERED_TO_HANDSET",
                "description": "Message delivered to handset",
            },
            "error": {
                "id": 0,
                "name": "NO_ERROR",
                "description": "No Error",
                "groupId": 0,
                "groupName": "OK",
                "permanent": False,
            },
            "messageId": recipient_id,
            "doneAt": "2023-11-14T23:13:23.000+0100",
            "smsCount": 1,
            "sentAt": "2023-11-14T23:13:21.000+0100",
            "to": "39349155018",
        },
        "timestamp_delivery": {"$date": {"$numberLong": "1700000003000"}},
        "id": recipient_id,
    }


def test_a_message_is_queued_then_sent_then_delivered() -> None:
    clock = Clock()
    gateway = make(clock)
    message_id = sent(gateway, ["+39-1", "+39-2"])
    seen = []
    for seconds in (0.9, 1.0, 2.9, 3.0):
        clock.now = NOW + seconds
        message = gateway.get(message_id).body["data"][0]
        statistics = message["statistics"]
        recipient = gateway.recipient(message_id, "+39-2").body["data"][0]
        seen.append(
            (message["state"], statistics["sent"], statistics["delivered"], recipient["state"])
        )
    assert seen == [
        (0, 0, 0, "QUEUED"),
        (1, 2, 0, "SENT"),
        (1, 2, 0, "SENT"),
        (2, 2, 2, "DELIVERED"),
    ]
    assert gateway.get(message_id).body["data"][0]["last_update"] == "1700000003000"


def test_an_open_message_never_moves() -> None:
    clock = Clock()
    gateway = make(clock)
    message_id = opened(gateway, ["+39-1"])
    clock.now += 10 * 365 * 86400
    assert gateway.get(message_id).body["data"][0]["state"] == 0
    assert not gateway.ledger


def test_one_recipient_is_listed_once_for_each_time_it_was_added() -> None:
    gateway = make()
    message_id = sent(gateway, ["+39-1", "+39-2", "+39-1"])
    answer = gateway.recipient(message_id, "+39-1")
    assert [recipient["i"] for recipient in answer.body["data"]] == [0, 2]
    fails(gateway.recipient(message_id, "+39-9"), 404, 203)


def test_options_are_returned() -> None:
    options = {
        "flash": True,
        "custom": {"test": 123, "trest": [12, 3]},
        "callback_url": "https://example.com/sms",
        "callback_field": "summary",
    }
    gateway = make()
    message_id = sent(gateway, options={**options, "timestamp_send": "03-05-1980"})
    shown = gateway.get(message_id).body["data"][0]["options"]
    assert options.items() <= shown.items()
    assert shown["timestamp_send"] == "326156400000"  # midnight at +0100


def test_everything_is_json() -> None:
    clock = Clock()
    gateway = make(clock)
    message_id = sent(gateway, [{"number": "+39-1", "fields": {"name": "Anna"}}], priority=1.01)
    clock.now += 5
    for answer in (gateway.get(message_id), gateway.recipients(message_id)):
        assert json.loads(json.dumps(answer.body, allow_nan=False)) == answer.body


# Refusals, with each call's own code for the same error


def test_unknown_and_malformed_ids() -> None:
    gateway = make()
    body: dict[str, Any] = {"recipients": []}
    fails(gateway.get(UNKNOWN_ID), 404, 203, "No message found")
    fails(gateway.get("nonsense"), 406, 202, "Invalid Message ID")
    fails(gateway.put(UNKNOWN_ID, body), 404, 211, "No message found")
    fails(gateway.put("nonsense", body), 406, 210, "Invalid Message ID")
    fails(gateway.delete(UNKNOWN_ID), 404, 219, "No message found")
    fails(gateway.delete("nonsense"), 406, 218, "Invalid Message ID")
    fails(gateway.delete(""), 400, 217, "Message Id required")
    fails(gateway.recipients(UNKNOWN_ID), 404, 203, "No message found")
    fails(gateway.recipients("nonsense"), 406, 202, "Invalid Message ID")
    fails(gateway.recipient(UNKNOWN_ID, "+39-1"), 404, 203)
    fails(gateway.recipient("nonsense", "+39-1"), 406, 202)


def test_missing_body_is_the_documented_302() -> None:
    gateway = make()
    bare = request()
    del bare["body"]
    fails(gateway.post(bare), 422, 302, "missing 'body' parameter")


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"sender": None}, 422, 301),
        ({"sender": "AB"}, 422, 304),
        ({"sender": "TwelveLetter"}, 422, 304),
        ({"sender": "123456789012345"}, 422, 304),
        ({"body": ""}, 422, 302),
        ({"body": 5}, 422, 304),
        ({"recipients": None}, 422, 303),
        ({"recipients": 5}, 422, 304),
        ({"priority": 0.99}, 422, 304),
        ({"priority": True}, 422, 304),
        ({"transaction": "true"}, 422, 304),
        ({"test": 1}, 422, 304),
        ({"options": "none"}, 422, 304),
        ({"options": {"flash": "no"}}, 422, 304),
        ({"options": {"timestamp_send": "2018-02-31"}}, 422, 304),
        ({"options": {"timestamp_send": "20/05/2018"}}, 422, 304),
        ({"options": {"timestamp_send": 1564751430282}}, 422, 304),
    ],
)
def test_unusable_parameters(change: dict[str, Any], status: int, error: int) -> None:
    gateway = make()
    fails(gateway.post(request(**change)), status, error)
    assert not gateway.messages


@pytest.mark.parametrize("sender", ["ABC", "ElevenChars", "123", "12345678901234", "+3933344455"])
def test_usable_senders(sender: str) -> None:
    assert make().post(request(sender=sender)).status == 201


@pytest.mark.parametrize("body", [None, [], "text", 5])
def test_a_request_that_is_no_object(body: Any) -> None:
    gateway = make()
    fails(gateway.post(body), 400, 300)
    fails(gateway.put(opened(gateway), body), 400, 300)


def test_a_closed_transaction_stays_closed() -> None:
    gateway = make()
    message_id = opened(gateway, ["+39-1"])
    assert close(gateway, message_id, ["+39-2"]).body["data"]["transaction"] is False
    before = gateway.get(message_id).body
    bodies: list[dict[str, Any]] = [
        {"recipients": ["+39-3"], "transaction": True},
        {"recipients": ["+39-3"]},
        {"recipients": [], "transaction": False},
        {"recipients": [], "options": {"timestamp_send": "2030-01-01"}},
    ]
    for body in bodies:
        fails(gateway.put(message_id, body), 422, 212, "Transaction already closed")
    assert gateway.get(message_id).body == before
    fails(gateway.delete(message_id), 422, 221, "message already scheduled for sending")
    assert gateway.ledger == {"+39-1": 1, "+39-2": 1}


def test_a_message_for_later_can_be_moved_or_deleted_until_its_day() -> None:
    clock = Clock()
    gateway = make(clock)
    message_id = sent(gateway, options={"timestamp_send": "2023-12-25"})
    move = {"recipients": [], "transaction": False, "options": {"timestamp_send": "26-12-2023"}}
    more = {**move, "recipients": ["+39-5"]}
    fails(gateway.put(message_id, {"options": move["options"]}), 422, 303)
    fails(gateway.put(message_id, more), 422, 212)
    fails(gateway.put(message_id, {**move, "transaction": True}), 422, 212)
    moved = gateway.put(message_id, move)
    assert moved.body["data"]["options"]["timestamp_send"] == "1703545200000"
    clock.now = 1703545200.0 + 0.5
    fails(gateway.put(message_id, move), 422, 212)
    fails(gateway.delete(message_id), 422, 221)
    assert gateway.get(message_id).body["data"][0]["state"] == 0
    clock.now += 1
    assert gateway.get(message_id).body["data"][0]["state"] == 1
    assert gateway.ledger == {"+39-3401234567": 1}
    other = sent(gateway, options={"timestamp_send": "2024-12-25"})
    assert gateway.delete(other).status == 200
    assert gateway.ledger == {"+39-3401234567": 1}


def test_an_open_message_can_be_given_a_date() -> None:
    gateway = make()
    message_id = opened(gateway, ["+39-1"])
    answer = gateway.put(
        message_id,
        {"recipients": [], "transaction": True, "options": {"timestamp_send": "2023-12-25"}},
    )
    assert answer.body["data"]["options"]["timestamp_send"] == "1703458800000"
    close(gateway, message_id)
    assert gateway.delete(message_id).status == 200


def test_one_realtime_message_a_minute() -> None:
    clock = Clock()
    gateway = make(clock)
    realtime = {"realtime": True}
    sent(gateway, options=realtime)
    clock.now += 59
    fails(gateway.post(request(options=realtime)), 422, 305)
    sent(gateway)
    sent(gateway, options=realtime, test=True)
    clock.now += 1
    sent(gateway, options=realtime)


# Credit


def test_send_without_credit_is_402_and_leaves_nothing() -> None:
    gateway = make(credit=Decimal("0.1"), price=Decimal("0.3"))
    wording = "Current User credit is not enough. 0.3 needed 0.1 € available"
    fails(gateway.post(request()), 402, 201, wording)
    assert not gateway.messages


def test_credit_is_taken_at_the_close_and_not_given_back() -> None:
    gateway = make(credit=Decimal("0.10"))
    message_id = opened(gateway, ["+39-1", "+39-2"])
    gateway.put(message_id, {"recipients": ["+39-3"], "transaction": True})
    assert gateway.credit == Decimal("0.10")
    fails(close(gateway, message_id, ["+39-4"]), 402, 201, "Insufficient Credit in Wallet: 0.10")
    assert gateway.get(message_id).body["data"][0]["recipients"]["valid"]["count"] == 3
    assert close(gateway, message_id).status == 200
    assert gateway.credit == Decimal("0.01")


def test_credit_taken_with_each_put() -> None:
    gateway = make(credit=Decimal("0.10"), charge_at="put")
    message_id = opened(gateway, ["+39-1", "+39-2"])
    assert gateway.credit == Decimal("0.04")
    more = {"recipients": ["+39-3", "+39-4"], "transaction": True}
    fails(gateway.put(message_id, more), 402, 201)
    assert close(gateway, message_id, ["+39-3"]).body["credit"] == "0.01"
    open_message = opened(gateway)
    gateway.delete(open_message)
    assert gateway.credit == Decimal("0.01")


@pytest.mark.parametrize("price", ["0", "-0.03"])
def test_a_price_may_be_zero_or_less(price: str) -> None:
    gateway = make(credit=Decimal("0.01"), price=Decimal(price))
    message_id = opened(gateway, ["+39-1", "+39-2"])
    assert close(gateway, message_id, ["+39-3"]).status == 200
    assert gateway.credit == Decimal("0.01") - 3 * Decimal(price)
    shown = gateway.get(message_id).body["data"][0]
    assert shown["price"] == float(3 * Decimal(price))


def test_others_close_every_open_message() -> None:
    gateway = make(credit=Decimal("0.05"))
    first, second = opened(gateway, ["+39-1"]), opened(gateway, ["+39-2"])
    assert close(gateway, first).status == 200
    gateway.close_all()
    assert gateway.ledger == {"+39-1": 1, "+39-2": 1}
    assert gateway.credit == Decimal("-0.01")
    fails(append(gateway, second, "+39-3"), 422, 212)


def test_a_simulated_send_costs_nothing_and_reaches_no_recipient() -> None:
    gateway = make(credit=Decimal(0))
    message_id = sent(gateway, test=True)
    message = gateway.get(message_id).body["data"][0]
    assert (message["test"], message["price"]) == (True, 0.03)
    assert not gateway.ledger


def test_priority_and_length_raise_the_price() -> None:
    gateway = make()
    message_id = sent(gateway, ["+39-1", "+39-2"], body="x" * 161, priority=1.5)
    message = gateway.get(message_id).body["data"][0]
    assert message["statistics"]["sms_total"] == 4
    assert (message["base_price"], message["price"]) == (0.12, 0.18)
    assert gateway.credit == Decimal(1_000_000) - Decimal("0.18")


# Recipients in all forms


@pytest.mark.parametrize(
    ("recipients", "valid", "invalid"),
    [
        ("+39-340", 1, []),
        ("340", 0, ["340"]),
        ([], 0, []),
        (["+39-340", "+1-2", "+420-7"], 3, []),
        ({"number": "+39-340", "fields": {"name": "Anna"}}, 1, []),
        ({"number": "+39-340"}, 1, []),
        ({"number": "+39-340", "fields": []}, 1, []),
        ({"number": "+39-340", "fields": "Anna"}, 0, ["+39-340"]),
        ([{"number": "+39-340", "fields": {"name": "Anna"}}, "+39-341", {"number": "3"}], 2, ["3"]),
        (["+39-1\n+39-2"], 0, ["+39-1\n+39-2"]),
        (["+39-1\n"], 0, ["+39-1\n"]),
        (["+39340", "+3912-1", "39-1", "+39-1a", "+39--1", " +39-1", "+39-", ""], 0, None),
        (["+39-1", None, 5, {}], 1, ["None", "5", "None"]),
        (["+39-\u0661"], 0, None),
    ],
)
def test_recipients_are_counted(recipients: Any, valid: int, invalid: list[str] | None) -> None:
    gateway = make()
    message = gateway.post(request(recipients)).body["data"][0]
    counts = message["recipients"]
    assert counts["valid"]["count"] == valid
    assert counts["invalid"]["list"] == (recipients if invalid is None else invalid)
    assert counts["invalid"]["total"] == len(counts["invalid"]["list"])


def test_fields_fill_the_text_of_each_recipient() -> None:
    gateway = make()
    recipients = [
        {"number": "+39-1", "fields": {"name": "Anna", "n": 5}},
        {"number": "+39-2", "fields": {"name": "x" * 160}},
        "+39-3",
    ]
    message_id = sent(gateway, recipients, body="Ciao {{name}} {{n}}")
    listed = gateway.recipients(message_id).body["data"]
    assert [recipient["body"] for recipient in listed] == [
        "Ciao Anna 5",
        f"Ciao {'x' * 160} {{{{n}}}}",
        "Ciao {{name}} {{n}}",
    ]
    assert [recipient["fields"] for recipient in listed] == [
        {"name": "Anna", "n": 5},
        {"name": "x" * 160},
        [],
    ]
    assert [recipient["sms"] for recipient in listed] == [1, 2, 1]
    assert gateway.get(message_id).body["data"][0]["statistics"]["sms_total"] == 4


NUMBERS = st.from_regex(r"\+[0-9]{1,3}-[0-9]{1,6}", fullmatch=True)
WRITTEN = st.one_of(
    NUMBERS, st.text(max_size=8), st.builds(lambda number: {"number": number}, NUMBERS)
)


@given(st.lists(st.tuples(st.lists(WRITTEN, max_size=6), st.booleans()), max_size=5), st.booleans())
def test_counts_add_up_and_the_ledger_holds_closed_messages_only(
    batches: list[tuple[list[Any], bool]], delete: bool
) -> None:
    gateway = make()
    expected: Counter[str] = Counter()
    for recipients, closes in batches:
        message_id = opened(gateway, recipients)
        answer = gateway.put(message_id, {"recipients": recipients, "transaction": not closes})
        counts = answer.body["data"]["recipients"]
        listed = gateway.recipients(message_id).body["data"]
        assert counts["valid"]["count"] + counts["invalid"]["total"] == 2 * len(recipients)
        assert counts["invalid"]["total"] == len(counts["invalid"]["list"])
        assert [recipient["i"] for recipient in listed] == list(range(counts["valid"]["count"]))
        if closes:
            expected.update(recipient["number"] for recipient in listed)
        elif delete:
            assert gateway.delete(message_id).status == 200
    assert gateway.ledger == expected
    assert gateway.credit == Decimal(1_000_000) - Decimal("0.03") * expected.total()


@given(
    st.lists(WRITTEN, max_size=4),
    st.lists(WRITTEN, max_size=4),
    st.sampled_from(["append", "close", "delete", "send"]),
)
def test_a_checkpoint_undoes_any_one_call(first: list[Any], second: list[Any], call: str) -> None:
    gateway = make()
    message_id = opened(gateway, first)

    def look() -> Any:
        listed = gateway.recipients(message_id).body
        return gateway.list_messages().body, gateway.get(message_id).body, listed, gateway.ledger

    before = look()
    undo = gateway.checkpoint("" if call == "send" else message_id)
    if call == "send":
        gateway.post(request(second))
    elif call == "delete":
        gateway.delete(message_id)
    else:
        gateway.put(message_id, {"recipients": second, "transaction": call == "append"})
    undo()
    assert look() == before


# Parts

GSM = st.text("abc ABC123@£èé")
EXTENDED = st.text("ab€[]{}^~|\\")


@pytest.mark.parametrize(
    ("text", "parts", "remaining"),
    [
        ("test summary2", 1, 147),
        ("", 1, 160),
        ("a" * 160, 1, 0),
        ("a" * 161, 2, 145),
        ("a" * 306, 2, 0),
        ("€" * 80, 1, 0),
        ("€" * 81, 2, 143),  # 76 pairs fit into 153, the odd one stays empty
        ("ç" * 70, 1, 0),  # a small c with cedilla is not in the alphabet, the capital is
        ("Ç" * 160, 1, 0),
        ("я" * 71, 2, 63),
        ("😀" * 35, 1, 0),
        ("😀" * 36, 2, 61),  # 33 pairs fit into 67
    ],
)
def test_parts(text: str, parts: int, remaining: int) -> None:
    assert count_parts(text) == (parts, remaining)


@given(st.one_of(GSM, EXTENDED, st.text()), st.integers(1, 40))
def test_parts_never_shrink_with_the_text(text: str, repeat: int) -> None:
    whole = text * repeat
    parts, remaining = count_parts(whole)
    assert parts >= 1
    assert 0 <= remaining <= 160
    assert count_parts(whole + "a")[0] >= parts


# Dialects: the other setting of each open question


def test_empty_close_refused() -> None:
    gateway = make(empty_close=False)
    message_id = opened(gateway, ["+39-1"])
    fails(close(gateway, message_id), 422, 307)
    assert gateway.get(message_id).body["data"][0]["transaction"] is True
    assert close(gateway, message_id, ["+39-2"]).status == 200


def test_repeats_kept_by_default() -> None:
    gateway = make()
    message_id = opened(gateway, ["+39-1", "+39-1"])
    close(gateway, message_id, ["+39-1"])
    assert gateway.ledger == {"+39-1": 3}


def test_repeats_merged() -> None:
    gateway = make(merge_repeats=True)
    message_id = opened(gateway, ["+39-1", "+39-1", {"number": "+39-2", "fields": {"a": "b"}}])
    close(gateway, message_id, [{"number": "+39-1", "fields": {"a": "c"}}, "+39-3", "x"])
    assert gateway.ledger == {"+39-1": 1, "+39-2": 1, "+39-3": 1}
    listed = gateway.recipients(message_id).body["data"]
    assert [recipient["fields"] for recipient in listed] == [[], {"a": "b"}, []]
    counts = gateway.get(message_id).body["data"][0]["recipients"]
    assert counts == {"valid": {"count": 3}, "invalid": {"total": 1, "list": ["x"]}}


def test_open_message_not_listable() -> None:
    gateway = make(list_while_open=False)
    message_id = opened(gateway, ["+39-1"])
    fails(gateway.recipients(message_id), 404, 203)
    fails(gateway.recipient(message_id, "+39-1"), 404, 203)
    close(gateway, message_id)
    assert gateway.recipients(message_id).status == 200


def test_lists_of_objects_not_understood() -> None:
    gateway = make(object_lists=False)
    someone = {"number": "+39-1", "fields": {"name": "Anna"}}
    message_id = opened(gateway, [someone, "+39-2"])
    counts = gateway.get(message_id).body["data"][0]["recipients"]
    assert counts == {"valid": {"count": 1}, "invalid": {"total": 1, "list": ["+39-1"]}}
    gateway.put(message_id, {"recipients": someone, "transaction": False})
    assert gateway.ledger == {"+39-1": 1, "+39-2": 1}


def test_custom_not_returned() -> None:
    gateway = make(custom_returned=False)
    message_id = sent(gateway, options={"custom": "mine", "flash": True})
    options = gateway.get(message_id).body["data"][0]["options"]
    assert "custom" not in options
    assert options["flash"] is True


def test_put_as_created() -> None:
    gateway = make(put_as_created=True)
    answer = close(gateway, opened(gateway), ["+39-1"])
    assert answer.status == 201
    assert answer.body["data"][0]["transaction"] is False


def test_most_recipients() -> None:
    gateway = make(max_recipients=2)
    fails(gateway.post(request(["+39-1", "+39-2", "x"])), 413, 308)
    message_id = opened(gateway, ["+39-1", "+39-2"])
    fails(close(gateway, message_id, ["+39-3"] * 3), 413, 308)
    assert close(gateway, message_id, ["+39-3"] * 2).status == 200


def test_missing_fields_refused() -> None:
    gateway = make(refuse_missing_fields=True)
    named = {"number": "+39-1", "fields": {"name": "Anna"}}
    fails(gateway.post(request([named, "+39-2"], body="Ciao {{name}}")), 422, 306)
    assert gateway.post(request([named], body="Ciao {{name}}")).status == 201
    assert gateway.post(request(["+39-2"])).status == 201


def test_put_without_transaction() -> None:
    for closes in (False, True):
        gateway = make(put_closes=closes)
        answer = gateway.put(opened(gateway), {"recipients": ["+39-1"]})
        assert answer.body["data"]["transaction"] is not closes


def counts_of(gateway: Gateway, message_id: str) -> Any:
    return gateway.get(message_id).body["data"][0]["recipients"]


def listed(gateway: Gateway, message_id: str) -> list[str]:
    return [one["number"] for one in gateway.recipients(message_id).body["data"]]


def append(gateway: Gateway, message_id: str, *recipients: Any) -> Response:
    return gateway.put(message_id, {"recipients": list(recipients), "transaction": True})


def test_most_recipients_of_a_message() -> None:
    gateway = make(max_per_message=3)
    fails(gateway.post(request(["+39-1"] * 3 + ["x"])), 413, 308)
    message_id = opened(gateway, ["+39-1", "x"])
    fails(append(gateway, message_id, "+39-2", "y"), 413, 308)
    fails(close(gateway, message_id, ["+39-2", "+39-3"]), 413, 308)
    assert counts_of(gateway, message_id)["valid"]["count"] == 1
    assert close(gateway, message_id, ["+39-2"]).status == 200
    fails(append(gateway, message_id, "+39-3"), 422, 212)
    assert gateway.ledger == {"+39-1": 1, "+39-2": 1}


def test_list_grows_after_the_close() -> None:
    clock = Clock()
    gateway = make(clock, list_grows=10.0)
    message_id = opened(gateway, ["+39-1", "+39-2", "+39-3"])
    assert len(listed(gateway, message_id)) == 3
    close(gateway, message_id, ["+39-4"])
    clock.now += 9.9
    fails(gateway.recipient(message_id, "+39-4"), 404, 203)
    seen = []
    for seconds in (0, 2.5, 5, 9.9, 10):
        clock.now = NOW + seconds
        seen.append(listed(gateway, message_id))
    assert seen == [
        [],
        ["+39-1"],
        ["+39-1", "+39-2"],
        ["+39-1", "+39-2", "+39-3"],
        ["+39-1", "+39-2", "+39-3", "+39-4"],
    ]
    assert counts_of(gateway, message_id)["valid"]["count"] == 4


def test_list_does_not_start_anew_when_the_date_moves() -> None:
    clock = Clock()
    gateway = make(clock, list_grows=10.0)
    message_id = sent(gateway, options={"timestamp_send": "2023-12-25"})
    clock.now += 10
    date = {"timestamp_send": "2023-12-26"}
    assert gateway.put(message_id, {"recipients": [], "options": date}).status == 200
    assert len(listed(gateway, message_id)) == 1


def test_numbers_rewritten() -> None:
    gateway = make(rewrite_numbers=True, list_invalid=True)
    gateway.unroutable = {"+39-9"}
    message_id = sent(gateway, ["+39-1", "+39-2", "+39-9", "x-y-z"])
    assert listed(gateway, message_id) == ["+391", "+392", "xy-z", "+399"]
    assert counts_of(gateway, message_id)["invalid"] == {"total": 2, "list": ["xy-z", "+399"]}
    for written in ("+39-2", "+392"):
        (recipient,) = gateway.recipient(message_id, written).body["data"]
        assert (recipient["number"], recipient["prefix"]) == ("+392", "+39")
    fails(gateway.recipient(message_id, "+393"), 404, 203)
    assert gateway.ledger == {"+39-1": 1, "+39-2": 1}


@pytest.mark.parametrize("named", [0, 1, 2, 3, None])
def test_invalid_numbers_named(named: int | None) -> None:
    gateway = make(invalid_named=named)
    message_id = opened(gateway, ["x", "+39-1"])
    append(gateway, message_id, "y")
    assert counts_of(gateway, message_id)["invalid"] == {"total": 2, "list": ["x", "y"][:named]}


def test_invalid_ones_listed() -> None:
    clock = Clock()
    gateway = make(clock, list_invalid=True)
    message_id = opened(gateway, ["x", "+39-1"])
    before = gateway.recipient(message_id, "x").body["data"][0]
    close(gateway, message_id, ["+39-2", "y"])
    clock.now += 5
    shown = gateway.recipients(message_id).body["data"]
    assert [(one["number"], one["state"]) for one in shown] == [
        ("+39-1", "DELIVERED"),
        ("+39-2", "DELIVERED"),
        ("x", "INVALID"),
        ("y", "INVALID"),
    ]
    assert before.keys() == shown[2].keys() < shown[0].keys()
    assert before["id"] == shown[2]["id"]
    assert len({one["id"] for one in shown}) == 4
    assert shown[2]["price"] == 0.0
    fails(make().recipient(message_id, "x"), 404, 203)


def test_lists_capped() -> None:
    gateway = make(list_limit=2)
    ids = [sent(gateway, ["+39-1", "+39-2", "+39-3"]) for _ in range(3)]
    assert [one["id"] for one in gateway.list_messages().body["data"]] == [ids[2], ids[1]]
    assert listed(gateway, ids[0]) == ["+39-1", "+39-2"]
    assert gateway.recipient(ids[0], "+39-3").status == 200
    assert counts_of(gateway, ids[0])["valid"]["count"] == 3


def test_pages_of_a_list_overlap() -> None:
    gateway = make(list_pages=3)
    message_id = opened(gateway, [f"+39-{i}" for i in range(8)])
    shown = gateway.recipients(message_id).body["data"]
    places = [0, 1, 2, 2, 3, 4, 4, 5]
    assert [(one["i"], one["number"]) for one in shown] == [(i, f"+39-{i}") for i in places]
    assert shown[2] == shown[3]
    assert len({one["id"] for one in shown}) == 6
    assert gateway.recipient(message_id, "+39-7").status == 200
    short = opened(gateway, ["+39-1", "+39-2", "+39-3"])
    assert listed(gateway, short) == ["+39-1", "+39-2", "+39-3"]
    with pytest.raises(ValueError, match="list_pages"):
        make(list_pages=1)


def test_close_in_two_steps() -> None:
    gateway = make(split_close=True)
    message_id = opened(gateway, ["+39-1"])
    answer = close(gateway, message_id, ["+39-2"])
    assert (answer.status, answer.body["data"]["transaction"]) == (200, True)
    assert counts_of(gateway, message_id)["valid"]["count"] == 2
    assert not gateway.ledger
    assert close(gateway, message_id).body["data"]["transaction"] is False
    assert gateway.ledger == {"+39-1": 1, "+39-2": 1}


def test_an_update_of_an_old_state_loses_the_changes_in_between() -> None:
    gateway = make(lose_concurrent=True)
    message_id = opened(gateway, ["+39-0"])
    first, second = gateway.look_up(message_id), gateway.look_up(message_id)
    for number, seen in (("+39-1", first), ("+39-2", second)):
        body = {"recipients": [number], "transaction": True}
        answer = gateway.put(message_id, body, seen=seen)
        assert (answer.status, answer.body["data"]["recipients"]["valid"]["count"]) == (200, 2)
    assert listed(gateway, message_id) == ["+39-0", "+39-2"]
    assert counts_of(gateway, message_id)["valid"]["count"] == 2
    append(gateway, message_id, "+39-3")
    assert listed(gateway, message_id) == ["+39-0", "+39-2", "+39-3"]


def test_a_lost_update_spares_a_close() -> None:
    gateway = make(lose_concurrent=True)
    message_id = opened(gateway, ["+39-0"])
    seen, empty_handed = gateway.look_up(message_id), gateway.look_up(message_id)
    append(gateway, message_id, "+39-1")
    body: dict[str, Any] = {"recipients": [], "transaction": False}
    assert gateway.put(message_id, body, seen=empty_handed).status == 200
    assert gateway.ledger == {"+39-0": 1, "+39-1": 1}
    late = {"recipients": ["+39-2"], "transaction": True}
    fails(gateway.put(message_id, late, seen=seen), 422, 212)
    assert gateway.ledger == {"+39-0": 1, "+39-1": 1}
    assert gateway.look_up(message_id) is None
    assert make().look_up(message_id) is None


def test_unroutable_numbers_count_as_invalid() -> None:
    gateway = make()
    gateway.unroutable = {"+39-2", "+39-4"}
    named = {"number": "+39-3", "fields": {"name": "Anna"}}
    message_id = opened(gateway, ["+39-1", "+39-2", named, {"number": "+39-4"}, "x"])
    append(gateway, message_id, "+39-6")
    close(gateway, message_id, ["+39-2", "+39-5"])
    assert counts_of(gateway, message_id) == {
        "valid": {"count": 4},
        "invalid": {"total": 4, "list": ["x", "+39-2", "+39-4", "+39-2"]},
    }
    assert gateway.recipient(message_id, "+39-3").body["data"][0]["fields"] == {"name": "Anna"}
    assert gateway.ledger == {"+39-1": 1, "+39-3": 1, "+39-6": 1, "+39-5": 1}


# Where the vendor's examples differ from its words, or say more


def test_flash_with_realtime_costs_a_fifth_more_as_in_the_vendors_example() -> None:
    gateway = make(credit=Decimal("90.97149999999986") + Decimal("0.036"))
    message_id = sent(gateway, options={"flash": True, "realtime": True})
    answer = gateway.get(message_id).body
    message = answer["data"][0]
    assert (message["base_price"], message["price"]) == (0.03, 0.036)
    assert Decimal(answer["credit"]) == Decimal("90.97149999999986")


@pytest.mark.parametrize(
    ("surcharge_on", "surcharged"),
    [
        ("both", {(True, True)}),
        ("flash", {(True, True), (True, False)}),
        ("realtime", {(True, True), (False, True)}),
        (None, set()),
    ],
)
@pytest.mark.parametrize("flash", [False, True])
@pytest.mark.parametrize("realtime", [False, True])
def test_the_surcharge(
    surcharge_on: Any, surcharged: set[tuple[bool, bool]], flash: bool, realtime: bool
) -> None:
    gateway = make(surcharge_on=surcharge_on)
    options = {"flash": flash, "realtime": realtime}
    message_id = sent(gateway, ["+39-1", "+39-2"], options=options, priority=1.5)
    price = Decimal("0.108") if (flash, realtime) in surcharged else Decimal("0.09")
    assert gateway.get(message_id).body["data"][0]["price"] == float(price)
    assert gateway.credit == Decimal(1_000_000) - price


def test_a_sender_of_a_vendors_example() -> None:
    sender = "Nome del mittente"
    fails(make().post(request(sender=sender)), 422, 304)
    gateway = make(max_sender=17)
    message_id = sent(gateway, sender=sender)
    assert gateway.list_messages().body["data"][0]["sender"] == sender
    assert gateway.get(message_id).body["data"][0]["sender"] == sender
    for other in (sender + "x", "AB", "123456789012345", "Nome\tdel mittente"):
        fails(gateway.post(request(sender=other)), 422, 304)


@pytest.mark.parametrize("written", ["1703458800000", "326152800000"])
def test_a_time_in_milliseconds(written: str) -> None:
    options = {"timestamp_send": written}
    fails(make().post(request(options=options)), 422, 304)
    gateway = make(millis_dates=True)
    message_id = sent(gateway, options=options)
    shown = gateway.get(message_id).body["data"][0]["options"]
    assert shown["timestamp_send"] == written
    is_later = written.startswith("17")
    assert gateway.delete(message_id).status == (200 if is_later else 422)


def test_a_time_in_milliseconds_moves_a_message() -> None:
    move = {"recipients": [], "options": {"timestamp_send": "1703545200000"}}
    for dialect, status in (({}, 422), ({"millis_dates": True}, 200)):
        gateway = make(**dialect)
        message_id = sent(gateway, options={"timestamp_send": "2023-12-25"})
        assert gateway.put(message_id, move).status == status
        opened_id = opened(gateway, ["+39-1"])
        assert gateway.put(opened_id, {**move, "transaction": True}).status == status


@pytest.mark.parametrize("written", [1703458800000, "-5", "1.5e12", "", "9" * 30, "٣٢٦١٥٢٨٠٠٠٠٠"])
def test_what_is_no_time_in_milliseconds(written: Any) -> None:
    gateway = make(millis_dates=True)
    fails(gateway.post(request(options={"timestamp_send": written})), 422, 304)
    assert not gateway.messages


@pytest.mark.parametrize("name", ["callback_url", "callback_field"])
@pytest.mark.parametrize("value", [5, True, 0, False, ["https://example.com/"], {"url": "x"}, []])
def test_a_callback_option_that_is_no_string(name: str, value: Any) -> None:
    gateway = make()
    fails(gateway.post(request(options={name: value})), 422, 304)
    assert not gateway.messages
    message_id = opened(gateway, ["+39-1"])
    body = {"recipients": ["+39-2"], "transaction": True, "options": {name: value}}
    fails(gateway.put(message_id, body), 422, 304)
    assert gateway.messages[message_id].numbers == ["+39-1"]


@pytest.mark.parametrize("value", [None, "", "https://example.com/"])
def test_a_callback_option_may_be_absent(value: str | None) -> None:
    gateway = make()
    sent(gateway, options={"callback_url": value, "callback_field": value})
    assert bool(gateway.watched) is bool(value)


# Broken assumptions


@pytest.mark.parametrize("test", [False, True])
def test_an_open_message_sends_by_itself(test: bool) -> None:
    clock = Clock()
    gateway = make(clock, opens_send_after=3600.0)
    message_id = opened(gateway, ["+39-1"], test=test)
    clock.now += 3599
    append(gateway, message_id, "+39-2")
    assert not gateway.ledger
    clock.now += 1
    assert gateway.ledger == ({} if test else {"+39-1": 1, "+39-2": 1})
    assert gateway.credit == Decimal(1_000_000) - (0 if test else Decimal("0.06"))
    fails(append(gateway, message_id, "+39-3"), 422, 212)
    fails(close(gateway, message_id), 422, 212)
    fails(gateway.delete(message_id), 422, 221)
    clock.now += 1
    message = gateway.get(message_id).body["data"][0]
    assert (message["transaction"], message["state"]) == (False, 1)
    in_time = opened(gateway)
    assert gateway.delete(in_time).status == 200


def test_a_closed_message_takes_puts() -> None:
    gateway = make(closed_takes_puts=True)
    message_id = opened(gateway, ["+39-1"])
    close(gateway, message_id)
    answer = append(gateway, message_id, "+39-2")
    assert (answer.status, answer.body["data"]["transaction"]) == (200, False)
    assert close(gateway, message_id, ["+39-3"]).status == 200
    fails(close(gateway, message_id), 422, 212)
    assert gateway.ledger == {"+39-1": 1, "+39-2": 1, "+39-3": 1}
    assert gateway.credit == Decimal(1_000_000) - Decimal("0.09")


@pytest.mark.parametrize(
    ("knobs", "status", "error"),
    [
        ({"credit": Decimal("0.10"), "charge_at": "put"}, 402, 201),
        ({"max_recipients": 3}, 413, 308),
        ({"max_per_message": 4}, 413, 308),
        ({"refuse_missing_fields": True}, 422, 306),
    ],
)
def test_a_refused_put_is_half_applied(knobs: dict[str, Any], status: int, error: int) -> None:
    for halves in (False, True):
        gateway = make(refusals_apply_half=halves, **knobs)
        message_id = opened(gateway, [], body="Ciao {{name}}")
        refused = append(gateway, message_id, *(f"+39-{i}" for i in range(5)))
        fails(refused, status, error)
        assert listed(gateway, message_id) == (["+39-0", "+39-1"] if halves else [])


def test_a_put_refused_by_a_closed_message_is_not_applied_by_halves() -> None:
    gateway = make(refusals_apply_half=True)
    message_id = sent(gateway)
    fails(append(gateway, message_id, "+39-1", "+39-2"), 422, 212)
    assert gateway.ledger == {"+39-3401234567": 1}
    open_message = opened(gateway)
    fails(gateway.put(open_message, {"transaction": True}), 422, 303)
    assert listed(gateway, open_message) == []


def test_deletes_undone() -> None:
    gateway = make(deletes_undone=True)
    waiting = sent(gateway, options={"timestamp_send": "2030-01-01"})
    message_id = opened(gateway, ["+39-1"])
    for one in (waiting, message_id):
        before = gateway.get(one).body
        answer = gateway.delete(one)
        assert (answer.status, answer.body["message"]) == (200, f"{one} Deleted")
        assert gateway.get(one).body == before
    assert close(gateway, message_id).status == 200
    fails(gateway.delete(message_id), 422, 221)


def test_a_closed_message_cannot_be_read() -> None:
    gateway = make(closed_unreadable=True)
    message_id = opened(gateway, ["+39-1"])
    assert listed(gateway, message_id) == ["+39-1"]
    close(gateway, message_id)
    fails(gateway.get(message_id), 404, 203)
    fails(gateway.recipients(message_id), 404, 203)
    fails(gateway.recipient(message_id, "+39-1"), 404, 203)
    fails(close(gateway, message_id), 422, 212)
    assert gateway.ledger == {"+39-1": 1}


@settings(max_examples=20)
@given(st.integers(1, 60))
def test_ids_differ(count: int) -> None:
    gateway = make()
    ids = {sent(gateway) for _ in range(count)} | {sent(make()) for _ in range(2)}
    assert len(ids) == count + 2
    assert all(len(message_id) == 24 for message_id in ids)
