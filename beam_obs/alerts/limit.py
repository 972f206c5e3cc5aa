"""The limits of a gate's rules as a person writes them: one, or one that warns and one that breaks."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from beam_obs.records.duration import duration_text, parse_duration
from beam_obs.records.errors import UsageError

_NUMBER = re.compile(r"[0-9]{1,15}")
_PERCENT = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,9})?)\s*%")


class Bound(NamedTuple):
    """One bound.

    Args:
      value: a number, a share or seconds.
      text: as people write it.
      is_share: whether it is a part of something.
    """

    value: Fraction
    text: str
    is_share: bool = False


class Limit(NamedTuple):
    """The bounds of a rule.

    Args:
      critical: what is beyond it breaks the rule.
      warning: what is beyond it warns; None where nothing does.
    """

    critical: Bound
    warning: Bound | None = None

    @property
    def text(self) -> str:
        """The bounds as they were written."""
        return ",".join(bound.text for bound in (self.warning, self.critical) if bound is not None)


def parse_limit(text: str, parse: Callable[[str], Bound], is_least: bool = False) -> Limit:
    """Returns the limit that a text says.

    Args:
      text: one bound, or two with a comma: the first warns, the second breaks the rule.
      parse: reads a bound.
      is_least: whether less is worse.

    Raises:
      UsageError: with what was found and expected.

    >>> parse_limit("1%,5%", count_or_share).critical.value
    Fraction(1, 20)
    """
    bounds = [parse(part.strip()) for part in text.split(",")]
    if len(bounds) == 1:
        return Limit(bounds[0])
    if len(bounds) > 2:
        raise UsageError(f"found {text!r}, expected one bound, or two: WARNING,CRITICAL")
    warning, critical = bounds
    if warning.is_share != critical.is_share:
        raise UsageError(f"found {text!r}, expected two numbers or two shares")
    if (warning.value < critical.value) if is_least else (warning.value > critical.value):
        raise UsageError(f"found {text!r}: the first warns, so expected {critical.text},{warning.text}")
    return Limit(critical, warning)


def count(text: str) -> Bound:
    """Returns a whole number.

    >>> count("1000").value
    Fraction(1000, 1)
    """
    if _NUMBER.fullmatch(text) is None:
        raise UsageError(f"found {text!r}, expected a whole number: 1000")
    return Bound(Fraction(text), str(int(text)))


def share(text: str) -> Bound:
    """Returns a part of something, given in percent.

    >>> share("0.5%").value
    Fraction(1, 200)
    """
    found = _PERCENT.fullmatch(text)
    if found is None:
        raise UsageError(f"found {text!r}, expected a share: 1%, 0.5%")
    return Bound(Fraction(found[1]) / 100, f"{found[1]}%", True)


def count_or_share(text: str) -> Bound:
    """Returns a whole number, or a part of a whole given in percent."""
    if "%" not in text:
        if _NUMBER.fullmatch(text) is None:
            raise UsageError(f"found {text!r}, expected a share or a number: 1%, 0.5%, 10")
        return count(text)
    found = share(text)
    if found.value > 1:
        raise UsageError(f"found {text!r}, expected 100% at most")
    return found


def duration(text: str) -> Bound:
    """Returns a duration, in seconds."""
    seconds = parse_duration(text)
    return Bound(Fraction(seconds), duration_text(seconds))
