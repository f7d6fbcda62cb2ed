"""The rate of an account in Redis or Valkey, for the processes of several machines.

Each step is one script, so that it is done as a whole, and on the server's clock.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import SharedRateError
from .pace import REALTIME_PAUSE, Pace

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RateInRedis"]

_MINUTE = int(REALTIME_PAUSE * 1000)

# The server's answer may take this long, in seconds. Without a limit, a partition would hang.
_PATIENCE = 1.0

# KEYS: the arrival; ARGV: seconds between two requests, tolerance, longest wait.
_ASK = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local arrival = tonumber(redis.call('GET', KEYS[1]) or '0')
local wait = arrival - tonumber(ARGV[2]) - now
if wait > tonumber(ARGV[3]) then arrival = now elseif wait > 0 then return tostring(wait) end
arrival = math.max(arrival, now) + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.6f', arrival), 'PX', math.max(1, math.ceil((arrival - now) * 1000)))
return '0'
"""

# KEYS: the arrival; ARGV: seconds to hold, tolerance.
_HOLD = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local arrival = tonumber(redis.call('GET', KEYS[1]) or '0')
arrival = math.max(arrival, now + tonumber(ARGV[1]) + tonumber(ARGV[2]))
redis.call('SET', KEYS[1], string.format('%.6f', arrival), 'PX', math.max(1, math.ceil((arrival - now) * 1000)))
return '0'
"""

# KEYS: the minute of a realtime message; ARGV: whose it is, its milliseconds. A question that is asked
# again, because its answer was lost, gets the same answer.
_ASK_REALTIME = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return '0' end
local left = redis.call('PTTL', KEYS[1])
if left > 0 and left <= tonumber(ARGV[2]) then return tostring(left / 1000) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return '0'
"""

_BEGIN_REALTIME = """
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return '0'
"""

_END_REALTIME = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return '0'
"""


class RateInRedis:
    """The store of a `SharedRate` with an address of Redis. See `RateStore`."""

    def __init__(self, url: str, pace: Pace, account: str) -> None:
        self._url = url
        self._arrival = f"gateway_sms:{{{account}}}:rate"
        self._minute = f"gateway_sms:{{{account}}}:realtime"
        self._pace = pace
        self._redis = _client(url)

    async def open(self) -> None:
        """Check that the server can be written to."""
        # A write, which a replica would refuse; it holds nobody.
        await self._run(_HOLD, self._arrival, 0, -1)

    async def ask(self) -> float:
        """Take the permission for one request, and return 0; or return the seconds to wait."""
        pace = self._pace
        return await self._run(
            _ASK, self._arrival, 1 / pace.per_second, pace.tolerance, pace.longest_wait
        )

    async def hold(self, seconds: float) -> None:
        """Let no request of any process leave for so many seconds."""
        await self._run(_HOLD, self._arrival, seconds, self._pace.tolerance)

    async def ask_realtime(self, owner: str) -> float:
        """Take the permission for a realtime message, and return 0; or return the seconds to wait."""
        return await self._run(_ASK_REALTIME, self._minute, owner, _MINUTE)

    async def realtime_sent(self, owner: str) -> None:
        """Begin the minute anew: the message has arrived just now."""
        await self._run(_BEGIN_REALTIME, self._minute, owner, _MINUTE)

    async def realtime_not_sent(self, owner: str) -> None:
        """End the minute of this owner, whose message was not sent."""
        await self._run(_END_REALTIME, self._minute, owner)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _run(self, script: str, key: str, *arguments: float | str) -> float:
        from redis.exceptions import ResponseError  # noqa: PLC0415

        try:
            answer: Any = await self._redis.register_script(script)([key], arguments)
            return float(answer)
        except Exception as error:  # noqa: BLE001 - whatever it is, the rate is not shared now
            # Other texts may hold the address, with a password.
            words = str(error) if isinstance(error, ResponseError) else type(error).__name__
        # Not inside: the error would hold the other one as its context.
        raise SharedRateError(f"the rate in Redis: {words}")


def _client(url: str) -> Redis:
    try:
        from redis.asyncio import Redis  # noqa: PLC0415 - an extra
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
    except ImportError:
        raise SharedRateError(
            "a SharedRate in Redis needs the extra redis: pip install 'gateway-sms-async[redis]'"
        ) from None
    with suppress(ValueError):
        # Once more, as the server may have been started again since the last step.
        client = Redis.from_url(  # pyright: ignore[reportUnknownMemberType] - its keywords have no types
            url, retry=Retry(NoBackoff(), 1)
        )
        # After those of the address, which must not make it hang.
        client.connection_pool.connection_kwargs.update(
            socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE
        )
        return client
    # The text of the error may hold a part of the password.
    raise SharedRateError("where is no address of Redis: a part of it cannot be read")
