"""Callbacks: parsed in every form, recognized if repeated or late, and their signed URLs."""

from __future__ import annotations

import itertools
import json
import math
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus, urlsplit

import msgspec
import pytest
from hypothesis import example, given, strategies as st

from gateway_sms_async import (
    Callback,
    CallbackError,
    CallbackLog,
    CallbackSigner,
    DeliveryState,
    GatewayClient,
    GatewayError,
    NotFoundError,
    ServerError,
    Statistics,
    parse_callback,
)
from gateway_sms_async.callbacks._callback import MAX_BODY
from gateway_sms_async.testing import Fault, Simulator

from ..support.paths import DATA

ID = "5af0c2a1d7e3b40001a2b3c4"
NUMBER = "+39-3401234567"
FORM = "application/x-www-form-urlencoded"
EXAMPLES = json.loads((DATA / "vendor_examples.json").read_text(encoding="utf-8"))


def message(**parts: Any) -> dict[str, Any]:
    return {"id": ID, "state": 1, "statistics": {"sent": 2, "delivered": 1}, **parts}


def recipient(**parts: Any) -> dict[str, Any]:
    return {"number": NUMBER, "message_id": ID, "id": "0" * 24, "state": "DELIVERED", **parts}


def read(document: Any, content_type: str | None = "application/json") -> Callback:
    return parse_callback(json.dumps(document).encode(), content_type)


def multipart(*parts: tuple[str, bytes], boundary: str = "frontier") -> bytes:
    written = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n'.encode()
        + b"Content-Type: text/plain\r\n\r\n"
        + content
        + b"\r\n"
        for name, content in parts
    )
    return written + f"--{boundary}--\r\n".encode()


# Forms of a body


def test_the_vendors_own_message_and_recipient_are_understood() -> None:
    [shown] = EXAMPLES["get"]["responses"]["200"]["data"]
    callback = read(shown)
    assert (callback.message_id, callback.number) == (shown["id"], None)
    assert callback.state == shown["state"]
    assert callback.statistics == Statistics(**shown["statistics"])
    assert callback.last_update is not None
    [report] = EXAMPLES["recipients"]["responses"]["200"]["data"]
    callback = read(report)
    assert (callback.message_id, callback.number) == (report["message_id"], report["number"])
    assert callback.delivery is DeliveryState.DELIVERED
    assert callback.last_update is not None


def test_a_message_is_read_whole() -> None:
    assert read(message(last_update="1564752494920")) == Callback(
        message_id=ID,
        state=1,
        statistics=Statistics(sent=2, delivered=1),
        last_update=datetime(2019, 8, 2, 13, 28, 14, 920000, UTC),
    )


@pytest.mark.parametrize("document", [message(), recipient()], ids=["message", "recipient"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda one: {"data": one, "success": True, "message": "", "error": None},
        lambda one: {"data": [one], "success": True},
        lambda one: [one],
        json.dumps,
        lambda one: json.dumps({"data": [one]}),
        lambda one: {"data": json.dumps(one)},
    ],
    ids=["envelope", "envelope of a list", "list", "twice", "envelope twice", "text in envelope"],
)
def test_what_it_is_wrapped_in_changes_nothing(document: Any, wrap: Any) -> None:
    assert read(wrap(document)) == read(document)


@pytest.mark.parametrize(
    ("body", "content_type", "field"),
    [
        (b"f={json}", FORM, "f"),
        (b"a=1&f={json}&b=", FORM + "; charset=utf-8", "f"),
        (b"f={json}", None, "f"),
        (b"f%5B%5D={json}", FORM, "f[]"),
        # Bare JSON is accepted under any content type: curl calls any text a form.
        (b"{bare}", FORM, None),
        (b"{bare}", FORM, "f"),
        (b"{bare}", "application/json", "f"),
        (b"{bare}", None, None),
        (b"\xef\xbb\xbf \r\n{bare}\n", "text/plain", None),
    ],
)
def test_forms_and_bare_json(body: bytes, content_type: str | None, field: str | None) -> None:
    bare = json.dumps(recipient()).encode()
    body = body.replace(b"{json}", quote_plus(bare).encode()).replace(b"{bare}", bare)
    assert parse_callback(body, content_type, field) == read(recipient())


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=frontier",
        'Multipart/Form-Data; charset=utf-8; boundary="frontier"',
        "multipart/form-data;boundary=frontier",
    ],
)
def test_a_multipart_form(content_type: str) -> None:
    body = multipart(
        ("other", b"--frontier is no boundary here"), ("f", json.dumps(message()).encode())
    )
    assert parse_callback(body, content_type, "f") == read(message())


ACCENTED = json.dumps(message(body="Città è"), ensure_ascii=False)


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "windows-1252", "iso-8859-15"])
@pytest.mark.parametrize("named", [True, False], ids=["named", "not-named"])
def test_text_in_other_encodings(encoding: str, named: bool) -> None:
    body = ACCENTED.encode(encoding)
    charset = f"; charset={encoding.upper()}" if named else ""
    for sent, kind, field in (
        (body, "application/json", None),
        (b"f=" + quote_plus(body).encode(), FORM, "f"),
        (b"a=%E8&f=" + body.replace(b" ", b"+"), FORM, "f"),
        (multipart(("a", b"\xe8"), ("f", body)), "multipart/form-data; boundary=frontier", "f"),
    ):
        assert parse_callback(sent, kind + charset, field) == read(message()), kind


def test_the_charset_of_a_part_counts() -> None:
    body = multipart(("f", json.dumps(message(state="è"), ensure_ascii=False).encode("cp1252")))
    body = body.replace(b'name="f"', b'name="f"\r\nContent-Type: text/plain; charset="cp1252"')
    kind = "multipart/form-data; charset=utf-8; boundary=frontier"
    assert parse_callback(body, kind, "f").state == "è"


def test_the_charset_decides_what_a_word_is() -> None:
    # The same bytes are a word in both encodings.
    body = b'{"id":"a","state":"\xc3\xa8"}'
    assert parse_callback(body, "application/json").state == "è"
    assert parse_callback(body, "application/json; charset=latin1").state == "Ã¨"
    assert parse_callback(body, "application/json; charset=x-none").state == "è"
    form = b"%E8=" + quote_plus(body).encode()
    assert parse_callback(form, FORM + "; charset=iso-8859-1", "è").state == "Ã¨"


@pytest.mark.parametrize("mark", ["\ufeff", "\ufeff\ufeff", "\r\n\ufeff \ufeff\n"])
def test_byte_order_marks_before_the_json(mark: str) -> None:
    marked = mark + json.dumps(message())
    body = marked.encode()
    for sent, kind, field in (
        (body, None, None),
        (body, FORM, "f"),
        (b"f=" + quote_plus(body).encode(), FORM, "f"),
        (multipart(("f", body)), "multipart/form-data; boundary=frontier", "f"),
        (json.dumps(marked).encode(), None, None),
        (json.dumps({"data": marked}).encode(), None, None),
    ):
        assert parse_callback(sent, kind, field) == read(message())


def test_a_file_of_that_name_is_not_the_field() -> None:
    body = multipart(("f", json.dumps(message()).encode())).replace(b'name="', b'filename="')
    with pytest.raises(CallbackError):
        parse_callback(body, "multipart/form-data; boundary=frontier", "f")


@pytest.mark.parametrize(
    ("parts", "state", "delivery"),
    [
        ({}, "DELIVERED", DeliveryState.DELIVERED),
        (
            {"state_description": "DELIVERED_TO_OPERATOR"},
            "DELIVERED",
            DeliveryState.AT_OPERATOR,
        ),
        ({"state": None}, None, DeliveryState.PENDING),
        ({"state": "NEW"}, "NEW", DeliveryState.PENDING),
        ({"report": {"status": {"groupId": 5}}}, "DELIVERED", DeliveryState.REJECTED),
        ({"report": [], "fields": []}, "DELIVERED", DeliveryState.DELIVERED),
    ],
)
def test_a_recipient_goes_by_the_agreed_states(
    parts: Any, state: Any, delivery: DeliveryState
) -> None:
    callback = read(recipient(**parts))
    assert (callback.state, callback.delivery, callback.number) == (state, delivery, NUMBER)


@pytest.mark.parametrize(
    ("parts", "state"),
    [
        ({"state": "2"}, 2),
        ({"state": "sent"}, "sent"),
        ({"state": None}, None),
        ({"state": -1}, -1),
    ],
)
def test_a_state_is_a_number_or_a_word(parts: Any, state: Any) -> None:
    assert read(message(**parts)).state == state


@pytest.mark.parametrize(
    "parts", [{"statistics": []}, {"statistics": {"sent": "2"}}, {"last_update": "soon"}]
)
def test_an_odd_extra_hides_nothing_else(parts: Any) -> None:
    callback = read(message(**parts))
    assert (callback.message_id, callback.state) == (ID, 1)
    assert None in {callback.statistics, callback.last_update}


# Bodies that are no callback


@pytest.mark.parametrize(
    "document",
    [
        None,
        5,
        "text",
        {},
        [],
        {"data": None},
        {"data": []},
        [message(), message()],
        {"data": [message(), message()]},
        {"id": 5},
        {"id": None},
        {"id": ""},
        {"id": "../recipients"},
        {"id": "a" * 65},
        {"id": ID + "\n"},
        message(state=True),
        message(state=1.0),
        message(state=[]),
        message(state=""),
        message(state="x" * 65),
        message(state=2**63),
        message(number=5),
        message(number=""),
        message(number="3" * 65),
        # The id of a recipient's report is not that of its message.
        {"id": ID, "number": NUMBER, "state": "DELIVERED"},
        recipient(message_id=None),
        json.dumps(json.dumps(json.dumps(json.dumps(json.dumps(message()))))),
    ],
    ids=lambda document: json.dumps(document)[:40],
)
def test_what_is_no_callback_is_refused(document: Any) -> None:
    with pytest.raises(CallbackError):
        read(document)


@pytest.mark.parametrize(
    ("body", "content_type", "field"),
    [
        (b"", None, None),
        (b"<html>", "text/html", None),
        (b'{"id":"' + ID.encode(), None, None),
        (b'{"id":"\xff"}', None, None),
        (b'{"id":"\\ud800"}', None, None),
        (b'{"id":"a","state":NaN}', None, None),
        (b'{"id":"a","state":1e999}', None, None),
        (b'{"id":"a","state":' + b"9" * 5000 + b"}", None, None),
        (b"[" * 100_000, None, None),
        (b'{"id":"a","x":' + b"[" * 100_000, None, None),
        (b"f=%7B%22id%22%3A%22a%22%7D", FORM, None),
        (b"f=%7B%22id%22%3A%22a%22%7D", FORM, "g"),
        (b"f=%7B%22id%22%3A%22a%22%7D&f=%7B%22id%22%3A%22a%22%7D", FORM, "f"),
        (b"f=%7B%22id%22%3A%22%FF%22%7D", FORM, "f"),
        (b"a=1&" * 200 + b"f=%7B%22id%22%3A%22a%22%7D", FORM, "f"),
        (b"f=", FORM, "f"),
        (multipart(("f", b'{"id":"a"}')), "multipart/form-data", "f"),
        (multipart(("f", b'{"id":"a"}')), "multipart/form-data; boundary=other", "f"),
        (
            multipart(("f", b'{"id":"a"}'), ("f", b"")),
            "multipart/form-data; boundary=frontier",
            "f",
        ),
        (json.dumps({"id": "a", "x": "è"}).encode("utf-16"), None, None),
    ],
)
def test_a_body_that_is_no_callback_is_refused(
    body: bytes, content_type: str | None, field: str | None
) -> None:
    with pytest.raises(CallbackError) as caught:
        parse_callback(body, content_type, field)
    assert caught.value.__context__ is None


def test_a_form_without_a_field_has_its_own_error() -> None:
    with pytest.raises(CallbackError, match="pass the field"):
        parse_callback(b"f=%7B%7D", FORM)


def test_the_largest_body() -> None:
    padded = json.dumps(message(body="")).encode()
    padded = padded.replace(b'"body": "', b'"body": "' + b"x" * (MAX_BODY - len(padded)))
    assert len(padded) == MAX_BODY
    assert parse_callback(padded, None).message_id == ID
    with pytest.raises(CallbackError, match=str(MAX_BODY)):
        parse_callback(padded + b" ", None)


def test_a_summary_that_names_every_invalid_number_fits() -> None:
    numbers = [f"+39-340{n:07}" for n in range(40_000)]
    wire = json.dumps(message(recipients={"invalid": {"list": numbers}})).encode()
    assert parse_callback(wire, None).message_id == ID


def test_a_body_is_bytes() -> None:
    with pytest.raises(TypeError):
        parse_callback('{"id":"a"}', None)  # type: ignore[arg-type]


def test_nothing_sent_is_shown() -> None:
    with pytest.raises(GatewayError) as caught:
        read({"id": ID, "number": NUMBER, "body": "Ciao"})
    assert "340" not in str(caught.value)
    assert "Ciao" not in repr(caught.value)
    assert "3401234567" not in repr(read(recipient(body="Ciao")))
    assert ID in repr(read(recipient()))


_odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_NAMES = ["id", "message_id", "number", "state", "statistics", "last_update", "data", "report"]
_documents = st.dictionaries(
    st.sampled_from(_NAMES), st.sampled_from([ID, NUMBER, 1, "DELIVERED"]) | _odd, max_size=8
)
_bodies = st.binary() | (_documents | st.lists(_documents, max_size=2) | _odd).map(
    lambda document: json.dumps(document).encode()
)
_types = st.sampled_from(
    [None, "", "application/json", FORM, "multipart/form-data; boundary=B", "multipart/form-data"]
)


@given(_bodies, _types | st.text(), st.none() | st.just("f") | st.text())
@example(b'{"id":"a","last_update":{"$date":{"$date":1e400}}}', None, None)
@example(b'{"id":"a","last_update":"' + b"9" * 5000 + b'"}', None, None)
@example(b'{"id":"a","last_update":"0001-01-01T00:00:00+23:59"}', None, None)
@example(b'{"id":"a","last_update":' + b'{"$date":' * 2000, None, None)
def test_any_body_is_a_callback_or_a_callback_error(
    body: bytes, content_type: str | None, field: str | None
) -> None:
    for one in (body, b"f=" + quote(body).encode(), multipart(("f", body), boundary="B")):
        try:
            callback = parse_callback(one, content_type, field)
        except CallbackError:
            continue
        assert 0 < len(callback.message_id) <= 64
        assert callback.number is None or callback.delivery is not None
        assert hash(callback.key) == hash(callback.key)
        assert CallbackLog().accept(callback)


# The log


def about(state: Any = None, number: str | None = None, message_id: str = ID) -> Callback:
    if isinstance(state, DeliveryState):
        return Callback(message_id=message_id, number=number, delivery=state)
    return Callback(message_id=message_id, number=number, state=state)


PENDING, AT_OPERATOR = DeliveryState.PENDING, DeliveryState.AT_OPERATOR
DELIVERED, EXPIRED = DeliveryState.DELIVERED, DeliveryState.EXPIRED


@pytest.mark.parametrize(
    ("states", "news"),
    [
        ([0, 1, 2], [True, True, True]),
        ([0, 0, 1, 1], [True, False, True, False]),
        ([2, 1, 0, 2], [True, False, False, False]),
        ([None, None, 0], [True, False, True]),
        ([0, None], [True, False]),
        (["sent", 1, "sent", "done", 0], [True, True, False, True, False]),
        ([PENDING, AT_OPERATOR, DELIVERED], [True, True, True]),
        ([DELIVERED, AT_OPERATOR, PENDING, DELIVERED], [True, False, False, False]),
        ([AT_OPERATOR, AT_OPERATOR, EXPIRED, DELIVERED], [True, False, True, False]),
    ],
)
def test_only_states_that_advance_are_accepted(states: list[Any], news: list[bool]) -> None:
    log = CallbackLog()
    number = NUMBER if isinstance(states[0], DeliveryState) else None
    assert [log.accept(about(state, number)) for state in states] == news


def test_a_message_and_its_recipients_go_by_themselves() -> None:
    log = CallbackLog()
    assert log.accept(about(2))
    assert log.accept(about(DELIVERED, NUMBER))
    assert log.accept(about(DELIVERED, "+39-3401234568"))
    assert log.accept(about(0, message_id="other"))
    # The same recipient in another form.
    assert not log.accept(about(DELIVERED, "+393401234567"))
    assert about(DELIVERED, "+393401234567").key == about(DELIVERED, NUMBER).key
    assert about(DELIVERED, NUMBER).key == (ID, "393401234567", "delivered")
    assert about(2).key == (ID, None, 2)


def test_the_log_forgets_the_least_recent_entry() -> None:
    log = CallbackLog(2)
    assert log.accept(about(1, message_id="a"))
    assert log.accept(about(1, message_id="b"))
    assert not log.accept(about(1, message_id="a"))
    assert log.accept(about(1, message_id="c"))
    assert len(log) == 2
    assert not log.accept(about(0, message_id="a"))
    assert log.accept(about(1, message_id="b"))
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="size"):
            CallbackLog(wrong)


@given(st.lists(st.sampled_from([*DeliveryState, 0, 1, 2, 3])))
def test_in_any_order_each_recipient_ends_once_and_messages_only_advance(states: list[Any]) -> None:
    log = CallbackLog()
    reported = [
        one
        for one in states
        if log.accept(about(one, NUMBER if isinstance(one, DeliveryState) else None))
    ]
    deliveries = [one for one in reported if isinstance(one, DeliveryState)]
    assert all(one.may_become(other) for one, other in itertools.pairwise(deliveries))
    numbers = [one for one in reported if isinstance(one, int)]
    assert numbers == sorted(set(numbers))
    if any(isinstance(one, int) for one in states):
        assert numbers[-1] == max(one for one in states if isinstance(one, int))
    if any(isinstance(one, DeliveryState) and one.is_final for one in states):
        assert deliveries[-1].is_final


# Signed URLs

SECRET = "0123456789abcdef"
BASE = "https://example.com/hooks/sms"


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def test_an_address_is_known_again_behind_any_proxy() -> None:
    signer = CallbackSigner(SECRET)
    url = signer.url(BASE, reference="order-7")
    target = url.removeprefix("https://example.com")
    for seen in (
        url,
        target,
        f"http://10.0.0.1:8000{target}",
        f"{target}&utm_source=x&empty=&bad=%FF",
        target.replace("?", "?first=1&"),
        target.replace("/hooks", "/%68ooks"),
    ):
        assert signer.verify(seen) == "order-7", seen
    assert CallbackSigner(SECRET.encode()).verify(target) == "order-7"


@pytest.mark.parametrize(
    "base",
    [
        "https://example.com",
        "https://example.com/",
        "https://example.com/a%20b/c/",
        "https://example.com//a",
        "https://example.com/è",
        "http://127.0.0.1:8000/hook",
        "http://localhost/hook",
        "http://[::1]:1/hook",
    ],
)
@pytest.mark.parametrize("reference", [None, "a", "è.b/ &=?#+%41\u20ac", "x" * 200])
def test_any_base_and_reference(base: str, reference: str | None) -> None:
    signer = CallbackSigner(SECRET)
    url = signer.url(base, reference=reference)
    assert url.startswith(base + "?")
    found = signer.verify(url)
    assert found
    assert reference in {None, found}
    parts = urlsplit(url)
    assert signer.verify(f"{parts.path or '/'}?{parts.query}") == found


def test_each_address_is_another_unless_its_reference_is_given() -> None:
    signer = CallbackSigner(SECRET)
    assert signer.url(BASE) != signer.url(BASE)


def test_an_address_expires() -> None:
    clock = Clock()
    signer = CallbackSigner(SECRET, lifetime=60, clock=clock)
    url = signer.url(BASE, reference="a")
    clock.now += 59.9
    assert signer.verify(url) == "a"
    clock.now += 0.2
    assert signer.verify(url) is None


def forged(url: str) -> list[str]:
    path, _, ticket = url.partition("?gateway_sms=")
    expires, signature, reference = ticket.split(".", 2)
    other = CallbackSigner("another secret!!").url(BASE, reference="order-7")

    def made(expires: str = expires, signature: str = signature, end: str = reference) -> str:
        return f"{path}?gateway_sms={expires}.{signature}.{end}"

    return [
        other,
        path,
        f"{path}?",
        f"{path}?gateway_sms=",
        f"{path}?Gateway_sms={ticket}",
        url + url.partition("?")[2],
        f"{url}&gateway_sms={ticket}",
        f"{url}&gateway%5Fsms=x",
        url.replace("/sms", "/sms/"),
        url.replace("/sms", "/other"),
        url.replace("/sms?", "?"),
        made(expires=str(int(expires) + 1)),
        made(expires="0" + expires),
        made(expires="\u0661" + expires[1:]),
        made(expires=expires + " "),
        made(end="order-8"),
        made(end=""),
        made(end=reference + "%0A"),
        made(signature=signature[:-1]),
        made(signature=signature + "="),
        made(signature=signature[::-1]),
        made(signature="A" * 43),
        made(signature="é" * 43),
        made(signature=""),
        "",
        "/",
        "//",
        "https://[",
        "\ud800",
        "/\ud800?gateway_sms=" + ticket,
    ]


@pytest.mark.parametrize("which", range(len(forged(CallbackSigner(SECRET).url(BASE)))))
def test_a_forged_address_is_nobodys(which: int) -> None:
    signer = CallbackSigner(SECRET)
    url = signer.url(BASE, reference="order-7")
    assert signer.verify(url) == "order-7"
    assert signer.verify(forged(url)[which]) is None


@given(st.data())
def test_no_single_change_leaves_it_good(data: st.DataObject) -> None:
    signer = CallbackSigner(SECRET, clock=Clock())
    target = signer.url("https://h/a", reference="r").removeprefix("https://h")
    place = data.draw(st.integers(0, len(target) - 1))
    character = data.draw(st.characters(exclude_characters=target[place]))
    changed = target[:place] + character + target[place + 1 :]
    # Another form of the same path, such as with %61 for a, stays valid.
    assert signer.verify(changed) is None


def test_the_path_and_the_reference_cannot_be_cut_elsewhere() -> None:
    signer = CallbackSigner(SECRET)
    ticket = parse_qs(urlsplit(signer.url("https://h/a/b", reference="r")).query)["gateway_sms"][0]
    assert signer.verify(f"/b?gateway_sms={quote(ticket + chr(10) + '/a')}") is None


@pytest.mark.parametrize(
    "base",
    [
        "http://example.com/x",
        "ftp://example.com/x",
        "//example.com/x",
        "/x",
        "https://user:pass@example.com/x",
        "https://example.com/x?a=1",
        "https://example.com/x#a",
        "https://example.com/x y",
        "https://example.com:99999/x",
    ],
)
def test_a_base_that_is_no_safe_address_is_refused(base: str) -> None:
    with pytest.raises(ValueError, match="base"):
        CallbackSigner(SECRET).url(base)


def test_the_secret_can_be_changed() -> None:
    old, newer = "an older secret!", b"a newer secret!!"
    before = CallbackSigner(old).url(BASE, reference="order-7")
    signer = CallbackSigner(newer, old, SECRET)
    assert signer.verify(before) == "order-7"
    assert signer.verify(CallbackSigner(SECRET).url(BASE, reference="order-8")) == "order-8"
    # New URLs are signed with the first one.
    assert CallbackSigner(newer).verify(signer.url(BASE, reference="order-9")) == "order-9"
    assert CallbackSigner(old).verify(signer.url(BASE)) is None
    assert CallbackSigner(newer).verify(before) is None
    for which in range(len(forged(before))):
        assert signer.verify(forged(before)[which]) is None
    for wrong in ("short", ""):
        with pytest.raises(ValueError, match="older must have at least 16 bytes"):
            CallbackSigner(newer, old, wrong)
    with pytest.raises(TypeError, match="older"):
        CallbackSigner(newer, None)  # type: ignore[arg-type]
    assert old not in repr(signer)


def test_a_signers_settings_are_checked() -> None:
    for short in ("", "x" * 15, b"x" * 15):
        with pytest.raises(ValueError, match="16 bytes"):
            CallbackSigner(short)
    assert CallbackSigner("è" * 8).url(BASE)
    with pytest.raises(TypeError):
        CallbackSigner(None)  # type: ignore[arg-type]
    for wrong in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match="lifetime"):
            CallbackSigner(SECRET, lifetime=wrong)
    with pytest.raises(TypeError):
        CallbackSigner(SECRET, lifetime="1")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        CallbackSigner(SECRET).url(None)  # type: ignore[arg-type]
    for wrong_reference in ("", "a\nb", "x" * 201, "\ud800"):
        with pytest.raises(ValueError, match="reference"):
            CallbackSigner(SECRET).url(BASE, reference=wrong_reference)
    assert SECRET not in repr(CallbackSigner(SECRET))


# Confirming with the gateway


async def test_confirm_returns_what_the_gateway_reports(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    sent = await gateway.messages.send(sender="ACME", body="Ciao", recipients=NUMBER)
    # The state in the callback is forged.
    reported = read(message(id=sent.id, state=2))
    found = await gateway.confirm(reported)
    assert found is not None
    assert (found.id, found.state) == (sent.id, sent.state)
    for unknown in ("0" * 24, "no-id-of-the-gateways"):
        assert await gateway.confirm(msgspec.structs.replace(reported, message_id=unknown)) is None
    assert {request.method for request in simulator.requests[1:]} == {"GET"}


async def test_confirm_does_not_take_an_outage_for_no(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    sent = await gateway.messages.send(sender="ACME", body="Ciao", recipients=NUMBER)
    simulator.faults.add(Fault.status(503), on="get", times=100)
    with pytest.raises(ServerError):
        await gateway.confirm(read(message(id=sent.id)))
    with pytest.raises(NotFoundError):
        await gateway.messages.recipient("0" * 24, NUMBER)
