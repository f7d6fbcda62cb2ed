"""How a command ends: its exit code, and files that cannot take their place."""

from pathlib import Path

import pytest
import typer

from gateway_sms_async import BulkSendError, OutcomeUnknownError, Receipt
from gateway_sms_async._cli.app import run
from gateway_sms_async._cli.campaign_run import CampaignRun
from gateway_sms_async._cli.exit_codes import after_campaign, after_error, with_output
from gateway_sms_async._cli.lists.text_file import ListError
from gateway_sms_async._cli.output_file import open_output
from gateway_sms_async.errors import JournalError

NUMBERS = ("+39-3401234501",)


async def never(*_: object) -> Receipt:
    raise AssertionError


def stopped(receipt: Receipt, *, resumable: bool = False) -> BulkSendError:
    return BulkSendError("stopped", receipt=receipt, reason="no credit", resumable=resumable)


@pytest.mark.parametrize(
    ("receipt", "ends", "interrupted", "code"),
    [
        (Receipt(total=1, accepted=1), "complete", 0, 0),
        (Receipt(total=1, accepted=1), "complete", 130, 0),
        (Receipt(total=1, unknown=NUMBERS), "stopped", 130, 4),
        (Receipt(total=1, doubled=NUMBERS), "complete", 0, 4),
        (Receipt(total=1, unsent=NUMBERS), "stopped", 0, 1),
        (Receipt(total=1, unsent=NUMBERS), "resumable", 0, 5),
        (Receipt(total=2, accepted=1, unsent=NUMBERS), "stopped", 0, 5),
        (Receipt(total=2, accepted=1, unsent=NUMBERS), "resumable", 0, 5),
        (Receipt(total=2, accepted=1, unsent=NUMBERS), "stopped", 143, 143),
    ],
)
def test_a_campaign_is_1_only_if_nothing_was_sent(
    receipt: Receipt, ends: str, interrupted: int, code: int
) -> None:
    failure = None if ends == "complete" else stopped(receipt, resumable=ends == "resumable")
    assert after_campaign(receipt, failure, interrupted) == code


def test_a_lost_output_changes_no_code_but_0() -> None:
    assert [with_output(code, written=False) for code in range(7)] == [6, 1, 2, 3, 4, 5, 6]
    assert [with_output(code, written=True) for code in range(7)] == list(range(7))


@pytest.mark.parametrize(
    "error", [ListError("the list is gone"), OSError("no disk"), TypeError("a fault"), KeyError(1)]
)
@pytest.mark.parametrize(("unknown", "code"), [((), 6), (NUMBERS, 4)])
def test_no_error_after_the_send_says_that_nothing_was_sent(
    error: Exception, unknown: tuple[str, ...], code: int
) -> None:
    def fail(receipt: Receipt) -> bool:
        raise error

    ended = CampaignRun(never, total=2, journal=None)
    ended.receipt = Receipt(total=2, accepted=2 - len(unknown), unknown=unknown)
    assert run(lambda: ended._conclude(fail)) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (JournalError("no journal"), 1),
        (OSError("no disk"), 1),
        (ValueError("wrong"), 2),
        (TypeError("wrong"), 2),
        (OutcomeUnknownError("lost"), 4),
        (KeyError("a fault of the program"), 4),
        (AssertionError(), 4),
    ],
)
def test_an_error_that_ends_a_command(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> int:
        raise error

    assert after_error(error) == code
    assert run(fail) == code
    expected = not isinstance(error, KeyError | AssertionError)
    assert capsys.readouterr().err.startswith("gateway-sms: " if expected else "Traceback")


@pytest.mark.parametrize("ended", [typer.Exit(3), typer.Abort()])
def test_what_typer_raises_is_left_to_it(ended: Exception) -> None:
    def end() -> int:
        raise ended

    with pytest.raises(type(ended)):
        run(end)


def test_a_file_that_cannot_take_its_place_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.csv"
    with open_output(path) as output:
        assert output is not None
        path.mkdir()
        assert not output.write(lambda file: file.write("a\n"))
        assert not output.complete()
    assert f"{path} could not be written: " in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["report.csv"], "nothing is left behind"


def test_a_file_whose_folder_is_gone_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with open_output(folder / "report.csv") as output:
        assert output is not None
        folder.rename(tmp_path / "elsewhere")
        assert not output.write(lambda file: file.write("a\n"))
    assert "report.csv could not be written: " in capsys.readouterr().err
