"""Numbers in national format, and agreement with all examples of the package phonenumbers."""

import itertools
import re
import subprocess
import sys
from collections import Counter

import phonenumbers
import pytest
from hypothesis import given, strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from gateway_sms_async._recipients.national import number_reader
from gateway_sms_async._recipients.numbers import digits_key, normalize
from gateway_sms_async.errors import InvalidNumberError


def examples():
    """Yield every example: a region or a code, the type, and the number."""
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in PhoneNumberType.values():
            if example := phonenumbers.example_number_for_type(region, kind):
                yield region, PhoneNumberType.to_string(kind), example
    for code in sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS):
        yield None, str(code), phonenumbers.example_number_for_non_geo_entity(code)


EXAMPLES = list(examples())

# Metadata of before the end of Benin's old numbers has them as examples, and they are refused.
needs_new_metadata = pytest.mark.skipif(
    phonenumbers.is_valid_number(phonenumbers.parse("+22995123456")),
    reason="this version of phonenumbers is older than the numbers in use",
)

# Short numbers of companies, dialled inside the country only. No text reaches them, and accepting
# so few digits would let truncated numbers through.
TOO_SHORT = {("CA", "UAN"), ("IR", "UAN"), ("NL", "UAN"), ("NO", "UAN"), ("SJ", "UAN")}

# Landlines and premium numbers, dialled without a zero, whose digits are also a foreign number.
LIKE_FOREIGN = {
    *(("GD", kind) for kind in ("FIXED_LINE", "FIXED_LINE_OR_MOBILE")),
    *(("MS", kind) for kind in ("FIXED_LINE", "FIXED_LINE_OR_MOBILE")),
    *(("TC", kind) for kind in ("FIXED_LINE", "FIXED_LINE_OR_MOBILE", "VOIP")),
    ("HN", "TOLL_FREE"),
    ("IN", "SHARED_COST"),
    ("MT", "PREMIUM_RATE"),
    # Their first digits are also the region's own calling code.
    *(("RW", kind) for kind in ("FIXED_LINE", "FIXED_LINE_OR_MOBILE")),
}
MAILBOXES = {(region, kind) for region, kind, _ in EXAMPLES if kind == "VOICEMAIL"}

READERS = {region: number_reader(region) for region in phonenumbers.SUPPORTED_REGIONS}
strictly = number_reader(strict=True)

FORMS = {
    "E.164": (PhoneNumberFormat.E164, "{}"),
    "international": (PhoneNumberFormat.INTERNATIONAL, "{}"),
    "RFC 3966": (PhoneNumberFormat.RFC3966, "{}"),
    "national": (PhoneNumberFormat.NATIONAL, "{}"),
    "in marks": (PhoneNumberFormat.INTERNATIONAL, "\u2068{}\u2069"),
}


def gateway_form(number):
    return f"+{number.country_code}-{phonenumbers.national_significant_number(number)}"


def outcome(read, written):
    try:
        return read(written)
    except InvalidNumberError as error:
        assert error.number == written
        assert error.reason in str(error)
        return error.reason


# Agreement


@needs_new_metadata
@pytest.mark.parametrize(
    ("form", "how"),
    [
        *itertools.product(FORMS, ["with the region"]),
        *itertools.product(sorted(FORMS.keys() - {"national"}), ["plain", "strict"]),
    ],
)
def test_every_example_is_read_as_phonenumbers_reads_it(form, how):
    style, frame = FORMS[form]
    counted = Counter()
    disagreements = {}
    for region, kind, example in EXAMPLES:
        if how == "with the region":
            if region is None:
                continue
            read = READERS[region]
        else:
            read = normalize if how == "plain" else strictly
        written = frame.format(phonenumbers.format_number(example, style))
        got = outcome(read, written)
        agrees = got == gateway_form(example)
        counted[agrees] += 1
        if agrees:
            assert normalize(got) == got
        else:
            disagreements[region, kind] = got
    assert counted[True] > 1_200
    at_home = LIKE_FOREIGN | MAILBOXES if form == "national" else set()
    assert set(disagreements) == TOO_SHORT | at_home
    for one, got in disagreements.items():
        reported = (
            "may begin with (a|the)" if one in LIKE_FOREIGN else "too short for|not a number of"
        )
        assert re.match(reported, got)


@needs_new_metadata
def test_numbers_are_the_same_exactly_where_phonenumbers_says_so():
    pairs = set()
    for region, kind, example in EXAMPLES:
        if (region, kind) in TOO_SHORT:
            continue
        e164 = phonenumbers.format_number(example, PhoneNumberFormat.E164)
        spaced = phonenumbers.format_number(example, PhoneNumberFormat.INTERNATIONAL)
        pairs |= {(digits_key(normalize(e164)), e164), (digits_key(normalize(spaced)), e164)}
    keys, numbers = zip(*pairs, strict=True)
    # One key for each number, one number for each key.
    assert len(set(keys)) == len(set(numbers)) == len(pairs) > 900


# Regions


@pytest.mark.parametrize(
    ("region", "written", "expected"),
    [
        ("IT", "340 1234567", "+39-3401234567"),
        ("it", "3401234567", "+39-3401234567"),
        ("IT", "06 1234567", "+39-061234567"),
        ("IT", "011 1234567", "+39-0111234567"),
        ("IT", "tel:340-1234567", "+39-3401234567"),
        ("IT", "\u202a340 1234567\u202c", "+39-3401234567"),
        ("IT", "\uff13\uff14\uff10 1234567", "+39-3401234567"),
        ("IT", "393401234567", "+39-3401234567"),
        ("DE", "0170 1234567", "+49-1701234567"),
        ("DE", "030/123456", "+49-30123456"),
        ("GB", "020 7946 0958", "+44-2079460958"),
        ("GB", "(020) 7946 0958", "+44-2079460958"),
        ("US", "(201) 555-0123", "+1-2015550123"),
        ("US", "1 201 555 0123", "+1-2015550123"),
        ("BR", "(011) 96123-4567", "+55-11961234567"),
        ("AR", "011 15-2345-6789", "+54-91123456789"),
        ("RU", "8 (912) 345-67-89", "+7-9123456789"),
        ("JP", "\uff10\uff19\uff10\u22121234\u22125678", "+81-9012345678"),
    ],
)
def test_numbers_as_they_are_dialled_at_home(region, written, expected):
    assert number_reader(region)(written) == expected
    assert number_reader(region, strict=True)(written) == expected


@pytest.mark.parametrize("region", ["IT", "US", "JP", "KR", "BR"])
@pytest.mark.parametrize(
    "written",
    [
        "+39-3401234567",
        "+39 340 1234567",
        "(+39) 340 1234567",
        "0039 340 1234567",
        " 0039 340 1234567",
        "tel:+39-340-1234567",
    ],
)
def test_an_international_number_is_not_read_as_one_of_the_region(region, written):
    assert READERS[region](written) == "+39-3401234567"


@pytest.mark.parametrize(
    ("region", "written", "expected"),
    [
        ("US", "011 39 340 1234567", "+39-3401234567"),
        ("JP", "010 39 340 1234567", "+39-3401234567"),
        ("BR", "0015 39 340 1234567", "+39-3401234567"),
        ("AU", "0011 687 821234", "+687-821234"),
        ("SG", "001 47 412 34567", "+47-41234567"),
        ("HK", "001 45 32 12 34 56", "+45-32123456"),
        ("KR", "002 1 201 555 0123", "+1-2015550123"),
    ],
)
def test_the_way_to_dial_abroad_from_the_region(region, written, expected):
    assert READERS[region](written) == expected


@pytest.mark.parametrize(
    ("region", "written", "expected"),
    [
        ("IT", "(0)340 1234567", "+39-3401234567"),
        ("IT", "(0)6 1234567", "+39-061234567"),
        ("DE", "(0)170 1234567", "+49-1701234567"),
        ("GB", "[0]20 7946 0958", "+44-2079460958"),
    ],
)
def test_a_zero_in_brackets_is_read_the_only_way_that_there_is(region, written, expected):
    assert READERS[region](written) == expected


@pytest.mark.parametrize(
    ("region", "written"),
    [
        ("US", "(0)7402 477944"),
        ("US", "32 (0)3 234 56 78"),
        ("US", "1 (0)650 253 2222"),
        ("ES", "(0)6 12 34 56 78"),
        ("DK", "[0]31 23 45 67"),
        ("HU", "(0)6 20 123 4567"),
        ("CI", "(0)7 12 34 56 78"),
        # Not after a code that is another one than the region's own.
        ("IT", "32 (0)12345678"),
        ("DE", "31 (0)20 123 4567"),
    ],
)
def test_a_zero_in_brackets_marks_a_foreign_number(region, written):
    assert outcome(READERS[region], written) == IN_BRACKETS


def test_a_zero_in_brackets_is_read_only_in_regions_that_write_one():
    read = set()
    for region in phonenumbers.SUPPORTED_REGIONS:
        example = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
        if example is not None:
            written = f"(0){phonenumbers.national_significant_number(example)}"
            if outcome(READERS[region], written) != IN_BRACKETS:
                read.add(region)
    dial_no_zero = {
        region
        for region in read
        if phonenumbers.PhoneMetadata.metadata_for_region(region).national_prefix != "0"
    }
    assert dial_no_zero <= {"BY", "CZ", "IT", "PL", "SM", "VA"}
    assert len(read) > 80


@pytest.mark.parametrize(
    ("region", "written", "expected"),
    [
        ("PL", "(0) 512 345 678", "+48-512345678"),
        ("CZ", "420 (0)601 123 456", "+420-601123456"),
        ("BY", "8 (0)29 491-19-11", "+375-294911911"),
    ],
)
def test_regions_that_wrote_a_zero_in_brackets(region, written, expected):
    assert READERS[region](written) == expected


@pytest.mark.parametrize(
    ("region", "written"),
    [
        ("AU", "0011 81 3332 2 56"),
        ("AU", "0011 1 650 253 22"),
        # As 00 and a number of Illinois it would be one.
        ("SG", "001 44 7400 1234"),
        ("HK", "001 44 7400 1234"),
    ],
)
def test_what_begins_as_the_region_dials_abroad_is_read_no_other_way(region, written):
    reason = f"begins as numbers abroad are dialled in {region}, and no plan has it: "
    assert outcome(READERS[region], written).startswith(reason)


@pytest.mark.parametrize(
    ("region", "written"),
    [
        ("IT", "-3401234528"),
        ("GB", "\u22127911123412"),
        ("DE", "1701234567-"),
        ("US", "(6502532222)"),
    ],
)
def test_what_a_spreadsheet_computed_is_no_number_of_the_region(region, written):
    assert "a spreadsheet computed this number" in outcome(READERS[region], written)


# Numbers that lost their plus sign


def written_without_plus(example):
    code, national = example.country_code, phonenumbers.national_significant_number(example)
    spaced = phonenumbers.format_number(example, PhoneNumberFormat.INTERNATIONAL)
    yield f"{code}{national}"
    yield spaced[1:]
    region = phonenumbers.region_code_for_country_code(code)
    if phonenumbers.PhoneMetadata.metadata_for_region(region).national_prefix == "0":
        yield f"{code} (0){national}"
        yield f"{code} 0{national}"


@pytest.mark.parametrize("strict", [False, True])
def test_a_code_without_its_plus_is_read_right_or_refused(strict):
    counted = Counter()
    for region, _, example in EXAMPLES:
        if region is None:
            continue
        read = number_reader(region, strict=strict)
        for written in written_without_plus(example):
            got = outcome(read, written)
            counted[got == gateway_form(example)] += 1
            assert got == gateway_form(example) or not got.startswith("+"), written
    assert counted[True] > 10 * counted[False]


@pytest.mark.parametrize("form", ["as it is dialled", "without its zero"])
def test_a_number_at_home_is_read_right_or_refused(form):
    begin_with_the_code = 0
    for region, _, example in EXAMPLES:
        if region is None:
            continue
        written = phonenumbers.national_significant_number(example)
        begin_with_the_code += written.startswith(str(example.country_code))
        if form == "as it is dialled":
            written = phonenumbers.format_number(example, PhoneNumberFormat.NATIONAL)
        got = outcome(READERS[region], written)
        assert got == gateway_form(example) or not got.startswith("+"), written
    assert begin_with_the_code > 10


@pytest.mark.parametrize(
    ("region", "written", "reason"),
    [
        ("DE", "4915112345678", "may begin with the country code: write +49…"),
        ("DE", "49 170 1234567", "may begin with the country code: write +49…"),
        ("DE", "49 (0)170 1234567", "trunk zero in brackets: write the number as dialled from"),
        ("ID", "62812345678", "may begin with the country code: write +62…"),
        # A digit is missing: no plan has the number after the code, but one has the whole.
        ("DE", "491511234567", "may begin with the country code: write +49…"),
        ("DE", "49151123456", "may begin with the country code: write +49…"),
        ("ID", "6281234567", "may begin with the country code: write +62…"),
        ("IT", "34612345678", "not a number of IT: "),
        ("IT", "447700900123", "not a number of IT: "),
        ("IT", "491701234567", "not a number of IT: "),
        ("IT", "355672123456", "not a number of IT: "),
        ("DE", "393401234567", "may begin with a country code: write it with + if it does"),
        ("DE", "44 (0)20 7946 0958", "trunk zero in brackets: write the number as dialled"),
        ("AT", "393401234567", "not a number of AT: "),
    ],
)
def test_what_may_have_lost_its_plus_is_refused(region, written, reason):
    assert outcome(number_reader(region), written).startswith(reason)
    assert outcome(number_reader(region, strict=True), written).startswith(reason)


@pytest.mark.parametrize(
    ("region", "written", "expected"),
    [
        ("GB", "447400123456", "+44-7400123456"),
        ("FR", "33612345678", "+33-612345678"),
        ("DE", "04921 12345", "+49-492112345"),
        ("DE", "1701234567", "+49-1701234567"),
        ("ID", "0812 345 678", "+62-812345678"),
        ("IT", "391 1234567", "+39-3911234567"),
    ],
)
def test_what_can_be_read_in_one_way_is_read(region, written, expected):
    assert number_reader(region)(written) == expected


IN_BRACKETS = "trunk zero in brackets: write the number as dialled from abroad"
NOT_IT = "not a number of IT: write it in full, or with + and its country code"


@pytest.mark.parametrize(
    ("region", "written", "reason"),
    [
        ("IT", "", "empty"),
        ("IT", "340 12", NOT_IT),
        ("IT", "112", NOT_IT),
        ("IT", "0", NOT_IT),
        ("IT", "-", NOT_IT),
        ("IT", "3" * 14, NOT_IT),
        ("IT", "3" * 300, NOT_IT),
        ("US", "555-0123", NOT_IT.replace("IT", "US")),
        ("IT", "34O 1234567", "letters in the number"),
        ("US", "1-800-FLOWERS", "letters in the number"),
        ("IT", "06 69812345 int. 3", "an extension: leave it out"),
        ("IT", "06 69812345/8", "two endings after a slash: write one number"),
        ("IT", "340 1234567 / 348 1234567", "two numbers in one field: write one"),
        ("IT", "340,1234567", "unexpected character ','"),
        ("IT", "+44 (0)20 7946 0958", IN_BRACKETS),
        ("IT", "0044 (0)20 7946 0958", IN_BRACKETS),
        ("US", "0044 (0)20 7946 0958", IN_BRACKETS),
        ("IT", "(0)340 12", IN_BRACKETS),
        ("IT", "+44 07400 123456", "trunk zero after +44: leave the 0 out"),
        ("IT", "+39 340", "too short for +39"),
        ("IT", "+340 1234567 a", "letters in the number"),
    ],
)
def test_what_a_region_does_not_help_with(region, written, reason):
    assert outcome(number_reader(region), written) == reason
    assert outcome(number_reader(region, strict=True), written) == reason


def test_two_ways_to_read_00_are_one_too_many():
    # Bergen as dialled from Singapore, or Connecticut with 00 instead of a plus sign.
    written = "001 47 55 12 34 56"
    reason = "the 00 can be read in two ways: begin with + and the country code"
    assert normalize(written) == "+1-4755123456"
    assert outcome(READERS["SG"], written) == reason
    assert outcome(number_reader("SG", strict=True), written) == reason


# Strict


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("+39 340 123", "+39"),
        ("+39-34012345678901", None),
        ("+1 200 055 0123", "+1"),
        ("0044 7400 12345", "+44"),
        ("+39-0000000", "+39"),
        ("+7 012 345 67 89", "+7"),
    ],
)
def test_strict_refuses_what_no_numbering_plan_has(written, code):
    expected = f"not a number in use in {code}: check its digits" if code else "too long for +39"
    for read in (strictly, number_reader("IT", strict=True)):
        assert outcome(read, written) == expected
    if code:
        assert normalize(written).startswith(f"{code}-")


def test_strict_alone_takes_no_national_number():
    assert outcome(strictly, "340 1234567").startswith("no international prefix: ")


def test_strict_looks_at_what_is_sent_not_at_what_it_may_have_meant():
    written = "+39-00340123456"
    assert normalize(written) == written
    assert outcome(strictly, written).startswith("not a number in use in +39")


# The package phonenumbers, and the arguments that need it


def test_without_a_wish_it_is_normalize_itself():
    assert number_reader() is normalize
    assert number_reader(None, strict=False) is normalize


@pytest.mark.parametrize("region", ["", "I", "ITA", "UK", "XX", "001", "39", "+39", "Italy", "I T"])
def test_an_unknown_region_is_named(region):
    with pytest.raises(ValueError, match="default_region: there is no region") as caught:
        number_reader(region)
    assert repr(region) in str(caught.value)


@pytest.mark.parametrize("region", [39, b"IT", ["IT"]])
def test_a_region_of_another_kind_is_a_type_error(region):
    with pytest.raises(TypeError, match="default_region is a str or None, not"):
        number_reader(region)


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ({"default_region": "IT"}, "default_region"),
        ({"strict": True}, "strict"),
        ({"default_region": "IT", "strict": True}, "default_region"),
    ],
)
def test_without_the_package_the_error_says_how_to_get_it(monkeypatch, arguments, asked):
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    with pytest.raises(ValueError, match="needs the package") as caught:
        number_reader(**arguments)
    assert str(caught.value) == (
        f'{asked} needs the package phonenumbers: pip install "gateway-sms-async[phone]"'
    )
    assert number_reader()("+393401234567") == "+39-3401234567"


def test_the_package_is_not_imported_before_it_is_asked_for():
    program = (
        "import sys, gateway_sms_async, gateway_sms_async._recipients.national as phone; phone.number_reader();"
        "assert 'phonenumbers' not in sys.modules;"
        "phone.number_reader('IT'); assert 'phonenumbers' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# Properties

anything = st.one_of(
    st.text(),
    st.text("0123456789+-.()[]/ \u00a0\u200b\uff10\uff19"),
    st.from_regex(r"(\+|00?|\(0\))?[1-9][0-9 -]{4,12}", fullmatch=True),
)


@given(anything, st.sampled_from(sorted(READERS)), st.booleans())
def test_any_text_is_read_or_refused_and_what_is_read_stays(text, region, strict):
    read = number_reader(region, strict=strict)
    try:
        normalized = read(text)
    except InvalidNumberError as error:
        assert error.number == text
        assert not re.search("[0-9]{5}", re.sub(r"U\+[0-9A-F]{4,6}", "", str(error)))
    else:
        assert normalize(normalized) == normalized
        assert read(normalized) == normalized
        if strict:
            assert phonenumbers.is_valid_number(phonenumbers.parse(normalized))


@given(anything)
def test_a_region_changes_nothing_for_a_number_that_is_international(text):
    try:
        normalized = normalize(text)
    except InvalidNumberError:
        return
    assert READERS["IT"](text) == normalized
