import csv
import itertools
import pickle
import re
from collections import Counter
from dataclasses import FrozenInstanceError
from types import MappingProxyType

import phonenumbers
import pytest
from hypothesis import given, settings, strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from gateway_sms_async._recipients.numbers import (
    all_normalized,
    calling_code,
    digits_key,
    mask,
    normalize,
)
from gateway_sms_async._recipients.plans import LENGTHS, NO_ZERO
from gateway_sms_async._recipients.recipient import Recipient, check_source, coerce
from gateway_sms_async.errors import InvalidNumberError

from ..support.paths import DATA

CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


def an_example(region):
    mobile = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
    return mobile or phonenumbers.example_number(region)


EXAMPLES = {
    **{region: an_example(region) for region in sorted(phonenumbers.SUPPORTED_REGIONS)},
    **{
        str(code): phonenumbers.example_number_for_non_geo_entity(code)
        for code in sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS)
    },
}


def reason(number):
    with pytest.raises(InvalidNumberError) as caught:
        normalize(number)
    assert caught.value.number == number
    assert caught.value.reason in str(caught.value)
    return caught.value.reason


# The table of calling codes


def test_the_table_holds_exactly_the_codes_of_the_metadata():
    assert sorted(int(code) for code in LENGTHS) == CODES


def test_no_code_begins_another_one():
    assert not [(a, b) for a in LENGTHS for b in LENGTHS if a != b and b.startswith(a)]


@pytest.mark.parametrize("region", EXAMPLES)
def test_an_example_of_every_region_in_every_form(region):
    example = EXAMPLES[region]
    e164 = phonenumbers.format_number(example, PhoneNumberFormat.E164)
    spaced = phonenumbers.format_number(example, PhoneNumberFormat.INTERNATIONAL)
    national = phonenumbers.national_significant_number(example)
    expected = f"+{example.country_code}-{national}"

    forms = [expected, e164, f"00{e164[1:]}", spaced, f"00 {spaced[1:]}", f" {spaced}\r\n"]
    assert {normalize(form) for form in forms} == {expected}
    assert digits_key(expected) == int(e164)
    assert calling_code(expected) == f"+{example.country_code}"


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_every_length_of_a_mobile_number_is_allowed(region):
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    kind = metadata.mobile or metadata.general_desc
    lengths = set(kind.possible_length or metadata.general_desc.possible_length)
    assert lengths <= LENGTHS[f"+{metadata.country_code}"]


@pytest.mark.parametrize("code", sorted(NO_ZERO))
def test_zero_is_dialled_at_home_and_never_begins_a_number(code):
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)]
    kinds = [kind for kind in PhoneNumberType.values() if kind != PhoneNumberType.UNKNOWN]
    examples = [
        phonenumbers.national_significant_number(example)
        for region in regions
        for kind in kinds
        if (example := phonenumbers.example_number_for_type(region, kind))
    ]
    assert examples
    assert not [example for example in examples if example.startswith("0")]
    metadata = [phonenumbers.PhoneMetadata.metadata_for_region(region) for region in regions]
    assert {"0", "06"} & {data.national_prefix for data in metadata}


# Plans with numbers that begin like the trunk prefix, and an example of each.
BEGIN_LIKE_A_TRUNK = {
    "+7": "8001234567",
    "+250": "06123456",
    "+375": "8011234567",
}


@pytest.mark.parametrize("code", BEGIN_LIKE_A_TRUNK)
def test_a_number_that_begins_like_a_trunk_prefix_is_taken(code):
    number = f"{code}-{BEGIN_LIKE_A_TRUNK[code]}"
    assert phonenumbers.is_valid_number(phonenumbers.parse(number))
    assert normalize(number) == number


def national_numbers(region):
    for kind in PhoneNumberType.values():
        if example := phonenumbers.example_number_for_type(region, kind):
            yield phonenumbers.national_significant_number(example)


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_a_trunk_prefix_after_the_code_is_refused(region):
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    code, trunk = f"+{metadata.country_code}", metadata.national_prefix
    for number in national_numbers(region) if trunk else ():
        if (region, number) == ("CA", "3101234"):  # a short one: refused in any form
            continue
        kind = "trunk zero" if trunk == "0" else f"trunk prefix {trunk}"
        expected = f"{kind} after {code}: leave the {trunk} out"
        forms = [
            f"{code}-{trunk}{number}",
            f"{code} {trunk} {number}",
            f"00{code[1:]}{trunk}{number}",
        ]
        assert {reason(form) for form in forms} == {expected}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("+241 060312345", "trunk zero after +241: leave the 0 out"),
        ("+36 0301234567", "trunk zero after +36: leave the 0 out"),
        ("+375 80 29 1234567", "trunk prefix 8 after +375: leave the 8 out"),
        ("+375 0291234567", "trunk zero after +375: leave the 0 out"),
        ("+370 8 612 34567", "trunk prefix 8 after +370: leave the 8 out"),
        ("+370 0 612 34567", "trunk zero after +370: leave the 0 out"),
        ("+7 8 (912) 345-67-89", "trunk prefix 8 after +7: leave the 8 out"),
        ("+91 098765 43210", "trunk zero after +91: leave the 0 out"),
        ("+81 090-1234-5678", "trunk zero after +81: leave the 0 out"),
        ("+1 1 (201) 555-0123", "trunk prefix 1 after +1: leave the 1 out"),
    ],
)
def test_trunk_prefixes_as_they_are_written(written, expected):
    assert reason(written) == expected


# Forms


@pytest.mark.parametrize(
    "written",
    [
        "+39-3401234567",
        "+393401234567",
        "00393401234567",
        "+39 340 1234567",
        "0039 340 1234567",
        "00 39 340.123.4567",
        "+39-340-123-4567",
        "+39 (340) 123 4567",
        "(+39) 340/1234567",
        "[+39] 340 1234567",
        "+39\u00a0340\u2009123\u202f4567",
        "+39\u2011340\u20131234567",
        "  +39-3401234567\t\n",
        "+(39) 340 1234567",
        "(0039) 340 1234567",
        "+39·340·1234567",
        "+39 \u2013 340 \u2014 1234567",
        "+39\u2212340\u2212123\u22124567",
        "tel:+39-340-1234567",
        "TEL: +39(340)123.4567",
        "tel:0039 340 1234567",
        "'+39 340 1234567",
        "\u2018+39 340 1234567",
        "\u2019+39 340 1234567",
        "+39/340/1234567",
        "0039 340/1234567",
        "\u202a+39 340 1234567\u202c",
        "\u2066+39\u00a0340\u00a01234567\u2069",
        "\u200e\u202d tel:\u200b+39340\u20601234567\u202c\u200f",
        "\ufeff+393401234567",
        "+39\u00ad340\u00ad1234567",
        "\uff0b\uff13\uff19\u3000\uff08\uff13\uff14\uff10\uff09\uff11\uff12\uff13\uff0d\uff14\uff15\uff16\uff17",
        "\uff0b39\u30fc340\u30fc1234567",
    ],
)
def test_forms_of_one_number(written):
    assert normalize(written) == "+39-3401234567"
    assert digits_key(normalize(written)) == 393401234567


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("+3-93401234567", "+39-3401234567"),
        ("+393-401234567", "+39-3401234567"),
        ("+393401234-567", "+39-3401234567"),
        ("+-393401234567", "+39-3401234567"),
        ("+12-015550123", "+1-2015550123"),
        ("+35-5672123456", "+355-672123456"),
    ],
)
def test_the_digits_tell_the_code_not_the_hyphen(written, expected):
    assert normalize(written) == expected


@pytest.mark.parametrize(
    "written",
    [
        "-393401234567",
        "-3401234528",
        "- 340 1234528",
        "-3.401.234.528",
        "\u22123401234528",
        "\u20133401234528",
        "\uff0d3401234528",
        "'-3401234528",
        "(-3401234528)",
        "-+39 340 1234567",
        " -0039 340 1234567",
        "-\u00a0+393401234567",
    ],
)
def test_a_minus_before_a_number_is_what_a_spreadsheet_computed(written):
    assert reason(written) == f"a minus before the digits: {COMPUTED}"


@pytest.mark.parametrize(
    "written",
    [
        "3401234528-",
        "3401234528\u2212",
        "+39 340 1234567-",
        "+39 340 1234567 - ",
        "00393401234567-",
        "+39-3401234567-",
        "(+39 340 1234567-)",
    ],
)
def test_a_minus_after_a_number_is_what_a_spreadsheet_computed(written):
    assert reason(written) == f"a minus after the digits: {COMPUTED}"


@pytest.mark.parametrize("written", ["(3401234528)", "(3.401.234.528)", "( 3,401,234,528 )"])
def test_a_negative_number_in_brackets_is_what_a_spreadsheet_computed(written):
    assert reason(written) == f"all in brackets, as a negative number: {COMPUTED}"


@pytest.mark.parametrize(
    "written", ["340-1234567", "(340) 1234567", "+39-340-1234567", "(+39 340 1234567)", "-", " - "]
)
def test_a_hyphen_inside_is_no_minus(written):
    try:
        assert normalize(written) == "+39-3401234567"
    except InvalidNumberError as error:
        assert error.reason == ABROAD


def test_a_zero_that_belongs_to_the_number_stays():
    assert normalize("+39 06 69812345") == "+39-0669812345"
    assert normalize("+225 01 23 45 67 89") == "+225-0123456789"
    assert digits_key("+39-0669812345") != digits_key("+39-669812345")


# Refusals

ABROAD = "no international prefix: begin with + and the country code"
COMPUTED = "a spreadsheet computed this number: take it from the original list"
EXPORT = "format the column as text and export again"
TWO = "two numbers in one field: write one"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", "empty"),
        (" \u00a0\n", "empty"),
        ("3401234567", ABROAD),
        ("393401234567", ABROAD),
        ("06 69812345", ABROAD),
        ("-", ABROAD),
        ("+", "too short"),
        ("00", "too short"),
        ("+39", "too short"),
        ("tel:", "empty"),
        ("\u200b", "empty"),
        ("011 39 340 1234567", ABROAD + ", not with 011"),
        ("tel:340-1234567", ABROAD),
        ("+39-", "a minus after the digits: " + COMPUTED),
        ("+39-34012", "too short for +39"),
        ("+1 555 0123", "too short for +1"),
        ("+39 340 1234567 1234", "too long for +39"),
        ("+1 201 555 01234", "too long for +1"),
        ("+39" + "3" * 5000, "too long for +39"),
        ("+999 340 1234567", "unknown country code +999"),
        ("+210-1234567", "unknown country code +210"),
        ("00999 1234567", "unknown country code +999"),
        ("+0039 340 1234567", "no country code begins with 0: write + and the country code"),
        ("+0340 1234567", "no country code begins with 0: write + and the country code"),
        ("+39 34O 1234567", "letters in the number"),
        ("+39 340 1234567 a casa", "letters in the number"),
        ("mailto:+393401234567", "letters in the number"),
        ("+39 340 1234567 int. 3", "an extension: leave it out"),
        ("+1 (201) 555-0123 x12", "an extension: leave it out"),
        ("+39 06 69812345 #2", "an extension: leave it out"),
        ("tel:+39-06-69812345;ext=12", "an extension: leave it out"),
        ("3,93401E+11", f"rounded by a spreadsheet (E+11): {EXPORT}"),
        ("3.93401234567E+11", f"rounded by a spreadsheet (E+11): {EXPORT}"),
        ("3.9e11", f"rounded by a spreadsheet (E+11): {EXPORT}"),
        ("3401234567.0", f"made a decimal by a spreadsheet (.0): {EXPORT}"),
        ("+393401234567.0", f"made a decimal by a spreadsheet (.0): {EXPORT}"),
        ("393401234567,00", f"made a decimal by a spreadsheet (.0): {EXPORT}"),
        ("1.23E-05", f"rounded by a spreadsheet (E-05): {EXPORT}"),
        ("1,23 E+011", f"rounded by a spreadsheet (E+011): {EXPORT}"),
        ("3,401,234,567", f"written with thousands by a spreadsheet: {EXPORT}"),
        ("3.401.234.567,00", f"written with thousands by a spreadsheet: {EXPORT}"),
        ("3,401,234,567.00", f"written with thousands by a spreadsheet: {EXPORT}"),
        ("########", "hidden by a spreadsheet (####): widen the column and export again"),
        ("#NAME?", "an error of a spreadsheet (#…): correct the cell"),
        ("#N/A", "an error of a spreadsheet (#…): correct the cell"),
        ("+1 140 234 5678", "no number of +1 begins with 1: check its digits"),
        ("+1 040 234 5678", "no number of +1 begins with 0: check its digits"),
        ("+1-1402345678", "no number of +1 begins with 1: check its digits"),
        ("+1-0402345678", "no number of +1 begins with 0: check its digits"),
        ("+55 15 11 96123-4567", "too long for +55"),
        ("+39-٣٤٠١٢٣٤٥٦٧", "digits other than 0-9"),
        ("+39-340123456²", "digits other than 0-9"),
        ("++39 340 1234567", "a plus sign inside the number"),
        ("+39+3401234567", "a plus sign inside the number"),
        ("39 340 1234567+", "a plus sign inside the number"),
        ("+39 340\r\n1234567", "a line break inside the number"),
        ("+39\t3401234567", "a control or invisible character (U+0009)"),
        ("+39\x003401234567", "a control or invisible character (U+0000)"),
        ("+39,3401234567", "unexpected character ','"),
        ("+39 340 1234567, 348 1234567", TWO),
        ("+39 340 1234567; +39 348 1234567", TWO),
        ("+39 340 1234567 / 348 1234567", TWO),
        ("+39 340 1234567 - 348 1234567", TWO),
        ("+393401234567 3481234567", TWO),
        ("+393401234567+393481234567", TWO),
        ("+39 340 1234567\n+39 348 1234567", TWO),
        ("+39 340 1234567 o 348 1234567", TWO),
        ("340 1234567 / 348 1234567", TWO),
        ("340 1234567 ::: 02 1234567", TWO),
        ("3401234567:::021234567", TWO),
        ("340 1234567 \\ 02 1234567", TWO),
        ("340 1234567 * 347 7654321", TWO),
        ("340 1234567 _ 347 7654321", TWO),
        ("340:1234567", "unexpected character ':'"),
        ("+39_3401234567", "unexpected character '_'"),
        ("+44 (0)7400 123456", "trunk zero in brackets: write the number as dialled from abroad"),
        ("+39 ( 0 ) 6 69812345", "trunk zero in brackets: write the number as dialled from abroad"),
        ("+44 07400 123456", "trunk zero after +44: leave the 0 out"),
        ("+44-07400123456", "trunk zero after +44: leave the 0 out"),
        ("+4407400123456", "trunk zero after +44: leave the 0 out"),
        ("+39 340 1234567/568", TWO),
        ("+298 212345/212346", TWO),
        ("+683 4002/4003", TWO),
        ("0039 340 1234567/5678", TWO),
        ("3401234567/568", TWO),
        ("+39 06 1234567/8", "two endings after a slash: write one number"),
    ],
)
def test_refusals_say_what_to_change(written, expected):
    assert reason(written) == expected


def test_a_refusal_shows_the_number_masked():
    with pytest.raises(InvalidNumberError) as caught:
        normalize("+39 340 1234567 1234")
    assert str(caught.value) == "+39…1234: too long for +39"


# Properties

FULL_WIDTH = {0xFF10 + digit: str(digit) for digit in range(10)}

anything = st.one_of(
    st.text(),
    st.text("0123456789+-.()[]/ \u00a0\u200b\uff0b\uff10\uff19\n a٣²"),
    st.text("0123456789+,;/.:' ExXit#=\n"),
    st.from_regex(r"(\+|00)?[0-9]{1,3}[- ]?[0-9 ]{0,14}", fullmatch=True),
    st.from_regex(r"(\+|00)?[0-9]{2,13}(,|;|/| - | o |\.|E\+| int\. )[0-9+]{1,13}", fullmatch=True),
)
good = st.sampled_from([normalize(f"+{e.country_code}{e.national_number}") for e in (
    EXAMPLES["IT"], EXAMPLES["US"], EXAMPLES["GB"], EXAMPLES["DE"], EXAMPLES["AL"], EXAMPLES["BR"],
)])  # fmt: skip


@given(anything)
def test_any_text_is_a_number_or_an_invalid_number(text):
    try:
        normalized = normalize(text)
    except InvalidNumberError as error:
        refusal = error
    else:
        refusal = None
    if refusal:
        assert refusal.number == text
        shown = re.sub(r"U\+[0-9A-F]{4,6}", "", str(refusal))
        assert not re.search("[0-9]{5}", shown)
    else:
        digits = re.sub(r"[^0-9]", "", text.translate(FULL_WIDTH))
        assert re.fullmatch(r"\+[0-9]{1,3}-[0-9]{3,14}", normalized)
        assert normalize(normalized) == normalized
        assert digits_key(normalized) == int(digits)
        assert re.sub(r"[^0-9]", "", normalized) == digits.removeprefix("00")


def has_whole_number_before_a_slash(seen, number):
    before, _, _ = seen.rstrip(" .-()/\u00a0\u2009\u2011").rpartition("/")
    code = calling_code(number)
    digits = re.sub("[^0-9]", "", before.translate(FULL_WIDTH)).removeprefix("00")
    return len(digits) - len(code[1:]) >= min(LENGTHS[code])


@given(good, st.sampled_from(["+", "00", "tel:+", "'+", "\u202a+", "\uff0b"]), st.data())
def test_separators_do_not_matter(number, prefix, data):
    digits = number[1:].replace("-", "")
    separators = st.text(" .-()/\u00a0\u2009\u2011\u200b\u2060", max_size=2)
    parts = [digit + data.draw(separators, label="after") for digit in digits]
    written = prefix + "".join(parts)
    seen = re.sub("[\u200b\u2060]", "", written).strip()
    if re.search(r"[-\u2011][ .()/\u00a0\u2009]*\Z", seen):
        assert reason(written) == "a minus after the digits: " + COMPUTED
    elif re.search(r"/\s*\d{1,2}\Z", seen):
        assert reason(written).startswith("two endings after a slash")
    elif has_whole_number_before_a_slash(seen, number):
        assert reason(written) == TWO
    elif re.search(r"\(\s*0\s*\)", seen):
        assert reason(written).startswith("trunk zero in brackets")
    else:
        assert normalize(written) == number


@given(good, st.sampled_from(["", *"abcxyzE,;:_#*~\x00\t\n²٣"]), st.data())
def test_a_foreign_character_between_the_digits_is_always_refused(number, foreign, data):
    at = data.draw(st.integers(2, len(number) - 1))
    written = number[:at] + foreign + number[at:]
    if foreign:
        assert reason(written)
    else:
        assert normalize(written) == number


trunks = st.sampled_from(["", "", "", "0", "00", "06", "8", "80", "1"])


@st.composite
def nearly_normalized(draw):
    example = draw(st.sampled_from(list(EXAMPLES.values())))
    national = draw(trunks) + phonenumbers.national_significant_number(example)
    number = f"+{example.country_code}-{national}"
    at = draw(st.integers(0, len(number)))
    cut = draw(st.sampled_from([0, 0, 0, 1, 2]))
    extra = draw(st.sampled_from(["", "", "", *"0189-+ \n\u0661\uff11", "\n\n", "\r"]))
    return number[:at] + extra + number[at + cut :]


@st.composite
def of_a_code(draw):
    code = draw(st.sampled_from(sorted(LENGTHS)))
    return f"{code}-{draw(trunks)}{draw(st.text('0123456789', max_size=14))}"


def is_normalized(text):
    try:
        return normalize(text) == text
    except InvalidNumberError:
        return False


@settings(max_examples=500)
@given(st.lists(st.one_of(nearly_normalized(), of_a_code(), anything), max_size=3))
def test_many_are_checked_as_normalize_checks_one(texts):
    assert all_normalized(texts) == all(map(is_normalized, texts))


@pytest.mark.parametrize("code", sorted(LENGTHS))
def test_every_length_and_trunk_prefix_is_checked_alike(code):
    for begin in [
        "",
        "116",
        "121",
        "162",
        "186",
        "0",
        "00",
        "06",
        "1",
        "8",
        "80",
        "801",
        "802",
        "810",
        "811",
        "820",
        "82",
        "825",
    ]:
        for digit, length in itertools.product("02468", range(len(begin), 17)):
            text = f"{code}-{begin.ljust(length, digit)}"
            assert all_normalized([text]) == is_normalized(text), text


@given(st.text())
def test_a_mask_hides_most_digits_of_any_text(text):
    shown = mask(text)
    assert re.fullmatch(r"(\+[0-9]{1,3})?…([0-9]{2}|[0-9]{4})?", shown)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+39-3401234567", "+39…4567"),
        ("+39 340 123 4567", "+39…4567"),
        ("00393401234567", "…4567"),
        ("3401234567", "…67"),
        ("+355-67212345", "+355…2345"),
        ("+376-312345", "+376…45"),
        ("+290-51234", "…"),
        ("+999 340 1234567", "…4567"),
        ("Anna", "…"),
        ("", "…"),
    ],
)
def test_mask(number, shown):
    assert mask(number) == shown


# Recipients and their sources


class Text(str):
    __slots__ = ()

    def __str__(self):
        return "not the text"


def test_a_recipient_shows_neither_number_nor_values():
    recipient = Recipient("+39-3401234567", {"name": "Anna"})
    assert repr(recipient) == "Recipient('+39…4567', fields=('name',))"
    assert repr(Recipient("+39-3401234567")) == "Recipient('+39…4567', fields=None)"


def test_a_recipient_is_a_frozen_value():
    recipient = Recipient("+39-3401234567", {"name": "Anna"})
    with pytest.raises(FrozenInstanceError):
        recipient.number = "+39-3401234568"
    assert recipient == Recipient("+39-3401234567", {"name": "Anna"})
    assert pickle.loads(pickle.dumps(recipient)) == recipient


def test_a_recipient_keeps_a_bad_number_for_later():
    assert Recipient("340").number == "340"


@pytest.mark.parametrize("arguments", [(3401234567,), ("+39", ["name"]), ("+39", {"age": 41})])
def test_a_recipient_checks_its_types(arguments):
    with pytest.raises(TypeError):
        Recipient(*arguments)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("+39 340", ("+39 340", None)),
        (Text("+39 340"), ("+39 340", None)),
        (Recipient("+39 340"), ("+39 340", None)),
        (Recipient("+39 340", {"name": "Anna"}), ("+39 340", {"name": "Anna"})),
        (("+39 340", {"name": "Anna"}), ("+39 340", {"name": "Anna"})),
        (("+39 340", {}), ("+39 340", {})),
        (("+39 340", MappingProxyType({"a": "b"})), ("+39 340", {"a": "b"})),
        ((Text("+39 340"), {"lang": Text("it")}), ("+39 340", {"lang": "it"})),
    ],
)
def test_coerce_unpacks_every_form_into_plain_values(item, expected):
    number, fields = coerce(item)
    assert (number, fields) == expected
    assert type(number) is str
    assert fields is None or (type(fields) is dict and {*map(type, fields.values())} <= {str})


def test_coerce_copies_fields():
    row = {"name": "Anna"}
    _, fields = coerce(("+39 340", row))
    row["name"] = "Bruno"
    assert fields == {"name": "Anna"}


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (b"+39340", "not bytes"),
        (393401234567, "not int"),
        (None, "not NoneType"),
        ({"number": "+39340"}, "not dict"),
        (["+39340", {}], "not list"),
        (("+39340",), r"a tuple is \(number, fields\)"),
        (("+39340", {}, 1), r"a tuple is \(number, fields\)"),
        ((393401234567, {}), "a number must be a str, not int"),
        (("+39340", None), "fields must be a mapping of str to str, not NoneType"),
        (("+39340", [("name", "Anna")]), "fields must be a mapping of str to str, not list"),
        (("+39340", {"name": "Anna", "age": 41}), "field 'age' must be a str, not int"),
        (("+39340", {7: "Anna"}), "a field's name must be a str, not int"),
    ],
)
def test_coerce_refuses_anything_else_without_quoting_values(item, message):
    with pytest.raises(TypeError, match=message) as caught:
        coerce(item)
    assert not re.search("39340|Anna|41", str(caught.value))


async def numbers():
    yield "+39-3401234567"


@pytest.mark.parametrize(
    "source",
    [[], ["+39"], ("+39", "+44"), ("+39", {}, "x"), {"+39"}, iter(["+39"]), range(0), numbers()],
)
def test_sources_of_recipients(source):
    check_source(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("+39-3401234567", r"a str is one number: write \[number\]"),
        (b"+39", "decode them first"),
        (bytearray(b"+39"), "decode them first"),
        ({"+39": {}}, r"write a list of \(number, fields\)"),
        (Recipient("+39"), r"write \[recipient\]"),
        (("+39", {}), r"write \[\(number, fields\)\]"),
        (None, "not NoneType"),
        (numbers, "not function"),
        (39, "not int"),
    ],
)
def test_what_is_no_source_of_recipients(source, message):
    with pytest.raises(TypeError, match=message):
        check_source(source)


# The sample campaign


def test_the_sample_campaign_is_read_as_it_was_made():
    path = DATA / "campaign.csv"
    reasons = Counter()
    keys = Counter()
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            try:
                keys[digits_key(normalize(row["number"]))] += 1
            except InvalidNumberError as error:
                reasons[re.split(r":| for \+| after \+| code \+|'", error.reason)[0]] += 1
    assert reader.fieldnames == ["number", "name", "city"]
    assert len(keys) == 3238
    assert keys.total() - len(keys) == 61
    assert reasons.total() == 44
    assert min(reasons.values()) >= 1
    assert reasons["no international prefix"] == 8
