"""Deliveries in files: every recipient in CSV, and the list of recipients to retry."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from gateway_sms_async._cli.lists.columns import NUMBER_NAMES, NumberColumns, plain_name
from gateway_sms_async._cli.lists.recipient_list import Row, open_list
from gateway_sms_async._cli.reports.deliveries import RetryList, write_deliveries, write_header
from gateway_sms_async._recipients.numbers import normalize
from gateway_sms_async.models import RecipientReport

from ...support.recipients import ABSENT, ANNA, UNKNOWN, recipient

BEA = "+39-3401234502"
FAILED = {"report": {"status": {"groupId": 2}, "error": ABSENT}}
HOPELESS = {"report": {"status": {"groupId": 2}, "error": UNKNOWN}}
DELIVERED = {"state": "DELIVERED"}


def retry(*recipients: RecipientReport) -> RetryList:
    retry_list = RetryList()
    for one in recipients:
        retry_list.add(one)
    return retry_list


def read_back(retry_list: RetryList, path: Path, fields: list[str]) -> list[Row]:
    with path.open("w", encoding="utf-8", newline="") as file:
        retry_list.write(file)
    column = retry_list.number_column()
    columns = NumberColumns(() if column is None else (column,))
    with open_list(str(path), fields, columns=columns, allow_missing_fields=True) as rows:
        return list(rows.rows())


def rows_of(message_id: str, *recipients: RecipientReport) -> list[dict[str, str]]:
    file = io.StringIO()
    write_header(file)
    write_deliveries(message_id, recipients, file)
    return list(csv.DictReader(io.StringIO(file.getvalue())))


# Every recipient


def test_one_line_for_each_recipient() -> None:
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
        # A spreadsheet would add up +39-3401234567.
        "number": "+39 3401234567",
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
    assert (second["number"], second["country"]) == ("+44 7911123456", "+44")
    assert (second["reason"], second["permanent"]) == ("Absent Subscriber", "false")


@pytest.mark.parametrize("words", ["=1+2", "@SUM(A1)", "-2+3*x", "+cmd|' /C calc'!A0"])
def test_text_from_the_gateway_is_no_formula(words: str) -> None:
    [row] = rows_of(words, recipient(words, state="EXPIRED", state_detail=words))
    for name in ("reason", "number", "message_id"):
        assert row[name] == f'="{words}"'


def test_text_from_the_gateway_is_no_formula_after_a_semicolon() -> None:
    # An Italian spreadsheet takes semicolons for the delimiter.
    words = "none;=1+2"
    [row] = rows_of("abc", recipient(words, state="EXPIRED", state_detail=words))
    assert row["reason"] == row["number"] == '="none_x003B_=1+2"'


# Recipients to retry


def test_only_recipients_that_a_retry_may_reach() -> None:
    retry_list = retry(
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
    retry_list.write(file)
    assert file.getvalue() == "number\n+39 3400000001\n+39 3400000006\n"


@pytest.mark.parametrize("other", [DELIVERED, HOPELESS, {"state": "QUEUED"}])
@pytest.mark.parametrize("turned", [False, True])
def test_a_better_outcome_on_another_message_counts(other: dict[str, Any], *, turned: bool) -> None:
    twice = [recipient(ANNA, **FAILED), recipient("+39 340 1234567", **other)]
    retry_list = retry(*(reversed(twice) if turned else twice), recipient(ANNA, **FAILED))
    assert len(retry_list) == 0


@pytest.mark.parametrize("shown", ["+39-340***4567", "***", "393401234567", "3401234567"])
def test_hidden_numbers_that_may_have_the_text_are_counted(
    shown: str,
) -> None:
    for settled in (DELIVERED, {"state": "QUEUED"}, {"state": "DELIVERED_TO_OPERATOR"}):
        for retry_list in (
            retry(recipient(ANNA, **FAILED), recipient(shown, **settled)),
            retry(recipient(shown, **settled), recipient(ANNA, **FAILED)),
        ):
            assert retry_list.hidden == 1
            assert retry_list.lost == 0
    assert retry(recipient(ANNA, **FAILED), recipient(shown, **HOPELESS)).hidden == 0


def test_numbers_left_out_before_or_after_they_are_added() -> None:
    before = RetryList()
    before.leave_out(["0039 340 1234567"])
    before.add(recipient(ANNA, **FAILED))
    after = retry(recipient(ANNA, **FAILED), recipient(BEA, **FAILED))
    after.leave_out([ANNA])
    assert (len(before), len(after)) == (0, 1)
    after.leave_out(["?"])
    assert after.hidden == 1


def test_hidden_numbers_that_could_be_retried_are_counted() -> None:
    retry_list = retry(recipient("+39-340***4567", **FAILED), recipient("nonsense", **HOPELESS))
    assert (len(retry_list), retry_list.hidden, retry_list.lost) == (0, 0, 1)


@pytest.mark.parametrize(
    "words",
    [{"state": "DELIVERED"}, {"state_description": "DELIVERED_TO_HANDSET"}],
    ids=["state", "description"],
)
def test_a_recipient_that_the_gateway_calls_delivered_is_not_retried(words: dict[str, str]) -> None:
    assert len(retry(recipient(ANNA, **FAILED, **words))) == 0


def test_each_number_once_with_the_first_fields() -> None:
    retry_list = retry(
        recipient(ANNA, fields={"name": "Anna"}, **FAILED),
        recipient("+393401234567", fields={"name": "Other"}, **FAILED),
    )
    file = io.StringIO()
    file.name = "again.jsonl"
    retry_list.write(file)
    assert json.loads(file.getvalue()) == {"number": ANNA, "name": "Anna"}


def test_no_recipient_to_retry_is_an_empty_list() -> None:
    file = io.StringIO()
    file.name = "again.csv"
    retry().write(file)
    assert file.getvalue() == "number\n"


def test_a_field_named_like_the_number(tmp_path: Path) -> None:
    retry_list = retry(recipient(ANNA, fields={"number": "7", "phone": "8"}, **FAILED))
    assert retry_list.number_column() == "mobile"
    for name in ("again.csv", "again.jsonl"):
        [row] = read_back(retry_list, tmp_path / name, ["number", "phone"])
        assert (row.number.replace(" ", "-"), row.fields) == (ANNA, {"number": "7", "phone": "8"})
    assert retry(recipient(ANNA, **FAILED)).number_column() is None


def test_fields_may_have_every_name_of_the_number(tmp_path: Path) -> None:
    fields = dict.fromkeys(NUMBER_NAMES, "7") | {"number2": "8"}
    retry_list = retry(recipient(ANNA, fields=fields, **FAILED))
    assert retry_list.number_column() == "number3"
    [row] = read_back(retry_list, tmp_path / "again.csv", list(fields))
    assert row[1:] == (ANNA.replace("-", " "), fields)


def test_a_number_in_a_field_is_written_as_it_was(tmp_path: Path) -> None:
    retry_list = retry(recipient(ANNA, fields={"sum": 12.5, "none": None}, **FAILED))
    [row] = read_back(retry_list, tmp_path / "again.csv", ["sum"])
    assert row.fields == {"sum": "12.5"}


# A text in typographic quotes may look split to the reader, which then refuses it.
QUOTES = "“”„«»"
values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=QUOTES), max_size=12)
hostile = st.sampled_from(
    ["=1+2", '="x"', "+5", "'a", '="', "Eve\r+44-7700900000", "a;=1+2", "a\n=1+2", "\0", "_x000D_"]
)
names = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters=QUOTES),
    min_size=1,
    max_size=8,
)


@given(
    st.lists(st.tuples(values | hostile, values | hostile), min_size=1, max_size=5),
    st.sampled_from(["città", "=1+2", "a;=1", "-x"]) | names,
    st.sampled_from([".csv", ".jsonl"]),
)
@example([("a", "\r"), ("", "\x1f")], "=1+2", ".csv")
def test_fields_are_read_back_unchanged(
    pairs: list[tuple[str, str]], column: str, suffix: str
) -> None:
    kept = dict.fromkeys(["name", column])
    if len(kept) == 1 or plain_name(column).lower() in {"name", *NUMBER_NAMES}:
        return
    wanted = [
        (f"+39 340{at:07}", dict(zip(kept, pair, strict=True))) for at, pair in enumerate(pairs)
    ]
    retry_list = retry(*(recipient(number, fields=held, **FAILED) for number, held in wanted))
    with TemporaryDirectory() as folder:
        rows = read_back(retry_list, Path(folder, f"again{suffix}"), list(kept))
    assert [(normalize(row.number), row.fields) for row in rows] == [
        (normalize(number), fields) for number, fields in wanted
    ]
