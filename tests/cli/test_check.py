"""`gateway-sms check`, what `bulk` prints before it sends, and the files that `bulk` writes."""

import asyncio
import csv
import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway_sms_async import RetryPolicy
from gateway_sms_async._cli.campaign_input import TextOptions
from gateway_sms_async.testing import Fault, Simulator

from ..support.cli import full_disk, invoke, one_line, run

pytestmark = pytest.mark.anyio

ANNA, BEA, CARA = "+39-3401234501", "+39-3401234502", "+44-7911123456"
LIST = f"""name;telefono;città
Anna;{ANNA};Roma
Bea;{BEA};Lecce
Bea again;0039 340 123 4502;Lecce
Nobody;340 1234503;Pisa
Cara;{CARA};London
"""
SEND_OPTIONS = ("--sender", "ACME", "--body", "Ciao {{name}}")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = RetryPolicy(base_delay=0.001, max_delay=0.01, max_elapsed=0.5)
    monkeypatch.setattr("gateway_sms_async._client._DEFAULT_RETRY", policy)
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("OPENAPI_TOKEN", "GATEWAY_SMS_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def list_file(tmp_path: Path) -> str:
    path = tmp_path / "people.csv"
    path.write_text(LIST, encoding="utf-8")
    return str(path)


@pytest.fixture
def many(tmp_path: Path) -> str:
    path = tmp_path / "many.txt"
    path.write_text("".join(f"+39 340 {n:07}\n" for n in range(1_001)))
    return str(path)


def check(*args: str) -> Any:
    return invoke("check", *args)


# check


def test_check_needs_no_account_and_shows_everything(list_file: str) -> None:
    done = check(list_file, *SEND_OPTIONS, "--price-per-part", "0.035")
    assert done.exit_code == 3
    table = {
        line.strip().split("  ")[0]: line.strip().partition("  ")[2].strip()
        for line in done.stdout.splitlines()
    }
    assert table["recipients"] == "3 of 5 rows"
    assert table["invalid"].startswith("1: no international prefix")
    assert table["duplicates"] == "1"
    assert table["+39"] == "2, 2 parts at 0.035 EUR"
    assert table["parts"] == "3"
    assert table["cost"] == "0.10 EUR"
    assert "(line " in table["longest text"]
    assert table["requests"] == "4 for 1 messages"
    assert done.stderr.startswith(f"{list_file}:5: …03: no international prefix")
    for shown in (done.stdout, done.stderr):
        assert "1234501" not in shown
        assert "1234503" not in shown


def test_check_for_programs(list_file: str) -> None:
    done = check(list_file, *SEND_OPTIONS, "--json", "--rate", "0")
    preview = json.loads(done.stdout)
    assert (preview["total"], preview["recipients"], preview["duplicates"]) == (5, 3, 1)
    assert preview["invalid"]["count"] == 1
    assert preview["countries"]["+39"] == {
        "recipients": 2,
        "parts": 2,
        "price_per_part": None,
    }
    assert (preview["cost"], preview["seconds"]) == (None, None)
    assert preview["longest"]["line"] == 2


def test_check_is_0_if_all_recipients_can_be_sent_to(tmp_path: Path) -> None:
    path = tmp_path / "people.txt"
    path.write_text(f"{ANNA}\n{BEA}\n")
    assert check(str(path), "--sender", "ACME", "--body", "Ciao").exit_code == 0


def test_a_region_makes_a_number_of_it(list_file: str) -> None:
    done = check(list_file, *SEND_OPTIONS, "--default-region", "it", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["recipients"] == 4


def test_typographic_characters_are_reported_and_replaced(list_file: str) -> None:
    send_options = ("--sender", "ACME", "--body", "\u201cCiao\u201d {{name}} " + "x" * 60)
    done = check(list_file, *send_options)
    assert "--smart-encoding would make it 3 parts instead of 6." in done.stderr
    assert 'It would replace \u201c by ", \u201d by "' in done.stderr
    assert "\u201c in 3, \u201d in 3" in done.stdout
    smart = check(list_file, *send_options, "--smart-encoding", "--json")
    assert 'Replaced in the text: \u201c by ", \u201d by "' in smart.stderr
    assert json.loads(smart.stdout)["parts"] == 3


async def test_asking_the_price(simulator: Simulator, list_file: str) -> None:
    done = await run(simulator, "check", list_file, *SEND_OPTIONS, "--ask-price", "--json")
    preview = json.loads(done.stdout)
    assert preview["cost"] is not None
    assert simulator.ledger == {}
    assert len(simulator.requests) == 2
    await run(simulator, "bulk", list_file, *SEND_OPTIONS)
    assert len(simulator.ledger) == 3


def test_asking_the_price_needs_a_token(list_file: str) -> None:
    done = check(list_file, *SEND_OPTIONS, "--ask-price")
    assert done.exit_code == 2
    assert "no token" in done.stderr


def test_one_way_to_a_price(list_file: str) -> None:
    wrong = check(list_file, *SEND_OPTIONS, "--ask-price", "--price-per-part", "1")
    assert "either --ask-price or --price-per-part" in one_line(wrong)


def test_rejects_are_written_in_the_lists_own_form(list_file: str, tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.csv"
    check(list_file, *SEND_OPTIONS, "--rejects", str(rejects))
    [row] = csv.DictReader(io.StringIO(rejects.read_text()), delimiter=";")
    assert (row["name"], row["telefono"], row["città"]) == ("Nobody", "340 1234503", "Pisa")
    assert row["line"] == "5"
    assert row["reason"].startswith("no international prefix")
    rejects.write_text(rejects.read_text().replace("340 1234503", "+39 340 1234503"))
    again = check(str(rejects), *SEND_OPTIONS, "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout)["recipients"] == 1


def test_the_first_invalid_rows_are_printed_and_the_others_counted(tmp_path: Path) -> None:
    path = tmp_path / "people.txt"
    path.write_text(f"{ANNA}\n" + "no number\n" * 15)
    done = check(str(path), "--sender", "ACME", "--body", "Ciao")
    lines = done.stderr.splitlines()
    assert len(lines) == 11
    assert lines[0] == f"{path}:2: …: letters in the number"
    assert lines[-1] == f"{path}: 5 more are invalid; --rejects FILE writes them all"
    result = check(str(path), "--sender", "ACME", "--body", "x", "--rejects", str(tmp_path / "r"))
    assert result.stderr.splitlines()[-1].endswith("in the file of --rejects")


def test_who_is_excluded(list_file: str, tmp_path: Path) -> None:
    first, second = tmp_path / "stop.csv", tmp_path / "stop.txt"
    first.write_text(f"number,when\n{BEA},2026\n")
    second.write_text("0044 7911 123456\n")
    done = check(
        list_file, *SEND_OPTIONS, "--exclude", str(first), "--exclude", str(second), "--json"
    )
    preview = json.loads(done.stdout)
    assert (preview["recipients"], preview["excluded"]) == (1, 3)


def test_the_lists_options_also_hold_for_exclusions(list_file: str, tmp_path: Path) -> None:
    path = tmp_path / "stop.csv"
    path.write_bytes(f"città;Phone number\nRoma;{BEA}\n".encode("cp1252"))
    options = ("--exclude", str(path), "--number-column", "Phone number", "--encoding", "cp1252")
    listed = tmp_path / "list.csv"
    listed.write_bytes(f"città;Phone number\nRoma;{BEA}\nLecce;{ANNA}\n".encode("cp1252"))
    done = check(str(listed), "--sender", "ACME", "--body", "Ciao", *options, "--json")
    assert json.loads(done.stdout)["excluded"] == 1


def test_an_exclusion_that_cannot_be_read_is_named(list_file: str, tmp_path: Path) -> None:
    path = tmp_path / "stop.txt"
    path.write_text(f"{BEA}\n340 1234503\n")
    message = one_line(check(list_file, *SEND_OPTIONS, "--exclude", str(path)))
    assert message.startswith(f"{path}:2: ")
    assert "no international prefix" in message
    assert "1234503" not in message


def test_check_reads_gzip_in_an_old_encoding(tmp_path: Path) -> None:
    path = tmp_path / "people.csv.gz"
    path.write_bytes(gzip.compress(LIST.encode("cp1252")))
    send_options = ("--sender", "ACME", "--body", "Ciao {{città}}")
    refused = one_line(check(str(path), *send_options))
    assert f"{path}:1: this is not UTF-8" in refused
    assert "--encoding cp1252" in refused
    done = check(str(path), *send_options, "--encoding", "cp1252", "--json")
    assert json.loads(done.stdout)["recipients"] == 3


def test_the_number_column_must_be_named_if_there_are_two(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(f"phone,mobile\n{ANNA},{BEA}\n")
    send_options = ("--sender", "ACME", "--body", "Ciao")
    assert "--number-column" in one_line(check(str(path), *send_options))
    assert check(str(path), *send_options, "--number-column", "mobile").exit_code == 0


# The files of a campaign


CIAO = ("--sender", "ACME", "--body", "Ciao {{name}}")


def test_check_names_the_column_of_the_numbers(list_file: str, tmp_path: Path) -> None:
    done = check(list_file, *SEND_OPTIONS)
    assert f"{list_file}: the numbers are in column 'telefono'" in done.stderr.splitlines()
    path = tmp_path / "people.jsonl"
    path.write_text(f'{{"phone": "{ANNA}"}}\n{{"Mobile": "{BEA}"}}\n')
    done = check(str(path), "--sender", "ACME", "--body", "Ciao")
    assert done.stderr == f"{path}: the numbers are in columns 'phone', 'Mobile'\n"


async def test_bulk_names_it_too(simulator: Simulator, list_file: str) -> None:
    done = await run(simulator, "bulk", list_file, *SEND_OPTIONS)
    assert f"{list_file}: the numbers are in column 'telefono'" in done.stderr.splitlines()


@pytest.mark.parametrize("command", ["check", "bulk"])
async def test_a_landline_beside_a_mobile_number_is_asked_about(
    simulator: Simulator, tmp_path: Path, command: str
) -> None:
    path = tmp_path / "crm.csv"
    path.write_text(f"name,Phone,MobilePhone\nAnna,+39 02 1234567,{ANNA}\n")
    done = await run(simulator, command, str(path), *CIAO)
    message = one_line(done)
    assert message.startswith(f"{path}:2: more than one column may hold the number: 'Phone', 'Mob")
    assert not simulator.requests
    done = await run(simulator, command, str(path), *CIAO, "--number-column", "mobilephone")
    assert done.exit_code == 0
    assert f"{path}: the numbers are in column 'MobilePhone'" in done.stderr


@pytest.mark.parametrize("cell", ["", "   ", "NaN", "NULL", "None", "#N/D", "#N/A", "\u200b"])
async def test_fields_that_say_nothing_are_counted_before_sending(
    simulator: Simulator, tmp_path: Path, cell: str
) -> None:
    path = tmp_path / "people.csv"
    path.write_text(f"number,name,note\n{ANNA},Anna,\n{BEA},{cell},\n{CARA},{cell},x\n")
    word = f" (2 {cell!r})" if cell.strip() else ""
    expected = f"{path}: 2 rows of 3 with an empty 'name'{word}: lines 3, 4"
    for command in ("check", "bulk"):
        done = await run(simulator, command, str(path), *CIAO)
        assert expected in done.stderr.splitlines()
    assert len(simulator.ledger) == 3
    done = await run(simulator, "check", str(path), "--sender", "ACME", "--body", "Ciao")
    assert "empty" not in done.stderr


def test_many_empty_fields_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("number,name\n" + "".join(f"+39 340 {n:07},\n" for n in range(1_500)))
    [_, line] = check(str(path), *CIAO).stderr.splitlines()
    assert line == (
        f"{path}: 1,500 rows of 1,500 with an empty 'name': lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and "
        "1,490 more"
    )


def test_what_is_excluded_is_printed(list_file: str, tmp_path: Path) -> None:
    first, second = tmp_path / "crm.csv", tmp_path / "stop.txt"
    first.write_text(f"email,Phone,MobilePhone\na,,\nb,+39 02 1234567,{ANNA}\nc,NULL,\n")
    second.write_text(f"{BEA}\n")
    excluded = ("--exclude", str(first), "--exclude", str(second))
    done = check(list_file, *SEND_OPTIONS, *excluded, "--json")
    assert json.loads(done.stdout)["excluded"] == 3
    for line in (
        f"{first}: 2 numbers not to send to from columns 'Phone', 'MobilePhone'",
        f"{first}: 2 rows without a number, which exclude no recipient: lines 2, 4",
        f"{second}: 1 number not to send to",
    ):
        assert line in done.stderr.splitlines()


def test_exclusions_that_protect_no_recipient_are_an_error(list_file: str, tmp_path: Path) -> None:
    path = tmp_path / "stop.csv"
    path.write_text("email,phone\na,\nb,NULL\n")
    message = one_line(check(list_file, *SEND_OPTIONS, "--exclude", str(path)))
    assert message.startswith(f"{path}: no row has a number in 'phone', so this list would exclude")


def test_the_columns_of_list_and_exclusions_may_differ(tmp_path: Path) -> None:
    people, stop = tmp_path / "people.csv", tmp_path / "stop.csv"
    people.write_text(f"Handy,other\n{ANNA},{CARA}\n{BEA},{CARA}\n")
    stop.write_text(f"Contact;other\n{BEA};340 1234501\n")
    files = (str(people), "--sender", "ACME", "--body", "Ciao", "--exclude", str(stop), "--json")
    both = ("--number-column", "handy", "--number-column", "contact")
    for options in (both, both[2:] + both[:2]):
        preview = json.loads(check(*files, *options).stdout)
        assert (preview["recipients"], preview["excluded"]) == (1, 1)
    assert "no column is named 'Handy', number," in one_line(
        check(*files, "--number-column", "Handy")
    )
    message = one_line(check(*files, "--number-column", "contact"))
    assert message.startswith(f"{people}:1: no column is named 'contact', number, phone")
    people.write_text(f"phone\n{ANNA}\n{BEA}\n")
    preview = json.loads(check(*files, "--number-column", "contact").stdout)
    assert (preview["recipients"], preview["excluded"]) == (1, 1)


async def test_a_list_from_a_standard_input_that_is_closed() -> None:
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        'exec "$0" -m gateway_sms_async check - --sender ACME --body x <&-',
        sys.executable,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 2
    assert err.decode() == (
        "gateway-sms: standard input is closed; give a file, or send the list by a pipe\n"
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r\n\r\n \r\n"])
def test_a_text_from_a_file(tmp_path: Path, encoding: str, end: str) -> None:
    body = tmp_path / "body.txt"
    mark = "\ufeff" if encoding.startswith("utf-16") else ""
    body.write_bytes(f"{mark}\r\nIl caffè\r\n\r\nè pronto{end}".encode(encoding))
    assert TextOptions(body_file=body).read() == "\nIl caffè\n\nè pronto"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"Il caff\xe8", "this is not UTF-8 text; save it as UTF-8"),
        (b"x" * (2**20 + 1), "more than 1,048,576 bytes; give a file with a short text"),
    ],
)
def test_a_text_that_cannot_be_read(tmp_path: Path, content: bytes, problem: str) -> None:
    body = tmp_path / "body.txt"
    body.write_bytes(content)
    done = check("x.csv", "--sender", "ACME", "--body-file", str(body))
    assert one_line(done) == f"{body}: {problem}"


async def test_a_token_from_a_file_of_windows(simulator: Simulator, tmp_path: Path) -> None:
    token = tmp_path / "token.txt"
    token.write_bytes(f"\ufeff{simulator.token}\r\n".encode("utf-16-le"))
    found = await anyio.to_thread.run_sync(
        lambda: invoke(
            "list", "--token-file", str(token), env={"GATEWAY_SMS_BASE_URL": simulator.url}
        )
    )
    assert found.exit_code == 0, found.output


def test_check_teaches() -> None:
    shown = " ".join(check("--help").stdout.split())
    for word in (
        "--price-per-part",
        "--ask-price",
        "--exclude",
        "--smart-encoding",
        "Sends nothing",
    ):
        assert word in shown


def test_an_unreachable_gateway_is_one_line_of_error_also_with_a_file_to_write(
    list_file: str, tmp_path: Path
) -> None:
    # The error is an OSError, and was once lost where errors of closing the file are ignored.
    unreachable = ("--ask-price", "--base-url", "http://127.0.0.1:9", "--rate", "0")
    rejects = tmp_path / "rejects.csv"
    done = invoke(
        "check",
        list_file,
        *SEND_OPTIONS,
        *unreachable,
        "--rejects",
        str(rejects),
        env={"OPENAPI_TOKEN": "x"},
    )
    assert "could not connect" in one_line(done, code=1)
    assert list(tmp_path.iterdir()) == [Path(list_file)]


# What bulk prints and asks


async def test_bulk_prints_in_one_line_what_it_will_do(
    simulator: Simulator, list_file: str
) -> None:
    done = await run(simulator, "bulk", list_file, *SEND_OPTIONS, "--price-per-part", "0.035")
    expected = "3 recipients (+39, +44), 3 parts (GSM-7), 4 requests, about 0.10 EUR, 1 invalid, 1 duplicates."
    assert expected in done.stderr.splitlines()
    assert done.stderr.count("people.csv:5: …03") == 1
    assert json.loads(done.stdout)["accepted"] == 3


async def test_recipients_that_the_gateway_rejects_are_printed_too(
    simulator: Simulator, list_file: str
) -> None:
    simulator.gateway.unroutable.add(BEA)
    done = await run(simulator, "bulk", list_file, *SEND_OPTIONS)
    assert "people.csv:3: +39…4502: the gateway counts it as invalid" in done.stderr


SHORT = ("--sender", "ACME", "--body", "Ciao")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "accepted"), [("y\n", 1_001), ("n\n", 0)])
async def test_a_large_campaign_needs_confirmation(
    simulator: Simulator, many: str, monkeypatch: pytest.MonkeyPatch, answer: str, accepted: int
) -> None:
    monkeypatch.setattr("gateway_sms_async._cli.confirmation._is_interactive", lambda: True)
    done = await run(simulator, "bulk", many, *SHORT, "--price-per-part", "0.03", input=answer)
    asked = f"Sender: ACME. Gateway: {simulator.url}. A recipient gets, for example:\n  Ciao\n"
    assert asked in done.stderr
    assert "Send 1,001 parts to 1,001 recipients now, for 30.03 EUR? [y/N]" in done.stderr
    assert len(simulator.ledger) == accepted
    assert done.exit_code == (0 if accepted else 1)
    if not accepted:
        assert done.stderr.endswith("Nothing was sent.\n")
        assert not simulator.requests


async def test_the_question_shows_a_filled_text(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_sms_async._cli.confirmation._is_interactive", lambda: True)
    people = tmp_path / "people.csv"
    rows = "".join(f"+39-340{n:07},P\x1b{n}\n" for n in range(1_001))
    people.write_text(f"number,name\nnobody,Zoe\n{rows}")
    done = await run(
        simulator, "bulk", str(people), "--sender", "ACME", "--body", "Ciao {{name}}", input="n\n"
    )
    assert "  Ciao P\ufffd0\n" in done.stderr
    assert "at a cost that is not known? [y/N]" in done.stderr


def test_the_question_names_the_gateway(capsys: pytest.CaptureFixture[str]) -> None:
    from gateway_sms_async._cli.confirmation import _name_of
    from gateway_sms_async._http.address import PRODUCTION, SANDBOX

    assert _name_of(PRODUCTION) == f"production ({PRODUCTION})"
    assert _name_of(SANDBOX) == f"the sandbox ({SANDBOX})"


async def test_without_a_terminal_a_large_campaign_needs_yes(
    simulator: Simulator, many: str
) -> None:
    refused = await run(simulator, "bulk", many, *SHORT)
    assert "this would send to 1,001 recipients" in refused.stderr
    assert "Add --yes" in refused.stderr
    assert refused.exit_code == 2
    assert not simulator.requests


@pytest.mark.parametrize("more", [("--yes",), ("--test",), ("--simulate",)])
async def test_no_confirmation_with_yes_or_if_no_phone_gets_it(
    simulator: Simulator, many: str, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    monkeypatch.setattr("gateway_sms_async._cli.confirmation._is_interactive", lambda: True)
    done = await run(simulator, "bulk", many, *SHORT, *more)
    assert "[y/N]" not in done.stderr
    assert done.exit_code == 0


# Files


def in_a_table(number: str) -> str:
    """Return a number as a table has it: a spreadsheet would add up the other form."""
    return number.replace("-", " ")


async def test_a_report_has_every_row(simulator: Simulator, list_file: str, tmp_path: Path) -> None:
    stop, report = tmp_path / "stop.txt", tmp_path / "report.csv"
    stop.write_text(f"{CARA}\n")
    done = await run(
        simulator, "bulk", list_file, *SEND_OPTIONS, "--exclude", str(stop), "--report", str(report)
    )
    [message_id] = json.loads(done.stdout)["message_ids"]
    rows = list(csv.DictReader(io.StringIO(report.read_text(encoding="utf-8"))))
    assert [(row["line"], row["number"], row["outcome"], row["message_id"]) for row in rows] == [
        ("2", in_a_table(ANNA), "accepted", message_id),
        ("3", in_a_table(BEA), "accepted", message_id),
        ("4", "0039 340 123 4502", "duplicate", ""),
        ("5", "340 1234503", "invalid", ""),
        ("6", in_a_table(CARA), "excluded", ""),
    ]
    assert [row["position"] for row in rows] == list("01234")
    assert rows[3]["reason"].startswith("no international prefix")


async def test_a_report_in_json(simulator: Simulator, list_file: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    await run(simulator, "bulk", list_file, *SEND_OPTIONS, "--report", str(report))
    rows = json.loads(report.read_text(encoding="utf-8"))
    assert [row["outcome"] for row in rows] == [
        "accepted",
        "accepted",
        "duplicate",
        "invalid",
        "accepted",
    ]
    assert rows[0]["line"] == 2
    assert rows[2]["message_id"] is None


async def test_the_report_of_a_journal(
    simulator: Simulator, list_file: str, tmp_path: Path
) -> None:
    journal, report = str(tmp_path / "c.db"), tmp_path / "report.csv"
    simulator.faults.add(Fault.status(402), on="close")
    stopped = await run(
        simulator, "bulk", list_file, *SEND_OPTIONS, "--journal", journal, "--report", str(report)
    )
    assert stopped.exit_code == 5
    assert [row["outcome"] for row in csv.DictReader(io.StringIO(report.read_text()))] == [
        "unsent",
        "unsent",
        "duplicate",
        "invalid",
        "unsent",
    ]
    resumed = await run(simulator, "resume", journal, "--report", str(report))
    [message_id] = json.loads(resumed.stdout)["message_ids"]
    rows = list(csv.DictReader(io.StringIO(report.read_text())))
    assert [(row["number"], row["outcome"], row["message_id"]) for row in rows] == [
        (in_a_table(ANNA), "accepted", message_id),
        (in_a_table(BEA), "accepted", message_id),
        ("", "duplicate", ""),
        ("340 1234503", "invalid", ""),
        (in_a_table(CARA), "accepted", message_id),
    ]
    shown = tmp_path / "shown.json"
    show = ("journal", "show", journal, "--report", str(shown))
    await anyio.to_thread.run_sync(lambda: invoke(*show))
    result = json.loads(shown.read_text())
    assert [one["outcome"] for one in result] == [row["outcome"] for row in rows]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--rejects", "x.csv", "--report", "x.csv"), "--report would overwrite the file of"),
        (("--exclude", "stop.txt", "--report", "stop.txt"), "overwrite a file that is read"),
        (
            ("--journal", "x.db", "--unsent", "left.csv"),
            "--unsent cannot be combined with --journal",
        ),
        (("--verify", "never"), "verify"),
        (("--max-cost", "much"), "max_cost"),
        (("--max-recipients", "0"), "max_recipients"),
    ],
)
async def test_a_wrong_combination_of_options_is_rejected_first(  # noqa: PLR0917
    simulator: Simulator,
    list_file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    stop = tmp_path / "stop.txt"
    stop.write_text(f"{CARA}\n")
    assert expected in one_line(await run(simulator, "bulk", list_file, *SEND_OPTIONS, *options))
    assert not simulator.requests
    assert stop.read_text() == f"{CARA}\n"


async def test_a_file_keeps_its_content_if_nothing_is_sent(
    simulator: Simulator, many: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_sms_async._cli.confirmation._is_interactive", lambda: True)
    report, neighbour = tmp_path / "report.csv", tmp_path / "new-report.csv"
    report.write_text("of last week")
    neighbour.write_text("another file")
    send_options = ("--sender", "ACME", "--body", "Ciao", "--report", str(report))
    await run(simulator, "bulk", many, *send_options, input="n\n")
    assert report.read_text() == "of last week"
    assert sorted(one.name for one in tmp_path.glob("*")) == [  # noqa: ASYNC240
        "many.txt",
        "new-report.csv",
        "report.csv",
    ]
    await run(simulator, "bulk", many, *send_options, input="y\n")
    assert report.read_text().startswith("position,line,number")
    assert neighbour.read_text() == "another file"
    assert report.stat().st_mode & 0o777 == 0o600


async def test_corrected_rows_text_no_recipient_twice(simulator: Simulator, tmp_path: Path) -> None:
    list_file, bad = tmp_path / "people.csv", tmp_path / "bad.csv"
    list_file.write_text(
        "number,name\n340 7770101,Anna\n+39 340 7770101,Anna\n"
        "+39 340 7770102\n+39 340 7770102,Bruno\n+39 340 7770103\n"
    )
    report = tmp_path / "report.csv"
    done = await run(
        simulator,
        "bulk",
        str(list_file),
        *SEND_OPTIONS,
        "--rejects",
        str(bad),
        "--report",
        str(report),
    )
    assert "give --exclude with a --report of this campaign" in done.stderr
    rows = list(csv.DictReader(io.StringIO(bad.read_text())))
    # Not 7770102: it was sent to by its other row.
    assert [row["number"] for row in rows] == ["340 7770101", "+39 340 7770103"]
    bad.write_text(bad.read_text().replace("340 7770101,Anna", "+39 340 7770101,Anna"))
    again = await run(simulator, "bulk", str(bad), *SEND_OPTIONS, "--exclude", str(report))
    assert json.loads(again.stdout)["excluded"] == 1
    assert max(simulator.ledger.values()) == 1


async def test_excluded_rows_are_not_unsent(
    simulator: Simulator, many: str, tmp_path: Path
) -> None:
    stop, left = tmp_path / "stop.txt", tmp_path / "left.txt"
    stop.write_text("+39 340 0000003\n+39 340 0000995\n")
    simulator.faults.add(Fault.status(402), on="close")
    send_options = ("--sender", "ACME", "--body", "Ciao", "--batch-size", "10")
    await run(simulator, "bulk", many, *send_options, "--exclude", str(stop), "--unsent", str(left))
    assert len(left.read_text().splitlines()) == 999
    await run(simulator, "bulk", str(left), *send_options)
    assert not {"+39-3400000003", "+39-3400000995"} & simulator.ledger.keys()
    assert len(simulator.ledger) == 999


async def test_the_report_is_written_even_if_stdout_is_closed(
    simulator: Simulator, list_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("gateway_sms_async._cli.campaign_run.print_receipt", gone)
    report = tmp_path / "report.csv"
    await run(simulator, "bulk", list_file, *SEND_OPTIONS, "--report", str(report))
    assert report.read_text().count("accepted") == 3


@pytest.mark.parametrize("command", ["bulk", "resume"])
async def test_a_report_that_cannot_be_written_does_not_hide_the_receipt(
    simulator: Simulator, list_file: str, tmp_path: Path, command: str
) -> None:
    args: tuple[str, ...] = ("bulk", list_file, *SEND_OPTIONS)
    if command == "resume":
        journal = str(tmp_path / "c.db")
        simulator.faults.add(Fault.status(402), on="close")
        await run(simulator, *args, "--journal", journal)
        args = ("resume", journal)
    with full_disk() as full:
        done = await run(simulator, *args, "--report", full)
    assert json.loads(done.stdout)["accepted"] == 3
    assert f"{full} could not be written" in done.stderr
    assert done.exit_code == 3


def test_smart_fields_never_make_a_text_longer(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(f"number,name\n{ANNA},Aspetta\u2026\n", encoding="utf-8")
    plain = ("--sender", "ACME", "--json", "--body")
    for body in ("\U0001f44d{{name}}" + "x" * 60, "{{name}}" + "x" * 152, "{{name}}" + "x" * 20):
        before = json.loads(check(str(path), *plain, body).stdout)["parts"]
        after = json.loads(check(str(path), *plain, body, "--smart-encoding").stdout)["parts"]
        assert after <= before


def test_only_characters_that_would_be_replaced_are_printed(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(f"number,name\n{ANNA},Łucja\n{BEA},Bea\n", encoding="utf-8")
    done = check(str(path), "--sender", "ACME", "--body", "“Ciao” {{name}} " + "x" * 60)
    assert 'It would replace “ by ", ” by "\n' in done.stderr
    assert "Ł by" not in done.stderr


async def test_the_report_of_a_campaign_that_stopped_names_every_row(
    simulator: Simulator, many: str, tmp_path: Path
) -> None:
    report = tmp_path / "report.csv"
    simulator.faults.add(Fault.status(402), on="open")
    done = await run(
        simulator,
        "bulk",
        many,
        "--sender",
        "ACME",
        "--body",
        "Ciao",
        "--batch-size",
        "10",
        "--recipients-per-message",
        "20",
        "--report",
        str(report),
        "--yes",
    )
    assert done.exit_code == 1
    rows = list(csv.DictReader(io.StringIO(report.read_text())))
    assert len(rows) == 1_001
    assert {row["outcome"] for row in rows} == {"unsent"}
    assert not any(row["reason"] for row in rows)


def test_a_report_over_the_list_itself_is_refused(list_file: str) -> None:
    refused = invoke(
        "bulk", list_file, *SEND_OPTIONS, "--report", list_file, env={"OPENAPI_TOKEN": "t"}
    )
    assert "--report would overwrite a file that is read" in one_line(refused)


def test_confirmation_needs_a_terminal_for_input_and_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from gateway_sms_async._cli.confirmation import _is_interactive

    monkeypatch.setattr(sys, "stdin", _Terminal())
    monkeypatch.setattr(sys, "stderr", _Terminal())
    assert _is_interactive()
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert not _is_interactive()
    monkeypatch.setattr(sys, "stdin", None)
    assert not _is_interactive()
