"""The rules of a pipeline: what somebody is told of, when, and what to type then.

They tell of what is wrong for whoever needs the data, not of what may have caused it. What its history is too
short for is left out, and named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from beam_obs.alerts.promql import PIPELINE, PROMETHEUS, STAGE, WORKER, Naming, duration, number
from beam_obs.alerts.watched_pipeline import LEAST_RUNS, DeadLimit, WatchedPipeline
from beam_obs.metrics import own_families as own
from beam_obs.records.wording import clean, seconds_text
from beam_obs.store.timeliness import UNDER_WAY

CRITICAL, WARNING = "critical", "warning"
SHARE, SECONDS = "share", "seconds"

DEFAULT_WINDOW = 600

_KEPT = 2
"""Times as long a success is remembered; thereafter nothing is known."""
_FULL = 0.9
_GROWING = 0.5
"""Seconds by which the oldest age grows in one: backed up altogether it grows by one."""
_BEFORE = 6
"""Windows in which something must have gone through, for its end to be news."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """What somebody is told of.

    Args:
      name: as tools that watch call it.
      expression: PromQL; each series that it gives is told of, with its labels.
      severity: `CRITICAL` where data is late, missing or wrong, else `WARNING`.
      summary: what is wrong.
      reason: where its limit is from.
      command: what to type then.
      value: what its value is, `SHARE` or `SECONDS`; None where it says nothing.
      labels: that tell its series apart.
      held_seconds: for so long it must hold.
      limit: by which it is told from another of its name, or empty.
    """

    name: str
    expression: str
    severity: str
    summary: str
    reason: str
    command: str
    value: str | None = None
    labels: tuple[str, ...] = ()
    held_seconds: float = 0
    limit: str = ""


class LeftOut(NamedTuple):
    """A rule that is not made.

    Args:
      name: as it would be called.
      reason: why there is none.
    """

    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Rules:
    """The rules of a pipeline.

    Args:
      pipeline: its name.
      made: the rules.
      left_out: those that are not made.
    """

    pipeline: str
    made: tuple[Rule, ...]
    left_out: tuple[LeftOut, ...]


def rules_of(pipeline: WatchedPipeline, naming: Naming = PROMETHEUS, window: float = DEFAULT_WINDOW) -> Rules:
    """Returns the rules of a pipeline.

    Args:
      pipeline: the pipeline.
      naming: how families are called where the rules are asked.
      window: seconds over which is looked at what grows or flows.
    """
    found = list(_Maker(pipeline, naming, window).rules())
    return Rules(
        pipeline.name,
        tuple(one for one in found if isinstance(one, Rule)),
        tuple(one for one in found if isinstance(one, LeftOut)),
    )


class _Maker:
    def __init__(self, pipeline: WatchedPipeline, naming: Naming, window: float) -> None:
        self._pipeline = pipeline
        self._naming = naming
        self._window = window
        self._name = clean(pipeline.name)

    def rules(self) -> Iterator[Rule | LeftOut]:
        yield self._failed()
        yield self._not_succeeded()
        yield self._not_started()
        yield self._too_long()
        yield from self._dead()
        yield self._unbalanced()
        yield self._oldest()
        yield self._stalled()
        yield self._memory()
        yield self._nothing_known()

    def _failed(self) -> Rule:
        status = self._of_pipeline(own.RUN_STATUS, ("failed", "lost", "damaged"))
        return Rule(
            "BeamRunFailed",
            f"{status} == 1",
            CRITICAL,
            f"the newest run of {self._name} failed, or there is no sign of life of it",
            "its status is failed, lost or damaged",
            self._pipeline.command("show", self._pipeline.latest),
        )

    def _not_succeeded(self) -> Rule | LeftOut:
        name = "BeamNotSucceeded"
        limit, fresh = self._pipeline.late_seconds, self._pipeline.freshness
        if limit is None or fresh is None or fresh.usual_seconds is None:
            return LeftOut(name, self._irregular)
        # Who exports until its end only has told of its success long before the next is late.
        last = self._naming.selector(own.RUN_LAST_SUCCESS, self._this)
        last = f"max by ({PIPELINE}) (max_over_time({last}[{duration(_KEPT * limit)}]))"
        return Rule(
            name,
            f"time() - {last} > {number(limit)}",
            CRITICAL,
            f"{self._name} has not succeeded for longer than usual",
            f"every {_told(fresh.usual_seconds)} as a rule, by {self._pipeline.successes} successes: told of "
            f"after {_told(limit)}",
            self._pipeline.command("runs", "--pipeline", self._pipeline.name),
            SECONDS,
        )

    def _not_started(self) -> Rule | LeftOut:
        name = "BeamNotStarted"
        schedule = self._pipeline.schedule
        if schedule is None:
            return LeftOut(name, "beam_obs.toml has no schedule of this pipeline")
        within = schedule.start_within_seconds
        due = self._naming.selector(own.SCHEDULE_DUE, self._this)
        if self._naming.is_told_once:  # at the end of the run before
            due = f"max_over_time({due}[{duration(_KEPT * schedule.longest_pause_seconds)}])"
        return Rule(
            name,
            f"time() - max by ({PIPELINE}) ({due}) > {number(within)}",
            CRITICAL,
            f"no run of {self._name} has started since one was due",
            f"due at {clean(schedule.cron)} ({clean(schedule.zone)}), told of {_told(within)} later",
            self._pipeline.command("runs"),
            SECONDS,
        )

    def _too_long(self) -> Rule | LeftOut:
        name = "BeamRunTooLong"
        limit = self._pipeline.duration
        if limit is None:
            if self._pipeline.is_streaming:
                return LeftOut(name, "its runs are streams, which do not end")
            return LeftOut(name, self._few_successes("how long a run takes"))
        whole = -(-limit.seconds // 1)
        said = "its schedule says so" if limit.is_set else "twice what 95 of 100 runs keep within"
        return Rule(
            name,
            f"time() - {self._of_pipeline(own.RUN_START)} > {number(whole)}\nand {self._under_way}",
            WARNING,
            f"the newest run of {self._name} has been running for longer than it may",
            f"{_told(whole)}: {said}",
            self._pipeline.command("show", self._pipeline.latest, "--follow"),
            SECONDS,
        )

    def _dead(self) -> Iterator[Rule | LeftOut]:
        name = "BeamDeadShare"
        if not self._pipeline.dead_limits:
            yield LeftOut(name, "no run so far has told of a stage that may refuse records")
        stages_by_limit: dict[DeadLimit, list[str]] = {}
        for stage, limit in self._pipeline.dead_limits.items():
            stages_by_limit.setdefault(limit, []).append(stage)
        # The limit that most have is that of stages to come, too.
        commonest = max(stages_by_limit.values(), key=len, default=[])
        for limit, stages in stages_by_limit.items():
            others = [one for one in self._pipeline.dead_limits if one not in stages]
            these = (STAGE, "!~", others) if stages is commonest else (STAGE, "=~", stages)
            refused = self._of_stages(own.RECORDS_DEAD, these, "sum without (error) ")
            taken = self._of_stages(own.RECORDS_IN, these)
            yield Rule(
                name,
                f"{refused}\n/ {taken} > {number(limit.share)}\nand {taken} >= {number(limit.minimum)}",
                WARNING,
                f"{self._name} refuses more of its records than it may",
                f"more than {100 * limit.share:.3g} % of {limit.minimum:,} records or more: {limit.reason}",
                self._pipeline.command("dead-letters", "list", self._pipeline.latest),
                SHARE,
                (STAGE,),
                limit=f"{100 * limit.share:.3g}%",
            )

    def _unbalanced(self) -> Rule:
        balanced = self._naming.selector(own.RUN_BALANCED, self._this)
        return Rule(
            "BeamBalanceBroken",
            f"min by ({PIPELINE}) ({balanced}) == 0",
            CRITICAL,
            f"records of {self._name} were lost or doubled between two steps",
            "the balance of its newest run does not hold, or of a stream that runs a window that is over",
            self._pipeline.command("balance", self._pipeline.latest),
        )

    def _oldest(self) -> Rule | LeftOut:
        name = "BeamBackedUp"
        if not self._pipeline.is_streaming:
            return LeftOut(name, "its runs are no streams (--streaming)")
        if self._pipeline.window_seconds is None:
            return LeftOut(name, "no run so far has told how long its windows are, in which records wait")
        # While a window is open what waits in it gets older, and nothing is wrong.
        limit = self._window + self._pipeline.window_seconds
        oldest = self._naming.selector(own.OLDEST_UNPROCESSED, self._this)
        growth = f"max by ({PIPELINE}) (deriv({oldest}[{duration(self._window)}]))"
        return Rule(
            name,
            f"{self._of_pipeline(own.OLDEST_UNPROCESSED)} > {number(limit)}\nand {growth} > {_GROWING:g}",
            CRITICAL,
            f"{self._name} is backed up: the oldest record that waits gets older",
            f"older than {_told(limit)}, which is {_told(self._window)} more than its longest window, and by "
            "half a second each second or more",
            self._pipeline.command("show", self._pipeline.latest, "--follow"),
            SECONDS,
        )

    def _stalled(self) -> Rule | LeftOut:
        name = "BeamThroughputGone"
        limit = self._pipeline.duration
        if not self._pipeline.is_streaming and (limit is None or limit.seconds <= self._window):
            few = self._few_successes("how long a run takes")
            return LeftOut(name, few if limit is None else f"a run may take {_told(limit.seconds)} at most")
        taken = self._naming.selector(own.RECORDS_IN, self._this)
        now, before = duration(self._window), duration(_BEFORE * self._window)
        running = f"time() - {self._of_pipeline(own.RUN_START)} > {number(self._window)}"
        return Rule(
            name,
            f"{running}\nand {self._under_way}"
            f"\nand sum by ({PIPELINE}) (increase({taken}[{now}])) == 0"
            f"\nand sum by ({PIPELINE}) (increase({taken}[{before}] offset {now})) > 0",
            WARNING,
            f"no step of {self._name} takes records any more, though its run goes on",
            f"for {_told(self._window)}, after some in the {_told(_BEFORE * self._window)} before",
            self._pipeline.command("show", self._pipeline.latest, "--follow"),
        )

    def _memory(self) -> Rule:
        memory, limit = (
            self._naming.selector(name, self._this) for name in (own.WORKER_MEMORY, own.WORKER_MEMORY_LIMIT)
        )
        return Rule(
            "BeamWorkerMemory",
            f"max by ({PIPELINE}, {WORKER}) ({memory} / {limit}) > {_FULL:g}",
            WARNING,
            f"a worker of {self._name} is near the limit of its memory",
            f"more than {100 * _FULL:g} % of the limit",
            self._pipeline.command("show", self._pipeline.latest),
            SHARE,
            (WORKER,),
            held_seconds=self._window / 5,
        )

    def _nothing_known(self) -> Rule | LeftOut:
        name = "BeamNothingKnown"
        limit, family = self._pipeline.late_seconds, own.RUN_STATUS
        if self._pipeline.is_streaming:
            limit = self._window
        schedule = self._pipeline.schedule
        if schedule is not None:
            # Told all the time, of runs that are not there, by who looks at a store.
            limit, family = self._window, own.SCHEDULE_DUE
            if self._naming.is_told_once:
                limit = schedule.longest_pause_seconds
        if limit is None:
            return LeftOut(name, self._irregular)
        limit *= _KEPT
        told = self._naming.selector(family, self._this)
        return Rule(
            name,
            f"absent_over_time({told}[{duration(limit)}])",
            WARNING,
            f"nothing has been heard of {self._name} for too long: what is wrong with it is not known",
            f"no {family} of it for {_told(limit)}",
            self._pipeline.command("runs"),
        )

    @property
    def _this(self) -> Mapping[str, str]:
        return {PIPELINE: self._pipeline.name}

    @property
    def _under_way(self) -> str:
        return f"{self._of_pipeline(own.RUN_STATUS, UNDER_WAY)} == 1"

    @property
    def _irregular(self) -> str:
        if self._pipeline.successes <= LEAST_RUNS:
            return self._few_successes("how often it succeeds", LEAST_RUNS + 1)
        return "its runs succeed at no regular intervals"

    def _few_successes(self, what: str, needed: int = LEAST_RUNS) -> str:
        return f"{what} can be told by {needed} runs that are done, and there are {self._pipeline.successes}"

    def _of_pipeline(self, name: str, statuses: tuple[str, ...] = ()) -> str:
        these = ("status", "=~", statuses) if statuses else None
        return f"max by ({PIPELINE}) ({self._naming.selector(name, self._this, these)})"

    def _of_stages(self, name: str, these: tuple[str, str, list[str]], summed: str = "") -> str:
        """Returns a number of each of some stages: of a batch run of all of it, of a stream in the window."""
        selector = self._naming.selector(name, self._this, these if these[2] else None)

        def total(offset: str = "") -> str:
            counted = f"{summed}({selector}{offset})" if summed else f"{selector}{offset}"
            return f"max by ({PIPELINE}, {STAGE}) ({counted})"

        if not self._pipeline.is_streaming:
            return total()
        # Not `increase`: of a type of error that has just come it does not see the first.
        before = f"({total(f' offset {duration(self._window)}')} or {total()} * 0)"
        return f"({total()} - {before})"


def _told(seconds: float) -> str:
    """Returns a length of time, without seconds that are none.

    >>> _told(600), _told(45), _told(5400)
    ('10 min', '45 s', '1 h 30 min')
    """
    return seconds_text(seconds).removesuffix(" 0 s").removesuffix(" 0 min").replace(".0 s", " s")
