"""`gateway-sms split`: each number in one part, each row as it was, each part a list of its own."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from gateway_sms_async._cli.commands.split import _part_of
from gateway_sms_async._cli.lists.columns import NumberColumns
from gateway_sms_async._cli.lists.recipient_list import open_list
from gateway_sms_async._recipients.national import number_reader

from ..support.accounting import numbers
from ..support.cli import invoke, one_line

READ = number_reader("IT")


def written(folder: Path, content: str | bytes, name: str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parts_of(path: Path, count: int, *options: str, folder: Path | None = None) -> list[Path]:
    where = () if folder is None else ("--folder", str(folder))
    done = invoke("split", str(path), "--parts", str(count), *where, *options)
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    files = [Path(part["file"]) for part in shown["parts"]]
    assert len(files) == count
    for file, part in zip(files, shown["parts"], strict=True):
        assert file.stat().st_mode & 0o077 == 0, "others must not read the numbers"
        if part["rows"]:
            with open_list(str(file), columns=NumberColumns(options[1:2])) as recipients:
                assert recipients.total == part["rows"]
    assert sum(part["rows"] for part in shown["parts"]) == shown["rows"]
    return files


CSV = "sep=;\nname;telefono;note\n" + "".join(
    f'"Anna; {at}";{number};"two\nlines"\n' for at, number in enumerate(numbers(40))
)
JSON_LINES = "".join(
    json.dumps({"phone": number, "price": 1.5, "tags": ["a"]}) + "\n" for number in numbers(40)
)
PLAIN = "".join(f"{number}  # row {at}\n" for at, number in enumerate(numbers(40)))


@pytest.mark.parametrize(
    ("name", "content", "header"),
    [("a.csv", CSV, 2), ("a.jsonl", JSON_LINES, 0), ("a.txt", PLAIN, 0)],
)
def test_all_rows_are_in_the_parts_as_they_were(
    tmp_path: Path, name: str, content: str, header: int
) -> None:
    path = written(tmp_path, content, name)
    files = parts_of(path, 3)
    stem, _, suffix = name.partition(".")
    assert [file.name for file in files] == [f"{stem}.{at}-of-3.{suffix}" for at in (1, 2, 3)]
    rows: Counter[str] = Counter()
    for file in files:
        text = file.read_text(encoding="utf-8")
        *heads, rest = text.split("\n", header)
        assert heads == content.split("\n", header)[:-1]
        rows.update(rest.replace("two\nlines", "two lines").splitlines())
    *_, rest = content.split("\n", header)
    if name == "a.jsonl":
        rows = Counter(json.dumps(json.loads(row)) for row in rows.elements())
    assert rows == Counter(rest.replace("two\nlines", "two lines").splitlines())


@given(
    st.integers(3_400_000_000, 3_499_999_999).map(str),
    st.integers(2, 50),
    st.lists(
        st.sampled_from(["+39 {}", "0039{}", "{}", "tel:+39-{}", "(+39) {}"]),
        min_size=2,
        max_size=5,
    ),
)
def test_a_number_is_in_one_part_however_it_is_written(
    digits: str, parts: int, notations: list[str]
) -> None:
    spaced = f"{digits[:3]} {digits[3:6]}.{digits[6:]}"
    written_as = [one.format(form) for one in notations for form in (digits, spaced)]
    assert len(set(map(READ, written_as))) == 1
    assert len({_part_of(one, at, parts) for at, one in enumerate(written_as)}) == 1


def test_old_and_new_notations_are_in_one_part() -> None:
    for old, new in (
        ("+52 1 55 1234 5678", "+52 55 1234 5678"),
        ("+229 97123456", "+229 0197123456"),
    ):
        assert _part_of(old, 0, 1000) == _part_of(new, 1, 1000)


def test_the_parts_have_about_the_same_size() -> None:
    for step in (1, 100):
        counts = Counter(_part_of(f"+39-340{n * step:07}", n, 16) for n in range(16_000))
        assert len(counts) == 16
        assert max(counts.values()) < 2 * min(counts.values())
    assert len({_part_of("nobody", at, 4) for at in range(4)}) == 4


def test_standard_input_and_packed_files(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(CSV.encode()), "people.csv.gz")
    names = [file.name for file in parts_of(path, 2, folder=tmp_path)]
    assert names == ["people.1-of-2.csv", "people.2-of-2.csv"]
    done = invoke("split", "-", "--parts", "2", "--folder", str(tmp_path), input=PLAIN)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "list.1-of-2").exists()


def test_the_column_may_be_chosen_and_an_ambiguous_list_is_refused(tmp_path: Path) -> None:
    rows = "".join(f"{one},{two}\n" for one, two in zip(numbers(20), numbers(20, 90), strict=True))
    path = written(tmp_path, f"Phone,Mobile\n{rows}", "people.csv")
    done = invoke("split", str(path), "--parts", "2")
    assert "choose one with --number-column" in one_line(done)
    assert [one.name for one in tmp_path.iterdir()] == ["people.csv"]
    by_phone = parts_of(path, 2, "--number-column", "Phone")
    first = [file.read_text() for file in by_phone]
    by_mobile = parts_of(path, 2, "--number-column", "Mobile")
    assert [file.read_text() for file in by_mobile] != first


@pytest.mark.parametrize("parts", ["0", "1", "-2", "501", "x"])
def test_a_number_of_parts_that_makes_no_sense(tmp_path: Path, parts: str) -> None:
    path = written(tmp_path, PLAIN, "a.txt")
    assert invoke("split", str(path), "--parts", parts).exit_code == 2


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, PLAIN, "a.txt")
    done = invoke("split", str(path), "--parts", "2", "--folder", str(tmp_path / "missing"))
    assert "give a file to write to" in one_line(done)


def test_as_many_parts_as_are_allowed(tmp_path: Path) -> None:
    path = written(tmp_path, PLAIN, "a.txt")
    assert len(parts_of(path, 500)) == 500
