"""The tools for users' tests: assertions with their differences, faults in one line, the recipes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway_sms_async import GatewayClient, GatewayError, OutcomeUnknownError, RateLimitError
from gateway_sms_async.testing import Simulator

from ..support.paths import EXAMPLES, ROOT

ANNA, BRUNO = "+39 340 1234567", "+39 340 7654321"


async def send(gateway: GatewayClient, **given: object) -> None:
    keywords = {"sender": "ACME", "body": "Ciao", "recipients": ANNA, **given}
    await gateway.messages.send(**keywords)  # type: ignore[arg-type]


async def test_what_was_sent_has_its_fields_filled_in(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    recipients = [(ANNA, {"name": "Anna"}), (BRUNO, {"name": "Bruno"})]
    await gateway.send_bulk(recipients, sender="ACME", body="Ciao {{name}}")
    simulator.assert_sent({ANNA: "Ciao Anna", "0039 340 765 43 21": ["Ciao Bruno"]})
    assert simulator.sent_to("+39-3401234567") == simulator.sent_to(ANNA) == ["Ciao Anna"]
    [first, second] = simulator.texts
    assert first.sender == "ACME"
    assert first.message_id == second.message_id


async def test_open_messages_and_simulated_sends_were_not_sent(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    await send(gateway, test=True)
    await send(gateway, transaction=True)
    simulator.assert_sent({})


async def test_an_assertion_shows_one_difference_per_line(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    await send(gateway)
    await send(gateway)
    await send(gateway, recipients=BRUNO, body="Addio")
    with pytest.raises(AssertionError) as caught:
        simulator.assert_sent({ANNA: "Ciao", BRUNO: "Ciao", "+44 7911 123456": "Hello"})
    assert str(caught.value).splitlines() == [
        "the texts sent are not the texts expected:",
        "  +39 340 1234567: not expected: 'Ciao'",
        "  +39 340 7654321: not sent: 'Ciao'",
        "  +39 340 7654321: not expected: 'Addio'",
        "  +44 7911 123456: not sent: 'Hello'",
    ]
    simulator.assert_sent({ANNA: ["Ciao", "Ciao"], BRUNO: "Addio"})


async def test_a_long_list_of_differences_is_cut(simulator: Simulator) -> None:
    with pytest.raises(AssertionError, match="and 5 more differences") as caught:
        simulator.assert_sent({f"+39 340 {n:07}": "Ciao" for n in range(25)})
    assert len(str(caught.value).splitlines()) == 22


async def test_one_number_written_in_two_ways_is_a_mistake_of_the_test(
    simulator: Simulator,
) -> None:
    with pytest.raises(ValueError, match="names a number twice"):
        simulator.assert_sent({ANNA: "Ciao", "0039 340 1234567": "Ciao"})


async def test_the_next_request_fails_and_the_one_after_does_not(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.fail_next("POST", after_apply=True)
    simulator.fail_next("list", status=403)
    with pytest.raises(OutcomeUnknownError):
        await send(gateway)
    assert simulator.sent_to(ANNA) == ["Ciao"]
    await send(gateway)
    assert simulator.sent_to(ANNA) == ["Ciao", "Ciao"]


async def test_nothing_is_applied_without_after_apply(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.fail_next("send")
    with pytest.raises(OutcomeUnknownError):
        await send(gateway)
    simulator.assert_sent({})


async def test_an_answer_of_ones_own(gateway: GatewayClient, simulator: Simulator) -> None:
    simulator.fail_next(status=429, retry_after=1000)
    with pytest.raises(RateLimitError) as caught:
        await send(gateway)
    assert caught.value.retry_after == 1000


async def test_the_same_answer_for_ever(gateway: GatewayClient, simulator: Simulator) -> None:
    simulator.fail_next("send", status=422, error=777, times=None)
    for _ in range(2):
        with pytest.raises(GatewayError) as refused:
            await send(gateway)
        assert getattr(refused.value, "code", None) == 777


@pytest.mark.parametrize("given", [{"error": 212}, {"retry_after": 1}], ids=["error", "retry"])
async def test_parts_of_an_answer_need_an_answer(
    simulator: Simulator, given: dict[str, int]
) -> None:
    with pytest.raises(ValueError, match="need a status"):
        simulator.fail_next(**given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="neither an HTTP method nor an operation"):
        simulator.fail_next("put")


@pytest.mark.parametrize("given", [{"times": 0}, {"times": -1}, {"status": 200}, {"status": 700}])
async def test_a_failure_that_cannot_occur_is_a_mistake_of_the_test(
    gateway: GatewayClient, simulator: Simulator, given: dict[str, int]
) -> None:
    with pytest.raises(ValueError, match=r"times must be|is no failure"):
        simulator.fail_next("send", **given)  # type: ignore[arg-type]
    await send(gateway)


async def test_the_ledger_knows_a_number_in_each_international_form(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    await send(gateway)
    for written in (ANNA, "+39 340 1234567", "00393401234567", "393401234567"):
        assert simulator.ledger[written] == 1
        assert written in simulator.ledger
        assert simulator.sent_to(written) == ["Ciao"]
    assert simulator.ledger["+393409999999"] == 0
    assert "+393409999999" not in simulator.ledger
    assert simulator.sent_to("+39 340 9999999") == []


@pytest.mark.parametrize("written", ["3401234567", "Anna", "", "+39"])
async def test_what_is_no_international_number_is_a_mistake_of_the_test(
    gateway: GatewayClient, simulator: Simulator, written: str
) -> None:
    """Otherwise a test that asserts that nothing was sent would always pass."""
    await send(gateway)
    for ask in (
        lambda: simulator.ledger[written],
        lambda: written in simulator.ledger,
        lambda: simulator.sent_to(written),
        lambda: simulator.assert_sent({ANNA: "Ciao", written: []}),
    ):
        with pytest.raises(ValueError, match="not a number in international form"):
            ask()


def run_in_a_project_of_its_own(folder: Path, arguments: list[str]) -> str:
    """Run Python in `folder` and return its output; it must succeed."""
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


MODES = {
    "anyio": "addopts = -p no:asyncio",
    "strict": "asyncio_mode = strict\nasyncio_default_fixture_loop_scope = function",
    "auto": "asyncio_mode = auto\nasyncio_default_fixture_loop_scope = function",
}


def run_pytest(folder: Path, mode: str) -> str:
    settings = f"[pytest]\nfilterwarnings = error\n{MODES[mode]}\n"
    (folder / "pytest.ini").write_text(settings, encoding="utf-8")
    return run_in_a_project_of_its_own(folder, ["-m", "pytest", "-q", "-p", "no:cacheprovider"])


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("recipe", "mode"),
    [
        ("anyio", "anyio"),
        ("anyio", "auto"),
        ("pytest_asyncio", "strict"),
        ("pytest_asyncio", "auto"),
    ],
)
def test_the_recipe_works_in_a_project_of_its_own(recipe: str, mode: str, tmp_path: Path) -> None:
    if mode != "anyio":
        pytest.importorskip("pytest_asyncio", reason="it is in the extra `dev`")
    shutil.copy(EXAMPLES / f"recipe_{recipe}.py", tmp_path / "test_mine.py")
    assert re.search(r"^4 passed", run_pytest(tmp_path, mode), re.MULTILINE)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("mode", ["anyio", "auto", "strict"])
def test_the_first_example_of_the_guide_works_in_every_mode(mode: str, tmp_path: Path) -> None:
    if mode != "anyio":
        pytest.importorskip("pytest_asyncio", reason="it is in the extra `dev`")
    guide = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    example = guide.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "test_mine.py").write_text(example, encoding="utf-8")
    assert re.search(r"^3 passed", run_pytest(tmp_path, mode), re.MULTILINE)


@pytest.mark.timeout(60)
def test_the_recipe_for_unittest_works() -> None:
    output = run_in_a_project_of_its_own(EXAMPLES, ["-m", "unittest", "recipe_unittest"])
    assert "Ran 4 tests" in output


@pytest.mark.timeout(60)
def test_the_recipe_for_django_works() -> None:
    pytest.importorskip("django", reason="it is in the extra `dev`")
    output = run_in_a_project_of_its_own(EXAMPLES, ["recipe_django.py", "test", "recipe_django"])
    assert "Ran 3 tests" in output
