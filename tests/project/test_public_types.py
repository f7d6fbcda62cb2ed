"""What type checkers and editors see: public names only, and no `Any` where a type is known."""

from __future__ import annotations

import importlib
import typing
from collections.abc import Iterator
from typing import Any

import gateway_sms_async

MODULES = [
    "gateway_sms_async",
    "gateway_sms_async.callbacks.aiohttp",
    "gateway_sms_async.callbacks.asgi",
    "gateway_sms_async.otel",
    "gateway_sms_async.testing",
]

# Names that are loaded on first access are not in the modules whose annotations use them.
NAMES = {name: getattr(gateway_sms_async, name) for name in gateway_sms_async.__all__}

# Each with its reason.
JUSTIFIED = {
    # ASGI's own definition of a scope and of its events.
    "CallbackApp.__call__",
    # The JSON that a user's own test sent.
    "RecordedRequest",
    "RecordedRequest.__init__",
}


def is_any(hint: object) -> bool:
    parts = hint if isinstance(hint, list) else typing.get_args(hint)
    return hint is Any or any(is_any(part) for part in parts)


def signatures(name: str, thing: object) -> Iterator[tuple[str, object]]:
    """Yield what has type hints: the object itself and, if it is a class, its members."""
    if not isinstance(thing, type):
        yield name, thing
        return
    for kind in thing.__mro__:
        if not kind.__module__.startswith("gateway_sms_async"):
            continue
        yield name, kind
        for attribute, value in vars(kind).items():
            if not attribute.startswith("_") or attribute in {"__init__", "__call__"}:
                function = getattr(value, "fget", None) or getattr(value, "__func__", value)
                if callable(function) and not isinstance(function, type):
                    yield f"{name}.{attribute}", function


def test_no_any_leaks_from_a_public_name() -> None:
    leaking: set[str] = set()
    looked_at = 0
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for public in module.__all__:
            thing = getattr(module, public)
            if not callable(thing) and is_any(thing):
                leaking.add(public)
            for name, signature in signatures(public, thing):
                if not hasattr(signature, "__annotations__"):
                    continue
                # Some members have no hints at run time, such as the slots of a Struct.
                hints = typing.get_type_hints(signature, localns=NAMES)
                looked_at += len(hints)
                if any(is_any(hint) for hint in hints.values()):
                    leaking.add(name)
    assert leaking == JUSTIFIED
    assert looked_at > 500


def test_dir_shows_public_names_only() -> None:
    shown = dir(gateway_sms_async)
    dunders = {name for name in shown if name.startswith("__") and name.endswith("__")}
    assert set(shown) - dunders == set(gateway_sms_async.__all__) - dunders
    assert {"__version__", "__all__", "__name__", "__path__"} <= dunders
    assert shown == sorted(set(shown))
