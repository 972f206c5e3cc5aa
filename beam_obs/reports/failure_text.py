"""How a run failed, in words: its error, and the record that it failed at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from beam_obs.records.number_text import counted
from beam_obs.records.wording import clean


def failure_lines(error: Mapping[str, Any], all_from: str = "--json") -> list[str]:
    """Returns the lines of an error's message, without those in the middle of many.

    Args:
      error: the ``error`` of a run.
      all_from: what has the lines that are left out.

    >>> failure_lines({"type": "ValueError", "message": "no number"})
    ['no number']
    """
    lines = [line for line in str(error.get("message") or "").splitlines() if line.strip()]
    # Beam repeats the error at the end, behind the frames of its own code.
    if len(lines) > 6:
        lines = [lines[0], f"[{counted(len(lines) - 5, 'line')} left out: {all_from} has all]", *lines[-4:]]
    return [clean(line) for line in lines or [""]]


def failing_record_text(at: Mapping[str, Any] | None) -> str:
    """Returns the record that a run failed at, in a line; nothing where it is not known.

    Args:
      at: the ``at`` of its error.

    >>> failing_record_text({"step": "parse", "uri": "in.txt", "line": 3, "origin": "0" * 32, "record": "x"})
    'at step parse: line 3 of in.txt (origin 00000000000000000000000000000000): x'
    """
    if not at:
        return ""
    place = "" if at.get("position") is None else f"position {at['position']}"
    if at.get("uri"):
        where = [part for part in (place, f"origin {at['origin']}") if part]
        line = "" if at.get("line") is None else f"line {at['line']} of "
        text = f"at step {at['step']}: {line}{at['uri']} ({', '.join(where)})"
        return text if at.get("record") is None else f"{text}: {at['record']}"
    return f"at step {at['step']}: element of origin {at['origin']}{f' ({place})' if place else ''}"
