"""Sizes of texts, compared with three counters that share no code with ours.

The first is the definition, written out below character by character. The second is the
published package smsutil, which was chosen because it keeps a pair together where a text is
split (others divide, or count an emoji as one). The third is the simulator's.

GATEWAY_SMS_PROOF=all draws 10,000 texts instead of 2,000.
"""

import os

import pytest
import smsutil
from hypothesis import given, settings, strategies as st
from smsutil.codecs import encoding_map

from gateway_sms_async._simulator.segments import count_parts
from gateway_sms_async._text import TextSize, measure, not_gsm

ALL = os.environ.get("GATEWAY_SMS_PROOF") == "all"

# 3GPP TS 23.038, 6.2.1: the columns of the table from 0x00 to 0x7F; 0x1B is no character.
TABLE = [
    *"@£$¥èéùìòÇ\nØø\rÅå",
    *"Δ_ΦΓΛΩΠΨΣΘΞ", None, *"ÆæßÉ",
    *" !\"#¤%&'()*+,-./",
    *"0123456789:;<=>?",
    *"¡ABCDEFGHIJKLMNO",
    *"PQRSTUVWXYZÄÖÑÜ§",
    *"¿abcdefghijklmno",
    *"pqrstuvwxyzäöñüà",
]  # fmt: skip
# 6.2.1.1: the characters that an escape makes of these.
ESCAPED = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
ESCAPE = "\x1b"


def by_definition(text):
    """Fill parts one character at a time."""
    if all(one in TABLE or one in ESCAPED.values() for one in text):
        encoding, alone, each = "GSM-7", 160, 153
        units = [1 if one in TABLE else 2 for one in text]
    else:
        encoding, alone, each = "UCS-2", 70, 67
        units = [len(one.encode("utf-16-be")) // 2 for one in text]
    if sum(units) <= alone:
        return TextSize(encoding, 1, sum(units), alone - sum(units))
    parts = [0]
    for size in units:
        if parts[-1] + size > each:
            parts.append(0)
        parts[-1] += size
    return TextSize(encoding, len(parts), sum(units), each - parts[-1])


def by_smsutil(text):
    split = smsutil.split(text)
    encoding, octets, alone, each = {
        "gsm0338": ("GSM-7", 1, 160, 153),
        "utf_16_be": ("UCS-2", 2, 70, 67),
    }[split.encoding]
    room = alone if len(split.parts) == 1 else each
    return TextSize(
        encoding,
        len(split.parts),
        split.total_bytes // octets,
        room - split.parts[-1].bytes // octets,
    )


def check(text):
    size = measure(text)
    assert size == by_definition(text)
    assert (size.parts, size.units_left) == count_parts(text)
    # The cases in which smsutil is wrong are pinned below.
    if text and ESCAPE not in text:
        assert size == by_smsutil(text)


BASIC = [one for one in TABLE if one is not None]
ALPHABET = BASIC + list(ESCAPED.values())
EMOJI = "😀👍🏽👨\u200d👩\u200d👧❤\ufe0f🇮🇹\U0001d400"


def runs(fillers, pairs, most):
    """Texts with pairs at the ends of parts, `most` units after the end of the part before."""
    return st.builds(
        lambda filler, pair, lengths, tail: (
            "".join(filler * length + pair * times for length, times in lengths) + filler * tail
        ),
        st.sampled_from(fillers),
        st.sampled_from(pairs),
        st.lists(st.tuples(st.integers(most - 8, most + 1), st.integers(0, 5)), max_size=5),
        st.integers(0, most),
    )


texts = (
    runs("aè", list(ESCAPED.values()), 153)
    | runs("жç…€", "😀\U00010000\U0010ffff", 67)
    | st.text(st.sampled_from(ALPHABET), max_size=500)
    | st.text(st.sampled_from("ab€["), min_size=140, max_size=500)
    | st.text(st.sampled_from([*"abж…", *EMOJI]), min_size=30, max_size=400)
    | st.text(max_size=300)
)


@settings(deadline=None)
@given(texts)
def test_a_text_is_as_long_as_all_counters_say(text):
    check(text)


@pytest.mark.proof
@pytest.mark.timeout(300)
@settings(max_examples=10_000 if ALL else 2_000, deadline=None)
@given(texts)
def test_many_texts_are_as_long_as_all_counters_say(text):
    check(text)


@pytest.mark.parametrize(
    ("filler", "pair", "each"), [("a", "€", 153), ("è", "\f", 153), ("ж", "😀", 67)]
)
def test_a_pair_at_every_place_around_every_edge(filler, pair, each):
    for edge in range(each, 4 * each, each):
        for before in range(edge - 4, edge + 10):
            for pairs in range(1, 4):
                for after in {0, 1, 2, each - 3, each - 2, each - 1, each, each + 1}:
                    check(filler * before + pair * pairs + filler * after)


def test_every_length_without_a_pair():
    for length in range(480):
        check("a" * length)
        check("ж" * length)


def test_the_alphabet_is_the_published_one_over_all_of_unicode():
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    ours = set(everything) - set(not_gsm(everything))
    assert ours == set(ALPHABET)
    assert len(ours) == 127 + 10
    assert ours == {chr(code) for code in encoding_map} - {ESCAPE}
    for one in ours:
        assert measure(one).units == len(one.encode("gsm0338"))


def test_where_smsutil_differs():
    # It needs at least one character to return GSM-7, and takes an empty text for UCS-2.
    assert by_smsutil("") == TextSize("UCS-2", 1, 0, 70)
    assert measure("") == by_definition("") == TextSize("GSM-7", 1, 0, 160)
    # It takes the escape for a character; with the next letter, it would be a euro sign.
    assert smsutil.split(f"{ESCAPE}e").encoding == "gsm0338"
    assert f"{ESCAPE}e".encode("gsm0338") == "€".encode("gsm0338")
    assert measure(f"{ESCAPE}e") == by_definition(f"{ESCAPE}e") == TextSize("UCS-2", 1, 2, 68)
