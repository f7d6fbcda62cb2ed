"""Every command and every end of one, on a pseudo-terminal, wide and narrow."""

import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from gateway_sms_async import GatewayClient
from gateway_sms_async.testing import Deliveries, Fault, Simulator

from ..support.accounting import numbers
from ..support.cli import env
from ..support.terminal import Screen, Shell, start_shells

WIDTHS = pytest.mark.parametrize("width", [120, 45])
ACME = ("--sender", "ACME", "--body", "Ciao")
BULK = ("bulk", "people.txt", *ACME, "--rate", "0")
SLOW = (*BULK, "--batch-size", "5", "--journal", "c.db")
BARS = ("Reading ", "Checking ", "Sending ", "Stopping ", "Stopped ", "Finished ")


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(sent_after=0, deliveries=Deliveries(undelivered=0.2)) as running:
        yield running


@pytest.fixture(scope="module")
def shells() -> Iterator["subprocess.Popen[str]"]:
    with start_shells() as process:
        yield process


@pytest.fixture
def shell(simulator: Simulator, shells: "subprocess.Popen[str]", tmp_path: Path) -> Shell:
    (tmp_path / "people.txt").write_text("\n".join(numbers(300)))
    (tmp_path / "some.csv").write_text("number,name\n+39 340 0000001,\u0141ucja\n340,Zo\u00eb\n")
    (tmp_path / "empty.csv").write_text("number,name\n")
    return Shell(shells, tmp_path, env(simulator) | {"XDG_CONFIG_HOME": str(tmp_path)})


def bars(screen: Screen) -> list[str]:
    """Return the lines with a bar that are left on a screen."""
    return [line.rstrip() for line in screen.lines if line.startswith(BARS)]


def receipt(screen: Screen) -> dict[str, object]:
    shown = screen.text
    return json.loads(shown[shown.index("{\n") : shown.index("\n}") + 2])


@WIDTHS
async def test_a_campaign_to_its_end(shell: Shell, width: int) -> None:
    screen = await shell.run(*SLOW, "--report", "report.csv", width=width)
    assert shell.code == 0, screen.text
    [bar] = bars(screen)
    assert bar.startswith("Finished ━━━━━━━━━━")
    assert bar.endswith("300 accepted" if width == 45 else "0:00 left")
    assert receipt(screen)["accepted"] == 300
    assert "Accepted 300 of 300" in screen.words
    assert screen.cursor_is_shown


@WIDTHS
async def test_interrupted_once_and_resumed(shell: Shell, simulator: Simulator, width: int) -> None:
    simulator.latency = 0.5
    async with shell.start(*SLOW, width=width) as terminal:
        await terminal.until(lambda: len(simulator.requests) > 8)
        terminal.press("\x03")
        await terminal.shows("Stopping")
    assert shell.code == 130, terminal.screen.text
    [bar] = bars(terminal.screen)[-1:]
    assert bar.startswith("Stopped")
    assert bar.endswith(" 0 of 300 accepted")
    assert receipt(terminal.screen)["accepted"] == 0
    assert "To resume it: gateway-sms resume c.db" in terminal.screen.words
    simulator.latency = 0.0
    screen = await shell.run("resume", "c.db", "--rate", "0", width=width)
    assert shell.code == 0, screen.text
    [bar] = bars(screen)
    assert bar.startswith("Finished")
    assert "300 accepted" in bar
    assert set(simulator.ledger.values()) == {1}
    assert len(simulator.ledger) == 300


async def test_interrupted_twice(shell: Shell, simulator: Simulator) -> None:
    simulator.faults.add(Fault.hang(), on="append", times=None)
    async with shell.start(*SLOW) as terminal:
        await terminal.until(lambda: len(simulator.requests) > 3)
        terminal.press("\x03")
        await terminal.shows("Press Ctrl-C again")
        terminal.press("\x03")
    assert shell.code == 130, terminal.screen.text
    assert bars(terminal.screen)[-1].startswith("Stopped")
    assert "Aborted after" in terminal.screen.words
    assert terminal.screen.cursor_is_shown


async def test_a_terminal_that_is_closed_stops_a_campaign(
    shell: Shell, simulator: Simulator, tmp_path: Path
) -> None:
    simulator.latency = 0.5
    async with shell.start(*SLOW, "--report", "report.csv") as terminal:
        await terminal.until(lambda: len(simulator.requests) > 8)
        os.kill(shell.pid, signal.SIGHUP)
    assert shell.code == 129, terminal.screen.text
    assert len((tmp_path / "report.csv").read_text().splitlines()) == 301
    simulator.latency = 0.0
    await shell.run("resume", "c.db", "--rate", "0")
    assert set(simulator.ledger.values()) == {1}
    assert len(simulator.ledger) == 300


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("check", "some.csv", *ACME), 3, "some.csv:3: …: no international prefix"),
        (("bulk", "some.csv", *ACME), 3, "Accepted 1 of 2, 1 invalid"),
        (("bulk", "empty.csv", *ACME), 2, "there are no recipients in this file"),
        (("check", "empty.csv", *ACME), 2, "there are no recipients in this file"),
        (("bulk", "none.csv", *ACME), 2, "none.csv: No such file or directory"),
        (("resume", "none.db"), 1, "none.db"),
        (("resume", "people.txt"), 1, "people.txt"),
        (("journal", "show", "none.db"), 1, "none.db"),
        (("journal", "purge", "people.txt"), 1, "people.txt"),
        (("report", "--journal", "none.db"), 1, "none.db"),
        ((*BULK, "--report", "/proc/report.csv"), 2, "/proc/report.csv"),
        (("send", *ACME, "--to", "340"), 2, "no international prefix"),
        (("show", "5af5ed8d1b6b8c0001b2c3d4"), 1, "HTTP 404"),
        (("track", "5af5ed8d1b6b8c0001b2c3d4"), 1, "does not exist"),
        (("report", "5af5ed8d1b6b8c0001b2c3d4"), 1, "HTTP 404"),
        (("whoami",), 0, "OPENAPI_TOKEN"),
        (("logout",), 0, "Not logged in"),
        (("bulk",), 2, "Missing argument"),
        (("--help",), 0, "Exit codes: 0 success"),
        (("bulk", "--help"), 0, "Exit codes: 0 all accepted"),
    ],
)
async def test_an_end_without_a_bar(
    shell: Shell, args: tuple[str, ...], code: int, says: str
) -> None:
    for width in (120, 45):
        screen = await shell.run(*args, width=width)
        assert shell.code == code, screen.text
        assert says.replace(" ", "") in screen.text.replace("\n", "").replace(" ", "").replace(
            "│", ""
        )
        assert "Traceback" not in screen.text
        assert not [one for one in bars(screen) if not one.startswith("Finished")]


@WIDTHS
async def test_messages_and_their_deliveries(
    shell: Shell, simulator: Simulator, width: int
) -> None:
    sent = await shell.run("send", *ACME, "--to", "+39 340 0000001", "--on", "2040-12-31")
    assert shell.code == 0, sent.text
    [message_id] = simulator.gateway.messages
    for command, *more in (
        ("list",),
        ("show", message_id),
        ("recipients", message_id),
        ("reschedule", message_id, "2041-01-31"),
        ("report", message_id),
        ("track", message_id, "--for", "0.1"),
    ):
        screen = await shell.run(command, *more, width=width)
        assert shell.code == (5 if command in {"report", "track"} else 0), screen.text
        assert "Traceback" not in screen.text
        if command in {"list", "show"}:
            assert message_id in screen.text, "an id is copied, so it must be whole"
        if command == "recipients":
            assert "+39-3400000001" in screen.text


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 1), ("y", 0, 0)])
async def test_a_message_is_deleted_if_the_user_agrees(
    shell: Shell, simulator: Simulator, gateway: GatewayClient, *, answer: str, code: int, left: int
) -> None:
    message = await gateway.messages.send(
        sender="ACME", body="Ciao", recipients="+39-3400000001", transaction=True
    )
    async with shell.start("delete", message.id, width=45) as terminal:
        await terminal.shows("Delete message")
        terminal.press(f"{answer}\n")
    assert shell.code == code, terminal.screen.text
    assert len(simulator.gateway.messages) == left


async def test_a_journal(shell: Shell, simulator: Simulator, tmp_path: Path) -> None:
    simulator.gateway.credit = Decimal(0)
    screen = await shell.run(*SLOW, width=45)
    assert shell.code == 5, screen.text
    [bar] = bars(screen)
    assert bar.startswith("Stopped")
    screen = await shell.run("journal", "purge", "c.db", width=45)
    assert shell.code == 1
    assert "resume it first" in screen.words
    simulator.gateway.credit = Decimal(100)
    await shell.run("resume", "c.db", "--rate", "0")
    screen = await shell.run("journal", "show", "c.db", width=45)
    assert shell.code == 0, screen.text
    assert receipt(screen)["accepted"] == 300
    for width in (120, 45):
        screen = await shell.run("report", "--journal", "c.db", "--html", "r.html", width=width)
        assert shell.code in {0, 3, 5}, screen.text
    await shell.run("journal", "purge", "c.db")
    assert shell.code == 0
    assert not (tmp_path / "c.db").exists()


async def test_no_permission(shell: Shell, simulator: Simulator) -> None:
    simulator.tokens.clear()
    for args, code in ((("list",), 1), (BULK, 1), (SLOW, 5), (("track", "abc"), 1)):
        screen = await shell.run(*args, width=45)
        assert shell.code == code, screen.text
        assert "401" in screen.words
    assert not simulator.ledger


async def test_a_question_before_a_large_campaign(
    shell: Shell, simulator: Simulator, tmp_path: Path
) -> None:
    (tmp_path / "people.txt").write_text("\n".join(numbers(1_200)))
    for answer, code in (("n\n", 1), ("\x03", 130), ("y\n", 0)):
        async with shell.start(*BULK, width=45) as terminal:
            await terminal.shows("[y/N]")
            assert not simulator.ledger
            terminal.press(answer)
        assert shell.code == code, terminal.screen.text
    assert len(simulator.ledger) == 1_200


async def test_the_login_is_asked_for(shell: Shell, simulator: Simulator) -> None:
    shell.env |= {"OPENAPI_OAUTH_URL": simulator.oauth_url}
    async with shell.start("login", width=45) as terminal:
        await terminal.shows("E-mail")
        terminal.press(f"{simulator.email}\n")
        await terminal.shows("API key")
        terminal.press(f"{simulator.api_key}\n")
    assert shell.code == 0, terminal.screen.text
    assert simulator.api_key not in terminal.screen.text
    assert "Logged in" in terminal.screen.words


@pytest.mark.parametrize("stream", [1, 2])
@pytest.mark.parametrize("place", ["closed", "/dev/full", "gone"])
async def test_what_happens_to_the_output_hides_no_end(
    shell: Shell, simulator: Simulator, stream: int, place: str
) -> None:
    lost = 6 if (stream, place) == (1, "/dev/full") else 0
    said = "Accepted 300 of 300" if stream == 1 else '"accepted": 300'
    streams = {stream: place}
    screen = await shell.run(*SLOW, streams=streams)
    assert shell.code == lost, screen.text
    assert said in screen.words
    assert len(simulator.ledger) == 300
    screen = await shell.run("send", *ACME, "--to", "+39 340 9999999", streams=streams)
    assert shell.code == lost, screen.text
    assert "Traceback" not in screen.text


@pytest.mark.parametrize(("place", "lost"), [("closed", 0), ("/dev/full", 6), ("gone", 0)])
async def test_the_other_ends_without_stdout(shell: Shell, place: str, lost: int) -> None:
    await shell.run(*SLOW)
    for args, code in (
        (("bulk", "some.csv", *ACME), 3),
        (("list", "--json"), lost),
        (("resume", "c.db"), lost),
        (("journal", "show", "c.db"), lost),
        (("bulk", "none.csv", *ACME), 2),
    ):
        screen = await shell.run(*args, streams={1: place})
        assert shell.code == code, (args, screen.text)
        assert "Traceback" not in screen.text


@pytest.mark.parametrize(("place", "code"), [("closed", 6), ("/dev/full", 6), ("gone", 0)])
@pytest.mark.parametrize("args", [("--version",), ("--help",), ("bulk", "--help"), ("send", "-h")])
async def test_help_that_is_not_written_is_no_success(
    shell: Shell, args: tuple[str, ...], place: str, code: int
) -> None:
    screen = await shell.run(*args, streams={1: place})
    assert shell.code == code, screen.text
    assert ("gateway-sms: stdout " in screen.text) is (code == 6)
    assert "Traceback" not in screen.text


async def test_all_streams_are_closed(shell: Shell, simulator: Simulator, tmp_path: Path) -> None:
    closed = dict.fromkeys((0, 1, 2), "closed")
    await shell.run(*SLOW, "--report", "report.csv", streams=closed)
    assert shell.code == 0
    assert len(simulator.ledger) == 300
    report = (tmp_path / "report.csv").read_text().splitlines()
    assert len(report) == 301, "no line that was meant for a closed stream is in a file"


HOSTILE = "\x1b]0;evil\x07\x1b[2J\x9b2J\u202eabc\u2066\u200f\x08"


@WIDTHS
async def test_no_text_of_others_is_obeyed(
    shell: Shell, simulator: Simulator, gateway: GatewayClient, width: int
) -> None:
    message = await gateway.messages.send(
        sender="ACME", body=f"Ciao {HOSTILE}", recipients="+39-3400000001"
    )
    stored = simulator.gateway.messages[message.id]
    stored.sender = HOSTILE
    for args in (
        ("list",),
        ("show", message.id),
        ("show", message.id, "--json"),
        ("list", "--json"),
        ("check", "none\x1b[2J\u202e.csv", *ACME),
        ("resume", "none\x9b2J\u202e.db"),
    ):
        # The screen fails on every control that it is sent.
        screen = await shell.run(*args, width=width)
        assert "Traceback" not in screen.text
        assert args == ("list",) or "evil" in screen.text or "none" in screen.text
        if "--json" in args:
            assert screen.text.isascii()
