"""How far a stream is behind the clock, on one line, while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from beam_obs.records.wording import clean, seconds_text
from beam_obs.store.run_record import parse_time


def lateness_text(live: Mapping[str, Any]) -> str:
    """Returns the lag of event times, the age of what waits in open windows, and how many came late.

    Args:
      live: content of ``live.json``.

    >>> lag = {"count": 4, "sum": 2.0, "min": 0.1, "max": 1.5}
    >>> step = {"label": "sum", "late": 3, "event_lag_seconds": lag}
    >>> waits = {"step": "sum", "oldest": 20.0, "window_seconds": 10.0}
    >>> lateness_text({"at": "1970-01-01T00:00:32Z", "steps": [step], "waiting": [waits]})
    'event time 0.50 s behind, 1.50 s at most · oldest unprocessed 12.0 s, in sum · 3 came late'
    """
    steps = live.get("steps") or ()
    told = []
    lags = [step["event_lag_seconds"] for step in steps if step.get("event_lag_seconds")]
    if count := sum(lag["count"] for lag in lags):
        mean, most = sum(lag["sum"] for lag in lags) / count, max(lag["max"] for lag in lags)
        told.append(f"event time {seconds_text(mean)} behind, {seconds_text(most)} at most")
    waiting = [(one["oldest"], one["step"]) for one in live.get("waiting") or () if one["oldest"] is not None]
    if waiting:
        oldest, step = min(waiting)
        age = max(0.0, parse_time(live["at"]).timestamp() - oldest)
        told.append(f"oldest unprocessed {seconds_text(age)}, in {clean(step)}")
    if late := sum(step.get("late") or 0 for step in steps):
        told.append(f"{late:,} came late")
    return " · ".join(told)
