"""What a gate found as a plugin of Nagios prints it: a line of status with performance data, then details.

As the Monitoring Plugins Development Guidelines have it, https://www.monitoring-plugins.org/doc/guidelines.html
"""

from __future__ import annotations

from collections.abc import Sequence

from beam_obs.alerts.verdict import BROKEN, HELD, UNTOLD, WARNED, Measure, Verdict
from beam_obs.records.number_text import counted
from beam_obs.records.wording import clean

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
_NAMES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_WORST_FIRST = ((BROKEN, CRITICAL), (WARNED, WARNING), (UNTOLD, UNKNOWN))


def nagios_code(verdicts: Sequence[Verdict], allow_untold: bool = False) -> int:
    """Returns the exit code of a plugin: critical comes before warning, and that before unknown.

    >>> nagios_code([Verdict("done", HELD, ""), Verdict("max-dead 1%", WARNED, "")])
    1
    """
    states = {verdict.state for verdict in verdicts} - ({UNTOLD} if allow_untold else set())
    return next((code for state, code in _WORST_FIRST if state in states), OK)


def nagios_lines(subject: str, verdicts: Sequence[Verdict], allow_untold: bool = False) -> list[str]:
    """Returns what a plugin prints.

    Args:
      subject: what was looked at.
      verdicts: of the rules.
      allow_untold: whether a rule that cannot be told is none.
    """
    code = nagios_code(verdicts, allow_untold)
    named = [f"{one.rule}: {one.text}" for state, _ in _WORST_FIRST for one in verdicts if one.state == state]
    told = "; ".join(named) or f"{counted(len(verdicts), 'rule')} held"
    if code == OK and named:
        held = sum(verdict.state == HELD for verdict in verdicts)
        told = f"{held:,} of {counted(len(verdicts), 'rule')} held"
    measures = {one.label: one for verdict in reversed(verdicts) for one in reversed(verdict.measures)}
    data = " ".join(map(_performance, reversed(measures.values())))
    first = nagios_line(code, f"{subject}: {told}")
    details = [_plain(f"{one.state}: {one.rule}: {one.text}") for one in verdicts]
    return [f"{first} | {data}" if data else first, *details]


def nagios_line(code: int, text: str) -> str:
    """Returns the line of status of a plugin.

    >>> nagios_line(UNKNOWN, "no store | there")
    'BEAM_OBS UNKNOWN - no store / there'
    """
    return f"BEAM_OBS {_NAMES[code]} - {_plain(text)}"


def _plain(text: str) -> str:
    """Returns text without the bar, behind which performance data begins."""
    return clean(text).replace("|", "/")


def _performance(measure: Measure) -> str:
    value = f"{measure.value:.6f}".rstrip("0").rstrip(".")
    return f"'{measure.label}'={value}{measure.unit};{measure.warning};{measure.critical}".rstrip(";")
