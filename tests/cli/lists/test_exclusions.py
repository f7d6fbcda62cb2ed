"""Lists of numbers not to send to: what protects, and what is refused or reported."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async._cli.lists.columns import NumberColumns
from gateway_sms_async._cli.lists.exclusions import Exclusions, read_exclusions
from gateway_sms_async._cli.lists.text_file import ListError
from gateway_sms_async._recipients.numbers import normalize

ANNA, BEA = "+39-3401234567", "+39-3407654321"


def named(*names: str) -> NumberColumns:
    return NumberColumns(names)


def written(tmp_path: Path, content: str | bytes, name: str = "list.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path | str, **keywords: Any) -> Exclusions:
    return read_exclusions(str(path), normalize, **keywords)


def excluded(path: Path | str, **keywords: Any) -> list[str]:
    return read(path, **keywords).numbers


def refusal(path: Path | str, **keywords: Any) -> str:
    with pytest.raises(ListError) as caught:
        read(path, **keywords)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(str(path))


def test_exclusions_in_any_format(tmp_path: Path) -> None:
    for name, content in {
        "a.csv": f"\ufeffNome;Telefono\nAnna;{ANNA}\nBea;0039 340 7654321\n",
        "b.jsonl": f'"{ANNA}"\n{{"phone": "0039 340 7654321"}}\n',
        "c.txt": f"# left us\n{ANNA}  # in May\n0039 340 7654321\n",
    }.items():
        path = written(tmp_path, content, name)
        assert excluded(path) == [ANNA, BEA]


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl", "list"])
def test_an_empty_file_excludes_no_recipient(tmp_path: Path, name: str) -> None:
    assert excluded(written(tmp_path, "", name)) == []
    assert excluded(written(tmp_path, "\nnumber;name\n", "columns.csv")) == []


def test_an_invalid_exclusion_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, f"Nome,Casa\nAnna,{ANNA}\nBea,0340 7654321\n")
    with pytest.raises(ListError) as caught:
        excluded(path, columns=named("casa"))
    assert str(caught.value) == (
        f"{path}:3: …4321: no international prefix: begin with + and the country code; "
        "correct it, else this recipient would get the text"
    )


def test_exclusions_are_decoded_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "nùmero;numero\n".encode("cp1252") + b"1;2\n" * 40_001)
    rows_read: list[int] = []
    found = read_exclusions(str(path), str, encoding="cp1252", on_read=rows_read.append)
    assert len(found.numbers) == 40_001
    assert rows_read == [20_000, 40_000]
    with pytest.raises(ListError, match="not UTF-8"):
        read_exclusions(str(path), str)


OTHERS = {"columns": named("Casa"), "encoding": "cp1252", "delimiter": "|"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("own.csv", f"number|Casa\n1|{ANNA}\n"),
        ("known.csv", f"Città,Telefono\nForlì,{ANNA}\n"),
        ("sep.csv", f"sep=;\nx|y;Telefono\n;{ANNA}\n"),
        ("plain.txt", f"# chi è andato\n{ANNA}\n"),
        ("plain.csv", f"{ANNA}\n"),
        ("own.jsonl", f'{{"number": "1", "casa": "{ANNA}"}}\n'),
        ("known.jsonl", f'{{"phone": "{ANNA}", "città": "Forlì"}}\n'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_the_options_of_another_list_are_used_only_if_they_fit(
    tmp_path: Path, name: str, content: str, encoding: str
) -> None:
    path = written(tmp_path, content.encode(encoding), name)
    assert excluded(path, **OTHERS) == [ANNA]
    path = written(tmp_path, gzip.compress(content.encode(encoding)), f"{name}.gz")
    assert excluded(path, **OTHERS) == [ANNA]


def test_the_encoding_of_exclusions_depends_on_the_whole_file(tmp_path: Path) -> None:
    rows = f"{ANNA};x\n" * 40_000
    path = written(tmp_path, f"numero;name\n{rows}{BEA};Nicolò".encode("cp1252"))
    assert excluded(path, encoding="cp1252")[-1] == BEA
    path = written(tmp_path, f"numero\n{ANNA}\n".encode("utf-16-le"))
    assert excluded(path, encoding="utf-16-le") == [ANNA]
    with pytest.raises(ListError, match=":2: this is not cp1252"):
        excluded(written(tmp_path, b"number\n\x81\n"), encoding="cp1252")


def test_exclusions_without_a_number_column(tmp_path: Path) -> None:
    for name, content in {
        "a.csv": f"Tel;Nome\n{ANNA};x\n",
        "a.jsonl": f'{{"Tel":"{ANNA}","Nome":""}}',
    }.items():
        path = written(tmp_path, content, name)
        with pytest.raises(ListError) as caught:
            excluded(path)
        assert "is named number, phone, mobile," in str(caught.value)
        assert str(caught.value).endswith("(there are 'Tel', 'Nome')")
    message = refusal(tmp_path / "a.csv", **OTHERS)
    assert "is named 'Casa', number, phone, mobile," in message
    with pytest.raises(ListError, match="cannot be a delimiter"):
        excluded(tmp_path / "a.csv", delimiter=";;")


REPORT = [
    (0, 2, ANNA, "accepted", "m1", None),
    (1, 3, "no number", "invalid", None, "not digits"),
    (2, 4, "+39-3400000002", "unsent", None, None),
    (3, 5, "", "duplicate", None, None),
    (4, 6, " ", "excluded", None, None),
    (5, 7, "+39-3400000005", "excluded", None, None),
    (6, None, "+39-3400000006", "unknown", "m1", None),
    (7, 9, "+39-3400000007", "duplicate", None, None),
]
COLUMNS = ("position", "line", "number", "outcome", "message_id", "reason")
GUARDED = [ANNA, "+39-3400000005", "+39-3400000006", "+39-3400000007"]


def report_of(name: str, rows: list[tuple[Any, ...]], columns: tuple[str, ...] = COLUMNS) -> str:
    if name.endswith(".csv"):
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])
        return file.getvalue()
    objects = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
    return "[\n" + ",\n".join(objects) + "\n]\n" if objects else "[]\n"


@pytest.mark.parametrize("name", ["report.csv", "report.json"])
def test_a_report_excludes_recipients_that_may_have_the_text(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, report_of(name, REPORT), name)
    rows_read: list[int] = []
    assert excluded(path, **OTHERS, on_read=rows_read.append) == GUARDED
    assert excluded(written(tmp_path, report_of(name, []), name)) == []
    for outcome in ("accepted", "unknown", "doubled"):
        path = written(tmp_path, report_of(name, [(0, 1, "", outcome, "m1", None)]), name)
        with pytest.raises(ListError, match="would get the text"):
            excluded(path)


@pytest.mark.parametrize("name", ["report.csv", "report.json"])
def test_a_column_outcome_alone_does_not_make_a_report(tmp_path: Path, name: str) -> None:
    rows: list[tuple[Any, ...]] = [(ANNA, "invalid"), (BEA, "unsent")]
    path = written(tmp_path, report_of(name, rows, ("number", "outcome")), name)
    assert excluded(path) == [ANNA, BEA]
    path = written(tmp_path, f'{{"number":"{ANNA}","outcome":[],"message_id":1}}', "a.jsonl")
    assert excluded(path) == [ANNA]


def test_an_incomplete_report_is_rejected(tmp_path: Path) -> None:
    content = report_of("report.json", REPORT)
    for cut, problem in {
        content.removesuffix(
            "]\n"
        ): ":1: this array has no end: the file is incomplete; create it again",
        content * 2: ":11: more than one array; put each in its own file",
        f"[]\n{content}": ":2: more than one array; put each in its own file",
    }.items():
        path = written(tmp_path, cut, "report.json")
        with pytest.raises(ListError) as caught:
            excluded(path)
        assert str(caught.value) == f"{path}{problem}"


# Which columns are read


@pytest.mark.parametrize(
    "header",
    [
        "Phone,MobilePhone",
        "Phone,Mobile Phone",
        "phone,phone_mobile",
        "Telefono,Cellulare 1",
        "Telefono,Tel. cellulare",
        "Number,Cell",
        "Numero,Cell.",
        "phone,mobile",
        "Telefono,Handynummer",
        "Number,Number 2",
        "phone,Téléphone portable",
        "phone,teléfono móvil",
        "phone,home_phone",
        "phone,Мобильный телефон",
        "phone,WhatsApp",
    ],
)
def test_all_columns_of_numbers_are_excluded(tmp_path: Path, header: str) -> None:
    land = "+39-021234567"
    path = written(tmp_path, f"{header},status\n{land},{ANNA},2026-01-31\n{land},,\n")
    found = read(path)
    assert found.numbers == [land, ANNA, land]
    assert found.columns == header.split(",")
    item = dict(zip(header.split(","), (land, ANNA), strict=True))
    lines = f"{json.dumps(item)}\n{json.dumps({'status': '2026', **item})}\n"
    path = written(tmp_path, lines, "list.jsonl")
    found = read(path)
    assert found.numbers == [land, ANNA] * 2
    assert found.columns == header.split(",")


def test_columns_that_only_have_such_a_name_are_not_read(tmp_path: Path) -> None:
    names = "phone,Phone type,phone_ext,mobile opt-in,Fax,Customer number,Immobile"
    path = written(tmp_path, f"{names}\n{ANNA},home,123,yes,021234567,1234567,7654321\n")
    found = read(path)
    assert (found.numbers, found.columns) == ([ANNA], ["phone"])
    item = dict(
        zip(names.split(","), (ANNA, "home", "123", True, "021234567", "1", 2), strict=True)
    )
    found = read(written(tmp_path, json.dumps(item), "a.jsonl"))
    assert (found.numbers, found.columns) == ([ANNA], ["phone"])


def test_a_number_that_cannot_be_read_is_an_error_in_every_column(tmp_path: Path) -> None:
    path = written(tmp_path, f"phone,mobile\n{BEA},\n{ANNA},340 7654321\n")
    message = refusal(path)
    assert message.startswith(":3: …21: no international prefix")
    assert "would get the text" in message
    assert "a column of 'phone', 'mobile' holds no numbers" in message
    assert excluded(path, columns=named("phone")) == [BEA, ANNA]
    assert refusal(path, columns=named("mobile", "phone")).startswith(":3: …21: no international")
    item = {"phone": ANNA, "mobile phone": 393407654321}
    message = refusal(written(tmp_path, json.dumps(item), "a.jsonl"))
    assert message.startswith(":1: the number is not in quotes")


def test_named_columns_must_hold_numbers_and_others_may(tmp_path: Path) -> None:
    path = written(tmp_path, f"a,b,phone\n{ANNA},{BEA},no 340 123\n")
    found = read(path, columns=named("B", "x", "a"))
    assert (found.numbers, found.columns) == ([BEA, ANNA], ["b", "a"])
    found = read(path, columns=named("x", "b"))
    assert (found.numbers, found.columns) == ([BEA, ANNA], ["b", "a"])
    path = written(tmp_path, "a,phone\n1,no\n")
    assert refusal(path, columns=named("x")).startswith(": no row has a number in 'phone'")


LAND = "+39-0612345678"


@pytest.mark.parametrize("name", ["Contact number", "Tel/Fax", "Fax", "other", "1", ""])
@pytest.mark.parametrize(
    "cell",
    [
        "+393401234567",
        "0039 340/1234567",
        " (+39) 340 1234567",
        "'+39 340-1234567",
        '="+393401234567"',
        "\u202a+39 340 1234567\u202c",
        "\uff0b39\u3000340\u30001234567",
        "Anna: +39 340 1234567 (casa)",
    ],
)
def test_a_number_in_any_column_is_excluded(tmp_path: Path, name: str, cell: str) -> None:
    quoted = '"' + cell.replace('"', '""') + '"'
    for content, file, shown in (
        (f"phone;{name};id\n{LAND};{quoted};12345678\n", "a.csv", name or "column 2"),
        (f"{name};id;phone\n{quoted};12345678;{LAND}\n", "a.csv", name or "column 1"),
        (json.dumps({"phone": LAND, name: cell, "id": 12345678}), "a.jsonl", name),
    ):
        path = written(tmp_path, content, file)
        for columns in (NumberColumns(), named("phone")):
            found = read(path, columns=columns)
            assert found.numbers == [LAND, ANNA]
            assert found.columns == ["phone", shown]


@pytest.mark.parametrize("between", [",", ", ", " / ", "/", " ", "; ", " & ", "|", "\n"])
def test_two_numbers_in_one_cell_are_both_excluded(tmp_path: Path, between: str) -> None:
    cell = f"+393401234567{between}+393407654321"
    path = written(tmp_path, f'number,other\n{LAND},"{cell}"\n')
    assert excluded(path) == [LAND, ANNA, BEA]
    path = written(tmp_path, f'number,other\n"{cell}",x\n')
    assert "would get the text" in refusal(path)


def test_a_number_in_national_form_is_excluded_if_its_column_has_such_a_name(
    tmp_path: Path,
) -> None:
    def in_italy(number: str) -> str:
        return normalize(number if number.startswith(("+", "00")) else f"+39{number}")

    rows = "340 1234567,340 7654321,3400000000,2026-01-31\n"
    path = written(tmp_path, f"phone,Tel/Fax,id,when\n{rows}")
    assert read_exclusions(str(path), in_italy).numbers == [ANNA, BEA]
    item = {"phone": ANNA, "Tel/Fax": 3407654321, "id": "3400000000"}
    path = written(tmp_path, json.dumps(item), "a.jsonl")
    assert read_exclusions(str(path), in_italy).numbers == [ANNA, BEA]
    path = written(tmp_path, f"phone,mobile,id,when\n{rows}")
    columns = named("phone")
    assert read_exclusions(str(path), in_italy, columns=columns).numbers == [ANNA, BEA]


def test_what_is_no_number_in_another_column_is_ignored(tmp_path: Path) -> None:
    names = ("phone", "when", "id", "code", "change", "note", "Tel/Fax", "short", "")
    cells = (
        ANNA, "2026-01-31T10:00:00+02:00", "0000123456", "0039-12", "+12.50", "+39 call him",
        "06 1234567 int. 5", "+39123", "12345678",
    )  # fmt: skip
    path = written(tmp_path, f"{','.join(names)}\n{','.join(cells)}\n")
    found = read(path)
    assert (found.numbers, found.columns) == ([ANNA], ["phone"])
    item = dict(zip(names, cells, strict=True)) | {"more": [*cells[1:], None, True, 1.5, {}]}
    found = read(written(tmp_path, json.dumps(item), "a.jsonl"))
    assert (found.numbers, found.columns) == ([ANNA], ["phone"])


@pytest.mark.parametrize(
    "item",
    [
        {"number": BEA, "phones": [ANNA]},
        {"number": None, "contacts": [{"kind": "x", "value": BEA}, {"value": ANNA}]},
        {"number": BEA, "user": {"name": "Anna", "more": [[{"x": "0039 340 1234567"}]]}},
        {"number": BEA, "user": {"phone": ANNA}},
        {"user": {"phone": ANNA, "mobile": BEA}},
        {"user": {"other": f"{ANNA}, {BEA}"}, "id": None},
        {"id": 12345678, "user": {"phone": ANNA, "other": BEA}},
    ],
)
def test_numbers_inside_json_values_are_excluded(tmp_path: Path, item: dict[str, Any]) -> None:
    path = written(tmp_path, json.dumps(item), "a.jsonl")
    assert set(excluded(path)) == {ANNA, BEA}
    assert set(excluded(path, columns=named("x"))) == {ANNA, BEA}


def test_a_number_inside_a_json_value_must_be_readable_under_such_a_key(tmp_path: Path) -> None:
    for item in (
        {"number": ANNA, "phones": ["340 7654321"]},
        {"user": {"phone": "340 7654321"}},
        {"user": {"mobile_phone": 3407654321}},
    ):
        path = written(tmp_path, f"{json.dumps({'number': BEA})}\n{json.dumps(item)}", "a.jsonl")
        assert refusal(path).startswith(":2: …21: no international prefix")
    path = written(tmp_path, json.dumps({"number": ANNA, "phones": ["340 7654321"]}), "a.jsonl")
    assert excluded(path, columns=named("number")) == [ANNA]


def test_a_json_value_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    for begin, end in (("[", "]"), ('{"a":', "}")):
        for depth in range(100, 2_000, 50):
            line = f'{{"number": "{ANNA}", "more": {begin * depth}"{BEA}"{end * depth}}}'
            path = written(tmp_path, line, "a.jsonl")
            try:
                found = excluded(path)
            except ListError as error:
                assert str(error).startswith(f"{path}:1: ")
            else:
                assert found == [ANNA, BEA]


def test_other_columns_of_a_report_are_not_read(tmp_path: Path) -> None:
    for name in ("report.csv", "report.json"):
        rows: list[tuple[Any, ...]] = [(ANNA, "accepted", "m1", BEA)]
        columns = ("number", "outcome", "message_id", "reason")
        assert excluded(written(tmp_path, report_of(name, rows, columns), name)) == [ANNA]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (f'{{"number":"{ANNA}","number":"{BEA}"}}', "'number'"),
        (f'{{"number":"{ANNA}","n\\u0075mber":"{BEA}"}}', "'number'"),
        (f'{{"number":"{ANNA}","user":{{"x":"{BEA}","y":"a:b","x":1}}}}', "'x'"),
        (f'{{"number":"{ANNA}","x":[{{}},{{"+39340 1234567":1,"+39340 1234567":2}}]}}', "…"),
    ],
)
def test_a_key_that_is_there_twice_is_refused(tmp_path: Path, line: str, key: str) -> None:
    path = written(tmp_path, f'"{ANNA}"\n{line}\n', "a.jsonl")
    assert refusal(path) == f":2: more than one key is named {key}; keep one"


# Comments


@pytest.mark.parametrize(
    "line",
    [
        "# opt-outs: +393401234567, +393407654321",
        "#+393401234567",
        "  # 340 123.45.67",
        "# Anna, in May: 0039 (340) 1234567",
        "# 2026-01-31 3401234567",
        "Anna # 340 1234567",
    ],
)
def test_a_number_in_a_comment_is_refused(tmp_path: Path, line: str) -> None:
    path = written(tmp_path, f"# left us\n{BEA}\n{line}\n", "stop.txt")
    assert refusal(path) == (
        ":3: a number after #, so that this recipient would get the text; remove the # to exclude the "
        "number, else remove the line"
    )
    assert refusal(written(tmp_path, f"{line}\n", "stop.txt")).startswith(":1: ")


def test_other_comments_are_left_out(tmp_path: Path) -> None:
    text = (
        f"# left us in 2026\n#\n# until 2026-01-31 10:30:00, or 31.01.2026, 1/2/26: 12 345 in all\n"
        f"{ANNA}  # line 123456: too long, such as +39 340 12345678\n{BEA} # 2 + 3\n"
    )
    assert excluded(written(tmp_path, text, "stop.txt")) == [ANNA, BEA]
    assert excluded(written(tmp_path, "# no one yet\n", "stop.txt")) == []


# Rows without a number


NO_NUMBERS = ["NULL", "nan", "n/a", "unknown", "-", "0", "+"]


@pytest.mark.parametrize(
    ("name", "cell"),
    [(name, cell) for name in ("list.csv", "list.jsonl", "list.txt") for cell in NO_NUMBERS]
    + [(name, cell) for name in ("list.csv", "list.jsonl") for cell in ("", " ", "#N/A")],
)
def test_a_row_without_a_number_is_counted(tmp_path: Path, cell: str, name: str) -> None:
    def file(*numbers: str) -> Path:
        content = {
            "list.csv": "email,phone\n" + "".join(f"a@b.c,{one}\n" for one in numbers),
            "list.jsonl": "".join(json.dumps({"phone": one}) + "\n" for one in numbers),
            "list.txt": "".join(f"{one}\n" for one in numbers),
        }[name]
        return written(tmp_path, content, name)

    found = read(file(ANNA, *[cell] * 12, BEA))
    begin = 3 if name == "list.csv" else 2
    assert found.numbers == [ANNA, BEA]
    assert found.without_number.count == 12
    assert found.without_number.lines == list(range(begin, begin + 10))
    message = refusal(file(cell, cell))
    assert message.startswith(": no row has a number")
    assert "--number-column" in message


def test_json_items_without_the_key(tmp_path: Path) -> None:
    lines = f'{{"email": "a@b.c", "at": "2026-01-31T10:00:00Z"}}\n{{"phone": null}}\n"{ANNA}"\n'
    found = read(written(tmp_path, lines, "a.jsonl"))
    assert (found.numbers, found.without_number.lines) == ([ANNA], [1, 2])
    path = written(tmp_path, f'{lines}{{"tel. 2": "{BEA}"}}\n', "a.jsonl")
    assert refusal(path).startswith(":4: no key is named number, phone")


def test_too_few_digits_are_an_error(tmp_path: Path) -> None:
    assert "too short" in refusal(written(tmp_path, f"number\n{ANNA}\n+340\n"))
    assert ":3: …: " in refusal(written(tmp_path, f"number\n{ANNA}\n340\n"))
