"""The names of number columns: which one is taken, and when there may be another one."""

import pytest

from gateway_sms_async._cli.lists.columns import NUMBER_NAMES, NumberColumns, Several, Single


@pytest.mark.parametrize(
    "name",
    [
        "MobilePhone", "Mobile Phone", "phone_mobile", "Cellulare 1", "Tel. cellulare", "Cell",
        "Cell.", "Mobile Phone Number", "Phone 1 - Value", "Business Phone", "homephone", "TEL",
        "Telefono2", "telefono_casa", "Téléphone portable", "Te\u0301le\u0301phone", "Móvil",
        "Celular", "Handy-Nr.", "Handynummer", "Mobilnummer", "Rufnummer", "GSM", "Number 2",
        "numero_2", "WhatsApp", "whatsapp number", "SMS", "Matkapuhelin", "Мобильный", "phone type",
        "Telemóvel", "Telem.", "TLM", "telmobile", "Tel mobile", "telcell", "Cell no", "CellNr",
        "Κινητό", "Τηλέφωνο", "Cep Tel", "携帯電話", "电话", "手机号", "Natelnummer", "WA",
    ],
)  # fmt: skip
def test_names_that_a_second_number_may_have(name: str) -> None:
    columns = NumberColumns()
    assert columns.find_single(["x", name, "number"], "column") == Single(2, (1,), (0,))
    assert columns.find_several(["x", name, "number"], "column") == Several((2,), (1,), (), (0,))
    wanted = NumberColumns(("number",))
    assert wanted.find_single(["number", name], "column") == Single(0, (), ())
    # Its cells need not be numbers, since the user has named the column that holds them.
    assert wanted.find_several(["number", name], "column") == Several((0,), (), (1,), ())


@pytest.mark.parametrize(
    "name",
    [
        "name", "email", "Phone fax", "Customer number", "Numero civico", "Hotel",
        "Immobile", "Automobile", "Cella", "Citofono", "mobbing", "Partita IVA", "", "1", "Telaio",
        "Contact No", "Cellophane", "Telecom", "CEP", "Wales", "Tel/Fax",
    ],
)  # fmt: skip
def test_names_of_other_columns(name: str) -> None:
    assert NumberColumns().find_single([name, "phone"], "column") == Single(1, (), (0,))


@pytest.mark.parametrize("name", ["Fax", "Telefax", "Fax number", "FaxNr"])
def test_no_text_is_sent_to_a_fax_number(name: str) -> None:
    assert NumberColumns().find_single([name, "phone"], "column") == Single(1, (), ())


@pytest.mark.parametrize(
    ("name", "is_doubtful"),
    [("Tel/Fax", True), ("Phone fax", True), ("Fax", False), ("note", False)],
)
def test_a_column_of_fax_numbers_may_hold_one_of_a_phone(name: str, is_doubtful: bool) -> None:
    doubtful, rest = ((1,), ()) if is_doubtful else ((), (1,))
    several = NumberColumns().find_several(["phone", name], "column")
    assert several == Several((0,), (), doubtful, rest)


@pytest.mark.parametrize("name", NUMBER_NAMES)
def test_two_known_names_need_a_choice(name: str) -> None:
    other = "mobile" if name != "mobile" else "phone"
    with pytest.raises(ValueError, match="choose one with --number-column NAME"):
        NumberColumns().find_single([name.upper(), other], "column")
    assert NumberColumns().find_several([name.upper(), other], "column").certain == (0, 1)


def test_the_first_wanted_name_that_a_list_has() -> None:
    names = ["phone", "Tel", "cell"]
    assert NumberColumns(("x", "cell", "tel")).find_single(names, "column").place == 2
    assert NumberColumns(("tel", "cell")).find_single(names, "column").place == 1
    several = NumberColumns(("cell", "tel")).find_several(names, "column")
    assert several == Several((2, 1), (), (0,), ())
    with pytest.raises(ValueError, match="no column is named 'x' or 'y'; name the one"):
        NumberColumns(("x", "y")).find_single(names, "column")
    assert NumberColumns(("x", "y"), binding=False).find_single(names, "column").place == 0


def test_names_that_another_file_has() -> None:
    assert NumberColumns(("Tel", "cell")).are_all_among(["tel", "CELL", "x"])
    assert not NumberColumns(("Tel", "cell")).are_all_among(["tel"])
    assert NumberColumns().are_all_among([])
