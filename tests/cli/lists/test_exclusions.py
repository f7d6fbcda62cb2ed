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


def test_only_named_columns_are_read_if_there_are_any(tmp_path: Path) -> None:
    path = written(tmp_path, f"a,b,phone\n{ANNA},{BEA},no\n")
    found = read(path, columns=named("B", "x", "a"))
    assert (found.numbers, found.columns) == ([BEA, ANNA], ["b", "a"])
    assert read(path, columns=named("x", "b")).numbers == [BEA]
    assert refusal(path, columns=named("x")).startswith(": no row has a number in 'phone'")


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
