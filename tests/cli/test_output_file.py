"""The places that a command writes its files to."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from gateway_sms_async._cli.output_file import check_outputs, open_output
from gateway_sms_async.testing import Simulator

from ..support.cli import one_line, run

ACME = ("--sender", "ACME", "--body", "Ciao")

unix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


def pipe_at(path: Path) -> None:
    os.mkfifo(path)


def link_to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "nothing")


def link_to_a_file(path: Path) -> None:
    (path.parent / "there.txt").write_text("kept")
    path.symlink_to(path.parent / "there.txt")


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


PLANTED: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (pipe_at, "a named pipe"),
    "link to nothing": (link_to_nothing, "a symbolic link"),
    "link to a file": (link_to_a_file, "a symbolic link"),
    "folder": (lambda path: path.mkdir(), "a directory"),
    "socket": (socket_at, "a socket"),
}


@unix
@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("option", ["--report", "--rejects", "--unsent"])
async def test_what_is_planted_at_a_place_gets_no_numbers(
    tmp_path: Path, kind: str, option: str
) -> None:
    people, place = tmp_path / "people.txt", tmp_path / "out.csv"
    people.write_text("+39 340 1234567\n")
    plant, name = PLANTED[kind]
    plant(place)
    async with Simulator() as simulator:
        done = await run(simulator, "bulk", str(people), *ACME, option, str(place))
        assert one_line(done) == f"{place}: this is {name}; give a file, or /dev/stdout"
        assert not simulator.requests
    assert not (tmp_path / "nothing").exists()
    if kind == "link to a file":
        assert (tmp_path / "there.txt").read_text() == "kept"
    left = await anyio.to_thread.run_sync(lambda: [one.name for one in tmp_path.iterdir()])
    assert not any(name.startswith(".") for name in left)


@unix
async def test_the_other_commands_look_at_the_place_too(tmp_path: Path) -> None:
    people, place = tmp_path / "people.txt", tmp_path / "out.csv"
    people.write_text("+39 340 1234567\n")
    os.mkfifo(place)
    async with Simulator() as simulator:
        for args in (
            ("check", str(people), *ACME, "--rejects", str(place)),
            ("report", "5af0c2a1d7e3b40001a2b3c4", "--retry", str(place)),
        ):
            assert "this is a named pipe" in one_line(await run(simulator, *args))


@unix
@pytest.mark.parametrize("device", ["/dev/null", "/dev/full", "/dev/tty"])
def test_a_device_is_refused(device: str) -> None:
    with (
        pytest.raises(ValueError, match=f"{device}: this is a device; give a file"),
        open_output(Path(device)),
    ):
        raise AssertionError


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "out.csv"
    place.write_text("theirs")
    os.chown(place, 4711, 4711)
    with (
        pytest.raises(ValueError, match="belongs to another user; give another file"),
        open_output(place),
    ):
        raise AssertionError
    assert place.read_text() == "theirs"


def test_a_file_of_ones_own_is_replaced(tmp_path: Path) -> None:
    place = tmp_path / "out.csv"
    place.write_text("earlier")
    os.link(place, tmp_path / "other name")
    with open_output(place) as output:
        assert output is not None
        assert output.write(lambda file: file.write("new"))
    assert place.read_text() == "new"
    assert place.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "other name").read_text() == "earlier"


def test_a_link_that_is_planted_later_is_replaced(tmp_path: Path) -> None:
    place, theirs = tmp_path / "out.csv", tmp_path / "theirs"
    with open_output(place) as output:
        assert output is not None
        place.symlink_to(theirs)
        assert output.write(lambda file: file.write("new"))
    assert not place.is_symlink()
    assert not theirs.exists()


@unix
def test_an_open_stream_is_written_to_by_its_number(tmp_path: Path) -> None:
    """As in `--report >(gzip > sent.gz)`, which a shell passes as /dev/fd/63."""
    reading, writing = os.pipe()
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(os.read(reading, 100)))
    reader.start()
    with open_output(Path(f"/dev/fd/{writing}")) as output:
        assert output is not None
        assert output.write(lambda file: file.write("new"))
    reader.join()
    os.close(writing)
    os.close(reading)
    assert found == [b"new"]


@unix
def test_a_stream_that_is_a_file_is_continued(tmp_path: Path) -> None:
    with (tmp_path / "stdout").open("wb", buffering=0) as file:
        file.write(b"before ")
        with open_output(Path(f"/dev/fd/{file.fileno()}")) as output:
            assert output is not None
            assert output.write(lambda file: file.write("new "))
        file.write(b"after")
    assert (tmp_path / "stdout").read_text() == "before new after"


@unix
def test_a_stream_that_is_not_open_is_refused() -> None:
    with (
        pytest.raises(ValueError, match="Bad file descriptor; give a file to write to"),
        open_output(Path("/dev/fd/987654")),
    ):
        raise AssertionError


def test_two_options_may_name_the_same_stream() -> None:
    check_outputs({"--report": Path("/dev/stdout"), "--unsent": None}, ())


@pytest.mark.parametrize("option", ["--report", "--rejects"])
async def test_a_journal_is_never_replaced(tmp_path: Path, option: str) -> None:
    people, journal = tmp_path / "people.txt", tmp_path / "other.db"
    people.write_text("+39 340 1234567\n+39 340 1234568\n")
    async with Simulator() as simulator:
        begun = await run(
            simulator,
            "bulk",
            str(people),
            *ACME,
            "--journal",
            str(journal),
            "--max-recipients",
            "1",
        )
        assert begun.exit_code == 5
        content = journal.read_bytes()
        refused = await run(simulator, "bulk", str(people), *ACME, option, str(journal))
        assert "this is a database, such as the journal of a campaign" in one_line(refused)
        assert journal.read_bytes() == content
        assert (
            await run(simulator, "resume", str(journal), "--max-recipients", "9")
        ).exit_code == 0


@pytest.mark.parametrize("kind", ["--body-file", "--token-file"])
async def test_a_text_or_a_token_is_never_replaced(tmp_path: Path, kind: str) -> None:
    people, read = tmp_path / "people.txt", tmp_path / "read.txt"
    people.write_text("+39 340 1234567\n")
    read.write_text("Ciao")
    body = ("--sender", "ACME") if kind == "--body-file" else ACME
    async with Simulator() as simulator:
        refused = await run(
            simulator, "bulk", str(people), *body, kind, str(read), "--report", str(read)
        )
        assert "--report would overwrite a file that is read" in one_line(refused)
        assert read.read_text() == "Ciao"
        assert not simulator.requests
