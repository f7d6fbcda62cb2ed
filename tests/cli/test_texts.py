"""Texts on the command line: unfilled, empty, or for a day that has passed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway_sms_async.testing import Simulator

from ..support.cli import invoke, one_line, run

pytestmark = pytest.mark.anyio

CSV = "number,Name,city\n+39 340 0000001,Anna,Roma\n+39 340 0000002,Bruno,Bari\n"
JSON = '{"number": "+39 340 0000001", "Name": "Anna", "city": "Roma"}\n'


@pytest.fixture(params=["list.csv", "list.jsonl"])
def list_file(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    path = tmp_path / request.param
    path.write_text(CSV if path.suffix == ".csv" else JSON, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("body", ["[name]", "((Name))", "<<name>>", "«Name»", "$city", "[ CITY ]"])
async def test_a_column_between_other_marks_is_refused(
    body: str, list_file: str, simulator: Simulator
):
    for command in ("check", "bulk"):
        done = await run(
            simulator, command, list_file, "--sender", "ACME", "--body", f"Ciao {body}"
        )
        said = one_line(done)
        column = "city" if "city" in body.lower() else "Name"
        assert f"the text names the column {column!r} between other marks than {{{{ }}}}" in said
        assert f"write it as {{{{{column}}}}}, or rename the column" in said
    assert not simulator.requests


@pytest.mark.parametrize("body", ["{name}", "{{Name}", "%name%", "{{}}", "*|NAME|*", "\u200b", " "])
async def test_a_text_that_nobody_would_send_is_refused(
    body: str, list_file: str, simulator: Simulator
):
    saying = ("--sender", "ACME", "--body", body)
    for command in (("check", list_file), ("bulk", list_file), ("send", "--to", "+39 340 1234567")):
        done = await run(simulator, *command, *saying)
        said = one_line(done)
        assert said.startswith("body has ") or "the text names the column 'Name'" in said
    assert not simulator.requests


@pytest.mark.parametrize("body", ["Ciao {{ Name }}", "Prezzo {50%} [oggi]", "20% e 30% name"])
def test_nothing_is_said_about(body: str, list_file: str):
    done = invoke("check", list_file, "--sender", "ACME", "--body", body)
    assert done.exit_code == 0, done.output
    assert "mark" not in done.stderr


async def test_rows_whose_text_is_empty_are_refused_by_line(tmp_path: Path, simulator: Simulator):
    path = tmp_path / "list.csv"
    path.write_text(
        "number,text\n+39 340 0000001,Ciao\n+39 340 0000002,\n+39 340 0000003,\u200b\n",
        encoding="utf-8",
    )
    done = await run(simulator, "bulk", str(path), "--sender", "ACME", "--body", "{{ text }}")
    assert done.exit_code == 3
    assert "list.csv:3: " in done.stderr
    assert "list.csv:4: " in done.stderr
    assert done.stderr.count("the text is empty with the values of this recipient") >= 2
    assert [text.body for text in simulator.texts] == ["Ciao"]


async def test_a_day_that_has_passed_is_refused(list_file: str, simulator: Simulator):
    passed = (datetime.now(UTC).date() - timedelta(days=2)).isoformat()
    saying = ("--sender", "ACME", "--body", "Ciao", "--on", passed)
    for command in (("check", list_file), ("bulk", list_file), ("send", "--to", "+39 340 1234567")):
        done = await run(simulator, *command, *saying)
        assert f"the day {passed} has passed" in one_line(done)
    done = await run(simulator, "reschedule", "0123456789abcdef01234567", passed)
    assert f"the day {passed} has passed" in one_line(done)
    assert not simulator.requests
