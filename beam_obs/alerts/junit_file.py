"""What a gate found as JUnit XML, which Jenkins and others show: a test case for each rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from beam_obs.alerts.verdict import BROKEN, UNTOLD, WARNED, Verdict
from beam_obs.records.errors import MissingExtra
from beam_obs.records.wording import clean


def write_junit(file: str, subject: str, verdicts: Sequence[Verdict], allow_untold: bool = False) -> None:
    """Writes a file of JUnit XML: a broken rule is a failure, one that cannot be told an error.

    Args:
      file: its path.
      subject: what was looked at, the class of the test cases.
      verdicts: of the rules.
      allow_untold: whether a rule that cannot be told was skipped, and is no error.

    Raises:
      MissingExtra: the ``watching`` extra is not installed.
      OSError: it cannot be written.
    """
    junitparser = _library()
    suite = junitparser.TestSuite("beam-obs check")
    for verdict in verdicts:
        case = junitparser.TestCase(clean(verdict.rule), classname=clean(subject), time=0.0)
        text = clean(verdict.text)
        if verdict.state == BROKEN:
            case.result = [junitparser.Failure(text, verdict.state)]
        elif verdict.state == UNTOLD and allow_untold:
            case.result = [junitparser.Skipped(text, verdict.state)]
        elif verdict.state == UNTOLD:
            case.result = [junitparser.Error(text, verdict.state)]
        else:
            case.system_out = f"{'warned: ' if verdict.state == WARNED else ''}{text}"
        suite.add_testcase(case)
    written = junitparser.JUnitXml()
    written.add_testsuite(suite)
    written.write(file, pretty=True)


def check_junit() -> None:
    """Raises MissingExtra where JUnit XML cannot be written."""
    _library()


def _library() -> Any:
    try:
        import junitparser
    except ImportError:
        raise MissingExtra("JUnit XML", "watching") from None
    return junitparser
