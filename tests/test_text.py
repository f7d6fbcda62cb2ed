# Characters that look like others are the subject of this file.
# ruff: noqa: RUF001

import re
import unicodedata

import pytest
from hypothesis import assume, given, strategies as st

from gateway_sms_async._template import placeholders
from gateway_sms_async._text import (
    _EQUIVALENTS,
    TextSize,
    measure,
    not_gsm,
    replacements,
    to_gsm,
)

# Measuring. Against other counters: test_text_counter.py.


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", TextSize("GSM-7", 1, 0, 160)),
        ("a" * 160, TextSize("GSM-7", 1, 160, 0)),
        ("a" * 161, TextSize("GSM-7", 2, 161, 145)),
        ("a" * 306, TextSize("GSM-7", 2, 306, 0)),
        ("a" * 158 + "€", TextSize("GSM-7", 1, 160, 0)),
        ("a" * 159 + "€", TextSize("GSM-7", 2, 161, 145)),
        # The escape pair does not fit into the last septet of the first part.
        ("a" * 152 + "€" + "a" * 151, TextSize("GSM-7", 2, 305, 0)),
        ("a" * 152 + "€" + "a" * 152, TextSize("GSM-7", 3, 306, 152)),
        ("ç" * 70, TextSize("UCS-2", 1, 70, 0)),
        ("ç" * 71, TextSize("UCS-2", 2, 71, 63)),
        ("ç" + "€" * 69, TextSize("UCS-2", 1, 70, 0)),
        ("😀" * 35, TextSize("UCS-2", 1, 70, 0)),
        ("😀" * 36, TextSize("UCS-2", 2, 72, 61)),  # 66 and 6
        ("ç" * 66 + "😀" + "ç" * 65, TextSize("UCS-2", 2, 133, 0)),
    ],
)
def test_sizes_at_the_limits(text, size):
    assert measure(text) == size


def test_half_a_surrogate_pair_is_one_unit():
    assert measure("\ud83d") == TextSize("UCS-2", 1, 1, 69)
    assert measure("a" * 67 + "\ude00" * 4).units == 71


@pytest.mark.parametrize("character", "ç`\t\x1b\x00á’–…\u00a0😀\u0300ΑΒ")
def test_what_is_not_in_the_alphabet(character):
    assert not_gsm(f"a{character}€{character}") == (character,)
    assert measure(character).encoding == "UCS-2"


def test_not_gsm_is_in_the_order_of_first_use():
    assert not_gsm("“Ciao” – è l’ora… “sì”") == ("“", "”", "–", "’", "…")
    assert not_gsm("Çà @£$¥ €[]{}~^\\|\f\r\n ΔΦΓΛΩΠΨΣΘΞ") == ()
    assert not_gsm("") == ()


@given(st.text())
def test_a_text_is_ucs2_where_a_character_forces_it(text):
    assert (measure(text).encoding == "GSM-7") == (not_gsm(text) == ())


# Replacing


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("L’ora “giusta” ‘qui’ „lì‟ ‚no‛", "L'ora \"giusta\" 'qui' \"lì\" 'no'"),
        ("«sì» ‹no› 5′ 30″ perche` e´ Hawaiʻi", "\"sì\" 'no' 5' 30\" perche' e' Hawai'i"),
        ("9–12 — 5−3 e‐mail non‑stop ―", "9-12 - 5-3 e-mail non-stop -"),
        ("Aspetta… ‥", "Aspetta... .."),
        ("10\u00a0000\u202f€\t\u2009\u3000x", "10 000 €   x"),
        ("• uno\n· due\n◦ tre\n‣ quattro", "- uno\n- due\n- tre\n- quattro"),
        ("\ufeffgra\u00adzie\u200b \u2060mil\u200cle\u200e", "grazie mille"),
        ("ok\u200d!\ufe0f", "ok!"),
        ("ﬁne ﬂusso aﬀare eﬃcace ﬅ", "fine flusso affare efficace st"),
        ("ＡＢＣ　１２３！￥", "ABC 123!¥"),
        ("｀＂＇｛ａ｝", "'\"'{a}"),
        ("© Acme® Più™", "(c) Acme(R) Più(TM)"),
        ("a\r\nb\u2028c\u2029d\u0085e\vf\rg", "a\nb\nc\nd\ne\nf\ng"),
        ("perche\u0301 e\u0300 citta\u0300 n\u0303 C\u0327", "perché è città ñ Ç"),
        ("\u2126 \u212a \u212b \u037e \u1fef", "Ω K Å ; '"),
        ("3·x x·3 ·5 5·", "3-x x-3 -5 5-"),
    ],
)
def test_kin(text, replaced):
    assert to_gsm(text) == replaced
    assert not_gsm(replaced) == ()


@pytest.mark.parametrize(
    "text",
    [
        # No letter becomes another one, so replacing the rest would not help either.
        "“á”",
        "Łukasz’s…",
        "c\u0327a’",
        "a\u0301’",
        "e\u0300\u0323’",
        "Ａ\u0300",
        "“Привет”",
        # Characters whose replacement would read differently.
        "£3·50",
        "2•3",
        "1½ kg",
        "№ 5",
        "1º",
        "20 °C",
        "“5” → “6”",
        "\u202eabc",
        # Joiners of emoji and letters.
        "l’👨\u200d👩\u200d👧",
        "“❤\ufe0f”",
        "1\ufe0f\u20e3 “primo”",
        "می\u200cخواهم…",
        # As GSM-7 it would take more parts.
        "…" * 54,
        "ﬃ" * 54,
    ],
)
def test_what_stays_as_it_is(text):
    assert to_gsm(text) == text
    assert replacements(text) == {}


def test_three_dots_for_one_only_while_they_fit():
    assert to_gsm("…" * 53) == "..." * 53
    assert measure("…" * 53).parts == measure("..." * 53).parts == 1
    assert to_gsm("…" * 71) == "..." * 71  # two parts either way


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/foto–estate",
        "http://example.org/l’isola?a=“b”",
        "www.example.org/caffe\u0301",
        "example.org/foto–estate",
        "https://example.org/{{code}}–x",
        "anna’s@example.org",
        "ftp://example.org/a\u200bb",
    ],
)
def test_an_address_stays_as_it_is(address):
    assert address in to_gsm(f"Vedi {address} – “subito”")
    assert replacements(f"Vedi {address} – “subito”") == {}


def test_what_stands_around_an_address_is_replaced():
    text = "“https://example.org/foto” – «info@example.org»… www.example.org…"
    assert to_gsm(text) == '"https://example.org/foto" - "info@example.org"... www.example.org...'
    assert to_gsm("3·x… e 9–12, s.r.l.–ok") == "3-x... e 9-12, s.r.l.-ok"


def test_a_text_that_stays_ucs2_is_put_together_where_that_saves_a_part():
    apart = unicodedata.normalize("NFD", "é" * 40) + "\U0001f600"
    assert to_gsm(apart) == "é" * 40 + "\U0001f600"
    assert replacements(apart) == {"e\u0301": "é"}
    korean = unicodedata.normalize("NFD", "안녕하세요" * 10)
    assert (measure(korean).parts, measure(to_gsm(korean)).parts) == (2, 1)
    one_part = unicodedata.normalize("NFD", "é") + "\U0001f600"
    assert to_gsm(one_part) == one_part
    with_quotes = unicodedata.normalize("NFD", "é" * 40) + "’\U0001f600"
    assert to_gsm(with_quotes) == "é" * 40 + "’\U0001f600", "nothing but the accents changes"
    name = unicodedata.normalize("NFD", "{{é}}" + "é" * 40) + "\U0001f600"
    assert to_gsm(name).startswith("{{e\u0301}}é")


def test_every_space_of_unicode_is_a_space():
    spaces = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Zs"]
    assert len(spaces) == 17
    for space in spaces:
        assert to_gsm(f"a{space}b") == "a b"


def test_every_quotation_mark_of_unicode_is_one():
    for code in range(0x2018, 0x2020):
        assert to_gsm(chr(code)) in {"'", '"'}
        assert ("DOUBLE" in unicodedata.name(chr(code))) == (to_gsm(chr(code)) == '"')


def test_forms_and_ligatures_are_what_unicode_says_they_are():
    for code in (*range(0xFF01, 0xFF5F), 0xFFE1, 0xFFE5, *range(0xFB00, 0xFB07)):
        assert to_gsm(chr(code)) == unicodedata.normalize("NFKC", chr(code)).replace("`", "'")


def test_every_letter_of_the_alphabet_is_known_with_its_accent_apart():
    letters = [one for one in GSM if unicodedata.normalize("NFD", one) != one]
    assert len(letters) == 18
    for letter in letters:
        apart = unicodedata.normalize("NFD", letter)
        assert to_gsm(apart) == letter
        assert replacements(apart) == {apart: letter}


def test_the_table_leads_into_the_alphabet():
    for one, equivalent in _EQUIVALENTS.items():
        assert not_gsm(equivalent) == ()
        assert "\r" in one or not_gsm(one) == (one,)


def test_a_placeholder_keeps_its_name():
    body = "L’{{città …}} – {{e\u0300}}\r\n{{‘a\r\n’}}{{name}}…"
    assert to_gsm(body) == "L'{{città …}} - {{e\u0300}}\n{{‘a\r\n’}}{{name}}..."
    assert replacements(body) == {"’": "'", "–": "-", "\r\n": "\n", "…": "..."}
    assert to_gsm("{{città …}}") == "{{città …}}"


@pytest.mark.parametrize(
    "body", ["{\u200b{name}}", "｛｛name｝｝", "{｛name}}’", "{{a\ufeff}\ufeff}"]
)
def test_what_was_no_placeholder_does_not_become_one(body):
    assert placeholders(to_gsm(body)) == placeholders(body) == ()


def test_replacements_are_in_the_order_of_first_use():
    text = "\ufeff“Ciao”, l’ora e\u0300… “ora”\r\n"
    assert list(replacements(text).items()) == [
        ("\ufeff", ""),
        ("“", '"'),
        ("”", '"'),
        ("’", "'"),
        ("e\u0300", "è"),
        ("…", "..."),
        ("\r\n", "\n"),
    ]
    assert replacements("Ciao €") == {}


GSM = [chr(code) for code in range(0x3000) if not not_gsm(chr(code))]


def text_of(*tokens):
    one = st.sampled_from(tokens)
    # Hypothesis by itself makes few texts that are longer than a part.
    long = st.integers(40, 180).flatmap(lambda n: st.lists(one, min_size=n, max_size=n))
    return (st.lists(one) | long).map("".join)


replaceable = text_of(*_EQUIVALENTS, "e\u0300", *"aeo059 .€")
typographic = text_of(
    *_EQUIVALENTS, *_EQUIVALENTS, *"aeAE059. €\r\n{}", "\u0300", "\u0308", *"á😀я"
)
bodies = st.lists(
    replaceable | typographic | st.from_regex(r"\{\{[^{}]{1,4}\}\}", fullmatch=True), max_size=6
).map("".join)


@given(typographic | replaceable | bodies)
def test_to_gsm_twice_is_to_gsm_once(text):
    assert to_gsm(to_gsm(text)) == to_gsm(text)


@given(st.text(st.sampled_from(GSM)))
def test_a_gsm_text_keeps_all_but_its_line_ends(text):
    assert to_gsm(text) == text.replace("\r\n", "\n").replace("\r", "\n")


@given(typographic | replaceable)
def test_to_gsm_makes_a_text_gsm_and_no_longer_or_leaves_it(text):
    assume(not placeholders(text))
    replaced = to_gsm(text)
    if replaced != text:
        if not_gsm(replaced):  # only put together
            assert unicodedata.normalize("NFC", replaced) == unicodedata.normalize("NFC", text)
            assert measure(replaced).parts < measure(text).parts
        assert measure(replaced).parts <= measure(text).parts


@given(bodies)
def test_the_placeholders_of_a_body_stay(body):
    written = re.compile(r"\{\{[^{}]+\}\}").findall
    assert written(to_gsm(body)) == written(body)


@given(st.lists(replaceable, min_size=2, max_size=5))
def test_placeholders_do_not_keep_the_rest_from_being_replaced(literals):
    replaced = [to_gsm(literal) for literal in literals]
    assume(all(not not_gsm(literal) for literal in replaced))
    assume(not placeholders("".join(literals)))
    name = "{{città …}}"
    done = to_gsm(name.join(literals))
    assert done in {name.join(literals), name.join(replaced)}
    if measure("".join(replaced)).parts <= measure("".join(literals)).parts:
        assert done == name.join(replaced)


@given(replaceable | typographic)
def test_replacements_are_all_that_to_gsm_does(text):
    assume(not placeholders(text))
    done = text
    for one, equivalent in sorted(replacements(text).items(), key=lambda item: -len(item[0])):
        assert one in text
        done = done.replace(one, equivalent)
    assert done == to_gsm(text)


def letters(text):
    whole = unicodedata.normalize("NFKC", text)
    return [one for one in whole if unicodedata.category(one) in {"Lu", "Ll", "Lo", "Nd"}]


@given(replaceable | typographic | st.text())
def test_no_letter_and_no_digit_is_lost_or_changed(text):
    assume(not {"©", "®"} & set(text))
    assert letters(to_gsm(text)) == letters(text)
