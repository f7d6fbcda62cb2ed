"""The command that runs a simulator of the gateway for other programs."""

import asyncio
import sys
from contextlib import suppress
from typing import Annotated

import typer

from ...testing import Deliveries, Simulator
from ..app import command
from ..options import option
from ..terminal.console import print_status


@command("gateway-sms simulator --port 8025", "gateway-sms simulator --undelivered 0.1 --spread 60")
def simulator(
    host: Annotated[str, option("The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, option("The port to listen on; 0 chooses a free one.", min=0, max=65535)
    ] = 0,
    undelivered: Annotated[
        float, option("The share of recipients that are not delivered.", min=0, max=1)
    ] = 0.0,
    spread: Annotated[float, option("Seconds over which the deliveries are spread.", min=0)] = 0.0,
) -> None:
    """Run a simulator of the gateway until Ctrl-C. It charges nothing and sends no texts.

    The first two lines on stdout are the address and the token to use. Messages are delivered
    three seconds after they are sent, or later with --spread.
    """
    deliveries = Deliveries(undelivered=undelivered, spread=spread)
    server = Simulator(host=host, port=port, keep_requests=0, deliveries=deliveries)

    def announce(url: str) -> None:
        typer.echo(f"GATEWAY_SMS_BASE_URL={url}\nOPENAPI_TOKEN={server.token}")
        sys.stdout.flush()
        print_status(
            "To use it, export both lines in another terminal and run gateway-sms there. "
            "Ctrl-C stops it; all its messages are lost then."
        )
        print_status(
            f"It also has an OAuth service: OPENAPI_OAUTH_URL={server.oauth_url} "
            f"OPENAPI_EMAIL={server.email} OPENAPI_API_KEY={server.api_key}"
        )

    with suppress(KeyboardInterrupt):
        asyncio.run(server.serve_forever(announce))
