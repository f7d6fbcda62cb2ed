"""Send a text once, however often a task system runs the task. The recipes use it."""

import gateway_sms_async as sms
from reference_store import ReferenceStore


async def send_once(
    gateway: sms.GatewayClient, references: ReferenceStore, reference: str, number: str, body: str
) -> None:
    """Send a text unless it was sent before. After any error, it may be called again.

    `reference` names the text, such as "order-4711". Raises OutcomeUnknownError if the text may
    have been sent: another call looks for it again, and sends nothing. After any other error
    nothing was sent, and another call sends.
    """
    if not await references.reserve(reference):
        await _look(gateway, references, reference)
        return
    try:
        await gateway.messages.send(
            sender="ACME", body=body, recipients=number, reference=reference
        )
    except sms.OutcomeUnknownError:
        raise
    except (sms.GatewayError, ValueError):
        await references.release(reference)
        raise
    await references.mark_sent(reference)


async def _look(gateway: sms.GatewayClient, references: ReferenceStore, reference: str) -> None:
    if await references.state(reference) == "sent":
        return
    try:
        message = await gateway.messages.find(reference)
    except sms.GatewayError as error:
        raise sms.OutcomeUnknownError(
            "the search for the text failed", reference=reference
        ) from error
    if message is None or message.valid == 0:
        raise sms.OutcomeUnknownError("the text was not found", reference=reference)
    await references.mark_sent(reference)
