"""`gateway-sms track`: the live table, the lines of JSON, and the figures at the end."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import re
import select
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from rich.console import Console

from gateway_sms_async import GatewayClient, Message, RetryPolicy
from gateway_sms_async._cli.terminal.live_table import (
    MessageFigures,
    _LiveTable,
    count_recipients,
)
from gateway_sms_async._delivery.state import DeliveryState
from gateway_sms_async._delivery.summary import DeliverySummary, MessageDelivery
from gateway_sms_async._simulator.message import StoredMessage as SimulatedMessage
from gateway_sms_async.testing import Deliveries, Simulator

from ..support.accounting import numbers, shows_a_number
from ..support.cli import AS_A_USER, env, finish, invoke, one_line, run, send, start, until

RECIPIENTS = 200


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = RetryPolicy(base_delay=0.001, max_delay=0.01, max_elapsed=0.5)
    monkeypatch.setattr("gateway_sms_async._client._DEFAULT_RETRY", policy)
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("OPENAPI_TOKEN", "GATEWAY_SMS_BASE_URL", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def varied() -> AsyncIterator[Simulator]:
    deliveries = Deliveries(spread=100.0, undelivered=0.2)
    async with Simulator(frozen=True, deliveries=deliveries) as running:
        yield running


@pytest.fixture
def list_file(tmp_path: Path) -> str:
    path = tmp_path / "people.csv"
    rows = (f"{number},name{at},{at}\n" for at, number in enumerate(numbers(RECIPIENTS)))
    path.write_text("number,name,sum\n" + "".join(rows))
    return str(path)


def lines_of(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


async def test_lines_of_json_while_deliveries_advance(varied: Simulator, list_file: str) -> None:
    ids = await send(varied, list_file)
    await varied.advance(50)
    tracking = await start("track", *ids, "--rate", "0", **env(varied))
    assert tracking.stdout is not None
    with anyio.fail_after(15):
        first = [json.loads(await tracking.stdout.readline()) for _ in ids]
        await varied.advance(1000)
        code, out, err = await finish(tracking)
    assert code == 3, err
    assert {line["message_id"] for line in first} == set(ids)
    assert all(0 < line["delivered"] < line["recipients"] for line in first)
    assert all(line["undecided"] > 0 and not line["complete"] for line in first)
    last = {line["message_id"]: line for line in lines_of(out)}
    assert [last[one]["complete"] for one in ids] == [True, True]
    assert [last[one]["recipients"] for one in ids] == [150, 50]
    assert [last[one]["not_delivered"] for one in ids] == [30, 10]
    assert last[ids[0]]["delivered"] == last[ids[0]]["listed"]["delivered"] == 120
    assert err.splitlines()[-1] == "160 of 200 delivered, 40 not delivered, 0 under way."
    assert not shows_a_number(out + err, RECIPIENTS, message_ids=ids)


async def test_no_line_is_printed_twice(varied: Simulator, list_file: str) -> None:
    ids = await send(varied, list_file)
    await varied.advance(1000)
    done = await run(varied, "track", *ids)
    lines = lines_of(done.stdout)
    assert len(lines) == len({json.dumps(line | {"at": ""}) for line in lines})


async def test_all_delivered_is_0(simulator: Simulator, list_file: str, tmp_path: Path) -> None:
    journal = str(tmp_path / "campaign.db")
    async with Simulator(frozen=True) as still:
        await send(still, list_file, "--journal", journal)
        await still.advance(100)
        done = await run(still, "track", "--journal", journal)
    assert done.exit_code == 0, done.output
    assert "200 of 200 delivered" in done.stderr


async def test_a_timeout_is_5(varied: Simulator, list_file: str) -> None:
    ids = await send(varied, list_file)
    await varied.advance(50)
    done = await run(varied, "track", *ids, "--for", "0.5")
    assert done.exit_code == 5, done.output
    assert {line["unfinished"] for line in lines_of(done.stdout)[-2:]} == {"timed out"}
    assert re.fullmatch(
        r"\d+ of 200 delivered, \d+ not delivered, \d+ under way\.", done.stderr.splitlines()[-1]
    )


async def test_statistics_ahead_of_the_lists_are_not_final(
    list_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = SimulatedMessage.document

    def ahead(self: SimulatedMessage, now: float) -> dict[str, Any]:
        shown = document(self, now)
        statistics = {**shown["statistics"], "delivered": len(self.numbers), "error": 0}
        return shown | {"statistics": statistics}

    monkeypatch.setattr(SimulatedMessage, "document", ahead)
    async with Simulator(frozen=True, deliveries=Deliveries(operator=1.0)) as simulator:
        ids = await send(simulator, list_file)
        await simulator.advance(2)
        done = await run(simulator, "track", *ids, "--for", "1")
        assert done.exit_code == 5
        assert "200 of 200 delivered" in done.stderr
        assert (
            "By the recipient lists, which are polled less often, 200 are under way." in done.stderr
        )


async def test_messages_that_cannot_be_followed_are_named(
    varied: Simulator, list_file: str
) -> None:
    ids = await send(varied, list_file)
    await varied.advance(1000)
    async with GatewayClient(varied.token, base_url=varied.url, rate=None) as gateway:
        message = await gateway.messages.send(
            sender="ACME", body="Ciao", recipients=numbers(1), transaction=True
        )
    gone = "5af5ed8d1b6b8c0001b2c3d4"
    done = await run(varied, "track", *ids, message.id, gone)
    assert done.exit_code == 1
    assert f"Message {message.id} is open, so nothing of it was sent yet." in done.stderr
    assert f"Message {gone} does not exist." in done.stderr
    assert "160 of 201 delivered" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_it_with_the_last_figures(
    varied: Simulator, list_file: str, number: signal.Signals
) -> None:
    ids = await send(varied, list_file)
    await varied.advance(50)
    tracking = await start("track", *ids, "--rate", "0", **env(varied))
    assert tracking.stdout is not None
    with anyio.fail_after(15):
        for _ in ids:
            await tracking.stdout.readline()
        tracking.send_signal(number)
        code, _, err = await finish(tracking)
    assert code == 128 + number, err
    assert "Traceback" not in err
    assert re.search(r"\d+ of 200 delivered, \d+ not delivered, \d+ under way\.", err)


async def test_ctrl_c_before_the_first_response(simulator: Simulator) -> None:
    simulator.latency = 30.0
    tracking = await start("track", "abc", "--rate", "0", **env(simulator))
    await until(lambda: bool(simulator.requests))
    tracking.send_signal(signal.SIGINT)
    assert await finish(tracking) == (130, "", "Interrupted before the first response.\n")


async def test_a_wrong_token_is_one_line_of_error(simulator: Simulator) -> None:
    simulator.tokens.clear()
    assert "401" in one_line(await run(simulator, "track", "abc"), code=1)


async def test_a_table_on_a_terminal(varied: Simulator, list_file: str) -> None:
    ids = await send(varied, list_file)
    await varied.advance(1000)
    master, terminal = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AS_A_USER, "track", *ids, "--rate", "0"),
        stdin=terminal, stdout=terminal, stderr=terminal,
        env=os.environ | env(varied) | {"TERM": "xterm", "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    os.close(terminal)
    written = await anyio.to_thread.run_sync(_read_all, master)
    assert await process.wait() == 3
    assert "all 2" in written
    assert "all final" in written
    assert "█" in written
    assert "160 of 200 delivered" in written
    assert "{" not in written


def _read_all(master: int) -> str:
    """Read a terminal until it is closed, for at most 15 seconds."""
    read = b""
    give_up = time.monotonic() + 15
    while time.monotonic() < give_up:
        if not select.select([master], [], [], 0.1)[0]:
            continue
        try:
            part = os.read(master, 65_536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        read += part
    os.close(master)
    return read.decode()


def test_track_teaches() -> None:
    shown = " ".join(invoke("track", "--help").stdout.split())
    for word in ("--journal", "--for SECONDS", "one line of JSON", "130 by Ctrl-C"):
        assert word in shown


def test_statistics_ahead_of_the_list_are_shown(gateway_message: Any) -> None:
    counts = dict.fromkeys(DeliveryState, 0) | {DeliveryState.PENDING: 10}
    message = gateway_message(delivered=7, error=2)
    delivery = MessageDelivery(message_id="abc", counts=counts, message=message)
    assert count_recipients(delivery) == MessageFigures(7, 2, 1)
    # They may count more than there are recipients.
    delivery = MessageDelivery(
        message_id="abc", counts=counts, message=gateway_message(delivered=70, error=20)
    )
    assert count_recipients(delivery).recipients == 10
    assert min(count_recipients(delivery)) >= 0
    done = MessageDelivery(message_id="abc", counts=counts, message=message, complete=True)
    assert count_recipients(done) == MessageFigures(0, 0, 10)


@pytest.fixture
def gateway_message() -> Any:
    def make(**statistics: int) -> Message:
        counts = {"valid": {"count": 10}, "invalid": {"total": 0, "list": []}}
        document = {
            "id": "abc",
            "transaction": False,
            "recipients": counts,
            "statistics": statistics,
        }
        return msgspec.json.decode(json.dumps(document), type=Message)

    return make


@pytest.mark.parametrize("width", [45, 60, 80, 110, 200])
def test_the_table_fits(width: int, gateway_message: Any) -> None:
    counts = dict.fromkeys(DeliveryState, 0) | {DeliveryState.DELIVERED: 19_999}
    ids = [f"5af5ed8d1b6b8c0001b2c3d{at}" for at in range(3)]
    messages = [
        MessageDelivery(message_id=one, counts=counts, message=gateway_message(), unfinished=why)
        for one, why in zip(ids, (None, "timed out", "list incomplete"), strict=True)
    ]
    file = io.StringIO()
    table = _LiveTable(width, plain=False).draw(
        DeliverySummary(counts=counts, messages=messages, complete=False)
    )
    Console(file=file, width=width).print(table)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    if width < 60:
        # The header may be broken over two lines, the figures may not.
        assert "59,997/59,997" in lines[-4]
        assert all("19,999/19,999" in line for line in lines[-3:])
        return
    assert len(lines) == 5
    assert all(
        message.message_id[-8:] in line for message, line in zip(messages, lines[2:], strict=True)
    )
    assert "59,997/59,997" in lines[1]
    assert ("100.0 %" in lines[1]) == (width > 60), "shown whole, or not at all"
    assert "under way" in lines[0]
    assert lines[4].rstrip().endswith("list incomplete" if width > 60 else "list incomple…")
