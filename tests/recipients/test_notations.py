"""Countries where one phone has two notations, compared with the package phonenumbers."""

import pickle
import re

import phonenumbers
import pytest
from hypothesis import given, strategies as st

from gateway_sms_async._recipients.national import number_reader
from gateway_sms_async._recipients.notations import (
    OLD_NOTATIONS,
    OldNotationError,
    in_any_notation,
    others,
)
from gateway_sms_async._recipients.numbers import all_normalized, normalize
from gateway_sms_async.errors import InvalidNumberError

OLD = [
    ("+52 1 55 1234 5678", "+52-5512345678", "the 1 after +52 is out of use: leave it out"),
    ("+54 11 15 2345-6789", "+54-91123456789", "15 is dialled in Argentina only: write a 9"),
    ("+54 221 15 512-3456", "+54-92215123456", "15 is dialled in Argentina only: write a 9"),
    ("+54 2966 15 42-3456", "+54-92966423456", "15 is dialled in Argentina only: write a 9"),
    ("+54 9 11 15 2345-6789", "+54-91123456789", "15 is dialled in Argentina only: leave it"),
    ("+55 11 8765-4321", "+55-11987654321", "mobile numbers in Brazil got a ninth digit: write"),
    ("+55-1167654321", "+55-11967654321", "mobile numbers in Brazil got a ninth digit: write"),
    ("+229 97 12 34 56", "+229-0197123456", "numbers in Benin have ten digits since 2024: write"),
    ("+84 162 345 6789", "+84-323456789", "mobile numbers in Vietnam changed in 2018: write"),
    ("+84 121 345 6789", "+84-793456789", "mobile numbers in Vietnam changed in 2018: write"),
    ("+84-1993456789", "+84-593456789", "mobile numbers in Vietnam changed in 2018: write"),
]
BOTH = [
    ("+54 11 2345-6789", "+54-91123456789"),
    ("+54 9 11 2345-6789", "+54-1123456789"),
    ("+55 11 7765-4321", "+55-11977654321"),
    ("+55 11 97765-4321", "+55-1177654321"),
    ("+241 06 03 12 34", "+241-66031234"),
    ("+241 66 03 12 34", "+241-06031234"),
    ("+241 7 03 12 34", "+241-77031234"),
    ("+241 01 44 12 34", "+241-11441234"),
]


def type_of(normalized):
    return phonenumbers.number_type(phonenumbers.parse(normalized))


UNKNOWN = phonenumbers.PhoneNumberType.UNKNOWN


# What is refused


@pytest.mark.parametrize(("written", "current", "advice"), OLD)
def test_an_old_notation_is_refused_with_the_way_to_write_it(written, current, advice):
    with pytest.raises(OldNotationError) as caught:
        normalize(written)
    assert caught.value.number == written
    assert caught.value.reason.startswith(advice)
    assert caught.value.current == normalize(current) == current
    assert current[-6:] not in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).current == current


@pytest.mark.parametrize(("written", "current", "advice"), OLD)
def test_the_metadata_has_the_number_in_use_and_not_the_old_one(written, current, advice):
    digits = "+" + re.sub("[^0-9]", "", written)
    code = current.partition("-")[0]
    assert type_of(current) != UNKNOWN
    # Not with `parse`, which already reads Argentina's 15 as a 9.
    old = phonenumbers.PhoneNumber(int(code), int(digits[len(code) :]))
    assert not phonenumbers.is_valid_number(old)
    assert not all_normalized([f"{code}-{digits[len(code) :]}"])


def test_ivory_coast_before_2021_has_no_number_in_use():
    # The first two digits are the operator's.
    with pytest.raises(InvalidNumberError, match="since 2021: write the operator's") as caught:
        normalize("+225 07 08 09 10")
    assert not isinstance(caught.value, OldNotationError)


def test_argentina_is_read_as_phonenumbers_reads_it():
    compared = 0
    for area in ("11", "221", "223", "341", "351", "2966", "3327"):
        for begin in range(10, 100):
            local = f"{begin}515151"[: 10 - len(area)]
            parsed = phonenumbers.parse(f"+54{area}15{local}")
            if phonenumbers.is_valid_number(parsed):
                compared += 1
                read = in_any_notation(normalize)(f"+54 {area} 15 {local}")
                assert read == f"+54-{parsed.national_number}"
    assert compared > 100


@pytest.mark.parametrize("code", OLD_NOTATIONS)
def test_no_example_is_an_old_notation(code):
    for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)]:
        for kind in phonenumbers.PhoneNumberType.values():
            if example := phonenumbers.example_number_for_type(region, kind):
                national = phonenumbers.national_significant_number(example)
                assert normalize(f"{code}{national}") == f"{code}-{national}"


def test_all_rules_of_the_metadata_are_known():
    """A rule that changes the digits after a calling code means that a phone has two notations."""
    rules = {
        region
        for region in phonenumbers.SUPPORTED_REGIONS
        if (metadata := phonenumbers.PhoneMetadata.metadata_for_region(region)) is not None
        and metadata.national_prefix_transform_rule
        and metadata.country_code != 1
    }
    # Carriers' codes are too long; JP: a prefix in front of toll-free numbers.
    known = {"AR", "GA"} | {"BR", "JP"}
    landlines_without_their_area_code = {"CC", "CX", "GG", "IM", "JE", "MG", "NF", "SM"}
    assert rules == known | landlines_without_their_area_code


# A region


@pytest.mark.parametrize(
    ("region", "written", "current"),
    [
        ("MX", "1 55 1234 5678", "+52-5512345678"),
        ("MX", "521 55 1234 5678", "+52-5512345678"),
        ("BR", "11 8765-4321", "+55-11987654321"),
        ("BR", "(011) 8765-4321", "+55-11987654321"),
        ("BJ", "97 12 34 56", "+229-0197123456"),
        ("VN", "0162 345 6789", "+84-323456789"),
    ],
)
def test_an_old_notation_as_it_is_dialled_at_home(region, written, current):
    with pytest.raises(OldNotationError) as caught:
        number_reader(region)(written)
    assert (caught.value.number, caught.value.current) == (written, current)


# Numbers to exclude


@pytest.mark.parametrize(("written", "current", "advice"), OLD)
def test_to_exclude_an_old_notation_is_the_number_in_use(written, current, advice):
    read = in_any_notation(normalize)
    assert read(written) == read(current) == current


def test_to_exclude_other_numbers_are_refused_as_ever():
    with pytest.raises(InvalidNumberError, match="too short"):
        in_any_notation(normalize)("+52 55")


@pytest.mark.parametrize(("written", "other"), BOTH)
def test_two_notations_that_are_both_accepted(written, other):
    assert other in others(normalize(written))


@given(
    st.one_of(
        st.from_regex(r"\+54-9?[1-3][0-9]{9}", fullmatch=True),
        st.from_regex(r"\+55-[1-9]{2}9?7[0-9]{7}", fullmatch=True),
        st.from_regex(r"\+241-(6[256]|7[47]|0?[24-7]|[01]1)[0-9]{6}", fullmatch=True),
        st.from_regex(r"\+39-3[0-9]{9}", fullmatch=True),
    )
)
def test_each_notation_names_the_others(number):
    try:
        normalize(number)
    except InvalidNumberError:
        return
    for other in others(number):
        assert normalize(other) == other != number
        assert number in others(other)
        assert set(others(other)) - {number} == set(others(number)) - {other}


def test_most_numbers_have_one_notation():
    assert others("+39-3401234567") == others("+52-5512345678") == []
