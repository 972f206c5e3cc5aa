"""The rules of a gate: each looks at a run and says whether it held, is broken, or cannot be told.

Of a run that is under way, counts are told so far; what its end alone tells cannot be.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterator
from fractions import Fraction

from beam_obs.alerts.gated_run import GatedRun
from beam_obs.alerts.limit import Bound, Limit
from beam_obs.alerts.verdict import BROKEN, HELD, UNTOLD, WARNED, Measure, Verdict
from beam_obs.records.number_text import counted
from beam_obs.records.wording import clean, lost_evidence, not_kept_text, seconds_text
from beam_obs.reports.balance_text import NOT_BALANCED, balance_text
from beam_obs.reports.ledger_text import live_ledger_text
from beam_obs.store.history import HistoryPoint, history_of_runs
from beam_obs.store.kinds_of_refusal import NEW, compare_kinds
from beam_obs.store.run_record import seconds_between

_LEAST_RUNS = 3
_SHOWN_KINDS = 3
_COUNTS = {"taken": "records", "given": "written"}


@dataclasses.dataclass(frozen=True)
class GateRules:
    """What is asked of a run, which has to be done; without any rule balanced, too, with its evidence and on
    schedule.

    Args:
      may_run: whether a run that is under way is as good as one that is done.
      balanced: whether its balance has to hold.
      evidence: whether no evidence may be lost.
      on_schedule: whether its pipeline has to keep its schedule.
      no_new_kinds: whether it may refuse only kinds of records that the run before it refused.
      max_dead: how many records, or what share of them, it may refuse.
      max_age: how long ago its pipeline was last done.
      takes_at_most: how long it may take.
      min_records: how many records have to come in.
      min_written: how many records have to be written.
      within: by what share counts may differ from the median of earlier runs.
    """

    may_run: bool = False
    balanced: bool = False
    evidence: bool = False
    on_schedule: bool = False
    no_new_kinds: bool = False
    max_dead: Limit | None = None
    max_age: Limit | None = None
    takes_at_most: Limit | None = None
    min_records: Limit | None = None
    min_written: Limit | None = None
    within: Limit | None = None

    @property
    def are_usual(self) -> bool:
        """Whether no rule was named."""
        return dataclasses.replace(self, may_run=False) == GateRules()


def gate(run: GatedRun, rules: GateRules) -> list[Verdict]:
    """Returns what the rules find, each once but for those that look at several counts."""
    return list(_verdicts(run, rules))


def _verdicts(run: GatedRun, rules: GateRules) -> Iterator[Verdict]:
    usual, has_ended = rules.are_usual, not run.is_under_way
    yield _done(run, rules.may_run)
    if rules.balanced or (usual and (has_ended or not rules.may_run)):
        yield _balanced(run)
    if rules.evidence or (usual and (has_ended or not rules.may_run)):
        yield _evidence(run)
    if rules.on_schedule or (usual and run.schedule is not None):
        yield _on_schedule(run)
    if rules.max_dead is not None:
        yield _max_dead(run, rules.max_dead)
    if rules.no_new_kinds:
        yield _no_new_kinds(run)
    if rules.max_age is not None:
        yield _max_age(run, rules.max_age)
    if rules.takes_at_most is not None:
        yield _takes_at_most(run, rules.takes_at_most)
    if rules.min_records is not None:
        yield _at_least(run, "min-records", "records", rules.min_records)
    if rules.min_written is not None:
        yield _at_least(run, "min-written", "written", rules.min_written)
    if rules.within is not None:
        yield from _within(run, rules.within)


def _done(run: GatedRun, may_run: bool) -> Verdict:
    record = run.record
    if run.doubt or record is None:
        return Verdict("done", UNTOLD, run.doubt)
    if run.is_under_way:
        told = f"it is {record.status}, started {seconds_text(run.seconds)} ago"
        if record.status == "submitted":
            told += "; beam-obs watch asks its runner"
        return Verdict("done", HELD if may_run else UNTOLD, told)
    if record.status == "done":
        return Verdict("done", HELD, record.status_text)
    error = (record.end or {}).get("error") or {}
    why = f": {clean(error.get('type'))}: {clean(error.get('message'))}" if error.get("type") else ""
    return Verdict("done", BROKEN, f"{record.status_text}{why}")


def _balanced(run: GatedRun) -> Verdict:
    if run.doubt or run.record is None:
        return Verdict("balanced", UNTOLD, run.doubt)
    if run.record.end is None:
        so_far = run.record.last_known.get("ledger") or {}
        if so_far.get("holds") is False:
            return Verdict("balanced", BROKEN, live_ledger_text(so_far))
        return Verdict("balanced", UNTOLD, run.record.why_no_end)
    balance = run.record.end.get("balance") or {}
    text = balance_text(balance)
    if balance.get("holds") is False:
        broken = balance.get("broken") or ()
        first = f": {clean(broken[0]['text'])}" if broken else ""
        more = f", and {len(broken) - 1:,} more" if len(broken) > 1 else ""
        return Verdict("balanced", BROKEN, f"{NOT_BALANCED}{first}{more}")
    return Verdict("balanced", HELD if balance.get("holds") else UNTOLD, text)


def _evidence(run: GatedRun) -> Verdict:
    record = run.record
    if record is None or record.status == "template":
        return Verdict("evidence", UNTOLD, run.doubt)
    end = record.end or {}
    problems = run.evidence_problems
    lost = [*problems, *(line for line in lost_evidence(end) if line not in problems)]
    if not_kept := not_kept_text(end.get("dead_letters") or {}, record.status):
        lost.append(not_kept)
    if lost:
        return Verdict("evidence", BROKEN, "; ".join(map(clean, lost)))
    if record.end is None:
        return Verdict("evidence", UNTOLD, record.why_no_end)
    return Verdict("evidence", HELD, "nothing is lost or damaged")


def _on_schedule(run: GatedRun) -> Verdict:
    if run.schedule is None:
        return Verdict("on-schedule", UNTOLD, f"pipeline {run.pipeline} has no schedule in beam_obs.toml")
    if run.times.missed:
        return Verdict("on-schedule", BROKEN, "; ".join(run.times.missed))
    return Verdict("on-schedule", HELD, f"next start {run.times.due_text}")


def _max_dead(run: GatedRun, limit: Limit) -> Verdict:
    rule = f"max-dead {limit.text}"
    if run.doubt or run.summary is None:
        return Verdict(rule, UNTOLD, run.doubt)
    taken, refused = run.summary.taken, run.refused
    if not limit.critical.is_share:
        told = f"{counted(refused, 'record')} refused{_so_far(run)}"
        return _at_most(rule, Fraction(refused), limit, told, "dead", "")
    if taken is None:
        return Verdict(rule, UNTOLD, "nobody counted the records that came in")
    if not taken:
        state = UNTOLD if run.is_under_way or refused else HELD
        return Verdict(rule, state, f"no record came in{_so_far(run)}, {refused:,} refused")
    part = min(Fraction(1), Fraction(refused, taken))
    told = f"{refused:,} of {counted(taken, 'record')} refused{_so_far(run)}, {_percent(part)}"
    found = _at_most(rule, part, limit, told, "dead_share", "%")
    return dataclasses.replace(found, measures=(*found.measures, Measure("dead", refused)))


def _no_new_kinds(run: GatedRun) -> Verdict:
    rule, previous = "no-new-kinds", run.previous_finished
    if run.doubt or run.record is None:
        return Verdict(rule, UNTOLD, run.doubt)
    if previous is None:
        return Verdict(rule, UNTOLD, "no run before it has ended with counts")
    if previous.problems:
        return Verdict(rule, UNTOLD, f"the run before it does not tell: {previous.problems[0]}")
    before, after = dict(run.kinds(previous)), dict(run.kinds(run.record))
    new = [change.kind for change in compare_kinds(before, after) if change.state == NEW]
    measures = (Measure("new_kinds", len(new), critical="0"),)
    if new:
        kinds = ", ".join(f"{kind['stage']} {kind['error_type']}" for kind in new[:_SHOWN_KINDS])
        more = f" and {len(new) - _SHOWN_KINDS:,} more" if len(new) > _SHOWN_KINDS else ""
        told = f"{counted(len(new), 'new kind')} of refusal: {clean(kinds)}{more}"
        return Verdict(rule, BROKEN, told, measures)
    if any(kinds.get("other_fingerprints") or kinds.get("not_kept") for kinds in (before, after)):
        return Verdict(rule, UNTOLD, "not all refusals were told apart by kind")
    count = len(after.get("by_fingerprint") or ())
    told = f"{counted(count, 'kind')} of refusal{_so_far(run)}, none of them new"
    return Verdict(rule, HELD, told, measures)


def _max_age(run: GatedRun, limit: Limit) -> Verdict:
    rule, last = f"max-age {limit.text}", run.last_success
    if last is None or last.end is None:
        return Verdict(rule, BROKEN, f"no run of pipeline {run.pipeline} was ever done")
    seconds = max(0.0, seconds_between(last.end["finished"], run.now))
    return _at_most(rule, Fraction(seconds), limit, f"last done {seconds_text(seconds)} ago", "age", "s")


def _takes_at_most(run: GatedRun, limit: Limit) -> Verdict:
    rule = f"takes-at-most {limit.text}"
    if run.doubt or run.seconds is None:
        return Verdict(rule, UNTOLD, run.doubt or "nobody knows when it ended")
    verb = "has been running for" if run.is_under_way else "took"
    return _at_most(
        rule, Fraction(run.seconds), limit, f"{verb} {seconds_text(run.seconds)}", "duration", "s"
    )


def _at_most(rule: str, value: Fraction, limit: Limit, told: str, label: str, unit: str) -> Verdict:
    state = HELD
    if value > limit.critical.value:
        state = BROKEN
    elif limit.warning is not None and value > limit.warning.value:
        state = WARNED
    factor = 100 if unit == "%" else 1
    bounds = [_range(bound, factor) for bound in (limit.warning, limit.critical)]
    measure = Measure(label, float(value * factor), unit, *bounds)
    return Verdict(rule, state, f"{told}; at most {_bounds_text(limit)}", (measure,))


def _at_least(run: GatedRun, name: str, label: str, limit: Limit) -> Verdict:
    rule = f"{name} {limit.text}"
    if run.doubt or run.summary is None:
        return Verdict(rule, UNTOLD, run.doubt)
    value = run.summary.taken if label == "records" else run.summary.written
    verb = "came in" if label == "records" else "written"
    if value is None:
        return Verdict(rule, UNTOLD, f"nobody counted the records that {_were(verb)}{_so_far(run)}")
    state = HELD
    if value < limit.critical.value:
        state = UNTOLD if run.is_under_way else BROKEN
    elif limit.warning is not None and value < limit.warning.value:
        state = UNTOLD if run.is_under_way else WARNED
    bounds = [f"{_range(bound)}:" if bound else "" for bound in (limit.warning, limit.critical)]
    told = f"{counted(value, 'record')} {verb}{_so_far(run)}; at least {_bounds_text(limit)}"
    return Verdict(rule, state, told, (Measure(label, value, "", *bounds),))


def _within(run: GatedRun, limit: Limit) -> Iterator[Verdict]:
    rule = f"within {limit.text}"
    if run.doubt or run.summary is None:
        yield Verdict(rule, UNTOLD, run.doubt)
        return
    (point,) = history_of_runs([run.summary])
    before = [one for one in history_of_runs(run.earlier) if one.run.is_success and not one.run.has_problems]
    for field in _COUNTS:
        found = _within_band(run, f"{rule} {_COUNTS[field]}", field, point, before, limit)
        if found is not None:
            yield found


def _within_band(
    run: GatedRun, rule: str, field: str, point: HistoryPoint, before: list[HistoryPoint], limit: Limit
) -> Verdict | None:
    """Returns whether a count is near what it was; None where no run ever told how many were written."""
    value: int | None = getattr(point, field)
    counts: list[int] = [count for one in before if (count := getattr(one, field)) is not None]
    verb = "came in" if field == "taken" else "written"
    if value is None and not counts and field == "given":
        return None
    if len(counts) < _LEAST_RUNS:
        told = f"needs {_LEAST_RUNS} earlier runs that are done and counted, found {len(counts)}"
        return Verdict(rule, UNTOLD, told)
    middle = Fraction(statistics.median(counts))
    low, high = _band(middle, limit.critical)
    told = f"{low:,} to {high:,} expected, the median of {counted(len(counts), 'run')} is {float(middle):,g}"
    if value is None:
        return Verdict(rule, UNTOLD, f"nobody counted the records that {_were(verb)}; {told}")
    state = _state_in_band(value, middle, limit)
    if run.is_under_way and value <= high:
        state = UNTOLD  # more may come
    warning = "" if limit.warning is None else "{}:{}".format(*_band(middle, limit.warning))
    measure = Measure(_COUNTS[field], value, "", warning, f"{low}:{high}")
    return Verdict(rule, state, f"{counted(value, 'record')} {verb}{_so_far(run)}; {told}", (measure,))


def _band(middle: Fraction, bound: Bound) -> tuple[int, int]:
    """Returns the least and the most whole number within a share of the middle."""
    least = math.ceil(middle * max(Fraction(0), 1 - bound.value))
    return least, math.floor(middle * (1 + bound.value))


def _state_in_band(value: int, middle: Fraction, limit: Limit) -> str:
    low, high = _band(middle, limit.critical)
    if not low <= value <= high:
        return BROKEN
    if limit.warning is not None:
        low, high = _band(middle, limit.warning)
        return HELD if low <= value <= high else WARNED
    return HELD


def _so_far(run: GatedRun) -> str:
    return "" if run.record is None or run.record.end is not None else " so far"


def _were(verb: str) -> str:
    return "were written" if verb == "written" else verb


def _percent(part: Fraction) -> str:
    return f"{float(100 * part):.3g}%"


def _range(bound: Bound | None, factor: int = 1) -> str:
    return "" if bound is None else f"{float(bound.value * factor):.15g}"


def _bounds_text(limit: Limit) -> str:
    warning = "" if limit.warning is None else f" (warns at {_bound_text(limit.warning)})"
    return f"{_bound_text(limit.critical)}{warning}"


def _bound_text(bound: Bound) -> str:
    """Returns a bound as other numbers of the same line are written."""
    return f"{int(bound.text):,}" if bound.text.isdigit() else bound.text
