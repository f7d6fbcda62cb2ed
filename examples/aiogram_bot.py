"""A Telegram bot that texts, for its owners only: python aiogram_bot.py (one process)."""

import asyncio
import sqlite3
from os import environ

from aiogram import Bot, Dispatcher, F
from aiogram.filters import Command

import gateway_sms_async as sms

dispatcher = Dispatcher()
dispatcher.message.filter(F.from_user.id.in_({int(one) for one in environ["OWNERS"].split()}))
sent = sqlite3.connect("sent.db", isolation_level=None)  # stands for your database
sent.execute("CREATE TABLE IF NOT EXISTS sent (reference TEXT PRIMARY KEY)")


@dispatcher.message(Command("text"))  # /text +393401234567 Ciao Anna
async def text(message, command, gateway):
    number, _, body = (command.args or "").partition(" ")
    name = f"telegram-{message.chat.id}-{message.message_id}"
    try:
        sent.execute("INSERT INTO sent VALUES (?)", (name,))  # before it is sent
        await gateway.messages.send(sender="ACME", body=body, recipients=number, reference=name)
        await message.answer(f"Sent: /look {name}")
    except (sms.OutcomeUnknownError, sqlite3.IntegrityError):  # or Telegram has repeated itself
        await message.answer(f"Perhaps sent, do not send it again: /look {name}")
    except (sms.GatewayError, ValueError) as error:
        await message.answer(f"Not sent: {error}")


@dispatcher.message(Command("campaign"), F.document)  # a list, and below it: /campaign spring Ciao
async def campaign(message, command, bot, campaigns):
    name, _, body = (command.args or "").partition(" ")
    try:
        numbers = (await bot.download(message.document)).read().decode().splitlines()
        await campaigns.start(name, numbers, sender="ACME", body=body)
        await message.answer(f"Begun: /look {name}")
    except (sms.GatewayError, ValueError) as error:
        await message.answer(f"Not begun: {error}")


@dispatcher.message(Command("look"), F.text)
async def look(message, command, gateway, campaigns):
    name = command.args or "nothing"
    if run := campaigns.status(name):
        await message.answer(f"{run.state}: {run.progress.accepted} of {run.progress.total}")
    else:
        await message.answer("Sent" if await gateway.messages.find(name) else "Not found")


async def main(bot):
    async with sms.GatewayClient() as gateway, sms.Campaigns(gateway, "campaigns") as campaigns:
        await dispatcher.start_polling(bot, gateway=gateway, campaigns=campaigns)


if __name__ == "__main__":
    asyncio.run(main(Bot(environ["TELEGRAM_TOKEN"])))
