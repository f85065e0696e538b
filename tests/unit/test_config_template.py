import re

import pytest

from ingest.config.template import Column, Part, Text, Time, columns_of, is_template, parse_template


def test_a_template_is_read_into_pieces():
    assert parse_template("dt=%Y-%m/site={site.name/x}_%%") == (
        Part("dt", (Time("Y"), Text("-"), Time("m"))),
        Part("site", (Column("site.name/x"), Text("_"), Text("%"))),
    )


def test_columns_are_listed_in_order():
    assert columns_of(parse_template("a={x}/b={y}{x}")) == ["x", "y", "x"]


@pytest.mark.parametrize(
    ("text", "template"), [("hourly", False), ("dt=%Y", True), ("%Y", True), ("{a}", True), ("", True)]
)
def test_a_plain_name_is_a_function_not_a_template(text, template):
    assert is_template(text) is template


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must name at least one directory"),
        ("/dt=%d", "not of the form name=value"),
        ("dt=%d/", "not of the form name=value"),
        ("a=1//b=2", "not of the form name=value"),
        ("dt=", "not of the form name=value"),
        ("_dt=%d", "not of the form name=value"),
        ("../x=1", "not of the form name=value"),
        ("d t=%d", "not of the form name=value"),
        ("dt=%d/dt=%H", 'names "dt" twice'),
        ("dt=%", 'no directive "%"'),
        ("dt=%s", 'no directive "%s"; there are %G, %H'),
        ("a={", "without its partner"),
        ("a=}", "without its partner"),
        ("a={}", "must hold the name of a column"),
    ],
)
def test_what_is_no_template_is_refused(text, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse_template(text)
