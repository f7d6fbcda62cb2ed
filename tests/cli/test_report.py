"""`gateway-sms report`: figures, files and exit codes, against deliveries of every kind."""

from __future__ import annotations

import csv
import json
import re
import stat
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway_sms_async import GatewayClient, RetryPolicy
from gateway_sms_async._delivery.state import DeliveryState
from gateway_sms_async._simulator.message import StoredMessage as SimulatedMessage
from gateway_sms_async.testing import Deliveries, Dialect, Fault, Simulator

from ..support.accounting import numbers, shows_a_number
from ..support.cli import Page, env, finish, full_disk, invoke, one_line, run, send, start, until

RECIPIENTS = 200
VARIED = Deliveries(spread=600.0, undelivered=0.2, pending=0.05, operator=0.1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = RetryPolicy(base_delay=0.001, max_delay=0.01, max_elapsed=0.5)
    monkeypatch.setattr("gateway_sms_async._client._DEFAULT_RETRY", policy)
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("OPENAPI_TOKEN", "GATEWAY_SMS_BASE_URL", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def varied() -> AsyncIterator[Simulator]:
    async with Simulator(frozen=True, deliveries=VARIED) as running:
        yield running


@pytest.fixture
def list_file(tmp_path: Path) -> str:
    path = tmp_path / "people.csv"
    rows = (f"{number},name{at},=1+{at}\n" for at, number in enumerate(numbers(RECIPIENTS)))
    path.write_text("number,name,sum\n" + "".join(rows))
    return str(path)


async def states_of(
    simulator: Simulator, message_ids: list[str]
) -> dict[str, list[dict[str, Any]]]:
    """The gateway's own documents, by number."""
    found: dict[str, list[dict[str, Any]]] = {}
    for message_id in message_ids:
        for document in simulator.gateway.recipients(message_id).body["data"]:
            found.setdefault(document["number"], []).append(document)
    return found


async def test_the_figures_equal_those_of_the_gateway(varied: Simulator, list_file: str) -> None:
    ids = await send(varied, list_file)
    assert len(ids) == 2
    await varied.advance(300)
    done = await run(varied, "report", *ids, "--json")
    assert done.exit_code == 5, done.output
    shown = json.loads(done.stdout)
    assert shown["message_ids"] == ids
    assert shown["finished"] is False
    async with GatewayClient(varied.token, base_url=varied.url, rate=None) as gateway:
        messages = [await gateway.messages.get(one) for one in ids]
    assert shown["recipients"] == RECIPIENTS
    assert shown["delivered"] == sum(one.statistics.delivered or 0 for one in messages)
    failed = shown["undelivered"] + shown["expired"] + shown["rejected"]
    assert failed == sum(one.statistics.error or 0 for one in messages)
    assert shown["at_operator"] > 0
    assert shown["permanent"] > 0
    assert shown["can_be_tried_again"] > 0
    assert shown["permanent"] + shown["can_be_tried_again"] == failed
    assert sum(shown[state.name.lower()] for state in DeliveryState) == RECIPIENTS
    assert 0 < shown["seconds_to_deliver"]["p50"] < shown["seconds_to_deliver"]["p90"] <= 300
    assert shown["countries"]["+39"]["recipients"] == RECIPIENTS
    assert not shows_a_number(done.output, RECIPIENTS, message_ids=ids)


async def test_the_figures_as_tables(varied: Simulator, list_file: str) -> None:
    [first, _] = await send(varied, list_file)
    await varied.advance(10_000)
    done = await run(varied, "report", first)
    lines = done.stdout.splitlines()
    assert re.fullmatch(
        r"1\d\d of 150 delivered \(\d\d\.\d %\), \d+ not delivered, \d+ under way\.", lines[0]
    )
    assert re.search(r"^  delivered +1\d\d  \d\d\.\d %  #+", done.stdout, re.MULTILINE)
    assert "Absent" in done.stdout
    assert "permanent" in done.stdout
    assert "By country" in done.stdout
    assert done.stdout.isascii()
    assert "name1" not in done.stdout


async def test_on_a_terminal_the_bars_are_drawn(
    varied: Simulator, list_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await send(varied, list_file)
    monkeypatch.setenv("FORCE_COLOR", "1")
    drawn = await run(varied, "report", *ids)
    assert "█" in drawn.stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert (await run(varied, "report", *ids)).stdout.isascii()


@pytest.mark.parametrize(
    ("deliveries", "seconds", "code"),
    [
        (Deliveries(), 10, 0),
        (Deliveries(), 2, 5),
        (Deliveries(undelivered=0.5), 10, 3),
        (Deliveries(undelivered=0.5, pending=0.5), 10, 5),
    ],
)
async def test_exit_codes(
    list_file: str, deliveries: Deliveries, seconds: float, code: int
) -> None:
    async with Simulator(frozen=True, deliveries=deliveries) as simulator:
        ids = await send(simulator, list_file)
        await simulator.advance(seconds)
        done = await run(simulator, "report", *ids, "--json")
        assert done.exit_code == code, done.output
        assert json.loads(done.stdout)["finished"] is (code != 5)


async def test_invalid_and_unlisted_recipients_are_counted(list_file: str) -> None:
    async with Simulator(frozen=True, dialect=Dialect(list_limit=100)) as simulator:
        ids = await send(simulator, list_file)
        await simulator.advance(10)
        done = await run(simulator, "report", *ids, "--json")
        shown = json.loads(done.stdout)
        assert (shown["recipients"], shown["unlisted"]) == (150, 50)
        assert done.exit_code == 5
        assert "not listed" in (await run(simulator, "report", *ids)).stdout


async def test_invalid_entries_do_not_hide_unlisted_recipients(
    list_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As many entries as there are valid recipients, but the last two are invalid.
    listed = SimulatedMessage.listed
    monkeypatch.setattr(
        SimulatedMessage,
        "listed",
        lambda self, now: [one for one in listed(self, now) if one not in {3, 4}],
    )
    async with Simulator(frozen=True, dialect=Dialect(list_invalid=True)) as simulator:
        simulator.gateway.unroutable = set(numbers(2, RECIPIENTS - 2))
        done = await run(simulator, "bulk", list_file, "--sender", "ACME", "--body", "Ciao")
        [message_id] = json.loads(done.stdout)["message_ids"]
        await simulator.advance(10)
        file = tmp_path / "deliveries.csv"
        done = await run(simulator, "report", message_id, "--json", "--csv", str(file))
        shown = json.loads(done.stdout)
        assert (shown["unlisted"], shown["invalid"]) == (2, 2)
        assert (shown["recipients"], shown["delivered"]) == (RECIPIENTS - 4, RECIPIENTS - 4)
        assert (done.exit_code, shown["finished"]) == (5, False)
        with file.open(newline="") as lines:
            states = Counter(row["state"] for row in csv.DictReader(lines))
        assert states == {"delivered": RECIPIENTS - 4, "rejected": 2}


async def test_repeated_entries_do_not_hide_a_recipient(
    list_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = SimulatedMessage.listed

    def repeating(self: SimulatedMessage, now: float) -> list[int]:
        return [*listed(self, now)[:-1], 0]

    monkeypatch.setattr(SimulatedMessage, "listed", repeating)
    async with Simulator(frozen=True, deliveries=Deliveries(undelivered=0.5)) as simulator:
        ids = await send(simulator, list_file)
        await simulator.advance(10)
        file, again = tmp_path / "deliveries.csv", tmp_path / "again.csv"
        args = ("--json", "--csv", str(file), "--retry", str(again))
        done = await run(simulator, "report", *ids, *args)
        shown = json.loads(done.stdout)
        assert (shown["recipients"], shown["unlisted"]) == (RECIPIENTS - 2, 2)
        assert (done.exit_code, shown["finished"]) == (6, False)
        with file.open(newline="") as lines:
            assert len(list(csv.DictReader(lines))) == RECIPIENTS - 2
        assert not again.exists(), "an unlisted recipient may be one to retry"


# Files


async def test_every_recipient_is_one_line_of_the_csv(
    varied: Simulator, list_file: str, tmp_path: Path
) -> None:
    ids = await send(varied, list_file)
    await varied.advance(300)
    file = tmp_path / "deliveries.csv"
    shown = json.loads((await run(varied, "report", *ids, "--json", "--csv", str(file))).stdout)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
        # With a blank, because a spreadsheet would add up the other form.
        assert [row["number"].replace(" ", "-") for row in rows] == numbers(RECIPIENTS)
    assert [row["message_id"] for row in rows] == [ids[0]] * 150 + [ids[1]] * 50
    for state in DeliveryState:
        name = state.name.lower()
        assert sum(row["state"] == name for row in rows) == shown[name]
    assert sum(row["permanent"] == "true" for row in rows) == shown["permanent"]
    assert all(bool(row["delivered"]) is (row["state"] == "delivered") for row in rows)
    excluded = await run(
        varied, "bulk", list_file, "--sender", "ACME", "--body", "Ciao", "--exclude", str(file)
    )
    assert json.loads(excluded.stdout)["excluded"] == RECIPIENTS


async def test_the_page_loads_nothing(varied: Simulator, list_file: str, tmp_path: Path) -> None:
    ids = await send(varied, list_file)
    await varied.advance(300)
    file = tmp_path / "report.html"
    shown = json.loads((await run(varied, "report", *ids, "--json", "--html", str(file))).stdout)
    text = file.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.seen.count("svg") == page.seen.count("table") == 4
    assert not {"script", "link", "img", "iframe"} & set(page.seen)
    assert "url(" not in text
    assert "@import" not in text
    assert f"{shown['delivered']:,} of 200 delivered" in text
    assert all(one in text for one in ids)
    assert not shows_a_number(text, RECIPIENTS, message_ids=ids)
    assert "name1" not in text
    assert "Ciao" not in text


async def test_the_retry_list_can_be_sent(
    varied: Simulator, list_file: str, tmp_path: Path
) -> None:
    ids = await send(varied, list_file)
    await varied.advance(300)
    again = tmp_path / "again.csv"
    done = await run(varied, "report", *ids, "--json", "--retry", str(again))
    shown = json.loads(done.stdout)
    assert f"{shown['can_be_tried_again']} recipients can be retried" in done.stderr
    before = await states_of(varied, ids)
    simulated = await run(
        varied, "bulk", str(again), "--sender", "ACME", "--body", "Ciao {{name}}, {{sum}}", "--test"
    )
    assert simulated.exit_code == 0, simulated.output
    receipt = json.loads(simulated.stdout)
    assert receipt["accepted"] == shown["can_be_tried_again"] == receipt["total"]
    after = await states_of(varied, receipt["message_ids"])
    for number, [document] in after.items():
        [failed] = before[number]
        assert failed["report"]["status"]["groupId"] in {2, 4, 5}
        assert failed["report"]["error"]["permanent"] is False
        assert document["body"] == failed["body"], "the fields are what they were"


async def test_a_recipient_that_a_retry_reached_is_not_retried(
    varied: Simulator, list_file: str, tmp_path: Path
) -> None:
    ids = await send(varied, list_file)
    await varied.advance(10_000)
    again, more = tmp_path / "again.jsonl", tmp_path / "more.jsonl"
    await run(varied, "report", *ids, "--retry", str(again))
    tried = [json.loads(line)["number"] for line in again.read_text().splitlines()]
    ids += await send(varied, str(again))
    done = await run(varied, "report", *ids, "--retry", str(more))
    assert "There are no recipients to retry" in done.stderr, "the second message is under way"
    await varied.advance(10_000)
    await run(varied, "report", *ids, "--retry", str(more))
    left = [json.loads(line)["number"] for line in more.read_text().splitlines()]
    assert 0 < len(left) < len(tried)
    assert set(left) < set(tried)
    for number in left:
        assert all(
            one["report"]["status"]["groupId"] != 3
            for one in (await states_of(varied, ids))[number]
        )


async def test_no_retry_list_if_a_recipient_may_be_an_unlisted_one(
    list_file: str, tmp_path: Path
) -> None:
    deliveries, dialect = Deliveries(undelivered=0.5), Dialect(list_limit=10)
    async with Simulator(frozen=True, deliveries=deliveries, dialect=dialect) as simulator:
        ids = await send(simulator, list_file)
        await simulator.advance(10)
        again = tmp_path / "again.csv"
        done = await run(simulator, "report", *ids, "--retry", str(again))
        assert "was not written" in done.stderr
        assert not again.exists()
        assert (await run(simulator, "report", ids[0], "--retry", str(again))).exit_code == 5
        assert again.exists()


async def test_no_retry_list_if_a_recipient_may_be_a_hidden_one(
    list_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = SimulatedMessage.recipient_document
    hidden: set[str] = set()

    def masked(self: SimulatedMessage, i: int, now: float) -> dict[str, Any]:
        shown = document(self, i, now)
        number = shown["number"]
        return shown | {"number": f"{number[:7]}***{number[-4:]}"} if self.id in hidden else shown

    monkeypatch.setattr(SimulatedMessage, "recipient_document", masked)
    async with Simulator(frozen=True, deliveries=Deliveries(undelivered=0.5)) as simulator:
        ids = await send(simulator, list_file)
        await simulator.advance(10)
        again, more = tmp_path / "again.csv", tmp_path / "more.csv"
        await run(simulator, "report", *ids, "--retry", str(again))
        ids += await send(simulator, str(again))
        await simulator.advance(10)
        hidden.add(ids[-1])
        done = await run(simulator, "report", *ids, "--retry", str(more))
        assert "was not written" in done.stderr
        assert "does not show the numbers" in done.stderr
        assert not more.exists()
        hidden.update(ids)
        done = await run(simulator, "report", *ids, "--retry", str(more))
        assert "There are no recipients to retry" not in done.stderr
        assert not more.exists()


async def test_a_missing_message_does_not_hide_the_others(list_file: str, tmp_path: Path) -> None:
    async with Simulator(frozen=True, deliveries=Deliveries(undelivered=0.5)) as simulator:
        ids = await send(simulator, list_file)
        await simulator.advance(10)
        del simulator.gateway.messages[ids[1]]  # a gateway forgets, after a while
        page, again = tmp_path / "page.html", tmp_path / "again.csv"
        args = ("--html", str(page), "--retry", str(again))
        done = await run(simulator, "report", *ids, "--json", *args)
        shown = json.loads(done.stdout)
        assert done.exit_code == 6, "the list was not written"
        assert f"Message {ids[1]} does not exist" in done.stderr
        assert (shown["recipients"], shown["message_ids"]) == (150, ids[:1])
        assert (shown["not_found"], shown["finished"]) == (ids[1:], False)
        assert "was not written" in done.stderr
        assert not again.exists(), "a recipient may have the text by the missing message"
        assert ids[1] not in page.read_text()
        assert (await run(simulator, "report", *ids)).exit_code == 1
        alone = one_line(await run(simulator, "report", ids[1]), code=1)
        assert alone.startswith(f"message {ids[1]}")


async def test_a_retry_list_that_was_not_written_is_6(list_file: str, tmp_path: Path) -> None:
    # A script takes 3 for "send to the recipients in the file", and yesterday's file may be there.
    async with Simulator(frozen=True, deliveries=Deliveries(undelivered=0.5)) as simulator:
        ids = await send(simulator, list_file)
        await simulator.advance(10)
        assert (await run(simulator, "report", *ids)).exit_code == 3
        with full_disk() as full:
            assert (await run(simulator, "report", *ids, "--retry", full)).exit_code == 6


async def test_the_journals_of_a_campaign_and_of_its_retry(
    varied: Simulator, list_file: str, tmp_path: Path
) -> None:
    first, second = str(tmp_path / "first.db"), str(tmp_path / "second.db")
    again = tmp_path / "again.csv"
    ids = await send(varied, list_file, "--journal", first)
    await varied.advance(10_000)
    await run(varied, "report", "--journal", first, "--retry", str(again))
    ids += await send(varied, str(again), "--journal", second)
    await varied.advance(10_000)
    both = ("--journal", first, "--journal", second)
    done = await run(varied, "report", *both, "--json", "--retry", str(again))
    assert json.loads(done.stdout)["message_ids"] == ids
    rows = csv.DictReader(again.read_text().splitlines())
    left = {row["number"].replace(" ", "-") for row in rows}
    states = await states_of(varied, ids)
    assert left
    assert not any(
        one["report"]["status"]["groupId"] == 3 for number in left for one in states[number]
    )
    tracked = await run(varied, "track", *both, "--for", "1", "--json")
    assert {json.loads(line)["message_id"] for line in tracked.stdout.splitlines()} == set(ids)


@pytest.mark.parametrize("fate", ["unknown", "unsent"])
async def test_a_recipient_whose_retry_is_not_settled_is_not_retried(
    list_file: str, tmp_path: Path, fate: str
) -> None:
    first, second = str(tmp_path / "first.db"), str(tmp_path / "second.db")
    again, more = tmp_path / "again.csv", tmp_path / "more.csv"
    async with Simulator(frozen=True, deliveries=Deliveries(undelivered=0.5)) as simulator:
        await send(simulator, list_file, "--journal", first)
        await simulator.advance(10)
        await run(simulator, "report", "--journal", first, "--retry", str(again))
        tried = {row["number"] for row in csv.DictReader(again.read_text().splitlines())}
        if fate == "unknown":
            simulator.faults.add(Fault.close(after_apply=True), on="close", times=None)
            simulator.faults.add(Fault.status(500), on="get", skip=1, times=None)
        else:
            simulator.faults.add(Fault.status(402, 201), on="close", times=None)
        bulk = ("bulk", str(again), "--sender", "ACME", "--body", "Ciao", "--journal", second)
        stopped = await run(simulator, *bulk)
        assert json.loads(stopped.stdout)[fate] > 0, stopped.output
        simulator.faults.clear()
        await simulator.advance(10)
        both = ("--journal", first, "--journal", second)
        done = await run(simulator, "report", *both, "--retry", str(more))
        assert more.exists(), done.output
        left = {row["number"] for row in csv.DictReader(more.read_text().splitlines())}
        assert tried
        assert not left & tried, "resume sends to them, or they may have the text"


async def test_journals_of_two_addresses_are_rejected(
    varied: Simulator, simulator: Simulator, list_file: str, tmp_path: Path
) -> None:
    journals = [str(tmp_path / name) for name in ("first.db", "second.db")]
    for where, journal in zip((varied, simulator), journals, strict=True):
        await send(where, list_file, "--journal", journal)
    both = ("--journal", journals[0], "--journal", journals[1])
    refused = one_line(await run(varied, "report", *both))
    assert simulator.url in refused


async def test_files_are_whole_or_not_there(
    varied: Simulator, list_file: str, tmp_path: Path
) -> None:
    ids = await send(varied, list_file)
    names = ("--csv", "--html", "--retry")
    files = [str(tmp_path / name.strip("-")) for name in names]
    (tmp_path / "csv").write_text("of yesterday")
    args = [part for pair in zip(names, files, strict=True) for part in pair]
    varied.faults.add(Fault.status(404, 203), on="recipients", skip=1)
    refused = one_line(await run(varied, "report", *ids, *args), code=1)
    assert refused.startswith(f"message {ids[1]}: GET: HTTP 404")
    assert (tmp_path / "csv").read_text() == "of yesterday"
    left = await anyio.to_thread.run_sync(lambda: sorted(one.name for one in tmp_path.iterdir()))
    assert left == ["csv", "people.csv"]


async def test_a_file_that_cannot_be_written_does_not_hide_the_figures(
    simulator: Simulator, list_file: str
) -> None:
    ids = await send(simulator, list_file)
    with full_disk() as full:
        done = await run(simulator, "report", *ids, "--json", "--csv", full)
    assert done.stderr.count(f"{full} could not be written") == 1
    assert json.loads(done.stdout)["recipients"] == RECIPIENTS
    assert done.exit_code == 6


# Which messages


async def test_a_journal_has_the_messages_and_their_address(
    varied: Simulator, list_file: str, tmp_path: Path
) -> None:
    journal = str(tmp_path / "campaign.db")
    ids = await send(varied, list_file, "--journal", journal)
    shown = json.loads((await run(varied, "report", "--journal", journal, "--json")).stdout)
    assert shown["message_ids"] == ids
    both = await run(varied, "report", ids[1], "--journal", journal, "--json")
    assert json.loads(both.stdout)["message_ids"] == [ids[1], ids[0]]

    before = len(varied.requests)
    code, _, err = await finish(await start("report", "--journal", journal, OPENAPI_TOKEN="secret"))
    assert code == 2
    assert f"--base-url {varied.url}" in err
    assert len(varied.requests) == before, "a journal must not decide where the token is sent"
    asked = ("report", "--journal", journal, "--base-url", varied.url, "--json", "--rate", "0")
    code, out, err = await finish(await start(*asked, OPENAPI_TOKEN=varied.token))
    assert code == 5, err
    assert json.loads(out)["message_ids"] == ids


async def test_the_journal_of_a_running_campaign_is_read(
    simulator: Simulator, list_file: str, tmp_path: Path
) -> None:
    journal = str(tmp_path / "campaign.db")
    simulator.faults.add(Fault.hang(), on="open")
    bulk = ("bulk", list_file, "--sender", "ACME", "--body", "Ciao", "--journal", journal)
    running = await start(*bulk, **env(simulator))
    try:
        await until(lambda: bool(simulator.requests))
        done = await run(simulator, "report", "--journal", journal)
        # No message is closed yet.
        assert done.exit_code == 2, done.output
        assert (
            "Another process is running the campaign; at this moment: 200 not sent" in done.stderr
        )
        assert "nothing was sent yet" in done.stderr
    finally:
        running.kill()
        await running.wait()


async def test_a_campaign_that_stopped_early_is_reported(
    simulator: Simulator, list_file: str, tmp_path: Path
) -> None:
    journal = str(tmp_path / "campaign.db")
    simulator.faults.add(Fault.status(402, 201), on="close", skip=1, times=None)
    bulk = ("bulk", list_file, "--sender", "ACME", "--body", "Ciao", "--journal", journal)
    stopped = await run(simulator, *bulk, "--recipients-per-message", "150", "--concurrency", "1")
    assert stopped.exit_code == 5, stopped.output
    done = await run(simulator, "report", "--journal", journal, "--json")
    assert f"gateway-sms resume {journal}" in done.stderr
    assert 0 < json.loads(done.stdout)["recipients"] < RECIPIENTS


async def test_a_campaign_without_a_closed_message(
    simulator: Simulator, list_file: str, tmp_path: Path
) -> None:
    journal = str(tmp_path / "campaign.db")
    simulator.faults.add(Fault.status(402, 201), on="close", times=None)
    bulk = ("bulk", list_file, "--sender", "ACME", "--body", "Ciao", "--journal", journal)
    assert (await run(simulator, *bulk)).exit_code == 5
    done = await run(simulator, "report", "--journal", journal)
    assert done.exit_code == 2
    assert "200 not sent; to resume it: gateway-sms resume" in done.stderr
    assert "nothing was sent yet" in done.stderr


async def test_an_open_message_has_no_report(simulator: Simulator) -> None:
    async with GatewayClient(simulator.token, base_url=simulator.url, rate=None) as gateway:
        message = await gateway.messages.send(
            sender="ACME", body="Ciao", recipients=numbers(1), transaction=True
        )
    assert "is open" in one_line(await run(simulator, "report", message.id))


def test_a_report_needs_a_message() -> None:
    assert "--journal" in one_line(invoke("report", env={"OPENAPI_TOKEN": "x"}))


def test_no_file_overwrites_another(tmp_path: Path) -> None:
    same = ("--csv", str(tmp_path / "x"), "--retry", str(tmp_path / "x"))
    assert "overwrite" in one_line(invoke("report", "abc", *same, env={"OPENAPI_TOKEN": "x"}))


def test_report_teaches() -> None:
    shown = " ".join(invoke("report", "--help").stdout.split())
    for word in (
        "--journal",
        "--retry",
        "Exit codes: 0 all delivered",
        "gateway-sms bulk again",
    ):
        assert word in shown
