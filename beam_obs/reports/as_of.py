"""When the counts of a run that has not ended were looked at, for people."""

from __future__ import annotations

from beam_obs.records.number_text import counted
from beam_obs.records.wording import seconds_text
from beam_obs.store.run_record import RunRecord, now_text, parse_time, seconds_between


def as_of_text(record: RunRecord) -> str:
    """Returns ``as of TIME (n s ago)``; nothing for a run that has ended, or that nobody looked at."""
    if record.as_of is None:
        return ""
    return f"as of {parse_time(record.as_of):%Y-%m-%d %H:%M:%S} UTC ({_ago(record.as_of)})"


def so_far_text(record: RunRecord) -> str:
    """Returns how many records came in, and when that was: ``27,004 records as of 3 s ago``."""
    if record.as_of is None:
        return ""
    history = (record.live or {}).get("history")
    newest = history[-1] if history else {}
    told = [counted(newest["in"], "record")] if newest else []
    if newest and newest["dead"] > record.refused:  # their bundles have not ended: no file has them yet
        told.append(f"{newest['dead']:,} refused")
    return " ".join([*([", ".join(told)] if told else []), f"as of {_ago(record.as_of)}"])


def growth_text(record: RunRecord) -> str:
    """Returns how many records came in by now, how many were refused, and how fast they come."""
    history = (record.live or {}).get("history") or ()
    if record.end is not None or not history:
        return ""
    newest = history[-1]
    told = [counted(newest["in"], "record")]
    if newest["dead"]:
        told.append(f"{newest['dead']:,} refused")
    before = next((point for point in reversed(history) if newest["seconds"] - point["seconds"] >= 1), None)
    if before is not None:
        rate = max(0.0, (newest["in"] - before["in"]) / (newest["seconds"] - before["seconds"]))
        told.append(f"{rate:,.0f} a second" if rate >= 10 or not rate else f"{rate:.1f} a second")
    return ", ".join(told)


def counts_text(record: RunRecord) -> str:
    """Returns what is to be said of the counts of a run that has not ended."""
    text = as_of_text(record)
    if not text:
        return "No counts yet: they are written when the run ends."
    return text if record.last_known.get("counts_from") else f"No counts yet, {text}."


def _ago(moment: str) -> str:
    seconds = max(0.0, seconds_between(moment, now_text()))
    return f"{f'{seconds:.0f} s' if seconds < 59.5 else seconds_text(seconds)} ago"
