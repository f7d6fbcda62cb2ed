"""The formats of a list: how each is detected and read, and how its rows are written back."""

import csv
import gzip
import io
import json
import string
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import assume, given, strategies as st

from gateway_sms_async._cli.lists.columns import NumberColumns
from gateway_sms_async._cli.lists.recipient_list import RecipientList, Row, open_list, write_rows
from gateway_sms_async._cli.lists.text_file import ListError

from ...support.paths import DATA

ANNA, BEA = "+39-3401234567", "+39-3407654321"


def named(*names: str | None) -> NumberColumns:
    return NumberColumns(tuple(name for name in names if name is not None))


def read(path: Path | str, *fields: str, **keywords: Any) -> list[Row]:
    with open_list(str(path), fields, **keywords) as recipients:
        rows = list(recipients.rows())
        assert recipients.total == len(rows)
        assert list(recipients) == [
            row.number if row.fields is None else (row.number, row.fields) for row in rows
        ]
        return rows


def refusal(path: Path | str, *fields: str, **keywords: Any) -> str:
    with pytest.raises(ListError) as caught:
        read(path, *fields, **keywords)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(str(path))


def written(tmp_path: Path, content: str | bytes, name: str = "list.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def back(recipients: RecipientList, *positions: int, reason: str = "why") -> str:
    file = io.StringIO()
    write_rows(recipients, dict.fromkeys(positions, reason), file)
    return file.getvalue()


# CSV


def test_csv_with_bom_semicolons_and_a_quoted_line_break() -> None:
    assert read(DATA / "cli_semicolons.csv", "name") == [
        Row(2, ANNA, {"name": "Anna"}),
        Row(6, "0039 340 7654321", {"name": "Bea"}),
        Row(7, "340123", {"name": "Carla"}),
    ]


def test_fields_that_the_text_does_not_use_are_not_read() -> None:
    with open_list(str(DATA / "cli_semicolons.csv")) as recipients:
        assert list(recipients) == [ANNA, "0039 340 7654321", "340123"]
    with open_list(str(DATA / "cli_semicolons.csv"), ["note"]) as recipients:
        assert next(iter(recipients)) == (ANNA, {"note": "one\ntwo"})


@pytest.mark.parametrize("delimiter", ",;\t|:^~!*§\x1f")
@pytest.mark.parametrize("name", ["list.csv", "list.tsv", "list", "list.txt"])
def test_the_delimiter_is_found_in_the_header(tmp_path: Path, delimiter: str, name: str) -> None:
    text = f"first name; Mobile ;due\nAnna;{ANNA};\n".replace(";", delimiter)
    assert read(written(tmp_path, text, name), "due") == [Row(2, ANNA, {"due": ""})]


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_the_line_breaks_of_all_systems(tmp_path: Path, line_break: str) -> None:
    text = f'\n"Nome\ncliente";numero\n\n"An\nna";{ANNA}\n \n; \nBea;{BEA}'
    path = written(tmp_path, text.replace("\n", line_break))
    assert read(path, "Nome\ncliente") == [
        Row(5, ANNA, {"Nome\ncliente": "An\nna"}),
        Row(9, BEA, {"Nome\ncliente": "Bea"}),
    ]


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"'])
@pytest.mark.parametrize("name", ["list.csv", "list"])
def test_excels_first_line_names_the_delimiter(tmp_path: Path, line: str, name: str) -> None:
    # By the header alone, the comma would be detected.
    path = written(tmp_path, f"{line}\nname;a,number,b;NUMERO\nAnna;x;{ANNA}\n", name)
    assert read(path) == [Row(3, ANNA, None)]


@pytest.mark.parametrize(
    ("given", "delimiter"),
    [("x", "x"), (" ", " "), ("_", "_"), ("\t", "\t"), ("tab", "\t"), (r"\t", "\t"), (",", ",")],
)
def test_a_delimiter_that_is_given(tmp_path: Path, given: str, delimiter: str) -> None:
    text = f"sep=;\nname;number\nA;{ANNA}\n".replace(";", delimiter).replace("sep=,", "sep=;")
    for name in ("list.csv", "list"):
        path = written(tmp_path, text, name)
        assert read(path, "name", delimiter=given) == [Row(3, ANNA, {"name": "A"})]
    with open_list(str(path), delimiter=given) as recipients:
        first = f"sep={delimiter}\n" if delimiter != "," else ""
        names = delimiter.join(("name", "number", "line", "reason"))
        assert back(recipients) == f"{first}{names}\n"


@pytest.mark.parametrize("delimiter", ["", ",;", '"', "\n"])
def test_what_cannot_be_a_delimiter(tmp_path: Path, delimiter: str) -> None:
    message = refusal(written(tmp_path, "number\n1\n"), delimiter=delimiter)
    assert message == f"{delimiter!r} cannot be a delimiter; give one character, or tab"


@pytest.mark.parametrize(
    "name", ["number", "Phone", "MOBILE", " telefono ", "Cellulare", "numero", "msisdn"]
)
def test_the_number_column_has_many_names(tmp_path: Path, name: str) -> None:
    assert read(written(tmp_path, f"{name}\n{ANNA}\n", "list.txt")) == [Row(2, ANNA, None)]
    assert read(written(tmp_path, f'a,"{name}"\n,{ANNA}\n', "list")) == [Row(2, ANNA, None)]


NO_NUMBER = "no column is named number, phone, mobile, telefono, cellulare, numero or msisdn"


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        (
            "phone_number,Casa\n",
            None,
            (f":1: {NO_NUMBER}; name the one that holds the number with --number-column NAME "
            "(there are 'phone_number', 'Casa')"),
        ),
        (
            "\nTelefono;casa;Cellulare\n",
            None,
            (":2: more than one column may hold the number: 'Telefono', 'Cellulare'; "
            "choose one with --number-column NAME"),
        ),
        (
            "Telefono;casa;\n",
            "fax",
            (":1: no column is named 'fax'; name the one that holds the number with "
            "--number-column NAME (there are 'Telefono', 'casa')"),
        ),
        (
            "Tel,Saldo 31/12/2024\n",
            None,
            (f":1: {NO_NUMBER}; name the one that holds the number with --number-column NAME "
            "(there are 'Tel', …)"),
        ),
        (
            "mobile:home,name\n",
            None,
            (f":1: {NO_NUMBER}; name the one that holds the number with --number-column NAME "
            "(there are 'mobile:home', 'name')"),
        ),
        ("a;Casa;CASA\n", "casa", ":1: more than one column is named 'casa'; keep one"),
        (
            f"{ANNA},Anna\n{BEA},Bea\n",
            None,
            (":1: this line holds numbers, not names of columns; put a line such as number,name "
            "above it"),
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["list.csv", "list.txt"])
def test_no_number_column(
    tmp_path: Path, content: str, column: str | None, message: str, name: str
) -> None:
    path = written(tmp_path, f"{content}a;{ANNA}\n", name)
    assert refusal(path, columns=named(column)) == message


def test_a_delimiter_without_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "\nsep=;\n", "list")
    assert refusal(path).startswith(f":1: {NO_NUMBER}")
    assert refusal(path).endswith("(there are none)")


def test_names_in_errors_are_few_and_short(tmp_path: Path) -> None:
    columns = ",".join(f"{letter} {'x' * 60}" for letter in string.ascii_letters)
    message = refusal(written(tmp_path, f"{columns}\n1\n"))
    assert "'t " in message
    assert "'u " not in message
    assert message.endswith(", …)")
    assert len(message) < 1200


def test_names_may_have_digits(tmp_path: Path) -> None:
    path = written(tmp_path, f"Telefono;Saldo 31/12/2024;20251231\n{ANNA};5;6\n")
    assert read(path, "20251231") == [Row(2, ANNA, {"20251231": "6"})]


@pytest.mark.parametrize("column", ["Casa", " casa", "CASA "])
def test_a_number_column_that_is_given(tmp_path: Path, column: str) -> None:
    path = written(tmp_path, f"number;Casa \n1;{ANNA}\n", "list")
    assert read(path, columns=named(column)) == [Row(2, ANNA, None)]
    both = written(tmp_path, f"number~{column}~cAsA\n1~{ANNA}~2\n", "list")
    assert read(both, columns=named(column)) == [Row(2, ANNA, None)]


def test_a_list_without_a_header_has_no_number_column(tmp_path: Path) -> None:
    path = written(tmp_path, f"{ANNA}\n", "list.csv")
    assert refusal(path, columns=named("x")).startswith(":1: this line holds numbers, not names of")
    assert refusal(written(tmp_path, f"{ANNA}\n", "list.txt"), columns=named("x")).startswith(":1")
    assert read(written(tmp_path, f"{ANNA}\n", "list.txt")) == [Row(1, ANNA, None)]


def test_a_short_row_lacks_a_field_and_stops_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, f"name,number\nAnna\n,{ANNA},,\n")
    assert read(path, "name") == [Row(2, "", {"name": "Anna"}), Row(3, ANNA, {"name": ""})]
    path = written(tmp_path, f"number,name\n{ANNA}\n")
    assert read(path, "name") == [Row(2, ANNA, {})]


def test_a_row_must_not_have_more_cells_than_columns(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, "number,name\n1,Anna,Bea\n")) == (
        ":2: more cells than columns; put quotes around such text"
    )


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        (f'="{ANNA}"', ANNA),
        (f'"=""{ANNA}"""', ANNA),
        (f"'{ANNA}", ANNA),
        (f"\"='{ANNA}'\"", f"='{ANNA}'"),
        ('="', '="'),
        ("3.93401E+11", "3.93401E+11"),
        ("'", ""),
    ],
)
def test_numbers_as_excel_writes_them(tmp_path: Path, cell: str, number: str) -> None:
    path = written(tmp_path, f'number,name,note\n{cell},="00""7","\'s"\n')
    assert read(path, "name", "note") == [Row(2, number, {"name": '00"7', "note": "'s"})]


@pytest.mark.parametrize(
    "row",
    ['"Anna"x,1', '"Anna,1\n+39-3401234567,Bea\n', '"Anna\n"Bea",1', f'1,"{"Anna" * 40_000}"'],
)
def test_a_broken_quote_is_reported_on_the_line_it_begins_on(tmp_path: Path, row: str) -> None:
    message = refusal(written(tmp_path, f"name,number\nCarla,2\n{row}"))
    assert message.startswith(":3: broken row (")
    assert "Anna" not in message


def test_a_broken_quote_in_the_header(tmp_path: Path) -> None:
    for header in ('"name,number', '"name"x,number', f'"{"x" * 150_000}",number'):
        message = refusal(written(tmp_path, f"\n{header}\nAnna,1\n"))
        assert message.startswith(":2: broken header (")
        assert message.endswith("); look for a stray quote")
    path = written(tmp_path, 'name 5",number\nAnna 6",1\n')
    assert read(path) == [Row(2, "1", None)]


def test_quoted_names_are_not_taken_for_json(tmp_path: Path) -> None:
    path = written(tmp_path, f'"Nome";"Tel"\n"Anna";"{ANNA}"\n', "list")
    assert refusal(path).startswith(f":1: {NO_NUMBER}")
    assert read(path, columns=named("Tel")) == [Row(2, ANNA, None)]
    assert read(written(tmp_path, f'"{ANNA}"\n', "list"), columns=named("Tel")) == [
        Row(1, ANNA, None)
    ]


def test_a_field_without_a_column_is_reported_first(tmp_path: Path) -> None:
    list_file = written(tmp_path, "number,name,name\n1,Anna,Bea\n")
    assert refusal(list_file, "city") == (
        ":1: no column is named 'city', which the text uses (there are 'number', 'name', 'name')"
    )
    assert read(list_file, "city", allow_missing_fields=True)[0].fields == {}
    assert refusal(list_file, "name") == ":1: more than one column is named 'name'; keep one"
    numbers = DATA / "cli_numbers.txt"
    assert refusal(numbers, "name") == (
        ":1: numbers alone have no 'name', which the text uses; give a CSV"
    )
    assert read(numbers, "name", allow_missing_fields=True)[0].fields is None


# Two columns with numbers


@pytest.mark.parametrize("names", ["phone,MobilePhone", "Telefono,Cellulare 1", "Number,Cell"])
def test_a_list_with_two_columns_of_numbers_is_asked_about(tmp_path: Path, names: str) -> None:
    one, two = names.split(",")
    ask = f"hold the number: {one!r}, {two!r}; choose one with --number-column NAME"
    for numbers in (f"{ANNA},{BEA}", f",{BEA}", f"{ANNA},340 7654321"):
        path = written(tmp_path, f"{names}\n{ANNA},\n{numbers}\n")
        assert refusal(path) == f":3: more than one column may {ask}"
        assert read(path, columns=named(one))[0] == Row(2, ANNA, None)
        assert read(path, columns=named(two))[0] == Row(2, "", None)
    path = written(tmp_path, f'{{"{two}": "{BEA}", "{one}": "{ANNA}"}}\n', "list.jsonl")
    assert refusal(path) == f":1: more than one key may {ask}"
    assert read(path, columns=named(two)) == [Row(1, BEA, None)]
    path = written(tmp_path, f'{{"{one}": "{ANNA}", "{two}": 3407654321}}\n', "list.jsonl")
    assert refusal(path) == f":1: more than one key may {ask}"


def test_a_column_that_only_has_such_a_name_needs_no_choice(tmp_path: Path) -> None:
    path = written(tmp_path, f"phone,Mobile,phone_ok,Fax\n{ANNA},,yes,021234567\n")
    assert "'phone', 'Mobile'" in refusal(path)
    path = written(tmp_path, f"phone,Mobile phone,phone_ok,Fax\n{ANNA},,yes,021234567\n{BEA}\n")
    assert [row.number for row in read(path)] == [ANNA, BEA]
    item = {"phone": ANNA, "mobile ok": True, "mobile_phone": None, "fax": "021234567"}
    assert read(written(tmp_path, json.dumps(item), "a.jsonl")) == [Row(1, ANNA, None)]


@pytest.mark.parametrize(
    "name",
    [
        "Telemóvel", "telmobile", "telcell", "Κινητό", "Cep", "携帯電話", "TLM", "Natelnummer", "WA",
        "Contact No", "X", "Tel/Fax", "note",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "number",
    [BEA, "0039 340 7654321", " (+39) 340", '="+393407654321"', "tel:+393407654321", "TEL: +39340"],
)
def test_a_second_number_under_any_name_is_asked_about(
    tmp_path: Path, name: str, number: str
) -> None:
    ask = f"hold the number: 'Phone', '{name}'; choose one with --number-column NAME"
    cell = number if number.endswith(("1", '"')) else f"{number} 7654321"
    rows = f"Phone,id,{name}\n{ANNA},1,x\n{ANNA},,\n{ANNA}\n{ANNA},1,{cell}\n"
    path = written(tmp_path, rows)
    assert refusal(path, "id") == f":5: more than one column may {ask}"
    assert [row.number for row in read(path, columns=named("Phone"))] == [ANNA] * 4
    assert read(path, columns=named(name))[0] == Row(2, "x", None)
    lines = [{"Phone": ANNA, "id": 1, name: None}, {"Phone": ANNA, name: cell.strip('="')}]
    path = written(tmp_path, "\n".join(map(json.dumps, lines)), "list.jsonl")
    assert refusal(path) == f":2: more than one key may {ask}"
    assert len(read(path, columns=named("Phone"))) == 2


@pytest.mark.parametrize(
    ("value", "is_asked_about"),
    [
        ([BEA], True),
        ({"type": "private", "value": f"tel:{BEA}"}, True),
        ([{"also": {"x": [1, "0039 340 7654321"]}}], True),
        ([{"fax": BEA}, {"note": f"{BEA} is his wife's"}, 393407654321, None], False),
        ([], False),
    ],
)
@pytest.mark.parametrize("name", ["contacts", "Phone 2"])
def test_a_second_number_at_any_depth_is_asked_about(
    tmp_path: Path, name: str, value: object, is_asked_about: bool
) -> None:
    path = written(tmp_path, json.dumps({"phone": ANNA, name: value}), "list.jsonl")
    if is_asked_about:
        assert refusal(path) == (
            f":1: more than one key may hold the number: 'phone', '{name}'; choose one with "
            "--number-column NAME"
        )
    else:
        assert read(path) == [Row(1, ANNA, None)]
    assert read(path, columns=named("phone")) == [Row(1, ANNA, None)]


def test_a_header_of_two_lines_is_asked_about(tmp_path: Path) -> None:
    header = "Cliente,,Telefono,\nNome,Cognome,Fisso,Cellulare\n"
    path = written(tmp_path, f"{header}Anna,Rossi,+390612345678,{ANNA}\n")
    assert refusal(path) == (
        ":3: more than one column may hold the number: 'Telefono' and a column without a name (give "
        "it one); choose one with --number-column NAME"
    )


def test_other_columns_may_hold_what_is_no_number(tmp_path: Path) -> None:
    names = "phone,when,change,id,code,zip,note,Fax"
    cells = f"{ANNA},2026-01-31,+12.50,0000123456,0039-12,00184,{BEA} is his wife's,+39021234567"
    path = written(tmp_path, f"{names}\n{cells}\n")
    assert read(path) == [Row(2, ANNA, None)]
    item = dict(zip(names.split(","), cells.split(","), strict=True))
    assert read(written(tmp_path, json.dumps(item), "a.jsonl")) == [Row(1, ANNA, None)]


def test_the_columns_that_numbers_were_read_from(tmp_path: Path) -> None:
    lines = f'{{"Phone": "{ANNA}"}}\n{{"x": 1, "Phone": ""}}\n{{"numero": "{BEA}"}}\n'
    for name, content, expected in (
        ("a.csv", f"name;Telefono \nAnna;{ANNA}\n", ["Telefono"]),
        ("a.jsonl", lines, ["Phone", "numero"]),
        ("a.txt", f"{ANNA}\n", []),
    ):
        with open_list(str(written(tmp_path, content, name))) as recipients:
            assert recipients.format.number_names == expected


def test_rows_with_an_empty_field_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, f"number,name,city\n{ANNA},Anna,\n{BEA}, ,NULL\n{BEA},NaN,Roma\n")
    with open_list(str(path), ["name", "city"]) as recipients:
        assert {name: empty.rows.lines for name, empty in recipients.empty.items()} == {
            "name": [3, 4],
            "city": [2, 3],
        }
        assert recipients.empty["city"].words == {"NULL": 1}
    with open_list(str(path)) as recipients:
        assert recipients.empty == {}


def test_spaces_after_a_delimiter_are_not_part_of_a_cell(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f'number, "name, full", city\n{ANNA}, "Rossi, Anna",\u00a0Roma\n{BEA}," B",\tBari\n',
    )
    assert read(path, "name, full", "city") == [
        Row(2, ANNA, {"name, full": "Rossi, Anna", "city": "Roma"}),
        Row(3, BEA, {"name, full": " B", "city": "Bari"}),
    ]
    with open_list(str(path), ["city"]) as recipients:
        again = written(tmp_path, back(recipients, 0, 1), "again.csv")
    assert read(again, "name, full")[1] == Row(3, BEA, {"name, full": " B"})


def test_a_text_in_two_cells_is_refused_with_its_line(tmp_path: Path) -> None:
    for row in ("“Rossi, Anna”,Roma,", '\t"Rossi, Anna",Roma,'):
        path = written(tmp_path, f"number,name,city,note\n{ANNA},Bea,Bari,x\n{BEA},{row}\n")
        assert refusal(path, "name").startswith(":3: broken row (a quote inside a cell")
    path = written(tmp_path, f"number,“name, full”,city\n{ANNA},Anna,Roma\n")
    assert refusal(path, "city").startswith(":1: ")
    assert refusal(path, delimiter=",").startswith(":1: broken header (a quote inside a cell")


# JSON Lines


@pytest.mark.parametrize("name", ["list.jsonl", "list.ndjson", "list.txt", "list"])
def test_json_lines(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, (DATA / "cli_people.jsonl").read_bytes(), name)
    assert read(path, "name", "due") == [
        Row(1, ANNA, {"name": "Anna", "due": "12.50"}),
        Row(2, BEA, None),
        Row(4, "no", {}),
    ]
    assert read(path)[0] == Row(1, ANNA, None)


def test_each_json_line_may_have_another_number_key(tmp_path: Path) -> None:
    lines = ['{"Phone":"1","a":"x"}', '{"a":-2e5,"Phone":"2"}', '"3"', '{"cellulare ":"4"}']
    path = written(tmp_path, "\n".join(lines), "list.jsonl")
    assert read(path, "a") == [
        Row(1, "1", {"a": "x"}),
        Row(2, "2", {"a": "-2e5"}),
        Row(3, "3", None),
        Row(4, "4", {}),
    ]
    lines = ['{"Tel": "1", "number": "2", "tel": 3}', '{"TEL": "2"}', '"3"']
    path = written(tmp_path, "\n".join(lines), "list")
    assert [row.number for row in read(path, columns=named("Tel"))] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"number": "+39', "not one recipient in JSON (JSON is malformed: "),
        ("[]", "not one recipient in JSON (an array); write one object a line"),
        ("12", "not one recipient in JSON (Expected `str | object`, got `int`)"),
        ("{}", "no key is named number, phone"),
        ('{"tel": "1", "340 123 4567": 1}', "(there are 'tel', …)"),
        ('{"phone": "1", "mobile": "2"}', "more than one key may hold the number: 'phone', 'mob"),
        ('{"number": 393401234567}', "the number is not in quotes, so its plus sign is lost"),
        ('{"number": null}', "the number must be text, in quotes"),
        ('{"number": "\\ud800"}', "not one recipient in JSON ("),
        ('{"number": "1", "name": ["Anna"]}', "a field that the text uses must be text or a num"),
        ('{"number": "1", "name": true}', "a field that the text uses must be text or a number"),
        ('{"number": "1", "more": ' + "[" * 100_000, "not one recipient in JSON ("),
        ('{"number": "1", "number": "2"}', "more than one key is named 'number'; keep one"),
        (
            '{"number": "1", "name": "a", "n\\u0061me": "b"}',
            "more than one key is named 'name'; keep",
        ),
        ('{"number": "1", "a": {"b": "x:y", "b": 2}}', "more than one key is named 'b'; keep one"),
    ],
)
def test_broken_json_lines(tmp_path: Path, line: str, problem: str) -> None:
    path = written(tmp_path, f'"+39-3401234567"\n{line}\n', "list.jsonl")
    message = refusal(path, "name")
    assert message.startswith(":2: ")
    assert problem in message
    assert "Anna" not in message
    assert "3401" not in message


def test_a_key_may_be_in_several_objects_and_in_a_text(tmp_path: Path) -> None:
    lines = (
        '{"number": "1", "name": "\\"name\\": x", "more": {"name": [{"name": 1}, {"name": 2}]}}\n'
        '{"number": "2", "name": "a:b", "huge": ' + "9" * 5_000 + "}\n"
        '{"number": "3", "name": "\\ud83d\\ude00 {", "a:": 1e999}\n'
    )
    path = written(tmp_path, lines, "list.jsonl")
    assert [row.number for row in read(path, "name")] == ["1", "2", "3"]


def test_a_whole_json_document_is_not_json_lines(tmp_path: Path) -> None:
    path = written(tmp_path, '[{"number": "1"},\n{"number": "2"}]\n', "list.json")
    assert refusal(path) == ":1: not one recipient in JSON (an array); write one object a line"


@pytest.mark.parametrize("name", ["list.json", "list.jsonl", "list.csv", "list"])
def test_an_array_may_have_one_item_on_each_line(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, '\n [ \n{"number": "1,"},\n\n"2" , \n"3"\n]\n\n', name)
    assert read(path) == [Row(3, "1,", None), Row(5, "2", None), Row(6, "3", None)]
    with open_list(str(path)) as recipients:
        assert json.loads(back(recipients, 1)) == {"number": "2", "line": 5, "reason": "why"}
    assert refusal(written(tmp_path, '{"number": "1"},\n', name)).startswith(":1: not one rec")


def test_an_item_over_several_lines(tmp_path: Path) -> None:
    for indent, content in ((2, [{"number": ANNA}]), (1, {"number": ANNA})):
        path = written(tmp_path, json.dumps(content, indent=indent), "a.json")
        message = refusal(path)
        assert "not one recipient in JSON (an object over several lines); write one obj" in message


# The name of the file does not matter

ENDINGS = [".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt", ".csv.gz", ""]


@pytest.mark.parametrize(
    "content",
    [
        f"number,name\nabc,Anna\n{BEA},Bea\n",
        f"Nome;Telefono\n;{ANNA}\n",
        f'"first\nname"|"mobile"\n;|{ANNA}\n',
        f"\ufeffsep=;\nname;number\nAnna;{ANNA}\n",
        '{"name": "x;number;y", "phone": "abc"}\n"12"\n',
        f'"{ANNA}"\n"abc"\n',
        f"abc # Anna\n{ANNA}\n",
        f"# all\n{ANNA}\n12 # no, phone\n",
        "12,3\n4;5\n",
    ],
)
@pytest.mark.parametrize("ending", ENDINGS)
def test_rejects_are_read_under_any_name(tmp_path: Path, content: str, ending: str) -> None:
    with open_list(str(written(tmp_path, content, "list"))) as recipients:
        numbers = [row.number for row in recipients.rows()]
        reason = "no prefix, such as phone, number; or | name"
        once = back(recipients, *range(len(numbers)), reason=reason).encode()
    packed = gzip.compress(once) if ending.endswith(".gz") else once
    assert [row.number for row in read(written(tmp_path, packed, f"bad{ending}"))] == numbers


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".txt"])
def test_numbers_alone_under_any_name(tmp_path: Path, ending: str) -> None:
    for content in (f"{ANNA}\nabc\n", f"# May, name\n{ANNA} # x, y\nabc", f'"{ANNA}"\n"abc"\n'):
        assert [row.number for row in read(written(tmp_path, content, f"a{ending}"))] == [
            ANNA,
            "abc",
        ]


@pytest.mark.parametrize("content", ["Tel\n", '"Tel"\n', "Tel # x\n", "# Tel\n", "12\n"])
def test_a_csv_with_a_wrong_header_is_still_csv(tmp_path: Path, content: str) -> None:
    path = written(tmp_path, f"{content}abc\n")
    assert refusal(path).startswith(f":1: {NO_NUMBER}")


def test_broken_json_in_a_file_named_csv(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, '{"number": "1", x\n')).startswith(":1: not one recipient in")
    assert read(written(tmp_path, "{x};number\n;1\n"), "{x}") == [Row(2, "1", {"{x}": ""})]


# Names of fields


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("field", ["citt\u00e0", "citta\u0300", " citt\u00e0 ", "\tcitta\u0300"])
def test_names_are_the_same_however_they_are_composed(
    tmp_path: Path, form: Literal["NFC", "NFD"], field: str
) -> None:
    name = unicodedata.normalize(form, "citt\u00e0")
    for content in (
        f"{name},number\nRoma,1\n",
        f'{{"{name}":"Roma","number":"1"}}\n',
        f'{{"{name} ":"Roma","number":"1"}}\n',
    ):
        assert read(written(tmp_path, content, "list"), field)[0].fields == {field: "Roma"}
    path = written(tmp_path, f"{name};b\n1;2\n")
    assert read(path, columns=named(field)) == [Row(2, "1", None)]


def test_the_exact_spelling_of_a_field_comes_first(tmp_path: Path) -> None:
    both = ("citt\u00e0", "citta\u0300")
    path = written(tmp_path, f"{both[0]},{both[1]},number\nA,B,1\n")
    assert read(path, *both)[0].fields == dict(zip(both, "AB", strict=True))
    assert refusal(path, f" {both[0]} ").endswith(" '; keep one")
    item = {"name": "A", " name": "B", "number": "1"}
    path = written(tmp_path, json.dumps(item), "list.jsonl")
    assert read(path, "name", " name")[0].fields == {"name": "A", " name": "B"}
    assert refusal(path, "name ") == ":1: more than one key is named 'name '; keep one"
    assert read(path, " x ")[0].fields == {}


def test_a_blank_field_does_not_match_an_unnamed_column(tmp_path: Path) -> None:
    path = written(tmp_path, "number,\n1,x\n")
    assert refusal(path, " ").startswith(":1: no column is named ' '")


def test_a_field_with_spaces_is_not_replaced_either(tmp_path: Path) -> None:
    path = written(tmp_path, "number,line\n1,Red\n")
    with open_list(str(path), [" line "]) as recipients:
        assert back(recipients, 0) == "number,line,line_,reason\n1,Red,2,why\n"


# Plain lines


def test_one_number_a_line() -> None:
    assert read(DATA / "cli_numbers.txt") == [
        Row(1, ANNA, None),
        Row(3, BEA, None),
        Row(4, "abc", None),
    ]


def test_comments_among_numbers(tmp_path: Path) -> None:
    text = f"# name, number\n\n {ANNA}\t# Anna # Bea\n  # no\n{BEA}#5\n#\n#x\na b #\n"
    assert read(written(tmp_path, "#,number\n1,2\n", "list")) == [Row(2, "2", None)]
    assert read(written(tmp_path, text, "list")) == [
        Row(3, ANNA, None),
        Row(5, f"{BEA}#5", None),
        Row(8, "a b", None),
    ]


# Writing back


def test_csv_is_written_back_with_all_its_columns() -> None:
    with open_list(str(DATA / "list_excel.csv"), ["Cliente"]) as recipients:
        assert back(recipients, 0, 2, 77) == (
            '\ufeffsep=;\nCliente;Cellulare;"Saldo\n€";;;line;reason\n'
            'Anna Bianchi;"=""+39 340 1234567""";1.250,00;;;4;why\n'
            '"Carla\nVerdi";3,93401E+11;;;;7;why\n'
        )
    with open_list(str(DATA / "list_excel_unicode.txt")) as recipients:
        assert back(recipients, 1) == (
            '\ufeffNome\tTelefono\tCittà\tline\treason\n"Bea ""B"""\t+39 340 7654321\tRoma\t3\twhy\n'
        )


def test_rejects_are_mended_and_sent_again(tmp_path: Path) -> None:
    with open_list(str(DATA / "cli_semicolons.csv")) as recipients:
        once = back(recipients, 2, reason="no\nprefix")
    assert once == "\ufeffnumber;name;note;line;reason\n340123;Carla;x;7;no prefix\n"
    path = written(tmp_path, once.replace("340123", "+39340123"))
    assert read(path, "name", "note") == [Row(2, "+39340123", {"name": "Carla", "note": "x"})]
    with open_list(str(path)) as recipients:
        # Not doubled: the line is now that in the mended file.
        assert back(recipients, 0, reason="too short") == (
            "\ufeffnumber;name;note;line;reason\n+39340123;Carla;x;2;too short\n"
        )


def test_short_rows_and_additions_in_the_middle(tmp_path: Path) -> None:
    path = written(tmp_path, "reason,number,a,b\nold,1\nold,2,x,,,\n")
    with open_list(str(path)) as recipients:
        assert back(recipients, 0, 1) == "reason,number,a,b,line\nwhy,1,,,2\nwhy,2,x,,3\n"


def test_what_the_text_uses_is_not_replaced(tmp_path: Path) -> None:
    path = written(tmp_path, "number,line\n1,Red\n")
    with open_list(str(path), ["line"]) as recipients:
        assert back(recipients, 0) == "number,line,line_,reason\n1,Red,2,why\n"
    with open_list(str(path), columns=named("line")) as recipients:
        assert back(recipients, 0) == "number,line,line_,reason\n1,Red,2,why\n"
    path = written(tmp_path, '{"number":"1","reason":"x"}\n', "list.jsonl")
    with open_list(str(path), ["reason"]) as recipients:
        assert back(recipients, 0) == '{"number":"1","reason":"x","line":1,"reason_":"why"}\n'


def test_json_lines_are_written_back_as_they_were(tmp_path: Path) -> None:
    line = '{"name" : "Nicol\\u00f2", "due": 12.50, "tags": [1,  {}], "phone": "x", "line": 9}'
    path = written(tmp_path, f'\n{line}\n"{ANNA}"\n"{BEA}"\n', "list.jsonl")
    with open_list(str(path)) as recipients:
        once = back(recipients, 0, 2)
    assert once == (
        '{"name":"Nicol\\u00f2","due":12.50,"tags":[1,  {}],"phone":"x","line":2,"reason":"why"}\n'
        f'{{"number":"{BEA}","line":4,"reason":"why"}}\n'
    )
    mended = written(tmp_path, once.replace('"x"', f'"{ANNA}"'), "rejects.jsonl")
    assert read(mended, "due") == [Row(1, ANNA, {"due": "12.50"}), Row(2, BEA, {})]
    with open_list(str(mended)) as recipients:
        assert json.loads(back(recipients, 1)) == {"number": BEA, "line": 2, "reason": "why"}
    with open_list(str(path), columns=named("phone")) as recipients:
        assert json.loads(back(recipients, 1)) == {"phone": ANNA, "line": 3, "reason": "why"}


def test_plain_numbers_are_written_back_with_a_comment(tmp_path: Path) -> None:
    path = written(tmp_path, f"# all\n{ANNA} # Anna\n34 0#1\n", "list")
    with open_list(str(path)) as recipients:
        once = back(recipients, 1, reason="no # prefix")
    assert once == "34 0#1  # line 3: no # prefix\n"
    assert read(written(tmp_path, once, "rejects")) == [Row(1, "34 0#1", None)]
    once = once.replace("prefix", "'x', such as phone, number")
    assert read(written(tmp_path, once, "rejects")) == [Row(1, "34 0#1", None)]
    with open_list(str(path)) as recipients:
        assert back(recipients) == ""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.csv", f"number,città\n{ANNA},Forlì\n12,Cantù\n"),
        ("list.jsonl", f'{{"number": "{ANNA}", "città": "Forlì"}}\n{{"number":"12","città":"Cantù"}}\n'),
        ("list.txt", f"{ANNA}\n12é\n"),
    ],
)  # fmt: skip
def test_what_is_written_is_read_back_with_the_same_encoding(
    tmp_path: Path, name: str, content: str
) -> None:
    fields = () if name.endswith(".txt") else ("città",)
    # A byte order mark comes before the encoding that is given.
    contents = [content.encode(one) for one in ("cp1252", "utf-8-sig", "utf-16")]
    for encoded in contents:
        path = written(tmp_path, encoded, name)
        with open_list(str(path), fields, encoding="cp1252") as recipients:
            rows = [(row.number, row.fields) for row in recipients.rows()]
            assert back(recipients) == (
                "\ufeffnumber,città,line,reason\n" if name.endswith(".csv") else ""
            )
            text = back(recipients, 0, 1, reason="perché")
        again = read(written(tmp_path, text, f"again-{name}"), *fields, encoding="cp1252")
        assert [(row.number, row.fields) for row in again] == rows
    for encoding in (None, "utf-8", "UTF8", "utf-8-sig"):
        with open_list(
            str(written(tmp_path, content, name)), fields, encoding=encoding
        ) as recipients:
            assert not back(recipients, 0, 1).startswith("\ufeff")


def test_rows_are_chosen_by_what_is_in_them() -> None:
    file = io.StringIO()
    with open_list(str(DATA / "cli_people.jsonl"), ["name"]) as recipients:
        write_rows(
            recipients,
            lambda position, row: f"{position} {row.fields}" if row.line != 2 else None,
            file,
        )
    assert [json.loads(line)["reason"] for line in file.getvalue().splitlines()] == [
        "0 {'name': 'Anna'}",
        "2 {}",
    ]


# Any table

CELL = st.text(st.characters(exclude_characters="\0\r", codec="utf-8"), max_size=6)
NOT_IN_NAMES = set(" \n\u00a0_-./\\'\"()[]{}#+&?\r\0")
DELIMITER = st.sampled_from(",;\t|") | st.characters(codec="utf-8").filter(
    lambda one: not one.isalnum() and one not in NOT_IN_NAMES
)


def open_text_as_list(text: str, *fields: str, **keywords: Any) -> Iterator[RecipientList]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        with open_list("-", fields, **keywords) as recipients:
            yield recipients


def lines_of(table: Sequence[Sequence[str]], delimiter: str, quoting: int) -> list[str]:
    lines: list[str] = []
    for cells in table:
        file = io.StringIO()
        csv.writer(
            file,
            delimiter=delimiter,
            quoting=quoting,
            lineterminator="\n",  # type: ignore[arg-type]
        ).writerow(cells)
        lines.append(file.getvalue())
    return lines


@given(
    st.lists(st.lists(CELL, min_size=3, max_size=3).filter(lambda row: any(map(str.strip, row))),
        min_size=1, max_size=6),
    DELIMITER, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.booleans(), st.data(),
)  # fmt: skip
def test_any_table_is_read_and_written_back(
    table: list[list[str]], delimiter: str, quoting: int, forced: bool, data: st.DataObject
) -> None:
    starts = {cell[:1] for row in table for cell in row}
    # Signs and blanks in front of a text are not part of it, unless it is in quotes.
    assume(not any(start in "='" or (start != " " and start.isspace()) for start in starts - {""}))
    assume(quoting == csv.QUOTE_ALL or " " not in starts)
    lines = lines_of([["a", "Phone", "b"], *table], delimiter, quoting)
    keywords = {"delimiter": delimiter} if forced else {}
    begins = [1 + sum(line.count("\n") for line in lines[:at]) for at in range(1, len(lines))]
    for recipients in open_text_as_list("".join(lines), "a", "b", **keywords):
        rows = list(recipients.rows())
        assert rows == [
            Row(line, number, {"a": a, "b": b})
            for line, (a, number, b) in zip(begins, table, strict=True)
        ]
        positions = sorted(data.draw(st.sets(st.sampled_from(range(len(table))))))
        assert recipients.lines(positions) == {at: rows[at].line for at in positions}
        rejects = back(recipients, *positions)
    for again in open_text_as_list(rejects + lines[1], "a", "b", "line", **keywords):
        *kept, _ = again.rows()
        assert [(row.number, row.fields) for row in kept] == [
            (rows[at].number, {**(rows[at].fields or {}), "line": str(rows[at].line)})
            for at in positions
        ]


@given(
    st.lists(st.text(st.characters(exclude_characters="\0\r\n", codec="utf-8"), min_size=1)),
    st.text(st.sampled_from('a1 #,;:\n"') | st.characters()) | st.just("a, number"),
)
def test_any_plain_or_json_line_is_written_back(numbers: list[str], reason: str) -> None:
    objects = "".join(json.dumps({"NUMERO": number}) + "\n" for number in numbers)
    for recipients in open_text_as_list(objects + '"last"\n'):
        assert [row.number for row in recipients.rows()] == [*numbers, "last"]
        everything = back(recipients, *range(recipients.total), reason=reason)
        for again in open_text_as_list(everything):
            assert [row.number for row in again.rows()] == [*numbers, "last"]
    for recipients in open_text_as_list("1\n" + "\n".join(numbers)):
        rows = list(recipients.rows())
        everything = back(recipients, *range(recipients.total), reason=reason)
        for again in open_text_as_list(everything):
            assert [row.number for row in again.rows()] == [row.number for row in rows]
