"""A Telegram bot that sends texts and campaigns, with aiogram.

Run one process of it: `python aiogram_bot.py`. It reads TELEGRAM_TOKEN, OWNERS (the Telegram ids of
the users who may send, separated by blanks), and the credentials of the library, for example
OPENAPI_TOKEN.

    /text +393401234567 Ciao Anna     sends one message
    /campaign spring Ciao             as the caption of a file with one number a line
    /look NAME                        looks up either
"""

import asyncio
import io
import logging
from os import environ

from aiogram import Bot, Dispatcher, F, Router
from aiogram.filters import Command, CommandObject
from aiogram.types import Document, Message

import gateway_sms_async as sms
from reference_store import ReferenceStore

OWNERS = {int(user_id) for user_id in environ["OWNERS"].split()}

router = Router()
router.message.filter(F.from_user.id.in_(OWNERS))  # before any handler sees the message


@router.message(Command("text"))
async def text(
    message: Message,
    command: CommandObject,
    gateway: sms.GatewayClient,
    references: ReferenceStore,
) -> None:
    number, _, body = (command.args or "").partition(" ")
    reference = f"telegram-{message.chat.id}-{message.message_id}"
    # Telegram repeats an update that a crashed bot has not confirmed: it is sent only once.
    if not await references.reserve(reference):
        await message.answer(f"Perhaps sent, do not send it again: /look {reference}")
        return
    try:
        await gateway.messages.send(
            sender="ACME", body=body, recipients=number, reference=reference
        )
    except sms.OutcomeUnknownError:
        await message.answer(f"Perhaps sent, do not send it again: /look {reference}")
    except (sms.GatewayError, ValueError) as error:
        await message.answer(f"Not sent: {error}")
    else:
        await references.mark_sent(reference)
        await message.answer(f"Sent: /look {reference}")


@router.message(Command("campaign"), F.document.as_("document"))
async def campaign(
    message: Message,
    command: CommandObject,
    document: Document,
    bot: Bot,
    campaigns: sms.Campaigns,
) -> None:
    name, _, body = (command.args or "").partition(" ")
    content = io.BytesIO()
    await bot.download(document, destination=content)
    try:
        numbers = content.getvalue().decode().splitlines()
        started = await campaigns.start(name, numbers, sender="ACME", body=body)
    except (sms.GatewayError, ValueError) as error:
        await message.answer(f"Not started: {error}")
    else:
        await message.answer(f"{'Started' if started else 'There is one already'}: /look {name}")


@router.message(Command("look"))
async def look(
    message: Message,
    command: CommandObject,
    gateway: sms.GatewayClient,
    campaigns: sms.Campaigns,
    references: ReferenceStore,
) -> None:
    name = command.args or ""
    if run := campaigns.status(name):
        progress = f"{run.state}: {run.progress.accepted} of {run.progress.total}"
        await message.answer(f"{progress} ({run.reason})" if run.reason else progress)
        return
    state = await references.state(name)
    if state == "reserved":  # the answer to the send was lost, so ask the gateway
        state = "sent" if await gateway.messages.find(name) else "unused"
    await message.answer("Sent" if state == "sent" else "Not found")


async def main(bot: Bot) -> None:
    dispatcher = Dispatcher(references=ReferenceStore("sent.db"))
    dispatcher.include_router(router)
    async with sms.GatewayClient() as gateway, sms.Campaigns(gateway, "campaigns") as campaigns:
        # aiogram passes these to every handler that has a parameter of the name.
        await dispatcher.start_polling(bot, gateway=gateway, campaigns=campaigns)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(Bot(environ["TELEGRAM_TOKEN"])))
