"""What instruments of the user's own say, as the end of a run tells it, and ``live.json`` before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from beam_obs.metrics.families import Family, without_overflown
from beam_obs.metrics.run_snapshot import Snapshot


def instruments_told(
    snapshot: Snapshot, kept: Iterable[Family], problems: Iterable[str] = ()
) -> dict[str, Any] | None:
    """Returns ``instruments`` without what overflowed; None where there are none.

    Args:
      snapshot: the numbers of the run, with its counters and histograms.
      kept: its gauges and summaries.
      problems: what is wrong with the evidence that has these, as sentences.
    """
    said = list(problems)
    families = without_overflown([*snapshot.instruments, *kept], said)
    notes = {name: count for name, count in snapshot.of_instruments.items() if count}
    if not families and not said and not notes:
        return None
    return {
        "attempted": snapshot.attempted,
        "families": [family.to_json() for family in sorted(families, key=lambda one: one.name)],
        **notes,
        "problems": said,
    }
