"""Runs the single sends of a schedule, and checks each against the messages of the gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway_sms_async import GatewayClient, GatewayError, OutcomeUnknownError
from gateway_sms_async.models import Message
from tests.support.virtual_time import ReplayLoop

from .oracle import key_of
from .plan import Schedule, SingleSend

# A call ends within its deadline; what it was still closing then gets a moment.
_ENDS_WITHIN = 0.1


@dataclass
class CallResult:
    """How one call has ended: with a message, or with an error."""

    call: SingleSend
    message: Message | None = None
    error: BaseException | None = None
    seconds: float = 0.0

    def __str__(self) -> str:
        ended = self.message.id if self.message is not None else type(self.error).__name__
        return f"send to {len(self.call.numbers)} at {self.call.at:.3f}: {ended}"


@dataclass
class SendsRun:
    """The sends of one schedule."""

    schedule: Schedule
    loop: ReplayLoop
    results: list[CallResult] = field(default_factory=list)

    async def execute(self, clients: list[GatewayClient]) -> None:
        """Make all calls, and wait for them."""
        async with contextlib.AsyncExitStack() as stack:
            for client in clients:
                await stack.enter_async_context(client)
            await asyncio.gather(*(self._call(clients, one) for one in self.schedule.sends))

    async def _call(self, clients: list[GatewayClient], call: SingleSend) -> None:
        await asyncio.sleep(call.at)
        result = CallResult(call)
        started = self.loop.time()
        try:
            async with asyncio.timeout(call.cancel):
                result.message = await clients[call.client].messages.send(
                    sender="ACME",
                    body=self.schedule.body,
                    recipients=list(call.numbers),
                    reference=call.reference,
                )
        except (GatewayError, TimeoutError) as error:
            result.error = error
        result.seconds = self.loop.time() - started
        self.results.append(result)

    def check(self, simulator: Any) -> Iterator[str]:
        """Yield what is wrong about the results, and about the ledger."""
        for number, times in simulator.ledger.items():
            if times > 1:
                yield f"texted {times} times: {key_of(number)}"
        texted = {key_of(number) for number in simulator.ledger}
        ids: list[str] = []
        for result in self.results:
            keys = {key_of(number) for number in result.call.numbers}
            if result.message is not None:
                ids.append(result.message.id)
            for words in self._check_result(result, keys, texted, simulator):
                yield f"{result}: {words}"
        if len(set(ids)) != len(ids):
            yield f"two calls returned the same message: {ids}"

    def _check_result(
        self, result: CallResult, keys: set[str], texted: set[str], simulator: Any
    ) -> Iterator[str]:
        if result.seconds > self.schedule.max_elapsed + _ENDS_WITHIN:
            yield f"took {result.seconds:.3f} s of {self.schedule.max_elapsed}"
        message, error = result.message, result.error
        if message is None:
            cancelled = isinstance(error, TimeoutError) and result.call.cancel is not None
            if keys & texted and not (cancelled or isinstance(error, OutcomeUnknownError)):
                yield f"texted {len(keys & texted)} in spite of: {error}"
            return
        stored = simulator.gateway.messages.get(message.id)
        if stored is None or not {key_of(number) for number in stored.numbers} <= keys:
            yield "returned the message of another call"
        if len(keys & texted) != message.valid:
            yield f"texted {len(keys & texted)}, and says {message.valid}"
        left_out = keys - texted
        if message.all_accepted and left_out:
            yield f"all accepted, but not texted: {sorted(left_out)}"
