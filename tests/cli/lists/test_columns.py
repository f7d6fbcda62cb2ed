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
    ],
)  # fmt: skip
def test_names_that_a_second_number_may_have(name: str) -> None:
    columns = NumberColumns()
    assert columns.find_single(["x", name, "number"], "column") == Single(2, (1,))
    assert columns.find_several(["x", name, "number"], "column") == Several((2,), (1,))
    assert NumberColumns(("number",)).find_single(["number", name], "column") == Single(0, ())


@pytest.mark.parametrize(
    "name",
    [
        "name", "email", "Fax", "Phone fax", "Telefax", "Customer number", "Numero civico", "Hotel",
        "Immobile", "Automobile", "Cella", "Citofono", "mobbing", "Partita IVA", "", "1", "Telaio",
    ],
)  # fmt: skip
def test_names_of_other_columns(name: str) -> None:
    assert NumberColumns().find_single([name, "phone"], "column") == Single(1, ())


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
    assert NumberColumns(("cell", "tel")).find_several(names, "column") == Several((2, 1), ())
    with pytest.raises(ValueError, match="no column is named 'x' or 'y'; name the one"):
        NumberColumns(("x", "y")).find_single(names, "column")
    assert NumberColumns(("x", "y"), binding=False).find_single(names, "column").place == 0


def test_names_that_another_file_has() -> None:
    assert NumberColumns(("Tel", "cell")).are_all_among(["tel", "CELL", "x"])
    assert not NumberColumns(("Tel", "cell")).are_all_among(["tel"])
    assert NumberColumns().are_all_among([])
