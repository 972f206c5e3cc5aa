"""Runs for programs: the lines that `beam-obs runs --json` prints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from beam_obs.reports.run_line import run_line
from beam_obs.web.stored_runs import StoredRuns

_USUAL_LIMIT = 20
_READ_AT_ONCE = 64


class NoLimit(ValueError):
    """A limit of runs was asked for that is no number."""


def runs_lines(runs: StoredRuns, query: Mapping[str, str]) -> Iterator[str]:
    """Gives a line for each run, the newest first.

    Args:
      runs: the runs of the store.
      query: ``pipeline``, and ``limit``: 20 by default, 0 for all.

    Raises:
      RunNotFound: there is no such pipeline.
      NoLimit: the limit is no number.
    """
    pipeline = query.get("pipeline") or None
    if pipeline is not None and not runs.ids(pipeline):
        runs.store.check_pipeline(pipeline)
    given = query.get("limit") or str(_USUAL_LIMIT)
    if not re.fullmatch("[0-9]{1,9}", given):
        raise NoLimit(f"limit={given} is no number of runs: write limit=20, or limit=0 for all")
    limit = int(given)
    ids = runs.ids(pipeline)[: limit or None]
    for start in range(0, len(ids), _READ_AT_ONCE):
        yield from (f"{run_line(record)}\n" for record in runs.read(ids[start : start + _READ_AT_ONCE]))
