"""The examples for bots: each is a real process that talks to a stand-in for Telegram or Discord.

aiogram and discord.py are real, down to their sockets: only the addresses differ.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import sys
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway_sms_async.testing import Simulator

from ..support.paths import ROOT

CHILD = ROOT / "tests" / "support" / "children" / "example_child.py"
NUMBER = "+39-3401234567"
CAMPAIGN = [f"+39-340{n:07}" for n in range(6_000)]
OWNER = 7

pytestmark = pytest.mark.timeout(120)


class Chat:
    """A user of a bot and the service between them; `answers` holds the bot's replies."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[str] = asyncio.Queue()
        self.url = ""
        self.file = "\n".join(CAMPAIGN).encode()
        self.ids = count(1000)

    def routes(self) -> list[web.RouteDef]:
        raise NotImplementedError

    async def text(self, number: str, body: str) -> None:
        raise NotImplementedError

    async def campaign(self, name: str, body: str) -> None:
        raise NotImplementedError

    async def look(self, name: str) -> None:
        raise NotImplementedError

    async def said(self) -> str:
        return await asyncio.wait_for(self.answers.get(), 40)


class Telegram(Chat):
    """The part of the Bot API that the bot uses."""

    def __init__(self) -> None:
        super().__init__()
        self.updates: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/bot1:token/{method}", self._call),
            web.get("/file/bot1:token/list.txt", self._download),
        ]

    async def _call(self, request: web.Request) -> web.Response:
        match request.match_info["method"]:
            case "getUpdates":
                result: Any = []
                if not self.updates.empty() or await self._wait():
                    result = [self.updates.get_nowait()]
            case "sendMessage":
                self.answers.put_nowait((await request.post())["text"])
                result = {
                    "message_id": next(self.ids),
                    "date": 0,
                    "chat": {"id": 5, "type": "group"},
                }
            case "getFile":
                result = {"file_id": "f", "file_unique_id": "f", "file_path": "list.txt"}
            case "getMe":
                result = {"id": 1, "is_bot": True, "first_name": "Bot", "username": "bot"}
            case _:
                result = True
        return web.json_response({"ok": True, "result": result})

    async def _wait(self) -> bool:
        for _ in range(50):
            await asyncio.sleep(0.01)
            if not self.updates.empty():
                return True
        return False

    async def _download(self, request: web.Request) -> web.Response:
        return web.Response(body=self.file)

    def message(self, sender: int = OWNER, **content: Any) -> dict[str, Any]:
        return {
            "update_id": next(self.ids),
            "message": {
                "message_id": next(self.ids),
                "date": 0,
                "chat": {"id": 5, "type": "group"},
                "from": {"id": sender, "is_bot": False, "first_name": "Anna"},
                **content,
            },
        }

    async def text(self, number: str, body: str) -> None:
        self.updates.put_nowait(self.message(text=f"/text {number} {body}"))

    async def campaign(self, name: str, body: str) -> None:
        document = {"file_id": "f", "file_unique_id": "f"}
        self.updates.put_nowait(self.message(document=document, caption=f"/campaign {name} {body}"))

    async def look(self, name: str) -> None:
        self.updates.put_nowait(self.message(text=f"/look {name}"))


class Discord(Chat):
    """The part of the REST API and of Discord's gateway, a websocket, that the bot uses."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[Any] = []
        self.sockets: asyncio.Queue[Any] = asyncio.Queue()
        self._events = count(1)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/gateway", self._gateway),
            web.get("/users/@me", self._me),
            web.get("/oauth2/applications/@me", self._application),
            web.put("/applications/1/commands", self._sync),
            web.post("/interactions/{id}/{token}/callback", self._respond),
            web.post("/webhooks/1/{token}", self._follow_up),
            web.get("/list.txt", self._download),
        ]

    async def _gateway(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        packer = zlib.compressobj()

        async def send(event: dict[str, Any]) -> None:
            packed = packer.compress(json.dumps(event).encode())
            await socket.send_bytes(packed + packer.flush(zlib.Z_SYNC_FLUSH))

        assert request.query["compress"] == "zlib-stream"
        await send({"op": 10, "d": {"heartbeat_interval": 40_000}})
        async for message in socket:
            event = json.loads(message.data)
            if event["op"] == 2:
                ready = {
                    "v": 10,
                    "user": BOT,
                    "guilds": [],
                    "session_id": "s",
                    "resume_gateway_url": self.url.replace("http", "ws", 1) + "/gateway",
                    "application": {"id": "1", "flags": 0},
                }
                await send({"op": 0, "t": "READY", "s": next(self._events), "d": ready})
                self.sockets.put_nowait(send)
            elif event["op"] == 1:
                await send({"op": 11})
        return socket

    async def _me(self, request: web.Request) -> web.Response:
        return _answer(BOT)

    async def _application(self, request: web.Request) -> web.Response:
        return _answer(APPLICATION)

    async def _sync(self, request: web.Request) -> web.Response:
        self.commands = await request.json()
        return _answer(
            [{"id": "9", "application_id": "1", "version": "1", **one} for one in self.commands]
        )

    async def _respond(self, request: web.Request) -> web.Response:
        response = await request.json()
        if response["type"] == 4:
            self.answers.put_nowait(response["data"]["content"])
        return _answer({"interaction": {"id": request.match_info["id"], "type": 2}})

    async def _follow_up(self, request: web.Request) -> web.Response:
        self.answers.put_nowait((await request.json())["content"])
        return _answer(
            {
                "id": str(next(self.ids)),
                "channel_id": "5",
                "author": BOT,
                "content": "",
                "timestamp": "2026-01-01T00:00:00+00:00",
                "edited_timestamp": None,
                "type": 0,
                "tts": False,
                "mention_everyone": False,
                "mentions": [],
                "mention_roles": [],
                "attachments": [],
                "embeds": [],
                "pinned": False,
                "components": [],
                "flags": 0,
            }
        )

    async def _download(self, request: web.Request) -> web.Response:
        return web.Response(body=self.file)

    async def ask(self, command: str, resolved: Any = None, **given: Any) -> None:
        options = [
            {"name": name, "type": 11 if name == "file" else 3, "value": value}
            for name, value in given.items()
        ]
        send = await asyncio.wait_for(self.sockets.get(), 15)
        self.sockets.put_nowait(send)
        user = {"id": str(OWNER), "username": "anna", "discriminator": "0", "avatar": None}
        interaction = {
            "id": str(next(self.ids)),
            "application_id": "1",
            "type": 2,
            "token": "t",
            "version": 1,
            "channel_id": "5",
            "user": user,
            "locale": "it",
            "channel": {"id": "5", "type": 1},
            "entitlements": [],
            "attachment_size_limit": 1,
            "authorizing_integration_owners": {},
            "data": {
                "id": "9",
                "name": "sms",
                "type": 1,
                "options": [{"name": command, "type": 1, "options": options}],
                **({"resolved": resolved} if resolved else {}),
            },
        }
        await send({"op": 0, "t": "INTERACTION_CREATE", "s": next(self._events), "d": interaction})

    async def text(self, number: str, body: str) -> None:
        await self.ask("text", number=number, body=body)

    async def campaign(self, name: str, body: str) -> None:
        file = {"id": "3", "filename": "list.txt", "size": 9, "url": f"{self.url}/list.txt"}
        file["proxy_url"] = file["url"]
        await self.ask("campaign", {"attachments": {"3": file}}, name=name, body=body, file="3")

    async def look(self, name: str) -> None:
        await self.ask("look", name=name)


def _answer(what: Any) -> web.Response:
    # discord.py decodes JSON only if the content type is exactly this one.
    return web.Response(
        body=json.dumps(what).encode(), headers={"Content-Type": "application/json"}
    )


BOT = {"id": "1", "username": "bot", "discriminator": "0", "avatar": None, "bot": True}
APPLICATION = {
    "id": "1",
    "name": "bot",
    "icon": None,
    "description": "",
    "rpc_origins": None,
    "bot_public": False,
    "bot_require_code_grant": False,
    "verify_key": "",
    "flags": 0,
    "owner": {"id": "7", "username": "anna", "discriminator": "0", "avatar": None},
}


BOTS: dict[str, tuple[str, type[Chat]]] = {
    "aiogram_bot": ("aiogram", Telegram),
    "discord_bot": ("discord", Discord),
}


@pytest.fixture(params=BOTS)
def bot(request: pytest.FixtureRequest) -> str:
    # Not imported: that takes seconds, and only the child process needs it.
    if importlib.util.find_spec(BOTS[request.param][0]) is None:
        pytest.skip("it is in the extra `dev`")
    return request.param


@pytest.fixture
async def chat(bot: str) -> AsyncIterator[Any]:
    chat = BOTS[bot][1]()
    app = web.Application()
    app.add_routes(chat.routes())
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    chat.url = "http://{}:{}".format(*runner.addresses[0])
    yield chat
    await runner.cleanup()


@pytest.fixture
def running(bot: str, chat: Chat, simulator: Simulator, tmp_path: Path) -> Any:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OPENAPI_TOKEN": simulator.token,
        "GATEWAY_SMS_BASE_URL": simulator.url,
        "BOT_SERVER": chat.url,
        "DISCORD_TOKEN": "token",
        "OWNERS": str(OWNER),
    }

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, CHILD, bot),
            cwd=tmp_path,
            env=environment,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield
            process.send_signal(signal.SIGTERM)
            _, errors = await asyncio.wait_for(process.communicate(), 20)
        finally:
            if process.returncode is None:
                process.kill()
                _, errors = await process.communicate()
                sys.stderr.write(errors.decode())
        assert process.returncode == 0, errors.decode()
        assert "Traceback" not in errors.decode(), errors.decode()
        if isinstance(chat, Discord):
            chat.sockets = asyncio.Queue()

    return running


async def test_a_text_is_sent_and_can_be_looked_up(
    chat: Chat, running: Any, simulator: Simulator
) -> None:
    async with running():
        await chat.text("+393401234567", "Ciao Anna")
        said = await chat.said()
        if isinstance(chat, Discord):
            assert await chat.said() == "Sent"
        else:
            assert said.startswith("Sent: ")
        await chat.look(said.split()[-1])
        assert await chat.said() == "Sent"
        await chat.look("something-else")
        assert await chat.said() == "Not found"
    simulator.assert_sent({"+39 340 1234567": "Ciao Anna"})


async def test_a_lost_answer_and_a_refusal_have_different_replies(
    chat: Chat, running: Any, simulator: Simulator
) -> None:
    async with running():
        simulator.fail_next("send", after_apply=True)
        simulator.fail_next("list", status=403, times=None)
        await chat.text("+393401234567", "Ciao Anna")
        said = await chat.said()
        reference = said.split()[-1]
        if isinstance(chat, Discord):
            said = await chat.said()
        assert said.startswith("Perhaps sent")
        simulator.faults.clear()
        await chat.look(reference)
        assert await chat.said() == "Sent"

        await chat.text("340", "Ciao Anna")
        said = await chat.said()
        if isinstance(chat, Discord):
            said = await chat.said()
        assert said.startswith("Not sent")
    assert simulator.sent_to(NUMBER) == ["Ciao Anna"]


async def test_a_campaign_in_flight_at_sigterm_resumes_at_the_next_start(
    chat: Chat, running: Any, simulator: Simulator
) -> None:
    simulator.delay = lambda request: 0.2 if request.operation in {"append", "close"} else 0
    async with running():
        await chat.campaign("spring", "Ciao")
        assert (await chat.said()).startswith("Started")
        while sum(request.operation == "append" for request in simulator.requests) < 2:
            await asyncio.sleep(0.02)
        await chat.look("spring")
        assert (await chat.said()).startswith("running")
    assert not simulator.ledger

    simulator.delay = None
    async with running():
        while (said := await _looked_up(chat, "spring")) != "complete: 6000 of 6000":
            assert said.startswith("running"), said
            await asyncio.sleep(0.05)
    assert simulator.ledger == dict.fromkeys(CAMPAIGN, 1)


async def _looked_up(chat: Chat, name: str) -> str:
    await chat.look(name)
    return await chat.said()


@pytest.mark.parametrize("bot", ["aiogram_bot"], indirect=True)
async def test_a_repeated_update_and_a_stranger_send_nothing(
    chat: Telegram, running: Any, simulator: Simulator
) -> None:
    async with running():
        asked = chat.message(text="/text +393401234567 Ciao")
        chat.updates.put_nowait(asked)
        assert (await chat.said()).startswith("Sent")
        chat.updates.put_nowait(asked)
        assert (await chat.said()).startswith("Perhaps sent")
        chat.updates.put_nowait(chat.message(OWNER + 1, text="/text +393407654321 Ciao"))
        await chat.look("something-else")
        assert await chat.said() == "Not found"
    assert simulator.ledger == {NUMBER: 1}


@pytest.mark.parametrize("bot", ["discord_bot"], indirect=True)
async def test_the_commands_are_registered_for_administrators_only(
    chat: Discord, running: Any
) -> None:
    async with running():
        await asyncio.wait_for(chat.sockets.get(), 15)
    [group] = chat.commands
    assert group["default_member_permissions"] == 8
    assert [one["name"] for one in group["options"]] == ["text", "campaign", "look"]
