"""A bridge tells what was counted since it began, and no target twice."""

from __future__ import annotations

import pathlib

from beam_obs.exporters.bridge import Bridge
from beam_obs.exporters.exporter_group import ExporterGroup
from beam_obs.exporters.sending import SendingExporter
from beam_obs.exporters.sent_totals import NewestSent
from beam_obs.exporters.statsd import statsd_lines
from beam_obs.exporters.stored_numbers import StoredNumbers
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.store.store import Store
from tests.written_runs import ago, write_run


class Counted:
    """A destination of this process that adds up what StatsD would be told."""

    name, place, seconds = "counted", "the list", 0.0

    def __init__(self) -> None:
        self.changes: list[float] = []
        self._sent = NewestSent()

    def send(self, numbers: RunNumbers) -> None:
        before = self._sent.before(numbers, lambda nothing: statsd_lines(numbers, nothing)[1])
        lines, sent = statsd_lines(numbers, before)
        self.changes += [line.value for line in lines if line.name == "beam_obs_records_in_total"]
        self._sent.keep(numbers, sent)

    def close(self) -> None:
        """Does nothing."""


def stages(records: int) -> dict[str, object]:
    counts = {"in": records, "out": records, "dead": 0, "filtered": 0, "internal_errors": 0}
    return {"counts_from": "runner", "stages": [{"label": "parse", **counts}]}


def test_counts_of_runs_that_were_there_are_not_told_again_but_those_of_new_ones(
    tmp_path: pathlib.Path,
) -> None:
    write_run(tmp_path, "flights", ago(hours=2), **stages(5))
    target = Counted()
    group = ExporterGroup([SendingExporter(target)])
    bridge = Bridge(StoredNumbers(Store(str(tmp_path))), group)
    bridge.look()
    write_run(tmp_path, "flights", ago(hours=1), **stages(7))
    write_run(tmp_path, "schedule", ago(hours=1), **stages(3))
    bridge.look()
    bridge.look()
    assert group.close(10)
    assert sorted(target.changes) == [3, 7]
