"""The command line with a journal: stopped, shown, resumed, finished, purged."""

import asyncio
import json
import signal
from decimal import Decimal
from pathlib import Path

import pytest

from gateway_sms_async.testing import Fault, Simulator

from ..support.accounting import numbers, shows_a_number
from ..support.cli import KEYS, env, finish, one_line, run, start, until

ACME = ("--sender", "ACME", "--body", "Ciao")


@pytest.fixture
def list_file(tmp_path: Path) -> str:
    file = tmp_path / "people.txt"
    file.write_text("\n".join(numbers(300)) + "\nnobody\n", encoding="utf-8")
    return str(file)


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return str(tmp_path / "campaign.db")


async def test_no_credit_is_5_and_resume_finishes_after_a_top_up(
    simulator: Simulator, list_file: str, journal: str
) -> None:
    simulator.gateway.credit = Decimal("0.01")
    bulk = ("bulk", list_file, *ACME, "--journal", journal, "--batch-size", "50")
    stopped = await run(simulator, *bulk)
    assert stopped.exit_code == 5, stopped.output
    assert json.loads(stopped.stdout)["unsent"] == 300
    assert f"gateway-sms resume {journal}" in stopped.stderr
    assert "gateway-sms delete" not in stopped.stderr, "it is resumed, not deleted"
    assert not simulator.ledger

    [kept] = simulator.gateway.messages
    shown = await run(simulator, "journal", "show", journal, "--rate", "0")
    assert shown.exit_code == 2, "makes no request, so it has no connection options"
    simulator.gateway.credit = Decimal(100)
    done = await run(simulator, "resume", journal)
    assert done.exit_code == 3, done.output
    receipt = json.loads(done.stdout)
    assert list(receipt) == KEYS
    assert (receipt["accepted"], receipt["invalid"]["count"]) == (300, 1)
    assert receipt["message_ids"] == [kept]
    assert set(simulator.ledger.values()) == {1}

    before = len(simulator.requests)
    again = await run(simulator, "resume", journal)
    assert (again.exit_code, json.loads(again.stdout)) == (3, receipt)
    assert len(simulator.requests) == before


async def test_ctrl_c_twice_can_be_resumed(
    simulator: Simulator, list_file: str, journal: str
) -> None:
    simulator.latency = 0.1
    bulk = ("bulk", list_file, *ACME, "--journal", journal, "--batch-size", "5", "--rate", "0")
    process = await start(*bulk, **env(simulator))
    await until(lambda: len(simulator.requests) > 5)
    process.send_signal(signal.SIGINT)
    await asyncio.sleep(0.02)
    process.send_signal(signal.SIGINT)
    code, _, err = await finish(process)
    assert code in {130, 4}, err
    assert "Traceback" not in err
    assert f"gateway-sms resume {journal}" in err
    simulator.latency = 0.0
    done = await run(simulator, "resume", journal)
    assert done.exit_code == 3, done.output
    assert len(simulator.ledger) == 300
    assert set(simulator.ledger.values()) == {1}


async def test_show_counts_and_purge_deletes_a_finished_one(
    simulator: Simulator, list_file: str, journal: str
) -> None:
    simulator.faults.add(Fault.status(402, 201), on="close")
    await run(simulator, "bulk", list_file, *ACME, "--journal", journal)
    unfinished = await start("journal", "purge", journal)
    code, out, err = await finish(unfinished)
    assert (code, out) == (1, "")
    assert "not finished; resume it first" in err
    await run(simulator, "resume", journal)
    shown = await start("journal", "show", journal)
    code, out, err = await finish(shown)
    assert code == 0, err
    assert json.loads(out)["accepted"] == 300
    assert not shows_a_number(out + err, 300, message_ids=json.loads(out)["message_ids"])
    purged = await start("journal", "purge", journal)
    assert (await finish(purged))[0] == 0
    assert not Path(journal).exists()  # noqa: ASYNC240


async def test_a_file_that_is_not_a_journal_is_one_line_of_error(
    simulator: Simulator, list_file: str, journal: str
) -> None:
    for command in (("resume", journal), ("bulk", list_file, *ACME, "--journal", list_file)):
        one_line(await run(simulator, *command), code=1)
    assert not simulator.requests


async def test_a_simulated_campaign_cannot_have_a_journal(
    simulator: Simulator, list_file: str, journal: str
) -> None:
    refused = await run(simulator, "bulk", list_file, *ACME, "--journal", journal, "--simulate")
    assert "the simulator ends with the command" in one_line(refused)


async def test_a_higher_limit_resumes_a_campaign_that_reached_its_own(
    simulator: Simulator, list_file: str, journal: str
) -> None:
    bulk = ("bulk", list_file, *ACME, "--journal", journal, "--max-recipients", "100")
    stopped = await run(simulator, *bulk)
    assert stopped.exit_code == 5, stopped.output
    assert "higher max_recipients" in " ".join(stopped.stderr.split())
    one_line(await run(simulator, "resume", journal, "--max-cost", "much"))
    again = await run(simulator, "resume", journal)
    assert again.exit_code == 5
    more = await run(simulator, "resume", journal, "--max-recipients", "150")
    assert (more.exit_code, json.loads(more.stdout)["accepted"]) == (5, 150)
    done = await run(simulator, "resume", journal, "--max-recipients", "300", "--max-cost", "9.00")
    assert (done.exit_code, json.loads(done.stdout)["accepted"]) == (3, 300)
    assert set(simulator.ledger.values()) == {1}


async def test_a_list_is_read_to_its_end_when_the_campaign_stops(
    simulator: Simulator, tmp_path: Path
) -> None:
    file, unsent = tmp_path / "many.txt", tmp_path / "unsent.txt"
    file.write_text("\n".join(numbers(30_000)), encoding="utf-8")
    simulator.gateway.credit = Decimal(0)
    stopped = await run(simulator, "bulk", str(file), *ACME, "--unsent", str(unsent), "--yes")
    assert stopped.exit_code == 1, stopped.output
    receipt = json.loads(stopped.stdout)
    assert (receipt["total"], receipt["unsent"]) == (30_000, 30_000)
    assert receipt["source_exhausted"]
    assert not receipt["complete"]
    assert len(unsent.read_text(encoding="utf-8").splitlines()) >= 30_000


async def test_limits_careful_and_verify_reach_the_library(
    simulator: Simulator, list_file: str
) -> None:
    careful = ("--careful", "--verify", "always", "--batch-size", "50", "--concurrency", "1")
    limited = await run(
        simulator,
        "bulk",
        list_file,
        *ACME,
        *careful,
        "--max-recipients",
        "900",
        "--max-cost",
        "6.00",
    )
    assert limited.exit_code == 5, limited.output
    assert "max_cost" in limited.stderr
    assert json.loads(limited.stdout)["accepted"] == 200
    operations = [request.operation for request in simulator.requests]
    assert "append" not in operations
    assert operations.count("recipients") >= 2 * operations.count("close")
