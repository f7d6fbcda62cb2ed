"""A Discord bot that texts, for administrators only: python discord_bot.py (one process)."""

import asyncio
import signal
from os import environ

import discord
from discord.ext import commands

import gateway_sms_async as sms

bot = commands.Bot(commands.when_mentioned, intents=discord.Intents.none())
mine = discord.Permissions(administrator=True)
group = discord.app_commands.Group(name="sms", description="Texting", default_permissions=mine)
bot.tree.add_command(group)


@group.command(description="Text one number")
async def text(asked: discord.Interaction, number: str, body: str):
    name = f"discord-{asked.id}"
    await asked.response.send_message(f"/sms look {name}")  # kept there before it is sent
    try:
        await bot.sms.messages.send(sender="ACME", body=body, recipients=number, reference=name)
        await asked.followup.send("Sent")
    except sms.OutcomeUnknownError:
        await asked.followup.send("Perhaps sent: look, and do not send it again")
    except (sms.GatewayError, ValueError) as error:
        await asked.followup.send(f"Not sent: {error}")


@group.command(description="Text everybody in a file, one number a line")
async def campaign(asked: discord.Interaction, name: str, body: str, file: discord.Attachment):
    await asked.response.defer()
    try:
        numbers = (await file.read()).decode().splitlines()
        await bot.runs.start(name, numbers, sender="ACME", body=body)
        await asked.followup.send(f"Begun: /sms look {name}")
    except (sms.GatewayError, ValueError) as error:
        await asked.followup.send(f"Not begun: {error}")


@group.command(description="What became of a text or a campaign")
async def look(asked: discord.Interaction, name: str):
    await asked.response.defer()
    if run := bot.runs.status(name):
        await asked.followup.send(f"{run.state}: {run.progress.accepted} of {run.progress.total}")
    else:
        await asked.followup.send("Sent" if await bot.sms.messages.find(name) else "Not found")


async def main():
    loop, bot.setup_hook = asyncio.get_running_loop(), bot.tree.sync
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: loop.create_task(bot.close()))
    async with bot, sms.GatewayClient() as bot.sms, sms.Campaigns(bot.sms, "campaigns") as bot.runs:
        await bot.start(environ["DISCORD_TOKEN"])


if __name__ == "__main__":
    asyncio.run(main())
