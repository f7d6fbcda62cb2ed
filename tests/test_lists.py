"""Lists in files: the formats, what is found wrong before anything is sent, and the way back."""

import csv
import io
import os
import sys
import threading
from pathlib import Path

import pytest

from gateway_sms_async.lists import ListError, Row, open_list, write_rejects
from gateway_sms_async.receipt import InvalidRecipient

DATA = Path(__file__).parent / "data"


def read(path: Path | str, *fields: str, **keywords: bool) -> list[Row]:
    with open_list(str(path), fields, **keywords) as recipients:
        rows = list(recipients.rows())
        assert recipients.total == len(rows) == len(list(recipients))
        return rows


def refusal(path: Path | str, *fields: str, **keywords: bool) -> str:
    with pytest.raises(ListError) as caught:
        read(path, *fields, **keywords)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(str(path))


def written(tmp_path: Path, content: str | bytes, name: str = "list.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_csv_with_bom_semicolons_and_a_quoted_line_break() -> None:
    assert read(DATA / "cli_semicolons.csv", "name") == [
        Row(2, "+39-3401234567", {"name": "Anna"}),
        Row(6, "0039 340 7654321", {"name": "Bea"}),
        Row(7, "340123", {"name": "Carla"}),
    ]


def test_fields_that_the_text_does_not_use_stay_behind() -> None:
    with open_list(str(DATA / "cli_semicolons.csv")) as recipients:
        assert list(recipients) == ["+39-3401234567", "0039 340 7654321", "340123"]
    with open_list(str(DATA / "cli_semicolons.csv"), ["note"]) as recipients:
        assert next(iter(recipients)) == ("+39-3401234567", {"note": "one\ntwo"})


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["list.csv", "list.tsv", "list", "list.txt"])
def test_the_delimiter_is_found_in_the_header(tmp_path: Path, delimiter: str, name: str) -> None:
    text = "name; Number\nAnna;+39-3401234567\n".replace(";", delimiter)
    assert read(written(tmp_path, text, name)) == [Row(2, "+39-3401234567", None)]


def test_a_short_row_lacks_a_field_and_stops_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "name,number\nAnna\n,+39-3401234567,,\n")
    assert read(path, "name") == [
        Row(2, "", {"name": "Anna"}),
        Row(3, "+39-3401234567", {"name": ""}),
    ]


@pytest.mark.parametrize("name", ["list.jsonl", "list.ndjson", "list.txt", "list"])
def test_json_lines(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, (DATA / "cli_people.jsonl").read_bytes(), name)
    assert read(path, "name", "due") == [
        Row(1, "+39-3401234567", {"name": "Anna", "due": "12.50"}),
        Row(2, "+39-3407654321", None),
        Row(4, "no", {}),
    ]
    assert read(path)[0] == Row(1, "+39-3401234567", None)


def test_one_number_a_line() -> None:
    assert read(DATA / "cli_numbers.txt") == [
        Row(1, "+39-3401234567", None),
        Row(3, "+39-3407654321", None),
        Row(4, "abc", None),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ": the file is empty"),
        ("\n \n", ": the file is empty"),
        ("number,name\n", ": nobody is listed in this file"),
        (
            "tel,name\n1,Anna\n",
            ":1: no column is called number; name the columns here: number,name",
        ),
        ("number,number\n1,2\n", ":1: more than one column is called 'number'; keep one"),
        (
            "number,name\n1,Anna,Bea\n",
            ":2: more cells than columns; put quotes around such text",
        ),
        (b"number,name\n1,Anna\n2,Ni\xf2\n", ":3: this is not UTF-8; save the file as UTF-8"),
        (
            b"PK\x03\x04\x14\x00",
            ":1: this is not a text file; export the list as CSV in UTF-8",
        ),
        (b"\x89PNG\r\n\x1a\n", ":1: this is not UTF-8; save the file as UTF-8"),
        (b"\x1f\x8b\x08\x01", ":1: this is not a text file; export the list as CSV"),
        ("number\n1\n".encode("utf-16"), ":1: this is UTF-16; save the file as UTF-8"),
        (
            b"number\n" + b"1" * 2**20,
            ":2: a line of more than 1 MiB is no recipient; check the file",
        ),
    ],
)
def test_bad_files(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert refusal(written(tmp_path, content)) == message


@pytest.mark.parametrize("row", ['"Anna"x,1', '"Anna,1\n+39-3401234567,Bea\n', '"Anna\n"Bea",1'])
def test_a_broken_quote_is_named_by_the_line_it_begins_on(tmp_path: Path, row: str) -> None:
    message = refusal(written(tmp_path, f"name,number\nCarla,2\n{row}"))
    assert message.startswith(":3: broken row (")
    assert "Anna" not in message


@pytest.mark.parametrize(
    "line",
    [
        '{"number": "+39',
        "[]",
        "12",
        "{}",
        '{"number": 393401234567}',
        '{"number": null}',
        '{"number": "1", "name": ["Anna"]}',
        '{"number": "1", "name": true}',
        '{"number": "1", "more": ' + "[" * 100_000,
    ],
)
def test_broken_json_lines(tmp_path: Path, line: str) -> None:
    path = written(tmp_path, f'"+39-3401234567"\n{line}\n', "list.jsonl")
    message = refusal(path, "name")
    assert message.startswith(":2: not one recipient in JSON (")
    assert "Anna" not in message
    assert "3401" not in message


def test_a_field_that_no_row_can_have_is_found_first(tmp_path: Path) -> None:
    people = written(tmp_path, "number,name\n1,Anna\n")
    assert refusal(people, "city") == ":1: no column is called 'city', which the text uses"
    assert read(people, "name", "city", allow_missing_fields=True)[0].fields == {"name": "Anna"}
    numbers = DATA / "cli_numbers.txt"
    assert "numbers alone have no 'name'" in refusal(numbers, "name")
    assert read(numbers, "name", allow_missing_fields=True)[0].fields is None


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.csv") == (
        ": No such file or directory; give a file that can be read"
    )
    assert refusal(tmp_path) == ": Is a directory; give a file that can be read"


def test_standard_input_is_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO((DATA / "cli_people.jsonl").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    assert [row.number for row in read("-")] == ["+39-3401234567", "+39-3407654321", "no"]


def test_standard_input_has_a_name_in_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    assert refusal("-") == "standard input: the file is empty"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_kept_and_read_twice(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("+39-3401234567\n",))
    writer.start()
    assert read(pipe) == [Row(1, "+39-3401234567", None)]
    writer.join()


def test_rejects_can_be_corrected_and_sent_again(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    invalid = [InvalidRecipient("340123", "no prefix", 2)]
    with (
        open_list(str(DATA / "cli_semicolons.csv"), ["note", "name"]) as recipients,
        path.open("w", newline="") as file,
    ):
        write_rejects(recipients, invalid, file)
    with path.open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"line": "7", "reason": "no prefix", "number": "340123", "note": "x", "name": "Carla"}
        ]
    assert read(path, "name") == [Row(2, "340123", {"name": "Carla"})]


def test_rejects_of_rows_without_fields_leave_their_cells_empty() -> None:
    with open_list(str(DATA / "cli_people.jsonl"), ["number", "name"]) as recipients:
        file = io.StringIO()
        write_rejects(recipients, [InvalidRecipient("+39-3407654321", "why", 1)], file)
    assert file.getvalue() == "line,reason,number,name\n2,why,+39-3407654321,\n"
