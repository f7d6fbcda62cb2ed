"""Lists in files: opening, and errors that are found before anything is sent.

The rows of each format are tested in `test_formats`.
"""

import codecs
import gzip
import io
import os
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from gateway_sms_async._cli.lists import text_file
from gateway_sms_async._cli.lists.columns import NumberColumns
from gateway_sms_async._cli.lists.recipient_list import Row, open_list, write_rows
from gateway_sms_async._cli.lists.text_file import ListError, open_text

from ...support.paths import DATA

ANNA, BEA = "+39-3401234567", "+39-3407654321"


def read(path: Path | str, *fields: str, **keywords: Any) -> list[Row]:
    with open_list(str(path), fields, **keywords) as recipients:
        rows = list(recipients.rows())
        assert recipients.total == len(rows) == len(list(recipients))
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


# Opening


def test_what_excel_writes() -> None:
    assert read(DATA / "list_excel.csv", "Cliente") == [
        Row(4, "+39 340 1234567", {"Cliente": "Anna Bianchi"}),
        Row(5, "+393407654321", {"Cliente": 'Bea; detta "B"'}),
        Row(7, "3,93401E+11", {"Cliente": "Carla\nVerdi"}),
        Row(9, "0039 340 1112223", {"Cliente": "Dòra"}),
    ]
    assert read(DATA / "list_excel_unicode.txt", "Città", "Nome") == [
        Row(2, "+39 340 1234567", {"Città": "Forlì", "Nome": "Anna"}),
        Row(3, "+39 340 7654321", {"Città": "Roma", "Nome": 'Bea "B"'}),
    ]


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-32", "utf-16-be"])
@pytest.mark.parametrize("encoding", [None, "latin-1"])
def test_a_byte_order_mark_decides_the_encoding(
    tmp_path: Path, mark: str, encoding: str | None
) -> None:
    text = "number,name\n+39-3401234567,Nicolò\n"
    content = ("\ufeff" * (mark == "utf-16-be") + text).encode(mark)
    assert read(written(tmp_path, content), "name", encoding=encoding) == [
        Row(2, ANNA, {"name": "Nicolò"})
    ]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "utf-8", "mac_roman", "cp037"])
def test_an_encoding_that_is_given(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, f"number,name\n{ANNA},Nicolò\n".encode(encoding))
    assert read(path, "name", encoding=encoding) == [Row(2, ANNA, {"name": "Nicolò"})]


@pytest.mark.parametrize(
    "encoding",
    [
        "no-such", "hex", "undefined", "utf-8\0", "", "idna", "punycode", "unicode_escape",
        "Raw-Unicode-Escape",
    ],
)  # fmt: skip
def test_an_unknown_encoding(tmp_path: Path, encoding: str) -> None:
    assert refusal(written(tmp_path, "number\n1\n"), encoding=encoding) == (
        f"{encoding!r} is not a text encoding; give, for example, utf-8, cp1252 or latin-1"
    )


@pytest.mark.parametrize("name", ["list.csv.gz", "list.CSV", "list"])
def test_gzip_is_detected_by_its_first_bytes(tmp_path: Path, name: str) -> None:
    text = "name,number\nNicolò,1\n".encode("utf-16")
    path = written(tmp_path, gzip.compress(text[:9]) + gzip.compress(text[9:]), name)
    assert read(path, "name") == [Row(2, "1", {"name": "Nicolò"})]


def test_the_name_before_gz_decides_the_format(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(b'{"number"\n'), "list.jsonl.gz")
    assert refusal(path).startswith(":1: not one recipient in JSON (")


@pytest.mark.parametrize("broken", ["cut", "short", "flipped", "tail"])
def test_a_broken_gzip_file(tmp_path: Path, broken: str) -> None:
    whole = gzip.compress(b"number\n" + b"".join(b"%d\n" % n for n in range(200_000)))
    content = {
        "cut": whole[:-20],
        "short": whole[:2],
        "flipped": whole[:9000] + bytes([whole[9000] ^ 255]) + whole[9001:],
        "tail": whole + b"something else",
    }[broken]
    assert refusal(written(tmp_path, content)) == (
        ": the gzip file is broken or incomplete; create or download it again"
    )


NOT_UTF8 = "this is not UTF-8; save the file as UTF-8, or give --encoding cp1252 if it is Latin-1 or from an older Windows"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ": there are no recipients in this file"),
        ("\n \n", ": there are no recipients in this file"),
        ("number,name\n", ": there are no recipients in this file"),
        (b"number,name\n1,Anna\n2,Ni\xf2\n", f":3: {NOT_UTF8}"),
        (b"number,name\r1,Anna\r\n2,Ni\xf2\r", f":3: {NOT_UTF8}"),
        (b"number,name\n1,Anna\n2,Ni\xc3", f":3: {NOT_UTF8}"),
        (
            "number\n1\n".encode("utf-16")[:-1],
            ":2: this is not utf-16-le; save the file as UTF-8, or give its --encoding",
        ),
        (
            b"\xef\xbb\xbfnumber\n1\0\n",
            (
                ":2: this is not a text file, or UTF-16 without a byte order mark; "
                "export the list as CSV in UTF-8, or give --encoding utf-16-le"
            ),
        ),
        (
            b"number\n" + b"1" * 2**20,
            ":2: a line of more than 1 MiB cannot be a recipient; check the file",
        ),
        (b"\x89PNG\r\n\x1a\n", ":1: this is not a text file; export the list as CSV in UTF-8"),
        (b"PK\x03\x04\x14\x00", ": this is a ZIP archive; export the list as CSV in UTF-8"),
        (
            b"PK\x03\x04\x14\x00\x06\x00[Content_Types].xml",
            ": this is an Excel workbook (.xlsx); export the list as CSV in UTF-8",
        ),
        (
            b"PK\x03\x04\x14\x00mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
            ": this is an OpenDocument spreadsheet (.ods); export the list as CSV in UTF-8",
        ),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
            ": this is an old Excel workbook (.xls); export the list as CSV in UTF-8",
        ),
        (
            gzip.compress(b"%PDF-1.4\n%\xe2\xe3", mtime=0),
            ": this is a PDF file; export the list as CSV in UTF-8",
        ),
    ],
)
def test_bad_files(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert refusal(written(tmp_path, content)) == message


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("<html><head>\n<table><tr><td>number", "an HTML page"),
        ("\n <!DOCTYPE html>\n", "an HTML page"),
        ("<table border=1>\n", "an HTML page"),
        ('<meta charset="utf-8"><table>\n', "an HTML page"),
        ('<?xml version="1.0"?>\n<Workbook xmlns="urn:schemas-', "XML, as of Excel 2003"),
        ("BEGIN:VCARD\r\nTEL:+39 340 1234567\r\n", "a file of contacts (vCard)"),
        ("begin:vcard\n", "a file of contacts (vCard)"),
        ("{\\rtf1\\ansi\n", "a document in Rich Text Format (.rtf)"),
        ("ID;PWXL;N;E\nC;Y1;X1", "a SYLK file (.slk)"),
    ],
)
@pytest.mark.parametrize("name", ["a.xls", "a.csv", "a.vcf", "a.txt"])
def test_other_kinds_of_text(tmp_path: Path, content: str, kind: str, name: str) -> None:
    for data in (content.encode(), content.encode("utf-16"), gzip.compress(content.encode())):
        path = written(tmp_path, data, name)
        assert refusal(path) == f": this is {kind}; export the list as CSV in UTF-8"
        assert refusal(path, columns=NumberColumns(("x",)), delimiter=";").startswith(": this is")


def test_a_file_that_is_not_in_the_given_encoding(tmp_path: Path) -> None:
    path = written(tmp_path, b"number,name\n1,\x81\n")
    assert refusal(path, encoding="cp1252") == (
        ":2: this is not cp1252; save the file as UTF-8, or give its --encoding"
    )
    assert refusal(path, encoding="UTF8") == f":2: {NOT_UTF8}"
    half = written(tmp_path, b"number,name\n1,+2AA-\n", "half.csv")
    assert refusal(half, encoding="utf-7").startswith(":2: this is not utf-7")


def test_a_line_may_be_as_long_as_a_chunk_is_wide(tmp_path: Path) -> None:
    longest = 2**20 - 1
    path = written(tmp_path, "1\n" + ("2" * longest + "\r\n") * 2, "list.txt")
    assert [len(row.number) for row in read(path)] == [1, longest, longest]
    path = written(tmp_path, "1\n" + "é" * (longest // 2 + 1) + "\n", "wide.txt")
    assert refusal(path).startswith(":2: a line of more than 1 MiB")


@pytest.mark.parametrize("encoding", ["utf-16", "UTF32"])
def test_an_encoding_whose_mark_is_missing(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, f"number\n{ANNA}\n".encode("utf-32-le"))
    name = codecs.lookup(encoding).name
    assert refusal(path, encoding=encoding) == (
        f":1: this is not {name} with a byte order mark; save the file as UTF-8, or give its "
        f"--encoding, such as {name}-le"
    )


TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8") | st.sampled_from("\r\n"))


def clean(content: bytes, chunk: int, encoding: str | None = None) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_file, "_CHUNK", chunk)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        with open_text("-", encoding) as text:
            return "".join(text.lines())


def universal(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@given(TEXT, st.sampled_from(["utf-8", "utf-16-le", "utf-7"]), st.booleans(), st.integers(4, 9))
def test_text_is_the_same_wherever_it_is_cut(
    text: str, encoding: str, packed: bool, chunk: int
) -> None:
    # The digit keeps the text from beginning with a mark or with the bytes of another file type.
    content = f"1{text}".encode(encoding)
    got = clean(gzip.compress(content) if packed else content, chunk, encoding)
    assert got == universal(f"1{text}")


@given(TEXT, TEXT, st.integers(4, 9))
def test_bad_bytes_are_reported_with_their_line(before: str, after: str, chunk: int) -> None:
    line = universal(f"1{before}.").count("\n") + 1
    with pytest.raises(ListError, match=f"^standard input:{line}: this is not "):
        clean(f"1{before}.".encode() + b"\xff" + after.encode(), chunk)
    with pytest.raises(ListError, match=f"^standard input:{line}: this is not a text file, or"):
        clean(f"1{before}.\0{after}".encode(), chunk)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.csv") == (
        ": No such file or directory; give a file that can be read"
    )
    assert refusal(tmp_path) == ": Is a directory; give a file that can be read"


def test_a_file_whose_reading_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    only_written = io.FileIO(os.open(os.devnull, os.O_WRONLY))
    with io.TextIOWrapper(io.BufferedReader(only_written)) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert refusal("-") == "standard input: Bad file descriptor; give a file that can be read"


def test_no_folder_for_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    assert "cannot make a temporary copy of the list (No such file" in refusal(
        DATA / "cli_numbers.txt"
    )


def test_no_room_for_the_copy(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    assert resource.RLIMIT_FSIZE
    path = written(tmp_path, "number\n" + "1\n" * 100_000)
    code = (
        "import resource, signal, sys\n"
        "from gateway_sms_async._cli.lists.recipient_list import open_list\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    with open_list(sys.argv[1]): pass\n"
        "except ValueError as error: print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert result.stdout == (
        "cannot make a temporary copy of the list (File too large); "
        "free some disk space, or set TMPDIR to a folder that has some\n"
    )


def test_standard_input_is_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO((DATA / "cli_people.jsonl").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    assert [row.number for row in read("-")] == [ANNA, BEA, "no"]


def test_standard_input_has_a_name_in_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    assert refusal("-") == "standard input: there are no recipients in this file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_kept_and_read_twice(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(gzip.compress(f"{ANNA}\n".encode()),))
    writer.start()
    assert read(pipe) == [Row(1, ANNA, None)]
    writer.join()


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert refusal("-") == "standard input is closed; give a file, or send the list by a pipe"


class Endless(io.RawIOBase):
    """A stream that does not end; counts the bytes that are read from it."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.content = content
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what is passed
        data = (self.content * (len(buffer) // len(self.content) + 1))[: len(buffer)]
        buffer[:] = data
        self.bytes_read += len(data)
        return len(data)


@pytest.mark.parametrize("encoding", [None, "cp1252", "utf-16-le"])
@pytest.mark.parametrize("utf8_first", [False, True])
@pytest.mark.parametrize("content", [b"\0", b"1", b"1\n", b"\xe8\n", b" \n"])
def test_a_file_without_an_end_fills_no_disk(
    monkeypatch: pytest.MonkeyPatch, content: bytes, utf8_first: bool, encoding: str | None
) -> None:
    endless = Endless(content)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(endless)))
    monkeypatch.setattr(text_file, "_LARGEST", 4 * 2**20)
    with (
        pytest.raises(ListError, match=r"^standard input"),
        open_text("-", encoding, utf8_first=utf8_first),
    ):
        pass
    assert endless.bytes_read <= 5 * 2**20


def test_a_packed_file_is_as_large_as_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, gzip.compress(b"%063d\n" % 1 * 2**15), "a.gz")
    monkeypatch.setattr(text_file, "_LARGEST", 2**21 - 1)
    assert refusal(path) == ": more than 2,097,151 bytes cannot be a list; check the file"
    monkeypatch.setattr(text_file, "_LARGEST", 2**21)
    assert len(read(path)) == 2**15


# An open list


def test_a_list_may_change_or_disappear_while_it_is_open(tmp_path: Path) -> None:
    path = written(tmp_path, f"{ANNA}\n{BEA}\n", "list.txt")
    with open_list(str(path)) as recipients:
        path.write_text("another number\n")
        assert list(recipients) == [ANNA, BEA]
        path.unlink()
        assert list(recipients) == [ANNA, BEA]
        assert recipients.name == str(path)


def test_several_passes_do_not_disturb_each_other(tmp_path: Path) -> None:
    numbers = [f"{n:050}" for n in range(20_000)]
    path = written(tmp_path, "\n".join(numbers), "list.txt")
    with open_list(str(path)) as recipients:
        first, second = iter(recipients), iter(recipients)
        mixed = [next(first) for _ in range(6_000)]
        assert list(second) == numbers
        assert mixed + list(first) == numbers


def test_the_lines_of_positions() -> None:
    with open_list(str(DATA / "list_excel.csv"), ["Cliente"]) as recipients:
        assert recipients.lines([3, 0, 99]) == {0: 4, 3: 9}
        assert recipients.lines([]) == {}
        assert recipients.fields == ("Cliente",)


def test_on_read_gets_the_number_of_rows(tmp_path: Path) -> None:
    path = written(tmp_path, "number\n" + "1\n" * 45_000)
    rows_read: list[int] = []
    with open_list(str(path), on_read=rows_read.append) as recipients:
        assert rows_read == [20_000, 40_000, 45_000]
        list(recipients)
        assert len(rows_read) == 3


@pytest.mark.parametrize("packed", [False, True])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, packed: bool) -> None:
    content = b"number,name\n" + b"+39-3401234567,A name\n" * 20_000
    content += (b" " * 2_000 + b"\n") * 10_000
    path = written(tmp_path, gzip.compress(content, 1) if packed else content)
    del content
    tracemalloc.start()
    try:
        with open_list(str(path), ["name"]) as recipients:
            assert recipients.total == 20_000
            write_rows(recipients, {19_999: "why"}, io.StringIO())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20
