"""What a dashboard of a pipeline shows: rows of panels with their queries, whatever draws them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

from beam_obs.alerts.promql import PIPELINE, STAGE, WORKER, Naming
from beam_obs.alerts.watched_pipeline import WatchedPipeline
from beam_obs.metrics import own_families as own

NUMBER, LINES, BARS = "number", "lines", "bars"
SECONDS, SHARE, RECORDS, PER_SECOND = "seconds", "share", "records", "per second"
STATE, TRUTH = "state", "truth"
"""Of a number that says by its label what holds, and of one that is 1 or 0."""

_QUANTILES = {"0.5": "p50", "0.99": "p99"}


class Query(NamedTuple):
    """What a panel shows.

    Args:
      expression: PromQL.
      labels: that tell its series apart.
      name: of the query, where a panel has several.
    """

    expression: str
    labels: tuple[str, ...] = ()
    name: str = ""


@dataclasses.dataclass(frozen=True)
class Panel:
    """A part of a dashboard.

    Args:
      title: what it is of.
      kind: `NUMBER` as of now, `LINES` over time, or `BARS` as of now, one for each series.
      unit: of its values.
      queries: what it shows.
      limit: value that a rule tells of; None without one.
      command: what to type to see more.
    """

    title: str
    kind: str
    unit: str
    queries: tuple[Query, ...]
    limit: float | None = None
    command: str = ""


class PanelRow(NamedTuple):
    """Panels that belong together.

    Args:
      title: what they are about.
      panels: from left to right.
    """

    title: str
    panels: tuple[Panel, ...]


def rows_of(pipeline: WatchedPipeline, naming: Naming, rate_window: str) -> list[PanelRow]:
    """Returns the rows of a pipeline's dashboard.

    Args:
      pipeline: the pipeline.
      naming: how families are called where they are asked for.
      rate_window: over which rates are taken: a length of time, or a variable of what draws.
    """
    maker = _Maker(pipeline, naming, rate_window)
    return [
        PanelRow("Health", tuple(maker.health())),
        PanelRow("Flow", tuple(maker.flow())),
        PanelRow("Latency", tuple(maker.latency())),
        PanelRow("Dead letters", tuple(maker.dead_letters())),
        PanelRow("Freshness", tuple(maker.freshness())),
    ]


class _Maker:
    def __init__(self, pipeline: WatchedPipeline, naming: Naming, rate_window: str) -> None:
        self._pipeline = pipeline
        self._naming = naming
        self._rate_window = rate_window

    def health(self) -> Iterator[Panel]:
        show = self._pipeline.command("show", self._pipeline.latest)
        status = Query(f"{self._most(own.RUN_STATUS, 'status')} == 1", ("status",))
        yield Panel("Status of the newest run", NUMBER, STATE, (status,), command=show)
        balance = Query(f"min by ({PIPELINE}) ({self._all(own.RUN_BALANCED)})")
        yield Panel("Whether its balance holds", NUMBER, TRUTH, (balance,), command=show)
        duration = self._pipeline.duration
        yield Panel(
            "How long the newest run takes",
            LINES,
            SECONDS,
            (Query(self._most(own.RUN_DURATION)),),
            None if duration is None else duration.seconds,
            self._pipeline.command("runs", "--pipeline", self._pipeline.name),
        )
        share = f"{self._all(own.WORKER_MEMORY)} / {self._all(own.WORKER_MEMORY_LIMIT)}"
        memory = Query(f"max by ({WORKER}) ({share})", (WORKER,))
        yield Panel("Memory of workers, share of their limit", LINES, SHARE, (memory,), 0.9)

    def flow(self) -> Iterator[Panel]:
        show = self._pipeline.command("show", self._pipeline.latest)
        rate = f"rate({self._all(own.RECORDS_IN)}[{self._rate_window}])"
        flowing = Query(f"max by ({STAGE}) ({rate})", (STAGE,))
        yield Panel("Records taken a second, by step", LINES, PER_SECOND, (flowing,), command=show)
        for title, family in (
            ("Records taken, newest run", own.RECORDS_IN),
            ("Records passed on, newest run", own.RECORDS_OUT),
            ("Records filtered, newest run", own.RECORDS_FILTERED),
        ):
            yield Panel(title, BARS, RECORDS, (Query(self._most(family, STAGE), (STAGE,)),), command=show)

    def latency(self) -> Iterator[Panel]:
        buckets = self._all(f"{own.LATENCY}_bucket")
        if self._pipeline.is_streaming:
            buckets = f"rate({buckets}[{self._rate_window}])"
        for quantile, name in _QUANTILES.items():
            expression = f"histogram_quantile({quantile}, max by ({STAGE}, le) ({buckets}))"
            query = Query(expression, (STAGE,))
            yield Panel(f"Time for a record, {name}", LINES, SECONDS, (query,))

    def dead_letters(self) -> Iterator[Panel]:
        listed = self._pipeline.command("dead-letters", "list", self._pipeline.latest)
        refused = f"max by ({STAGE}) (sum without (error) ({self._all(own.RECORDS_DEAD)}))"
        share = Query(f"{refused} / ({self._most(own.RECORDS_IN, STAGE)} > 0)", (STAGE,))
        limits = [limit.share for limit in self._pipeline.dead_limits.values()]
        limit = min(limits, default=None)
        yield Panel("Share of records that stages refuse", LINES, SHARE, (share,), limit, listed)
        kinds = Query(self._most(own.RECORDS_DEAD, STAGE, "error"), (STAGE, "error"))
        yield Panel("Dead letters, newest run", BARS, RECORDS, (kinds,), command=listed)

    def freshness(self) -> Iterator[Panel]:
        runs = self._pipeline.command("runs", "--pipeline", self._pipeline.name)
        since = Query(f"time() - {self._most(own.RUN_LAST_SUCCESS)}")
        late = self._pipeline.late_seconds
        yield Panel("Since the last success", LINES, SECONDS, (since,), late, runs)
        schedule = self._pipeline.schedule
        if schedule is not None:
            due = Query(f"time() - {self._most(own.SCHEDULE_DUE)}")
            within = schedule.start_within_seconds
            yield Panel("Since a start was due that no run answered", LINES, SECONDS, (due,), within, runs)
        if self._pipeline.is_streaming:
            oldest = Query(self._most(own.OLDEST_UNPROCESSED))
            yield Panel("Age of the oldest record that waits", LINES, SECONDS, (oldest,), command=runs)

    def _all(self, name: str) -> str:
        return self._naming.selector(name, {PIPELINE: self._pipeline.name})

    def _most(self, name: str, *labels: str) -> str:
        """Returns a number once, where several exporters tell it."""
        return f"max by ({', '.join(labels or (PIPELINE,))}) ({self._all(name)})"
