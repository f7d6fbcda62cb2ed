"""A Discord bot that sends texts and campaigns, with discord.py.

Run one process of it: `python discord_bot.py`. It reads DISCORD_TOKEN and the credentials of the
library, for example OPENAPI_TOKEN. Only administrators may use the commands, unless the settings of
the Discord server allow others.
"""

import asyncio
import signal
from os import environ

import discord
from discord import app_commands
from discord.ext import commands

import gateway_sms_async as sms
from reference_store import ReferenceStore


@app_commands.default_permissions(administrator=True)
class Sms(commands.GroupCog, group_name="sms", group_description="Text messages"):
    """The commands `/sms text`, `/sms campaign` and `/sms look`."""

    def __init__(self, gateway: sms.GatewayClient, campaigns: sms.Campaigns) -> None:
        self.gateway = gateway
        self.campaigns = campaigns
        self.references = ReferenceStore("sent.db")

    @app_commands.command(description="Send a text to one number")
    async def text(self, interaction: discord.Interaction, number: str, body: str) -> None:
        """Send one message; its reference is in the channel before the send."""
        reference = f"discord-{interaction.id}"
        await interaction.response.send_message(f"/sms look {reference}")
        await self.references.reserve(reference)
        try:
            await self.gateway.messages.send(
                sender="ACME", body=body, recipients=number, reference=reference
            )
        except sms.OutcomeUnknownError:
            await interaction.followup.send("Perhaps sent: look, and do not send it again")
        except (sms.GatewayError, ValueError) as error:
            await interaction.followup.send(f"Not sent: {error}")
        else:
            await self.references.mark_sent(reference)
            await interaction.followup.send("Sent")

    @app_commands.command(description="Send a text to every number in a file, one a line")
    async def campaign(
        self, interaction: discord.Interaction, name: str, body: str, file: discord.Attachment
    ) -> None:
        """Start a campaign in the background."""
        await interaction.response.defer()
        try:
            numbers = (await file.read()).decode().splitlines()
            started = await self.campaigns.start(name, numbers, sender="ACME", body=body)
        except (sms.GatewayError, ValueError) as error:
            await interaction.followup.send(f"Not started: {error}")
        else:
            verb = "Started" if started else "There is one already"
            await interaction.followup.send(f"{verb}: /sms look {name}")

    @app_commands.command(description="Look up a text or a campaign")
    async def look(self, interaction: discord.Interaction, name: str) -> None:
        """Report how far a campaign is, or whether a text was sent."""
        await interaction.response.defer()
        if run := self.campaigns.status(name):
            progress = f"{run.state}: {run.progress.accepted} of {run.progress.total}"
            await interaction.followup.send(
                f"{progress} ({run.reason})" if run.reason else progress
            )
            return
        state = await self.references.state(name)
        if state == "reserved":  # the answer to the send was lost, so ask the gateway
            state = "sent" if await self.gateway.messages.find(name) else "unused"
        await interaction.followup.send("Sent" if state == "sent" else "Not found")


class Bot(commands.Bot):
    """A bot with the one group of commands."""

    def __init__(self, cog: Sms) -> None:
        super().__init__(commands.when_mentioned, intents=discord.Intents.none())
        self._sms = cog

    async def setup_hook(self) -> None:
        """Register the commands with Discord, once after the login."""
        await self.add_cog(self._sms)
        await self.tree.sync()


async def main() -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    # discord.py handles Ctrl-C only; a service manager sends SIGTERM. (Not available on Windows.)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with (
        sms.GatewayClient() as gateway,
        sms.Campaigns(gateway, "campaigns") as campaigns,
        Bot(Sms(gateway, campaigns)) as bot,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(bot.start(environ["DISCORD_TOKEN"]))
        await stopping.wait()
        await bot.close()


if __name__ == "__main__":
    discord.utils.setup_logging()
    asyncio.run(main())
