"""Writes campaign.csv beside itself: made-up people with numbers written in many ways.

Run by hand; needs `phonenumbers`. Foreign numbers are the examples of its metadata, Italian ones
random digits in mobile ranges. The seed is fixed: the same metadata gives the same file.
"""

import csv
import random
import sys
from pathlib import Path

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType

ITALIANS = 3000
DUPLICATES = 60
INVALID = {
    "national form": [
        "3401234567", "340 1234567", "340-123-4567", "06 69812345", "(0)340 1234567", "07400 123456",
        "39 340 1234567", "393401234567", "012-345-678",
    ],
    "letters": [
        "+39 34O 1234567", "chiedere a Luca", "tel:+393401234567", "+39 340 1234567 int. 12",
        "3,93401E+11", "n/a", "+1-800-FLOWERS",
    ],
    "too short": ["+39", "+39 340", "+39-34012", "0039 340 1", "+1 555 0123", "+44 7400"],
    "too long": ["+39 340 1234567 1234567", "+1 201 555 01234", "+7 912 345 67 890"],
    "unknown country code": ["+999 340 1234567", "+210 1234567", "00 999 1234567", "+0039 340 1234567"],
    "empty": ["", " ", "\u00a0"],
    "trunk zero": [
        "+44 (0)7400 123456", "+44 07400 123456", "+39 (0)340 1234567", "0049 0151 23456789",
        "+33 ( 0 ) 6 12 34 56 78",
    ],
    "plus inside": ["+39 340+1234567", "++39 340 1234567", "39+3401234567"],
    "other characters": [
        "+39 340 1234567; 340 7654321", "+39 340 \u0661\u0662\u0663 4567", "\u202a+39 340 1234567",
        "+39 340\n1234567", "+39 340 1234567/8", "+39_340_1234567",
    ],
}  # fmt: skip

GIVEN = """
Alessandro Anna Beatrice Björn Carlos Chloé Davide Elena Fatima Federica François Giulia Giuseppe
İpek Jürgen Lucía Łukasz Marco Maria Matteo Mohamed Nicolò Olena Paolo Renée Sofía Søren Yuki Zoë
"""
FAMILY = """
Bianchi Brûlé Colombo D'Angelo Esposito Ferrari García Gallo Kovač Marino Müller Nguyễn O'Brien
Öztürk Ricci Romano Rossi Russo Sanchez Šimić Świątek Çelik Conti Costa Bruno Greco Presti
"""
CITIES = [
    "Milano", "Roma", "Torino", "Napoli", "Forlì", "Reggio nell'Emilia", "Cantù", "L'Aquila", "Zürich",
    "São Paulo", "Washington, D.C.", "Αθήνα", "Київ", "東京", "Kraków", "Århus",
]  # fmt: skip


def examples() -> list[PhoneNumber]:
    """Return each region's example of a mobile number; some regions share one."""
    found: list[PhoneNumber] = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        example = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
        if example is not None and example not in found:
            found.append(example)
    return found


def italians(rng: random.Random, count: int) -> list[PhoneNumber]:
    """Return distinct valid mobile numbers of the ranges 320-349."""
    found: dict[int, PhoneNumber] = {}
    while len(found) < count:
        national = int(f"3{rng.randrange(20, 50)}{rng.randrange(10**7):07}")
        number = PhoneNumber(country_code=39, national_number=national)
        if phonenumbers.is_valid_number(number):
            found[national] = number
    return list(found.values())


def forms(number: PhoneNumber) -> list[str]:
    """Return ways to write a number, the tidy ones first."""
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    spaced = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    code, national = f"+{number.country_code}", phonenumbers.national_significant_number(number)
    return [
        f"{code}-{national}",
        e164,
        spaced,
        f"00{e164[1:]}",
        f"00 {spaced[1:]}",
        spaced.replace(" ", "\u00a0"),
        f"{code} ({national[:3]}) {national[3:]}",
        f"{code}.{national[:3]}.{national[3:]}",
        f"({code}) {national[:3]}/{national[3:]}",
        f" {e164} ",
    ]


def name(rng: random.Random) -> str:
    """Return a person's name, now and then with the family name first."""
    given, family = rng.choice(GIVEN.split()), rng.choice(FAMILY.split())
    return f"{family}, {given}" if rng.random() < 0.1 else f"{given} {family}"


def main() -> None:
    """Write the file and print how many rows of each kind it holds."""
    rng = random.Random(39)
    people = [*examples(), *italians(rng, ITALIANS)]
    weights = [40, 30, 10, 4, 3, 3, 3, 3, 2, 2]
    written = [rng.choices(range(10), weights)[0] for _ in people]
    numbers = [forms(person)[form] for person, form in zip(people, written, strict=True)]
    for twice in rng.sample(range(len(people)), DUPLICATES):
        other = (written[twice] + rng.randrange(1, 10)) % 10
        numbers.append(forms(people[twice])[other])
    for bad in INVALID.values():
        numbers.extend(bad)
    rng.shuffle(numbers)

    path = Path(__file__).with_name("campaign.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["number", "name", "city"])
        writer.writerows([number, name(rng), rng.choice(CITIES)] for number in numbers)

    counts = {
        "valid, distinct": len(people),
        "duplicates": DUPLICATES,
        **{f"invalid, {kind}": len(bad) for kind, bad in INVALID.items()},
        "rows": len(numbers),
    }
    sys.stdout.writelines(f"{count:5} {kind}\n" for kind, count in counts.items())


if __name__ == "__main__":
    main()
