"""Numbers, times and text of records as people read them, on one line and harmless to a terminal."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

from beam_obs.records.number_text import counted


def clean(text: Any) -> str:
    """Returns text on one line, without anything that a terminal would act upon.

    >>> clean("a\\x1b[31m\\nb")
    'a\\\\x1b[31m b'
    """
    whole = str(text)
    if whole.isprintable():  # as nearly all text is
        return whole
    joined = " ".join(whole.split("\n")).replace("\t", " ").replace("\r", " ")
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in joined
    )


def clean_lines(text: Any) -> str:
    """Returns text of any number of lines, each as `clean` gives it."""
    return "\n".join(clean(line) for line in str(text).split("\n"))


def moment_text(microseconds: int, until: int | None = None) -> str:
    """Returns a time for people, or two: of the second as much as differs.

    >>> moment_text(1_767_323_045_000_000), moment_text(1_767_323_045_000_000, 1_767_323_105_000_000)
    ('2026-01-02 03:04:05', '2026-01-02 03:04:05 to 03:05:05')
    """
    first, last = _second_text(microseconds), _second_text(microseconds if until is None else until)
    if first == last:
        return first
    return f"{first} to {last[11:] if first[:10] == last[:10] else last}"


def letters_beside(refused: Mapping[str, Any], status: str) -> list[str]:
    """Returns what is to be said of refusals beside the dead letters that count, a line for each.

    Args:
      refused: the ``dead_letters`` of a run.
      status: of the run.

    >>> letters_beside({"count": 2, "uncommitted": 1, "committed": 2}, "done")
    ['and 1 uncommitted, of bundles that failed or were tried again']
    """
    lines = []
    if uncommitted := refused.get("uncommitted"):
        of_bundles = "of bundles that failed or were tried again"
        if status == "running":
            lines.append(f"{uncommitted:,} not committed yet, or of bundles that were tried again")
        elif not refused.get("committed"):
            lines.append(f"{uncommitted:,} uncommitted: the run ended before they could be")
        elif status == "done":
            lines.append(f"and {uncommitted:,} uncommitted, {of_bundles}")
        else:
            lines.append(f"and {uncommitted:,} uncommitted, {of_bundles} or ended with the run")
    if superseded := refused.get("superseded"):
        lines.append(f"and {superseded:,} superseded, of an attempt before the engine started the job again")
    if not_kept := not_kept_text(refused, status):
        told = ", ".join(f"{clean(label)} {count:,}" for label, count in refused["not_kept"].items())
        lines.append(f"and {not_kept}, by {told}: the run ended before they were written")
    return lines


def not_kept_text(refused: Mapping[str, Any], status: str) -> str:
    """Returns how many refusals no file has; empty where all are kept.

    Args:
      refused: the ``dead_letters`` of a run.
      status: of the run: in one that failed a bundle may have been counted more than once.

    >>> not_kept_text({"not_kept": {"parse": 2}}, "cancelled")
    '2 refused and not kept'
    """
    count = sum((refused.get("not_kept") or {}).values())
    most = "up to " if status == "failed" else ""
    return f"{most}{count:,} refused and not kept" if count else ""


def lost_evidence(end: Mapping[str, Any]) -> list[str]:
    """Returns what is to be said of evidence that a run could not keep, a line for each.

    >>> lost_evidence({"lineage_lost": {"rows": 5, "files": 1, "reason": "No space left on device"}})
    ['lineage lost: 5 rows could not be written (No space left on device)']
    """
    lines = unnamed_losses(end)
    lost = end.get("lineage_lost") or {}
    if lost.get("files"):
        rows = counted(lost["rows"], "row")
        lines.append(f"lineage lost: {rows} could not be written ({clean(lost['reason'])})")
    return lines


def unnamed_losses(end: Mapping[str, Any]) -> list[str]:
    """Returns what is to be said of evidence that was lost without a manifest which names it."""
    lines = []
    if end.get("was_removed"):
        lines.append("the folder of the run was removed while it ran: what was kept in it before is gone")
    if (end.get("lineage_lost") or {}).get("commits"):
        lines.append("lineage lost: its manifests could not be written, the log of the workers says why")
    return lines


def _second_text(microseconds: int) -> str:
    try:
        moment = datetime.datetime.fromtimestamp(microseconds // 1_000_000, datetime.timezone.utc)
    except (OverflowError, ValueError, OSError):
        return "at no time"
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def seconds_text(seconds: float | None) -> str:
    """Returns a duration for people.

    >>> seconds_text(0.25), seconds_text(75), seconds_text(7_265), seconds_text(300_000)
    ('0.25 s', '1 min 15 s', '2 h 1 min', '3 d 11 h')
    """
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    if seconds < 3 * 86_400:
        return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
    return f"{seconds // 86_400:.0f} d {seconds % 86_400 // 3600:.0f} h"


def microseconds_text(value: float | None, micro: str = "µs", none: str = "-") -> str:
    """Returns a time for people.

    >>> microseconds_text(3.2), microseconds_text(81_000.0), microseconds_text(None)
    ('3.2 µs', '81 ms', '-')
    """
    if value is None:
        return none
    for unit in (micro, "ms", "s"):
        if value < 1000 or unit == "s":
            return f"{value:.1f} {unit}" if value < 10 else f"{value:,.0f} {unit}"
        value /= 1000
    return none


def bytes_text(size: int) -> str:
    """Returns a size for people.

    >>> bytes_text(512), bytes_text(3_400_000)
    ('512 B', '3.4 MB')
    """
    value = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def short_code(version: str) -> str:
    """Returns a version of code as a list shows it: of a digest as many digits as of a commit.

    Commands take it for the whole.

    >>> short_code("sha256:66e6bfa4ad6f7438"), short_code("1.2.0"), short_code("0123456789ab+dirty")
    ('66e6bfa4ad6f', '1.2.0', '0123456789ab+dirty')
    """
    found = _CODE_DIGEST.fullmatch(version)
    return found[1] if found else version


_CODE_DIGEST = re.compile(r"sha256:([0-9a-f]{12})[0-9a-f]*")
