"""The command line: in a separate process if that matters, else in this one."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    InvalidCount,
    Message,
    Messages,
    MessageSummary,
    Progress,
    Receipt,
    RecipientCounts,
    RetryPolicy,
    ValidCount,
)
from gateway_sms_async.__main__ import main
from gateway_sms_async._cli.app import run as run_command
from gateway_sms_async._cli.terminal import progress
from gateway_sms_async._cli.terminal.console import print_json
from gateway_sms_async._cli.terminal.messages import print_messages
from gateway_sms_async._cli.terminal.receipt import print_summary
from gateway_sms_async.testing import Fault, Simulator

from ..support.cli import KEYS, env, finish, invoke, many_numbers, one_line, run, start, until
from ..support.paths import DATA

NAMES = str(DATA / "cli_names.csv")
ANNA, BEA = "+39-3401234501", "+39-3401234502"
QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01, max_elapsed=0.5)
SEND = ("send", "--sender", "ACME", "--body", "Ciao")
BULK = ("bulk", NAMES, "--sender", "ACME", "--body", "Ciao {{name}}")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway_sms_async._client._DEFAULT_RETRY", QUICK)
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("OPENAPI_TOKEN", "GATEWAY_SMS_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def adds_up(receipt: dict[str, Any]) -> bool:
    parts = ("accepted", "duplicates", "excluded", "doubled", "unknown", "unsent")
    return receipt["total"] == receipt["invalid"]["count"] + sum(receipt[part] for part in parts)


# Processes


async def test_the_command_that_the_help_suggests() -> None:
    code, out, err = await finish(await start(*BULK, "--simulate"))
    receipt = json.loads(out)
    assert code == 3
    assert list(receipt) == KEYS
    assert adds_up(receipt)
    assert receipt["accepted"] == 3
    assert receipt["duplicates"] == 1
    assert receipt["invalid"] == {
        "count": 2,
        "reasons": {
            "no international prefix: begin with + and the country code": 1,
            "no field 'name', which the text uses": 1,
        },
        "examples": ["…03", "+39…4505"],
    }
    assert receipt["cost"] == "0.09"
    assert receipt["complete"] is True
    lines = err.splitlines()
    assert lines.pop(-2).startswith("6 of 6 prepared, 3 accepted · ")
    assert lines == [
        f"{NAMES}:5: …03: no international prefix: begin with + and the country code",
        f"{NAMES}:7: +39…4505: no field 'name', which the text uses",
        f"{NAMES}: the numbers are in column 'number'",
        "3 recipients (+39), 3 parts (GSM-7), 4 requests, 2 invalid, 1 duplicates.",
        "Simulating: nothing is really sent, and no account is used.",
        f"Accepted 3 of 6, 2 invalid, 1 duplicates; 0.09 EUR; {receipt['elapsed']:.1f} s.",
    ]


async def test_standard_input_and_a_rejects_file(tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.csv"
    process = await start(
        "bulk", "-", "--sender", "ACME", "--body", "Ciao", "--simulate", "--rejects", str(rejects)
    )
    code, out, _ = await finish(process, b"+39-3401234501\nnobody\n")
    assert code == 3
    assert json.loads(out)["accepted"] == 1
    assert rejects.read_text() == "nobody  # line 2: letters in the number\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_stops_a_campaign_and_its_receipt_adds_up(
    simulator: Simulator, tmp_path: Path, number: int, code: int
) -> None:
    simulator.latency = 0.05
    list_file = many_numbers(tmp_path, 2000)
    process = await start(
        "bulk", list_file, "--sender", "ACME", "--body", "Ciao", "--batch-size", "5", "--rate", "0",
        "--yes", **env(simulator),
    )  # fmt: skip
    await until(lambda: len(simulator.requests) > 3)
    process.send_signal(number)
    ended, out, err = await finish(process)
    receipt = json.loads(out)
    assert ended == code
    assert adds_up(receipt)
    assert 0 < receipt["unsent"] == receipt["total"] <= 2000
    assert receipt["complete"] is False
    [left_open] = receipt["open_message_ids"]
    assert f"gateway-sms delete {left_open}" in err
    assert "safe to send to them again" in err
    assert not simulator.ledger


async def test_a_second_signal_aborts(simulator: Simulator, tmp_path: Path) -> None:
    simulator.faults.add(Fault.hang(), on="append", times=None)
    list_file = many_numbers(tmp_path, 50)
    process = await start(
        "bulk", list_file, "--sender", "ACME", "--body", "Ciao", "--batch-size", "5",
        "--timeout", "1.5", "--rate", "0", **env(simulator),
    )  # fmt: skip
    await until(lambda: len(simulator.requests) > 3)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert b"50 recipients" in await process.stderr.readline()
    assert b"Stopping" in await process.stderr.readline()
    process.send_signal(signal.SIGINT)
    code, out, err = await finish(process)
    assert (code, out) == (130, ""), err
    assert err.startswith("Aborted after")


async def test_an_interrupted_send_prints_how_to_look_it_up(simulator: Simulator) -> None:
    simulator.faults.add(Fault.hang(after_apply=True))
    process = await start(*SEND, "--to", ANNA, **env(simulator))
    await until(lambda: bool(simulator.requests))
    process.send_signal(signal.SIGINT)
    code, out, err = await finish(process)
    assert (code, out) == (4, ""), err
    assert simulator.requests[0].body["options"]["custom"] in err


async def test_a_simulator_for_other_processes() -> None:
    server = await start("simulator")
    assert server.stdout is not None
    lines = [(await server.stdout.readline()).decode().rstrip() for _ in range(2)]
    variables = dict(line.split("=", 1) for line in lines)
    assert list(variables) == ["GATEWAY_SMS_BASE_URL", "OPENAPI_TOKEN"]
    async with GatewayClient(
        variables["OPENAPI_TOKEN"], base_url=variables["GATEWAY_SMS_BASE_URL"]
    ) as gateway:
        assert await gateway.messages.list() == []
    code, out, _ = await finish(await start(*SEND, "--to", ANNA, "--json", **variables))
    assert code == 0
    assert json.loads(out)["recipients"]["valid"] == {"count": 1}
    server.send_signal(signal.SIGINT)
    code, _, err = await finish(server)
    assert code == 0, err
    assert err.startswith("To use it, export both lines")


async def test_a_simulator_with_undelivered_recipients() -> None:
    server = await start("simulator", "--undelivered", "1", "--spread", "0")
    assert server.stdout is not None
    lines = [(await server.stdout.readline()).decode().rstrip() for _ in range(2)]
    variables = dict(line.split("=", 1) for line in lines)
    code, out, _ = await finish(await start(*SEND, "--to", ANNA, "--json", **variables))
    assert code == 0
    # It runs on the real clock, so this takes three seconds, until the recipient is final.
    code, _, err = await finish(await start("track", json.loads(out)["id"], **variables))
    assert code == 3, err
    server.send_signal(signal.SIGINT)
    assert (await finish(server))[0] == 0


async def test_a_missing_token_is_one_line_of_error() -> None:
    code, out, err = await finish(await start("list"))
    assert (code, out) == (2, "")
    assert err == (
        "gateway-sms: no token: run gateway-sms login, set OPENAPI_TOKEN, or OPENAPI_EMAIL and "
        "OPENAPI_API_KEY, or give --token-file FILE\n"
    )


def without(module: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process that cannot import a module."""
    code = f"import sys; sys.modules[{module!r}] = None; import gateway_sms_async.__main__ as m; m.main()"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_without_the_extra_cli() -> None:
    ended = without("typer")
    assert ended.returncode == 2
    assert 'pip install "gateway-sms-async[cli]"' in ended.stderr
    assert "Traceback" not in ended.stderr


def test_another_missing_module_is_raised() -> None:
    ended = without("secrets")
    assert ended.returncode == 1
    assert "ModuleNotFoundError" in ended.stderr


def test_main_runs_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["whatever", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("gateway-sms ")


# Help and wrong usage


def test_help_teaches() -> None:
    result = invoke("bulk", "--help")
    assert result.exit_code == 0
    for word in ("--simulate", "--recipients-per-message", "Examples:", "standard input"):
        assert word in result.stdout


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("bulk",),
        ("send", "--sender", "ACME"),
        ("reschedule", "5af5ed8d", "tomorrow"),
        ("list", "--token", "secret"),
    ],
)
def test_wrong_usage_is_2(args: tuple[str, ...]) -> None:
    assert invoke(*args).exit_code == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ("--simulate", "--sandbox"),
            "--simulate cannot be combined with --sandbox, --base-url, --token-file, --proxy or",
        ),
        (("--simulate", "--body-file", "x"), "give either --body or --body-file"),
        (("--simulate", "--rejects", NAMES), "--rejects would overwrite a file that is read"),
        (
            ("--simulate", "--rejects", str(DATA)),
            "this is a directory; give a file, or /dev/stdout",
        ),
        (("--simulate", "--callback-field", "x"), "callback_field needs callback_url"),
        (("--token-file", str(DATA / "none")), "No such file or directory; give a file"),
        (("--token-file", os.devnull), "is empty; put the token in it"),
    ],
)
def test_wrong_usage_is_one_line_of_error(args: tuple[str, ...], message: str) -> None:
    assert message in one_line(invoke(*BULK, *args))


@pytest.mark.parametrize("args", [("--rate", "-1"), ("--batch-size", "0"), ("--sender", "A")])
def test_a_value_that_the_library_rejects_is_wrong_usage(args: tuple[str, ...]) -> None:
    result = invoke(*BULK, "--simulate", *args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


SAVE_IT = (
    "save the file as UTF-8, or give --encoding cp1252 if it is Latin-1 or from an older Windows"
)


def test_a_bad_file_stops_before_anything_is_sent(tmp_path: Path) -> None:
    list_file = tmp_path / "people.csv"
    list_file.write_bytes(b"number,name\n+39-3401234567,Ni\xf2\n")
    result = invoke("bulk", str(list_file), *BULK[2:], "--simulate")
    assert one_line(result) == f"{list_file}:2: this is not UTF-8; {SAVE_IT}"


def test_the_token_file_and_the_body_file_are_text(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"\xff")
    assert "not UTF-8" in one_line(invoke("list", "--token-file", str(file)))


async def test_the_token_is_read_from_a_file(simulator: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f" {simulator.token}\n")
    result = await anyio.to_thread.run_sync(
        lambda: invoke("list", "--json", "--token-file", str(file), "--base-url", simulator.url)
    )
    assert (result.exit_code, result.stdout) == (0, "[]\n")


# The calls


async def test_send_with_everything(simulator: Simulator) -> None:
    result = await run(
        simulator, *SEND, "--to", ANNA, "--to", BEA, "--priority", "1.5", "--flash",
        "--on", "2040-12-31", "--custom", "mine", "--callback-url", "https://example.com/",
        "--callback-field", "data", "--test",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    body = simulator.requests[0].body
    assert body["recipients"] == [ANNA, BEA]
    assert body["priority"] == 1.5
    assert body["test"] is True
    assert body["options"] == {
        "flash": True,
        "timestamp_send": "2040-12-31",
        "custom": "mine",
        "callback_url": "https://example.com/",
        "callback_field": "data",
    }
    for text in ("sender", "ACME", "mine", "https://example.com/"):
        assert text in result.stdout


async def test_send_is_3_when_the_gateway_counts_some_as_invalid(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def send(*_: Any, **__: Any) -> Message:
        counts = RecipientCounts(ValidCount(1), InvalidCount(1))
        return Message(id="1", transaction=False, recipients=counts)

    monkeypatch.setattr(Messages, "send", send)
    result = await run(simulator, *SEND, "--to", ANNA, "--to", BEA)
    assert result.exit_code == 3
    assert result.stderr == "The gateway counts 1 of the numbers as invalid.\n"


async def test_send_names_the_numbers_that_the_gateway_refused(simulator: Simulator) -> None:
    simulator.gateway.unroutable.add(BEA)
    result = await run(simulator, *SEND, "--to", ANNA, "--to", BEA)
    assert result.exit_code == 3
    assert re.search(rf"^refused +{re.escape(BEA)} *$", result.stdout, re.MULTILINE)
    result = await run(simulator, *SEND, "--to", ANNA, "--to", BEA, "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["recipients"]["invalid"]["list"] == [BEA]


async def test_an_invalid_number_is_wrong_usage(simulator: Simulator) -> None:
    result = await run(simulator, *SEND, "--to", ANNA, "--to", "3401234567")
    assert "no international prefix" in one_line(result)
    assert not simulator.requests


async def test_an_unknown_outcome_is_4_with_the_reference(simulator: Simulator) -> None:
    simulator.faults.add(Fault.reset(after_apply=True), on="send")
    simulator.faults.add(Fault.status(500), on="list", times=None)
    result = await run(simulator, *SEND, "--to", ANNA)
    assert result.exit_code == 4
    assert simulator.requests[0].body["options"]["custom"] in result.stderr
    assert "gateway-sms list" in result.stderr
    simulator.faults.add(Fault.reset(after_apply=True), on="send")
    result = await run(simulator, *SEND, "--to", ANNA, "--custom", "mine")
    assert result.exit_code == 4
    assert "gateway-sms show ID" in result.stderr


async def test_list_show_recipients_reschedule_delete(
    simulator: Simulator, gateway: GatewayClient
) -> None:
    assert (await run(simulator, "list")).exit_code == 0
    sent = await run(simulator, *SEND, "--to", ANNA, "--on", "2040-12-31", "--json")
    message = json.loads(sent.stdout)
    listed = await run(simulator, "list")
    assert message["id"] in listed.stdout
    assert json.loads((await run(simulator, "list", "--json")).stdout)[0]["id"] == message["id"]

    shown = await run(simulator, "show", message["id"])
    assert "ACME" in shown.stdout
    assert "closed" in shown.stdout
    plain = json.loads((await run(simulator, "show", message["id"], "--json")).stdout)
    assert plain["price"] == "0.03"
    assert plain["timestamp"].endswith("Z")
    assert plain["recipients"] == {"valid": {"count": 1}, "invalid": {"total": 0, "list": []}}

    listed_recipients = await run(simulator, "recipients", message["id"])
    assert ANNA in listed_recipients.stdout
    [one] = json.loads((await run(simulator, "recipients", message["id"], "--json")).stdout)
    assert one["number"] == ANNA
    assert one["report"] is None

    moved = await run(simulator, "reschedule", message["id"], "2041-01-31", "--json")
    assert json.loads(moved.stdout)["options"]["timestamp_send"].startswith("2041-01-3")
    refused = await run(simulator, "delete", message["id"])
    assert "give --yes" in one_line(refused)
    deleted = await run(simulator, "delete", message["id"], "--yes", "--json")
    assert json.loads(deleted.stdout) == {"deleted": message["id"]}
    assert await gateway.messages.list() == []
    gone = await run(simulator, "show", message["id"])
    assert "HTTP 404" in one_line(gone, code=1)


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 1)])
async def test_delete_asks(
    simulator: Simulator,
    gateway: GatewayClient,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    left: int,
) -> None:
    message = await gateway.messages.send(
        sender="ACME", body="Ciao", recipients=ANNA, transaction=True
    )
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("gateway_sms_async._cli.commands.messages.sys", terminal)
    result = await run(simulator, "delete", message.id, input=answer)
    assert result.exit_code == left
    assert "Delete message" in result.stderr
    assert len(await gateway.messages.list()) == left


async def test_a_refused_token_and_an_unreachable_gateway(simulator: Simulator) -> None:
    simulator.tokens.clear()
    assert "HTTP 401" in one_line(await run(simulator, "list"), code=1)
    await simulator.stop_listening()
    one_line(await run(simulator, "list"), code=1)


async def test_a_port_in_use_is_one_line_of_error(simulator: Simulator) -> None:
    port = simulator.url.rpartition(":")[2]
    result = await anyio.to_thread.run_sync(lambda: invoke("simulator", "--port", port))
    one_line(result, code=1)


# Campaigns


async def test_bulk_with_everything(simulator: Simulator, tmp_path: Path) -> None:
    body = tmp_path / "body.txt"
    body.write_text("Ciao {{name}} of {{planet}}\n")
    result = await run(
        simulator, "bulk", NAMES, "--sender", "ACME", "--body-file", str(body), "--test",
        "--batch-size", "2", "--recipients-per-message", "2", "--allow-missing-fields",
        "--on", "2040-12-31", "--custom", "mine", "--rejects", str(tmp_path / "rejects.csv"),
    )  # fmt: skip
    assert result.exit_code == 3, result.output
    receipt = json.loads(result.stdout)
    assert receipt["accepted"] == 4
    assert len(receipt["message_ids"]) == 2
    first = simulator.requests[0].body
    assert first["body"] == "Ciao {{name}} of {{planet}}"
    assert first["test"] is True
    assert first["options"] == {"timestamp_send": "2040-12-31", "custom": "mine"}
    rejected = (tmp_path / "rejects.csv").read_text().splitlines()
    assert rejected[0] == "number,name,city,line,reason"
    assert rejected[1].startswith("3401234503,Carla,")
    assert ",5,no international prefix" in rejected[1]


async def test_all_accepted_is_0(simulator: Simulator) -> None:
    result = await run(simulator, "bulk", "-", *BULK[2:-1], "Ciao", input=f"{ANNA}\n{BEA}\n")
    assert result.exit_code == 0
    assert simulator.ledger == {ANNA: 1, BEA: 1}
    assert result.stderr.splitlines()[-1].startswith("Accepted 2 of 2; 0.06 EUR; ")


async def test_no_whole_number_is_shown(simulator: Simulator) -> None:
    result = await run(simulator, *BULK)
    assert result.exit_code == 3
    assert "34012345" not in result.output


async def test_no_credit_is_1_and_prints_what_remains(simulator: Simulator) -> None:
    simulator.faults.add(Fault.status(402), on="close", times=None)
    result = await run(simulator, *BULK)
    receipt = json.loads(result.stdout)
    assert result.exit_code == 1
    assert adds_up(receipt)
    assert receipt["unsent"] == 3
    assert "Stopped: PUT: HTTP 402" in result.stderr
    assert f"gateway-sms delete {receipt['open_message_ids'][0]}" in result.stderr


async def test_unknown_recipients_are_4(simulator: Simulator) -> None:
    simulator.faults.add(Fault.reset(after_apply=True), on="close", times=None)
    simulator.faults.add(Fault.status(500), on="get", times=None, skip=1)
    result = await run(simulator, *BULK)
    assert result.exit_code == 4, result.output
    assert json.loads(result.stdout)["unknown"] == 3
    assert "do not simply send to them again" in result.stderr


async def test_a_resumable_end_is_5(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    async def send_bulk(*_: Any, **__: Any) -> Receipt:
        receipt = Receipt(total=1, unsent=(ANNA,))
        raise BulkSendError("stopped", receipt=receipt, reason="no credit", resumable=True)

    monkeypatch.setattr(GatewayClient, "send_bulk", send_bulk)
    assert (await run(simulator, *BULK)).exit_code == 5


async def test_a_list_that_changes_meanwhile_is_sent_as_it_was(
    simulator: Simulator, tmp_path: Path
) -> None:
    list_file = tmp_path / "people.txt"
    list_file.write_text("".join(f"+39-340{at:07}\n" for at in range(2_000)))
    simulator.faults.plan = lambda _: list_file.write_bytes(b"+39-340") and None
    result = await run(
        simulator, "bulk", str(list_file), "--sender", "ACME", "--body", "Ciao", "--batch-size", "100",
        "--concurrency", "1", "--yes",
    )  # fmt: skip
    assert result.exit_code == 0
    assert len(simulator.ledger) == 2_000


async def test_rejects_that_cannot_be_written_do_not_hide_the_receipt(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("gateway_sms_async._cli.commands.campaigns.write_rows", fail)
    result = await run(simulator, *BULK, "--rejects", str(tmp_path / "rejects.csv"))
    assert result.exit_code == 3
    assert "rejects.csv could not be written: disk full" in result.stderr
    assert json.loads(result.stdout)["accepted"] == 3
    assert not (tmp_path / "rejects.csv").exists()


async def test_the_bar_is_on_stderr(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = await run(simulator, *BULK)
    assert "Finished" in result.stderr
    assert "6 of 6 prepared, 3 accepted" in result.stderr
    json.loads(result.stdout)


async def test_lines_without_a_terminal(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY", 0.0)
    result = await run(simulator, *BULK)
    assert "6 of 6 prepared, 3 accepted · " in result.stderr


async def test_unsent_rows_are_written_to_be_sent_later(
    simulator: Simulator, tmp_path: Path
) -> None:
    list_file, left = tmp_path / "people.csv", tmp_path / "left.csv"
    rows = "".join(f"+39-340{at:07},n{at}\n" for at in range(60))
    # The last row repeats the first number, which has the text by then and must not get it again.
    list_file.write_text(f"number,name\nnonsense,x\n{rows}0039 340 0000000,again\n")
    simulator.faults.add(Fault.status(402, 201), on="append", skip=1)
    send = (
        "--sender", "ACME", "--body", "Ciao {{name}}", "--concurrency", "1", "--rate", "0",
        "--batch-size", "7", "--recipients-per-message", "18",
    )  # fmt: skip
    result = await run(simulator, "bulk", str(list_file), *send, "--unsent", str(left))
    assert result.exit_code == 5, "some were sent: 1 would say that it may be repeated"
    assert 0 < len(simulator.ledger) < 60
    assert "not read to its end" not in result.stderr
    assert json.loads(result.stdout)["total"] == 62, "the whole list is in the receipt"
    assert "Do not send the same list again" in result.stderr
    result = await run(simulator, "bulk", str(left), *send)
    assert result.exit_code == 0, result.stderr
    assert simulator.ledger == {f"+39-340{at:07}": 1 for at in range(60)}


def test_progress_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY", 0.0)
    with progress.show_progress(100_000) as view:
        view.show(Progress(total=100_000))
        view.show(Progress(total=100_000, read=1500, elapsed=10.0, rate=100.0, eta=990.0))
        view.show(Progress(read=1500, accepted=500, elapsed=100.0, rate=10.0, eta=9900.0))
        view.stopping()
        view.show(Progress(total=100_000, read=1500, elapsed=100.0, rate=1000.0, eta=0.0))
        view.stopped()
    assert capsys.readouterr().err.splitlines() == [
        "0 of 100,000 prepared, 0 accepted",
        "1,000 of 100,000 prepared, 0 accepted · 100 a second · 16:30 left",
        "1,000 prepared, 500 accepted · 10 a second · 2:45:00 left",
    ], "what a stop takes back would look as if it was sent"


def test_the_summary_has_all_counts(capsys: pytest.CaptureFixture[str]) -> None:
    receipt = Receipt(total=3, unknown=(ANNA,), doubled=(BEA,), unsent=("x",), cost=Decimal("1.50"))
    print_summary(receipt, resumable=False)
    first = capsys.readouterr().err.splitlines()[0]
    assert first == "Accepted 0 of 3, 1 not sent, 1 unknown, 1 doubled; 1.50 EUR; 0.0 s."


def test_control_characters_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_messages([MessageSummary(id="1", sender="\x1b[2J[bold]")])
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out
    assert "[bold]" in out


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    shown = {"at": datetime(2030, 1, 1, tzinfo=UTC), "who": "\u2026\u202e\x9b"}
    print_json(shown)
    out = capsys.readouterr().out
    assert json.loads(out) == shown | {"at": "2030-01-01T00:00:00Z"}
    assert out.isascii()


def test_any_interrupted_command_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert run_command(interrupted) == 130
    assert capsys.readouterr().err == "gateway-sms: interrupted\n"
