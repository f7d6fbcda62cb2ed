from hypothesis import given, strategies as st

from gateway_sms_async.text import missing_field, placeholders


def test_placeholders_are_named_once_in_order_of_first_use():
    body = "Ciao {{name}}, a {{city}} per {{name}}: {{code}}"
    assert placeholders(body) == ("name", "city", "code")


def test_what_is_no_placeholder():
    assert placeholders("") == ()
    assert placeholders("{name} {{}} {{name} {name}} { {name} }") == ()


def test_a_name_is_taken_as_it_is_written():
    assert placeholders("{{ name }}{{Città}}{{{code}}}") == (" name ", "Città", "code")


@given(st.lists(st.text(st.characters(exclude_characters="{}"), min_size=1), unique=True))
def test_every_name_comes_back(names):
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
