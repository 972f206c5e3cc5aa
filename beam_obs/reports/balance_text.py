"""What the balance of a run says, in words: the same in report, picture, difference and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from beam_obs.records.number_text import counted
from beam_obs.records.wording import clean

_MOST_NAMED = 4
NOT_BALANCED = "not balanced"


def balance_text(balance: Mapping[str, Any]) -> str:
    """Returns what a run's balance says, in one line: of what was not checked it does not say that it holds.

    >>> balance_text({"holds": True, "checked": 10, "edges": 4, "edges_checked": 4})
    'balanced: every record is accounted for (4 edges; 10 checks of counts)'
    >>> balance_text({"holds": True, "checked": 8, "edges": 4, "edges_checked": 3, "edges_by_origins": 3})
    'balanced where checked: 3 of 4 edges (all 3 by origins; 8 checks of counts)'
    >>> balance_text({"holds": True, "checked": 0, "edges": 4, "edges_checked": 3})
    'balanced where checked: 3 of 4 edges'
    """
    holds = balance.get("holds")
    if holds is None:
        return f"balance not checked: {clean(balance.get('unchecked') or 'no counts')}"
    if not holds:
        return NOT_BALANCED
    checks = [f"{counted(balance['checked'], 'check')} of counts"] * bool(balance["checked"])
    edges = balance.get("edges")
    if edges is None:  # a run of before edges were counted
        return f"balanced: every record is accounted for{_in_brackets(checks)}"
    checked, by_origins = balance.get("edges_checked") or 0, balance.get("edges_by_origins") or 0
    which = [f"{'all ' if by_origins == checked else ''}{by_origins:,} by origins"] * bool(by_origins)
    if checked == edges and not balance.get("unchecked_steps"):
        how = "".join(f", {one}" for one in which)
        text = "balanced: every record is accounted for"
        text += _in_brackets([f"{counted(edges, 'edge')}{how}", *checks])
    else:
        text = f"balanced where checked: {checked:,} of {counted(edges, 'edge')}"
        text += _in_brackets([*which, *checks])
    late = sum(dropped["count"] for dropped in balance.get("dropped") or ())
    return f"{text}; {late:,} dropped as late" if late else text


def _in_brackets(texts: Sequence[str]) -> str:
    return f" ({'; '.join(texts)})" if texts else ""


def unchecked_texts(balance: Mapping[str, Any]) -> list[str]:
    """Returns what a balance did not check, and why: a line for each reason.

    >>> unchecked_texts({"unchecked_edges": [{"from": "a", "to": "b", "reason": "no count"}]})
    ['not checked (no count): a -> b']
    """
    places: dict[str, list[str]] = {}
    for edge in balance.get("unchecked_edges") or ():
        places.setdefault(edge["reason"], []).append(f"{edge['from']} -> {edge['to']}")
    for step in balance.get("unchecked_steps") or ():
        places.setdefault(step["reason"], []).append(step["step"])
    return [f"not checked ({clean(reason)}): {_named(where)}" for reason, where in places.items()]


def dropped_texts(balance: Mapping[str, Any]) -> list[str]:
    """Returns what was dropped as late: a line for each step.

    >>> dropped_texts({"dropped": [{"step": "group", "count": 4, "windows": {"[0, 10)": 4}}]})
    ['dropped as late by group: 4, of window [0, 10)']
    """
    return _texts("dropped as late by", balance.get("dropped"))


def late_texts(balance: Mapping[str, Any]) -> list[str]:
    """Returns what came late for its window, and was taken all the same: a line for each step."""
    return _texts("came late and was taken by", balance.get("late"))


def _texts(what: str, told: Sequence[Mapping[str, Any]] | None) -> list[str]:
    return [
        f"{what} {clean(one['step'])}: {one['count']:,}{_of_windows(one['windows'])}" for one in told or ()
    ]


def _of_windows(windows: Mapping[str, int]) -> str:
    if not windows:
        return ""
    if len(windows) == 1:
        return f", of window {clean(next(iter(windows)))}"
    return f", of windows {_named([f'{window}: {count:,}' for window, count in windows.items()])}"


def _named(texts: Sequence[str]) -> str:
    more = len(texts) - _MOST_NAMED
    named = ", ".join(clean(text) for text in texts[:_MOST_NAMED])
    return f"{named} and {more:,} more" if more > 0 else named
