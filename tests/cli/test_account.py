"""login, logout and whoami, and where the other commands find their token."""

import asyncio
import json
import os
import pty
import stat
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from typer.testing import CliRunner

from gateway_sms_async import RetryPolicy
from gateway_sms_async._cli import login as login_module
from gateway_sms_async._cli.main import app
from gateway_sms_async._http.address import PRODUCTION, SANDBOX
from gateway_sms_async.testing import Fault, Simulator

from ..support.paths import DATA

QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01, max_elapsed=0.5)


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr("gateway_sms_async._client._DEFAULT_RETRY", QUICK)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "gateway-sms"


def env(simulator: Simulator, *, pair: bool = True) -> dict[str, str]:
    addresses = {
        "GATEWAY_SMS_BASE_URL": simulator.url,
        "OPENAPI_OAUTH_URL": simulator.oauth_url,
    }
    account = {"OPENAPI_EMAIL": simulator.email, "OPENAPI_API_KEY": simulator.api_key}
    return addresses | (account if pair else {})


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.exists() else []


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def text_of(file: Path) -> str:
    return file.read_text()


def change(file: Path, **token: float) -> None:
    kept = json.loads(file.read_text())
    kept["token"] |= token
    file.write_text(json.dumps(kept))


async def run(*args: str, **variables: str) -> Any:
    """Run in a thread, because the command starts its own event loop."""
    return await anyio.to_thread.run_sync(
        lambda: CliRunner().invoke(app, args, env=variables), abandon_on_cancel=True
    )


def asked(simulator: Simulator) -> list[str]:
    return [one.operation for one in simulator.requests]


def check_secrets(simulator: Simulator, *texts: str) -> None:
    secrets = [simulator.api_key, simulator.token]
    for issued in simulator.oauth.tokens.values():
        secrets += [issued.token, issued.refresh_token or simulator.token]
    for text in texts:
        assert not [secret for secret in secrets if secret in text]


async def test_login_keeps_a_token_that_other_commands_use(
    simulator: Simulator, folder: Path
) -> None:
    result = await run("login", **env(simulator))
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert result.stderr.startswith(f"Logged in to {simulator.url} as {simulator.email} until ")
    [file] = files_in(folder)
    assert result.stderr.endswith(f"; the token is in {file}\n")
    assert mode(file) == 0o600
    assert mode(folder) == 0o700
    assert simulator.api_key not in text_of(file)
    assert simulator.requests[0].body["ttl"] == 30 * 86_400

    listed = await run("list", "--json", **env(simulator, pair=False))
    assert listed.exit_code == 0, listed.output
    assert asked(simulator) == ["create_token", "list"]
    check_secrets(simulator, result.output, listed.output)


async def test_a_login_is_renewed_without_the_key(simulator: Simulator, folder: Path) -> None:
    await run("login", **env(simulator))
    [file] = files_in(folder)
    change(file, made_at=time.time() - 1000, expires_at=time.time() + 60)
    for _ in range(2):
        listed = await run("list", "--json", **env(simulator, pair=False))
        assert listed.exit_code == 0, listed.output
    assert asked(simulator) == ["create_token", "refresh_token", "list", "list"]


async def test_a_revoked_login_prints_what_to_do(simulator: Simulator) -> None:
    await run("login", **env(simulator))
    simulator.oauth.revoke_all()
    listed = await run("list", **env(simulator, pair=False))
    assert listed.exit_code == 1
    assert "log in again (gateway-sms login)" in listed.stderr
    assert listed.stderr.count("\n") == 1


async def test_a_campaign_stopped_by_a_revoked_login_can_be_resumed(
    simulator: Simulator, tmp_path: Path
) -> None:
    await run("login", **env(simulator))
    journal = str(tmp_path / "campaign.db")

    def revoke(request: Any) -> None:
        if request.operation == "open":
            simulator.oauth.revoke_all()

    simulator.faults.plan = revoke
    bulk = ("bulk", str(DATA / "cli_names.csv"), "--sender", "ACME", "--body", "Ciao {{name}}")
    result = await run(*bulk, "--rate", "0", "--journal", journal, **env(simulator, pair=False))
    assert result.exit_code == 5, result.output
    assert "log in again" in result.stderr
    assert not simulator.ledger
    simulator.faults.clear()
    await run("login", **env(simulator))
    result = await run("resume", journal, **env(simulator, pair=False))
    assert result.exit_code in {0, 3}, result.output
    assert simulator.ledger
    assert set(simulator.ledger.values()) == {1}


async def test_e_mail_and_key_alone_work_and_their_token_is_kept(
    simulator: Simulator, folder: Path
) -> None:
    for _ in range(2):
        listed = await run("list", "--json", **env(simulator))
        assert listed.exit_code == 0, listed.output
    assert asked(simulator) == ["create_token", "list", "list"]
    assert len(files_in(folder)) == 1


async def test_the_order_in_which_tokens_are_looked_for(
    simulator: Simulator, tmp_path: Path
) -> None:
    simulator.tokens = {"from-file", "from-environment"}
    file = tmp_path / "token"
    file.write_text("from-file\n")
    await run("login", **env(simulator))

    async def origin(*args: str, **variables: str) -> str:
        result = await run("whoami", "--json", *args, **variables)
        assert result.exit_code == 0, result.output
        return str(json.loads(result.stdout)["token_from"])

    simulator.faults.clear()
    issued = simulator.oauth.tokens
    for token in ("from-file", "from-environment"):
        issued[token] = next(iter(issued.values()))
    everything = env(simulator) | {"OPENAPI_TOKEN": "from-environment"}
    assert await origin("--token-file", str(file), **everything) == "--token-file"
    assert await origin(**everything) == "OPENAPI_TOKEN"
    assert (await origin(**env(simulator))).startswith("e-mail and API key")
    assert (await origin(**env(simulator, pair=False))).startswith("login in ")


async def test_the_help_has_that_order() -> None:
    result = await run("list", "--help")
    words = " ".join(result.stdout.replace("│", " ").split())
    assert (
        "A file with the token. Default: OPENAPI_TOKEN, else OPENAPI_EMAIL and OPENAPI_API_KEY, else "
        "the login of that environment (gateway-sms login)." in words
    )


WITHOUT_HOME = """
import os
os.path.expanduser = lambda path: path  # as if the user had no entry in the system's list
import runpy, sys
sys.argv = ["gateway-sms", *sys.argv[1:]]
runpy.run_module("gateway_sms_async", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("command", "given", "code", "words"),
    [
        ("list", "nothing", 2, "no token: run gateway-sms login, set OPENAPI_TOKEN"),
        ("list", "token", 0, ""),
        ("list", "pair", 0, ""),
        ("login", "pair", 2, "set HOME or XDG_CONFIG_HOME"),
        ("logout", "pair", 0, "Not logged in"),
    ],
)
async def test_without_a_home(
    simulator: Simulator, command: str, given: str, code: int, words: str
) -> None:
    variables = {
        "nothing": {},
        "token": {"OPENAPI_TOKEN": simulator.token},
        "pair": env(simulator),
    }[given]
    kept = {"PATH", "PYTHONPATH", "LANG"}
    inherited = {name: value for name, value in os.environ.items() if name in kept}
    done = await anyio.run_process(
        [sys.executable, "-c", WITHOUT_HOME, command],
        env=inherited | {"GATEWAY_SMS_BASE_URL": simulator.url} | variables,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert words in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    if command == "login":
        assert not simulator.requests, "no token is made that cannot be kept"


async def test_commands_go_through_a_proxy(simulator: Simulator, folder: Path) -> None:
    seen: list[bytes] = []

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head.split(b" ")[1])
        host, _, port = simulator.url.removeprefix("http://").partition(":")
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        body = await reader.readexactly(
            int(
                next(
                    (
                        line[15:]
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length")
                    ),
                    0,
                )
            )
        )
        path = head.replace(simulator.url.encode(), b"", 1)
        up_writer.write(path.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + body)
        writer.write(await up_reader.read())
        await writer.drain()
        writer.close()
        up_writer.close()

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for args in (("login",), ("list",), ("whoami",), ("logout",)):
        seen.clear()
        done = await run(*args, "--proxy", proxy, **env(simulator))
        assert done.exit_code == 0, done.output
        assert seen, args
        assert all(one.startswith(simulator.url.encode()) for one in seen)
        simulator.faults.clear()
    server.close()
    for args in (("login",), ("list",), ("logout",)):
        wrong = await run(*args, "--proxy", "proxy.example:3128", **env(simulator))
        assert (wrong.exit_code, "such as http://host:3128" in wrong.stderr) == (2, True)


async def test_login_without_a_terminal(simulator: Simulator, folder: Path) -> None:
    for missing in ("OPENAPI_EMAIL", "OPENAPI_API_KEY"):
        variables = env(simulator)
        del variables[missing]
        result = await run("login", **variables)
        assert result.exit_code == 2
        assert result.stderr == (
            "gateway-sms: cannot ask for the API key without a terminal: set OPENAPI_EMAIL and "
            "OPENAPI_API_KEY\n"
        )
    result = await run("login", "--sandbox", "--base-url", "https://x.example")
    assert (result.exit_code, "not both" in result.stderr) == (2, True)
    result = await run(
        "login", "--base-url", "https://x.example", OPENAPI_EMAIL="a", OPENAPI_API_KEY="b"
    )
    assert (result.exit_code, "OPENAPI_OAUTH_URL" in result.stderr) == (2, True)
    assert not simulator.requests
    assert not files_in(folder)


async def test_a_key_cannot_be_an_argument() -> None:
    result = await run("login", "--api-key", "x")
    assert result.exit_code == 2
    assert "No such option" in result.stderr


async def test_a_refused_login_keeps_nothing(simulator: Simulator, folder: Path) -> None:
    result = await run("login", **env(simulator) | {"OPENAPI_API_KEY": "canary"})
    assert result.exit_code == 1
    assert "the e-mail and API key are not accepted" in result.stderr
    assert "canary" not in result.output
    simulator.oauth.scopes.clear()
    result = await run("login", **env(simulator))
    assert result.exit_code == 1
    assert (
        "is not enabled for this account; enable it at https://console.openapi.com" in result.stderr
    )
    assert not files_in(folder)


async def test_on_a_terminal_the_key_is_asked_for_and_not_echoed(
    simulator: Simulator, folder: Path
) -> None:
    ours, theirs = pty.openpty()
    shown = b""

    def read() -> bytes:
        try:
            return os.read(ours, 4096)
        except OSError:  # on Linux, the other end is closed
            return b""

    async def until(words: bytes) -> None:
        nonlocal shown
        with anyio.fail_after(15):
            while words not in shown:
                part = await anyio.to_thread.run_sync(read)
                assert part, shown
                shown += part

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway_sms_async",
        "login",
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env=dict(os.environ) | env(simulator, pair=False),
    )
    os.close(theirs)
    try:
        await until(b"E-mail of the account: ")
        os.write(ours, simulator.email.encode() + b"\n")
        await until(b"API key (not shown): ")
        # Wait until getpass has turned the echo off: the terminal would show a key typed sooner.
        await asyncio.sleep(0.2)
        os.write(ours, simulator.api_key.encode() + b"\n")
        await until(b"Logged in to ")
        await process.wait()
    finally:
        os.close(ours)
    assert process.returncode == 0
    check_secrets(simulator, shown.decode())
    assert len(files_in(folder)) == 1


async def test_whoami_of_a_login(simulator: Simulator, folder: Path) -> None:
    await run("login", **env(simulator))
    result = await run("whoami", "--json", **env(simulator, pair=False))
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    [file] = files_in(folder)
    end = facts.pop("expires_at")
    assert end.endswith("Z")
    assert facts == {
        "environment": simulator.url,
        "base_url": simulator.url,
        "token_from": f"login in {file}",
        "account": simulator.email,
        "scopes": [
            f"{method}:ws.messaggisms.com/messages" for method in ("GET", "POST", "PUT", "DELETE")
        ],
        "missing_scopes": [],
        "credit": facts["credit"],
    }
    shown = await run("whoami", **env(simulator, pair=False))
    assert "DELETE:ws.messaggisms.com/messages" in shown.stdout
    assert end[:10] in shown.stdout
    check_secrets(simulator, result.output, shown.output)


async def test_whoami_with_the_key_asks_for_the_credit(simulator: Simulator) -> None:
    result = await run("whoami", "--json", **env(simulator))
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert float(facts["credit"]) == float(simulator.gateway.credit)
    assert asked(simulator) == ["create_token", "get_wallet"]
    check_secrets(simulator, result.output)


async def test_whoami_of_a_bare_token(simulator: Simulator) -> None:
    bare = env(simulator, pair=False) | {"OPENAPI_TOKEN": simulator.token}
    result = await run("whoami", "--json", **bare)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["token_from"] == "OPENAPI_TOKEN"
    assert facts["scopes"] is facts["expires_at"] is facts["account"] is None
    shown = await run("whoami", **bare)
    assert shown.stdout.count("not known") >= 2
    check_secrets(simulator, result.output, shown.output)


async def test_whoami_shows_missing_scopes(simulator: Simulator) -> None:
    await run("login", **env(simulator))
    [issued] = simulator.oauth.tokens.values()
    issued.scopes = issued.scopes[:3]
    given = env(simulator) | {"OPENAPI_TOKEN": issued.token}
    result = await run("whoami", "--json", **given)
    assert json.loads(result.stdout)["missing_scopes"] == ["DELETE:ws.messaggisms.com/messages"]
    shown = await run("whoami", **given)
    assert "missing scopes" in shown.stdout
    check_secrets(simulator, result.output, shown.output)


async def test_whoami_of_a_refused_token(simulator: Simulator) -> None:
    bare = env(simulator, pair=False) | {"OPENAPI_TOKEN": "canary"}
    result = await run("whoami", **bare)
    assert result.exit_code == 1
    assert "HTTP 401" in result.stderr
    assert "canary" not in result.output


@pytest.mark.parametrize("revoked", [True, False])
async def test_logout(simulator: Simulator, folder: Path, revoked: bool) -> None:
    await run("login", **env(simulator))
    result = await run("logout", **env(simulator, pair=revoked))
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith(f"Logged out of {simulator.url}.")
    assert ("is valid until it expires" in result.stderr) is not revoked
    assert bool(simulator.oauth.tokens) is not revoked
    assert not files_in(folder)
    result = await run("logout", **env(simulator))
    assert result.stderr == f"Not logged in to {simulator.url}.\n"
    assert (await run("list", **env(simulator, pair=False))).exit_code == 2


async def test_logout_while_the_service_is_down_deletes_the_token(
    simulator: Simulator, folder: Path
) -> None:
    await run("login", **env(simulator))
    simulator.faults.add(Fault.status(403, 5), on="delete_token")
    result = await run("logout", **env(simulator))
    assert result.exit_code == 0
    assert "is valid until it expires" in result.stderr
    assert not files_in(folder)


async def test_several_accounts_at_one_address(simulator: Simulator) -> None:
    await run("login", **env(simulator))
    simulator.oauth.email = "other@example.com"
    both = env(simulator, pair=False)
    await run("login", **env(simulator) | {"OPENAPI_EMAIL": "other@example.com"})
    result = await run("list", **both)
    assert result.exit_code == 2
    assert "several accounts are logged in" in result.stderr
    assert "set OPENAPI_EMAIL" in result.stderr
    result = await run("whoami", "--json", **both | {"OPENAPI_EMAIL": "other@example.com"})
    assert json.loads(result.stdout)["account"] == "other@example.com"


async def test_a_login_of_one_address_is_not_used_at_another(simulator: Simulator) -> None:
    await run("login", **env(simulator))
    async with Simulator() as other:
        result = await run("list", **env(other, pair=False))
        assert result.exit_code == 2
        assert "no token: run gateway-sms login" in result.stderr
        assert not other.requests


async def test_a_login_that_others_can_read_is_refused(simulator: Simulator, folder: Path) -> None:
    await run("login", **env(simulator))
    [file] = files_in(folder)
    file.chmod(0o644)
    result = await run("list", **env(simulator, pair=False))
    assert result.exit_code == 1
    assert "other users can read this token" in result.stderr
    # A new login replaces the file.
    assert (await run("login", **env(simulator))).exit_code == 0
    assert (await run("list", **env(simulator, pair=False))).exit_code == 0


def test_each_login_has_its_own_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {
        login_module.login_file(address, email)
        for address in (PRODUCTION, SANDBOX, "https://ws.messaggisms.com/x", "http://[::1]:80")
        for email in ("a@example.com", "../../b@example.com")
    }
    assert len({file.name for file in files}) == 8
    assert len({file.parent for file in files}) == 1
    assert all("@" not in file.name for file in files)
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert login_module.login_file(PRODUCTION, "a").parent == tmp_path / ".config" / "gateway-sms"
