"""What a rule of a gate found."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

HELD, WARNED, UNTOLD, BROKEN = "held", "warned", "cannot be told", "broken"
"""Of a rule: nothing is wrong; beyond the bound that warns; nobody knows; beyond the bound that breaks."""


@dataclasses.dataclass(frozen=True)
class Measure:
    """A number that a rule looked at, for who draws it over time.

    Args:
      label: what it is.
      value: the number.
      unit: as Nagios has them: none, ``s`` or ``%``.
      warning: range that does not warn, as Nagios writes it: ``10`` for at most, ``10:`` for at least.
      critical: range that does not break the rule.
    """

    label: str
    value: float
    unit: str = ""
    warning: str = ""
    critical: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON-able values; None for a bound that there is not."""
        told: Mapping[str, Any] = dataclasses.asdict(self)
        return {name: (value if value != "" else None) for name, value in told.items()}


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a rule found.

    Args:
      rule: its name, with its limit.
      state: `HELD`, `WARNED`, `UNTOLD` or `BROKEN`.
      text: what was found, and what was expected, in one line.
      measures: the numbers that it looked at.
    """

    rule: str
    state: str
    text: str
    measures: tuple[Measure, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON-able values."""
        return {
            "rule": self.rule,
            "state": self.state,
            "text": self.text,
            "measures": [measure.to_json() for measure in self.measures],
        }


def passes(verdicts: Iterable[Verdict], allow_untold: bool = False) -> bool:
    """Returns whether a gate opens: no rule is broken, and each can be told.

    Args:
      verdicts: of its rules.
      allow_untold: whether it opens, too, where a rule cannot be told.
    """
    closed = (BROKEN,) if allow_untold else (BROKEN, UNTOLD)
    return all(verdict.state not in closed for verdict in verdicts)
