"""The report that a run prints when it has ended, if it wants any."""

from __future__ import annotations

from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store


def print_wanted_report(record: RunRecord, store: Store, kind: str) -> None:
    """Prints a run's report.

    Args:
      record: the run.
      store: where it is kept.
      kind: ``text`` (on standard error), ``json`` (one line on standard output) or ``off``.
    """
    if kind != "off":
        from beam_obs.reports.run_report import print_report  # what draws it takes long to import

        print_report(record, store, kind)
