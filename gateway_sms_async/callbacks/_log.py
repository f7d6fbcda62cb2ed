"""Recognizes repeated and late callbacks."""

from __future__ import annotations

from collections import OrderedDict

from .._arguments import check_count
from .._delivery.state import DeliveryState
from ._callback import Callback, Key

__all__ = ["CallbackLog"]


class CallbackLog:
    """Recognizes callbacks that are repeated, or late and outdated.

    ```python
    from gateway_sms_async import Callback, CallbackLog

    log = CallbackLog()
    callback = Callback(message_id="5cf7cc139f272546624d3795", state=1)
    assert log.accept(callback)
    assert not log.accept(callback)
    ```

    A message and each of its recipients are tracked separately. States only advance: states of a
    message by number, states of a recipient by `DeliveryState.may_become`. The states of a message
    that are words, which the vendor does not document, are accepted once each.

    A forged callback is remembered too, and makes the real one look repeated. Sign the URLs
    (`CallbackSigner`), or confirm a callback with `GatewayClient.confirm` first.

    It keeps the `size` latest entries in memory, about 300 bytes each. For a log that survives the
    process, use a database table with `Callback.key` as its unique key.
    """

    def __init__(self, size: int = 100_000) -> None:
        self._size = check_count("size", size)
        self._latest: OrderedDict[Key, int | DeliveryState | None] = OrderedDict()

    def accept(self, callback: Callback) -> bool:
        """Return whether this callback is new, and remember it."""
        reached = callback.state if callback.delivery is None else callback.delivery
        key = callback.key
        if isinstance(reached, int | DeliveryState):
            key = (*key[:2], None)
        else:
            reached = None
        known = self._latest
        if key not in known:
            known[key] = reached
            if len(known) > self._size:
                known.popitem(last=False)
            return True
        known.move_to_end(key)
        if not _is_ahead(known[key], reached):
            return False
        known[key] = reached
        return True

    def __len__(self) -> int:
        return len(self._latest)

    def __repr__(self) -> str:
        return f"CallbackLog(size={self._size}, {len(self)} known)"


def _is_ahead(known: int | DeliveryState | None, reached: int | DeliveryState | None) -> bool:
    if known is None or reached is None:
        return reached is not None
    if isinstance(known, DeliveryState):
        return isinstance(reached, DeliveryState) and known.may_become(reached)
    return isinstance(reached, int) and known < reached
