"""The command line with a campaign in shards: sent, stopped, shown, resumed, reported, purged."""

# ruff: noqa: ASYNC240 - small files, and nothing else in the loop

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway_sms_async.testing import Simulator

from ..support.accounting import numbers
from ..support.cli import invoke, run

ACME = ("--sender", "ACME", "--body", "Ciao")


@pytest.fixture
def list_file(tmp_path: Path) -> str:
    file = tmp_path / "people.txt"
    file.write_text("\n".join([*numbers(300), "nobody", "0039 340 0000007"]) + "\n")
    return str(file)


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return str(tmp_path / "campaign")


async def offline(*args: str) -> Any:
    """Run a command that makes no request."""
    return await anyio.to_thread.run_sync(lambda: invoke(*args))


async def test_sent_reported_and_purged(
    simulator: Simulator, list_file: str, journal: str, tmp_path: Path
) -> None:
    report, rejects = tmp_path / "report.csv", tmp_path / "rejects.txt"
    bulk = ("bulk", list_file, *ACME, "--journal", journal, "--shards", "4")
    done = await run(simulator, *bulk, "--report", str(report), "--rejects", str(rejects))
    assert done.exit_code == 3, done.output
    receipt = json.loads(done.stdout)
    assert (receipt["total"], receipt["accepted"], receipt["duplicates"]) == (302, 300, 1)
    assert rejects.read_text() == "nobody  # line 301: letters in the number\n"
    rows = list(csv.DictReader(report.read_text().splitlines()))
    assert [row["outcome"] for row in rows] == ["accepted"] * 300 + ["invalid", "duplicate"]
    assert simulator.ledger == dict.fromkeys(numbers(300), 1)

    again = tmp_path / "again.csv"
    shown = await offline("journal", "show", journal, "--report", str(again))
    assert json.loads(shown.stdout) == receipt
    assert [row["outcome"] for row in csv.DictReader(again.read_text().splitlines())] == [
        row["outcome"] for row in rows
    ]
    report_of = await run(simulator, "report", "--journal", journal)
    assert report_of.exit_code in {0, 5}, report_of.output
    purged = await offline("journal", "purge", journal)
    assert purged.exit_code == 0, purged.output
    assert not Path(journal).exists()


async def test_stopped_and_resumed(simulator: Simulator, list_file: str, journal: str) -> None:
    simulator.gateway.credit = Decimal("0.01")
    bulk = ("bulk", list_file, *ACME, "--journal", journal, "--shards", "3", "--batch-size", "20")
    stopped = await run(simulator, *bulk)
    assert stopped.exit_code == 5, stopped.output
    assert json.loads(stopped.stdout)["unsent"] == 300
    assert f"gateway-sms resume {journal}" in stopped.stderr
    assert not simulator.ledger
    refused = await offline("journal", "purge", journal)
    assert (refused.exit_code, "not finished" in refused.stderr) == (1, True)
    again = await run(simulator, *bulk)
    assert again.exit_code == 1
    assert "already exists" in again.stderr
    simulator.gateway.credit = Decimal(100)
    done = await run(simulator, "resume", journal)
    assert done.exit_code == 3, done.output
    assert simulator.ledger == dict.fromkeys(numbers(300), 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--shards", "4"), "--shards needs --journal"),
        (("--shards", "0", "--journal", "x"), "shards"),
        (("--shards", "1001", "--journal", "x"), "at most 1,000"),
    ],
)
async def test_wrong_use(
    simulator: Simulator, list_file: str, options: tuple[str, ...], words: str
) -> None:
    refused = await run(simulator, "bulk", list_file, *ACME, *options)
    assert refused.exit_code == 2
    assert words in " ".join(refused.stderr.split())
    assert not simulator.requests
