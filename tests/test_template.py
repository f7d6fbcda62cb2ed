"""Placeholders, how they are filled, and texts that nobody would send."""

# Full-width braces and characters that cannot be seen are the subject of this file.
# ruff: noqa: RUF001

import unicodedata

import pytest
from hypothesis import given, strategies as st

from gateway_sms_async._simulator.recipients import fill as fill_as_the_gateway
from gateway_sms_async._template import (
    canonical,
    field_check,
    fill,
    is_visible,
    marked_name,
    missing_field,
    placeholders,
    unfilled,
)


def test_placeholders_are_named_once_in_order_of_first_use():
    body = "Ciao {{name}}, a {{city}} per {{name}}: {{code}}"
    assert placeholders(body) == ("name", "city", "code")


def test_what_is_no_placeholder():
    assert placeholders("") == ()
    assert placeholders("{name} {{}} {{name} {name}} { {name} }") == ()


def test_a_name_is_taken_as_it_is_written_without_the_blanks_around_it():
    assert placeholders("{{ name }}{{Città}}{{{code}}}{{name}}") == ("name", "Città", "code")


@given(
    st.lists(
        st.text(st.characters(exclude_characters="{}"), min_size=1).map(str.strip), unique=True
    )
)
def test_every_name_comes_back(names):
    names = list(filter(None, names))
    assert placeholders(" ".join(f"{{{{{name}}}}}" for name in names)) == tuple(names)


def test_missing_field_is_the_first_name_without_a_value():
    names = ("name", "city")
    assert missing_field(names, {"name": "Anna", "city": "Roma", "other": "x"}) is None
    assert missing_field(names, {"city": "Roma"}) == "name"
    assert missing_field(names, {"name": "Anna"}) == "city"
    assert missing_field(names, {}) == "name"
    assert missing_field(names, None) == "name"
    assert missing_field((), None) is None


def test_an_empty_text_is_a_value():
    assert missing_field(("name",), {"name": ""}) is None


# Filling


def test_fill_puts_values_in_and_leaves_what_has_none():
    body = "Ciao {{name}}, {{code}} a {{ city }}: {{name}}"
    fields = {"name": "Anna", "city": "Forlì", "other": "x"}
    assert fill(body, fields) == "Ciao Anna, {{code}} a Forlì: Anna"
    assert fill(body, {"name": ""}) == "Ciao , {{code}} a {{ city }}: "
    assert fill(body, {}) == fill(body, None) == body
    assert fill("", {"name": "Anna"}) == ""
    assert fill("{{{a}}}", {"a": "1"}) == "{1}"


def test_what_a_value_brings_is_not_filled_again():
    assert fill("{{a}}{{b}}", {"a": "{{b}}", "b": "{{a}}"}) == "{{b}}{{a}}"
    assert fill("{{a}}b}}", {"a": "{{", "{{b": "no"}) == "{{b}}"


def test_bodies_do_not_get_into_one_another():
    for _ in range(2):
        for number in range(40):
            assert fill(f"{number}: {{{{a}}}}", {"a": f"{number}"}) == f"{number}: {number}"


@given(
    st.text(st.sampled_from("{{{}}}ab ")) | st.text(),
    st.dictionaries(st.text(st.sampled_from("ab "), max_size=2), st.text(max_size=5)),
)
def test_fill_is_what_the_simulator_does(body, fields):
    assert fill(canonical(body), fields) == fill_as_the_gateway(canonical(body), fields)


@given(
    st.text(st.sampled_from("{{{}}}ab ")) | st.text(),
    st.dictionaries(st.text(st.sampled_from("ab"), min_size=1), st.text(max_size=5)),
)
def test_a_canonical_text_has_the_same_placeholders_and_is_filled_to_the_same(body, fields):
    assert placeholders(canonical(body)) == placeholders(body)
    assert canonical(canonical(body)) == canonical(body)
    everything = dict.fromkeys(placeholders(body), "x") | fields
    assert fill(canonical(body), everything) == fill(body, everything)


# Texts that nobody would send


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\t\r\n",
        "\0",
        "\u200b",
        "\ufeff \u2060",
        "\u00ad\u034f",
        "\u3164\uffa0\u115f",
        "\u2800",
        "\ufe0f\u200d",
        "\U000e0041",
        "\u00a0\u3000\u2028",
        "\x1b\x7f\x85",
        "\u202e",
    ],
)
def test_nothing_to_see(text):
    assert not is_visible(text)
    assert is_visible(text + "." + text)


def test_what_unicode_calls_blank_or_a_control_is_not_visible():
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        if category in {"Zs", "Zl", "Zp", "Cc"}:
            assert not is_visible(chr(code)), hex(code)
        elif category[0] in "LN" and is_visible(chr(code)) is False:
            assert "FILLER" in unicodedata.name(chr(code)), hex(code)


UNFILLED = {
    "Ciao {name}": "a name between other marks than {{ }} at character 6",
    "Ciao {{name}": "braces that do not match at character 6",
    "Ciao {name}}": "braces that do not match at character 11",
    "Ciao {{{name}}}": "braces that do not match at character 6",
    "Ciao {{}}": "braces that do not match at character 6",
    "Ciao {{ }}": "braces that do not match at character 6",
    "Ciao {{name}}, a {city}": "a name between other marks than {{ }} at character 18",
    "Ciao {{name}}}": "braces that do not match at character 13",
    "Ciao ｛｛name｝｝": "braces that do not match at character 6",
    "Ciao ｛name｝": "a name between other marks than {{ }} at character 6",
    "Ciao ${name}": "a name between other marks than {{ }} at character 7",
    "Ciao #{ user.name }": "a name between other marks than {{ }} at character 7",
    "Ciao {}": "a name between other marks than {{ }} at character 6",
    "Ciao {0}": "a name between other marks than {{ }} at character 6",
    "https://example.com/%C3%A8/%name%": "a name between other marks than {{ }} at character 28",
    "Ciao %name%": "a name between other marks than {{ }} at character 6",
    "Ciao ％name％": "a name between other marks than {{ }} at character 6",
    "Ciao *|NAME|*": "a name between other marks than {{ }} at character 6",
    "Ciao {name": "a lone brace at character 6",
    "Ciao name}": "a lone brace at character 10",
    "{città}": "a name between other marks than {{ }} at character 1",
}


@pytest.mark.parametrize(("text", "left"), UNFILLED.items(), ids=UNFILLED)
def test_what_is_left_of_a_template(text, left):
    assert unfilled(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "Ciao",
        "",
        "Ciao {{name}}, a {{ city }}{{x}}",
        "Prezzo {50%} [oggi]",
        "Sconto del 20% e 30% name",
        "20%sconto% 100%",
        "5 * 3 | 2 :-} :{ :} {",
        "{ciao a tutti}",
        "((ora)) <b> $5 [nome]",
        "è％",
        "www.example.com/caff%C3%A8 https://example.com/?q=perch%c3%a9%20s%C3%AC",
    ],
)
def test_what_is_no_template(text):
    assert unfilled(text) is None


@given(st.text() | st.text(st.sampled_from("{}%*|ab1 \0\1｛｝")))
def test_what_is_left_is_said_without_the_text(text):
    left = unfilled(text)
    assert left is None or left.rpartition(" ")[2].isdecimal()


@pytest.mark.parametrize(
    "body",
    [
        "[name]",
        "[[ Name ]]",
        "((name))",
        "<name>",
        "<<name>>",
        "«name»",
        "$name",
        "{name}",
        "%name%",
        "％NAME％",
        "20% [name]",
        "{{other}} [name]",
    ],
)
def test_the_name_of_a_field_between_other_marks(body):
    assert marked_name(f"Ciao {body}", ["city", "name"]) == "name"
    assert marked_name(f"Ciao {body}", ["city"]) is None
    check = field_check(f"Ciao {body}")
    assert check is not None
    assert check({"name": "Anna"}) == "the text has the field 'name' between other marks than {{ }}"
    assert check({"city": "Roma"}) is None


@pytest.mark.parametrize(
    "body", ["name", "(name)", "{{name}}", "{{ name }}", "20% e 30% name", "5%"]
)
def test_the_name_of_a_field_is_ordinary_elsewhere(body):
    assert marked_name(f"Ciao {body}", ["name"]) is None
    check = field_check(f"Ciao {body}")
    assert check is None or check({"name": "Anna"}) is None


def test_a_text_that_is_empty_for_some():
    assert field_check("Ciao {{name}}") is None
    check = field_check("{{text}} {{more}}\n")
    assert check is not None
    empty = "the text is empty with the values of this recipient"
    assert check({"text": "", "more": ""}) == empty
    assert check({"text": " ", "more": "\u200b"}) == empty
    assert check({"text": "", "more": "x"}) is None
    assert check({"text": ""}) is None, "the other placeholder stays, and is allowed to"
