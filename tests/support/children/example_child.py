"""A process that runs one of the examples until SIGTERM, for the tests of the examples.

A web service is served on an inherited socket; a bot uses the server at BOT_SERVER instead of
Telegram or Discord. The example keeps its files in the working directory.
"""

import asyncio
import importlib
import os
import socket
import sys
from pathlib import Path


def serve_aiohttp(descriptor: int) -> None:
    from aiohttp import web

    web.run_app(
        importlib.import_module("aiohttp_app").app,
        sock=socket.socket(fileno=descriptor),
        print=None,
    )


def serve_asgi(name: str, descriptor: int) -> None:
    import uvicorn

    app = importlib.import_module(name).app
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
    server.run([socket.socket(fileno=descriptor)])


def run_aiogram() -> None:
    from aiogram import Bot
    from aiogram.client.session.aiohttp import AiohttpSession
    from aiogram.client.telegram import TelegramAPIServer

    server = TelegramAPIServer.from_base(os.environ["BOT_SERVER"])
    bot = Bot("1:token", session=AiohttpSession(api=server))
    asyncio.run(importlib.import_module("aiogram_bot").main(bot))


def run_discord() -> None:
    import yarl
    from discord.gateway import DiscordWebSocket
    from discord.http import Route

    address = os.environ["BOT_SERVER"]
    Route.BASE = address
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(address.replace("http", "ws", 1) + "/gateway")
    asyncio.run(importlib.import_module("discord_bot").main())


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3] / "examples"))
    match sys.argv[1:]:
        case ["aiogram_bot"]:
            run_aiogram()
        case ["discord_bot"]:
            run_discord()
        case ["aiohttp_app", descriptor]:
            serve_aiohttp(int(descriptor))
        case [name, descriptor]:
            serve_asgi(name, int(descriptor))
