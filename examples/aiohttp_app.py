"""Codes, campaigns, callbacks: python -c "import aiohttp_app as a; a.web.run_app(a.app)"."""

import secrets
import sqlite3
from os import environ

from aiohttp import web

import gateway_sms_async as sms
from gateway_sms_async.callbacks.aiohttp import callback_handler

signer, log = sms.CallbackSigner(environ["CALLBACK_SECRET"]), sms.CallbackLog()
codes = sqlite3.connect("codes.db", isolation_level=None)  # stands for your database
codes.execute("CREATE TABLE IF NOT EXISTS codes (reference TEXT PRIMARY KEY, body TEXT)")
messages, campaigns = web.AppKey("messages", sms.Messages), web.AppKey("campaigns", sms.Campaigns)


async def cleanup_context(app):
    async with sms.GatewayClient() as gateway, sms.Campaigns(gateway, "campaigns") as runs:
        hasty = gateway.with_options(timeout=3, retry=sms.RetryPolicy(max_elapsed=5))
        app[messages], app[campaigns] = hasty.messages, runs
        yield


def hear(callback):
    if log.accept(callback):  # repeats, and what comes late, are no news
        print(callback.reference, "is in state", callback.state, flush=True)  # noqa: T201


async def code(request):
    name, to = request.match_info["name"], await request.json()
    body = f"Your code is {secrets.randbelow(1_000_000):06}"
    try:
        codes.execute("INSERT INTO codes VALUES (?, ?)", (name, body))  # before it is sent
        await request.app[messages].send(sender="ACME", body=body, recipients=to, reference=name)
    except (sms.OutcomeUnknownError, sqlite3.IntegrityError):  # perhaps sent: never send again
        return web.json_response({"look": f"/sent/{name}"}, status=202)
    except (sms.GatewayError, ValueError) as error:  # not sent: ask again with a new name
        return web.json_response(str(error), status=422 if isinstance(error, ValueError) else 503)
    return web.json_response({"look": f"/sent/{name}"})


async def campaign(request):
    name, numbers = request.match_info["name"], await request.json()
    options = sms.Options(callback_url=signer.url(environ["CALLBACK_URL"], reference=name))
    await request.app[campaigns].start(name, numbers, sender="ACME", body="Ciao", options=options)
    return web.json_response({"look": f"/sent/{name}"}, status=202)


async def sent(request):
    run = request.app[campaigns].status(name := request.match_info["name"])
    known = run.to_dict() if run else {"sent": bool(await request.app[messages].find(name))}
    return web.json_response(known)


app = web.Application(client_max_size=64 * 2**20)
app.cleanup_ctx.append(cleanup_context)
receiver = sms.CallbackReceiver(signer=signer, handle=hear)
app.add_routes([web.post("/callbacks", callback_handler(receiver)), web.get("/sent/{name}", sent)])
app.add_routes([web.put("/codes/{name}", code), web.put("/campaigns/{name}", campaign)])
