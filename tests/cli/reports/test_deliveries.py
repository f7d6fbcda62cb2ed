"""Deliveries in files: everybody in CSV, and a list of whom to try again that is a list again."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, strategies as st

from gateway_sms_async._cli.lists.columns import NUMBER_NAMES
from gateway_sms_async._cli.lists.recipient_list import Row, open_list
from gateway_sms_async._cli.reports.deliveries import RetryList, write_deliveries, write_header
from gateway_sms_async.models import RecipientReport

from ...support.recipients import ABSENT, ANNA, UNKNOWN, recipient

BEA = "+39-3401234502"
FAILED = {"report": {"status": {"groupId": 2}, "error": ABSENT}}
HOPELESS = {"report": {"status": {"groupId": 2}, "error": UNKNOWN}}
DELIVERED = {"state": "DELIVERED"}


def retry(*recipients: RecipientReport) -> RetryList:
    people = RetryList()
    for one in recipients:
        people.add(one)
    return people


def read_back(people: RetryList, path: Path, fields: list[str]) -> list[Row]:
    with path.open("w", encoding="utf-8", newline="") as file:
        people.write(file)
    with open_list(
        str(path), fields, number_column=people.number_column(), allow_missing_fields=True
    ) as rows:
        return list(rows.rows())


def rows_of(message_id: str, *recipients: RecipientReport) -> list[dict[str, str]]:
    file = io.StringIO()
    write_header(file)
    write_deliveries(message_id, recipients, file)
    return list(csv.DictReader(io.StringIO(file.getvalue())))


# Everybody


def test_one_line_for_each() -> None:
    delivered = recipient(
        sms=2,
        price=0.06,
        real_cost="0.07",
        timestamp_sent="1700000000000",
        timestamp_delivery={"$date": {"$numberLong": "1700000002500"}},
        **DELIVERED,
    )
    first, second = rows_of("abc", delivered, recipient("+44 7911 123456", **FAILED))
    assert first == {
        "number": ANNA,
        "country": "+39",
        "message_id": "abc",
        "state": "delivered",
        "reason": "",
        "permanent": "",
        "parts": "2",
        "price": "0.06",
        "real_cost": "0.07",
        "sent": "2023-11-14T22:13:20Z",
        "delivered": "2023-11-14T22:13:22.500000Z",
        "seconds_to_deliver": "2.5",
    }
    assert (second["number"], second["country"]) == ("+44-7911123456", "+44")
    assert (second["reason"], second["permanent"]) == ("Absent Subscriber", "false")


@pytest.mark.parametrize("words", ["=1+2", "@SUM(A1)", "-2+3", "+cmd|' /C calc'!A0"])
def test_what_the_gateway_wrote_is_no_formula(words: str) -> None:
    [row] = rows_of("abc", recipient(words, state="EXPIRED", state_detail=words))
    assert row["reason"] == f"'{words}"
    assert row["number"] == f"'{words}"


def test_what_the_gateway_wrote_is_no_formula_where_columns_end_at_semicolons() -> None:
    # As in an Italian spreadsheet, which takes the file for one with semicolons.
    words = "none;=1+2"
    [row] = rows_of("abc", recipient(words, state="EXPIRED", state_detail=words))
    assert (row["reason"], row["number"]) == ("none,=1+2", "none,=1+2")


# Whom to try again


def test_only_those_who_can_be_tried_again() -> None:
    people = retry(
        recipient("+39-3400000001", **FAILED),
        recipient("+39-3400000002", **HOPELESS),
        recipient("+39-3400000003", **DELIVERED),
        recipient("+39-3400000004", state="QUEUED"),
        recipient("+39-3400000005", state="DELIVERED_TO_OPERATOR"),
        recipient("+39-3400000006", state="EXPIRED"),
        recipient("+39-3400000007", state="INVALID"),
        recipient("nonsense", state="EXPIRED"),
    )
    file = io.StringIO()
    file.name = "again.csv"
    people.write(file)
    assert file.getvalue() == "number\n+39-3400000001\n+39-3400000006\n"


@pytest.mark.parametrize("other", [DELIVERED, HOPELESS, {"state": "QUEUED"}])
@pytest.mark.parametrize("turned", [False, True])
def test_what_another_message_says_outranks_it(other: dict[str, Any], *, turned: bool) -> None:
    twice = [recipient(ANNA, **FAILED), recipient("+39 340 1234567", **other)]
    people = retry(*(reversed(twice) if turned else twice), recipient(ANNA, **FAILED))
    assert len(people) == 0


@pytest.mark.parametrize("shown", ["+39-340***4567", "***", "393401234567", "3401234567"])
def test_a_list_is_not_sure_where_somebody_on_it_may_have_it_under_a_hidden_number(
    shown: str,
) -> None:
    for settled in (DELIVERED, {"state": "QUEUED"}, {"state": "DELIVERED_TO_OPERATOR"}):
        for people in (
            retry(recipient(ANNA, **FAILED), recipient(shown, **settled)),
            retry(recipient(shown, **settled), recipient(ANNA, **FAILED)),
        ):
            assert people.hidden == 1
            assert people.lost == 0
    assert retry(recipient(ANNA, **FAILED), recipient(shown, **HOPELESS)).hidden == 0


def test_whoever_is_left_out_is_not_tried_again_whenever_that_is_said() -> None:
    before = RetryList()
    before.leave_out(["0039 340 1234567"])
    before.add(recipient(ANNA, **FAILED))
    after = retry(recipient(ANNA, **FAILED), recipient(BEA, **FAILED))
    after.leave_out([ANNA])
    assert (len(before), len(after)) == (0, 1)
    after.leave_out(["?"])
    assert after.hidden == 1


def test_whoever_could_be_tried_again_but_is_hidden_is_counted() -> None:
    people = retry(recipient("+39-340***4567", **FAILED), recipient("nonsense", **HOPELESS))
    assert (len(people), people.hidden, people.lost) == (0, 0, 1)


@pytest.mark.parametrize(
    "words",
    [{"state": "DELIVERED"}, {"state_description": "DELIVERED_TO_HANDSET"}],
    ids=["state", "description"],
)
def test_whoever_has_it_by_the_gateways_word_is_not_tried_again(words: dict[str, str]) -> None:
    assert len(retry(recipient(ANNA, **FAILED, **words))) == 0


def test_each_number_once_with_the_first_fields() -> None:
    people = retry(
        recipient(ANNA, fields={"name": "Anna"}, **FAILED),
        recipient("+393401234567", fields={"name": "Other"}, **FAILED),
    )
    file = io.StringIO()
    file.name = "again.jsonl"
    people.write(file)
    assert json.loads(file.getvalue()) == {"number": ANNA, "name": "Anna"}


def test_nobody_to_try_again_is_an_empty_list() -> None:
    file = io.StringIO()
    file.name = "again.csv"
    retry().write(file)
    assert file.getvalue() == "number\n"


def test_a_field_that_is_called_like_the_number(tmp_path: Path) -> None:
    people = retry(recipient(ANNA, fields={"number": "7", "phone": "8"}, **FAILED))
    assert people.number_column() == "mobile"
    for name in ("again.csv", "again.jsonl"):
        [row] = read_back(people, tmp_path / name, ["number", "phone"])
        assert row[1:] == (ANNA, {"number": "7", "phone": "8"})
    assert retry(recipient(ANNA, **FAILED)).number_column() is None


def test_fields_may_take_every_name_of_the_number(tmp_path: Path) -> None:
    fields = dict.fromkeys(NUMBER_NAMES, "7") | {"number2": "8"}
    people = retry(recipient(ANNA, fields=fields, **FAILED))
    assert people.number_column() == "number3"
    [row] = read_back(people, tmp_path / "again.csv", list(fields))
    assert row[1:] == (ANNA, fields)


def test_a_number_in_a_field_is_written_as_it_was(tmp_path: Path) -> None:
    people = retry(recipient(ANNA, fields={"sum": 12.5, "none": None}, **FAILED))
    [row] = read_back(people, tmp_path / "again.csv", ["sum"])
    assert row.fields == {"sum": "12.5"}


# Line breaks are one kind in a list, and a NUL is in no text file.
values = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), max_size=12)


@given(
    st.lists(
        st.tuples(values, values | st.sampled_from(["=1+2", '="x"', "+5", "'a", '="'])), max_size=5
    ),
    st.sampled_from([".csv", ".jsonl"]),
)
def test_fields_come_back_to_the_letter(pairs: list[tuple[str, str]], suffix: str) -> None:
    wanted = [
        (f"+39-340{at:07}", {"name": name, "città": town}) for at, (name, town) in enumerate(pairs)
    ]
    people = retry(*(recipient(number, fields=held, **FAILED) for number, held in wanted))
    if not wanted:
        return
    with TemporaryDirectory() as folder:
        rows = read_back(people, Path(folder, f"again{suffix}"), ["name", "città"])
    assert [(row.number, row.fields) for row in rows] == wanted
