"""Credentials as users copy them: with quotes, with the variable's name, with a comma after them."""

import pytest
from hypothesis import given, strategies as st

from gateway_sms_async import ApiKey, GatewayClient
from gateway_sms_async._auth.environment import pair_in_environment, token_source
from gateway_sms_async._http.credentials import check_credential, check_token
from gateway_sms_async._http.secret import Secret
from gateway_sms_async._http.tokens import StaticToken

TOKEN = "canary0123456789abcdef=="

MISTAKES = {
    f'"{TOKEN}"': "quote",
    f"'{TOKEN}'": "quote",
    f'"{TOKEN}': "quote",
    f"{TOKEN}'": "quote",
    f"\u201c{TOKEN}\u201d": "quote",
    f"`{TOKEN}`": "quote",
    f"OPENAPI_TOKEN={TOKEN}": "NAME=value",
    f"OPENAPI_TOKEN: {TOKEN}": "NAME=value",
    f"export OPENAPI_API_KEY={TOKEN}": "NAME=value",
    f"Bearer {TOKEN}": "Bearer",
    f"{TOKEN},": "comma",
    f"{TOKEN};": "semicolon",
}


@pytest.mark.parametrize(("value", "words"), MISTAKES.items())
def test_the_mistake_is_named_and_the_value_is_not(value: str, words: str) -> None:
    for check in (
        check_token,
        StaticToken,
        GatewayClient,
        lambda value: check_credential("api_key", value),
        lambda value: ApiKey("me@example.com", value),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            check(value)
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "token", ["${TOKEN}", "$TOKEN", "<token>", "{token}", "a b", "a\tb", "caffè", "a\x00", "a\\b"]
)
def test_what_no_token_has_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="no token has"):
        check_token(token)


def test_an_e_mail_is_named() -> None:
    with pytest.raises(ValueError, match="email begins or ends with a quote"):
        ApiKey('"me@example.com"', "key")
    with pytest.raises(ValueError, match="email is empty"):
        ApiKey("", "key")


@pytest.mark.parametrize(
    "token",
    [
        "65f0c2a1d7e3b40001a2b3c4",
        "eyJhbGciOi.eyJzdWIiOi._-abc",
        "YWJjZA==",
        "1|laravel",
        "a:b",
        "x=",
    ],
)
def test_tokens_of_every_usual_form_are_accepted(token: str) -> None:
    checked = check_token(token)
    assert checked == token
    assert isinstance(checked, Secret)
    assert check_token(checked) is checked


@given(st.text())
def test_any_text_is_a_token_or_an_error_without_it(text: str) -> None:
    try:
        assert check_token(text) == text
    except ValueError as error:
        assert len(text) < 12 or text not in str(error)
    else:
        assert text.isascii()
        assert text.isprintable()
        assert " " not in text


@pytest.mark.parametrize("around", ["{}\n", "  {}", "{}\r\n"])
def test_blanks_around_a_variable_do_not_count(
    monkeypatch: pytest.MonkeyPatch, around: str
) -> None:
    monkeypatch.setenv("OPENAPI_TOKEN", around.format(TOKEN))
    source = token_source(None, "https://x.example")
    assert isinstance(source, StaticToken)
    assert source.fixed == TOKEN
    monkeypatch.setenv("OPENAPI_EMAIL", around.format("me@example.com"))
    monkeypatch.setenv("OPENAPI_API_KEY", around.format("key"))
    assert pair_in_environment() == ("me@example.com", "key")


def test_a_blank_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAPI_TOKEN", "OPENAPI_EMAIL", "OPENAPI_API_KEY"):
        monkeypatch.setenv(name, " \n")
    with pytest.raises(ValueError, match="no token"):
        token_source(None, "https://x.example")
