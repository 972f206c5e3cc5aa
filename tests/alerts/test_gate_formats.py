"""Whatever a store says, what a gate prints keeps its formats: lines of Nagios, JUnit XML, JSON."""

from __future__ import annotations

import json
import pathlib
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.alerts.expectation import Expectation
from beam_obs.alerts.junit_file import write_junit
from beam_obs.alerts.nagios_output import nagios_code, nagios_lines
from beam_obs.alerts.verdict import BROKEN, HELD, UNTOLD, WARNED, Measure, Verdict, passes
from tests.cli.test_check import DATUM, STATUS

TEXTS = st.text(max_size=40) | st.sampled_from(
    ["a|b", "\x00\x1b[0m", "\ud800", "]]>", "&<>\"'", "a\r\nb", "\ufffe"]
)
NUMBERS = st.floats(0, 1e15) | st.integers(0, 10**15)
MEASURES = st.builds(
    Measure,
    st.sampled_from(["dead", "records", "age"]),
    NUMBERS,
    st.sampled_from(["", "s", "%"]),
    st.sampled_from(["", "1", "10:", "1:5"]),
    st.sampled_from(["", "0", "20:", "0:9"]),
)
STATES = st.sampled_from([HELD, WARNED, UNTOLD, BROKEN])
VERDICTS = st.lists(
    st.builds(Verdict, TEXTS, STATES, TEXTS, st.lists(MEASURES, max_size=2).map(tuple)),
    min_size=1,
    max_size=4,
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(TEXTS, VERDICTS, st.booleans())
@pytest.mark.slow
def test_a_plugin_prints_one_line_of_status_and_one_for_each_rule(
    subject: str, verdicts: list[Verdict], allow_untold: bool
) -> None:
    first, *details = nagios_lines(subject, verdicts, allow_untold)
    status, bar, data = first.partition(" | ")
    assert re.fullmatch(STATUS, status)
    assert status.split()[1] == ("OK", "WARNING", "CRITICAL", "UNKNOWN")[nagios_code(verdicts, allow_untold)]
    assert bool(bar) == any(verdict.measures for verdict in verdicts)
    labels = []
    for datum in data.split():
        assert re.fullmatch(DATUM, datum)
        labels.append(datum.partition("=")[0])
    assert len(labels) == len(set(labels))
    assert len(details) == len(verdicts)
    assert not [line for line in details if "|" in line or not line.isprintable()]


@given(VERDICTS, st.booleans())
def test_a_plugin_is_ok_or_warns_where_the_gate_opens(verdicts: list[Verdict], allow_untold: bool) -> None:
    code = nagios_code(verdicts, allow_untold)
    opens = passes(verdicts, allow_untold)
    assert (code == 0) <= opens
    assert (code in (2, 3)) <= (not opens)


@given(TEXTS, VERDICTS, st.booleans())
def test_junit_can_be_read_whatever_is_in_it(
    subject: str, verdicts: list[Verdict], allow_untold: bool
) -> None:
    write_junit("gate.xml", subject, verdicts, allow_untold)
    (suite,) = ElementTree.fromstring(pathlib.Path("gate.xml").read_bytes())
    assert len(suite.findall("testcase")) == len(verdicts)
    failed = int(suite.get("failures", "")) + int(suite.get("errors", ""))
    assert (failed == 0) == passes(verdicts, allow_untold)


@given(VALUES)
def test_a_value_is_what_is_expected_of_it_as_json(value: object) -> None:
    assert Expectation(f"$.a={json.dumps(value)}").problem({"a": value}) == ""
    assert Expectation(f"$.a={json.dumps([value])}").problem({"a": value}) != ""
    assert Expectation("$.a").problem({"a": value}) == ""


@given(st.text())
def test_a_text_that_is_no_json_stands_for_itself(text: str) -> None:
    shown = f"x{text}".strip()
    assert Expectation(f"$['a=b']={shown}").problem({"a=b": shown}) == ""
