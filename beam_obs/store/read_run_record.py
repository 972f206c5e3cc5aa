"""A run as its files tell it: each held against its form, and against the hashes that were kept of it.

What is damaged or was changed since is read as far as it can be, and said: no answer about it is `complete`.
"""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from beam_obs.records.manifest import content_hash
from beam_obs.records.wording import unnamed_losses
from beam_obs.store.acyclic import drop_circles
from beam_obs.store.evidence import count_dead_letters, files_at_end
from beam_obs.store.folder import Found
from beam_obs.store.form import fit, parse_object
from beam_obs.store.run_record import END, HEARTBEAT, LIVE, START, RunRecord, time_text
from beam_obs.store.run_record_forms import BEGAN, END_FORM, HEARTBEAT_FORM, LIVE_FORM, START_FORM
from beam_obs.store.sealing import SEALED, is_sealed

if TYPE_CHECKING:
    from beam_obs.store.store import Store

_CHANGED = "was changed since it was written"


def time_of_id(run: str) -> str | None:
    """Returns when a run began by its id; None where that is no UUIDv7.

    >>> time_of_id("0193aaaa-1111-7000-8000-000000000001")
    '2024-12-09T09:04:52.497000Z'
    """
    if _ID.fullmatch(run) is None:
        return None
    moment = datetime.datetime.fromtimestamp(int(run.replace("-", "")[:12], 16) / 1000, datetime.timezone.utc)
    return time_text(moment)


_ID = re.compile(r"0[0-9a-f]{7}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
"""A UUIDv7 before the year 3084."""


class _Read(NamedTuple):
    value: dict[str, Any] | None
    problems: list[str]


def read_run_record(store: Store, pipeline: str, run: str, start: Found, end: Found) -> RunRecord:
    """Returns a run.

    Args:
      store: the store.
      pipeline: name of the pipeline.
      run: id of the run.
      start: what there is of ``start.json``.
      end: what there is of ``end.json``.
    """
    started, ended = _read(START, start, START_FORM), _without_circles(END, _read(END, end, END_FORM))
    problems = [*started.problems, *ended.problems, *unnamed_losses(ended.value or {})]
    if started.value is None and not started.problems:
        problems.append(f"{START} is missing")
    if end.content is not None and ended.value is not None:
        sealed = is_sealed(end.content)
        if sealed is False or (sealed is None and (started.value or {}).get(SEALED) is True):
            problems.append(f"{END} {_CHANGED}")
    if start.content is not None and started.value is not None:
        sealed = is_sealed(start.content)
        if sealed is False or (sealed is None and started.value.get(SEALED) is True):
            problems.append(f"{START} {_CHANGED}")
    hashed = files_at_end(ended.value).get(START)
    if hashed is not None and start.content is not None and hashed != content_hash(start.content).hexdigest():
        problems.append(f"{START} {_CHANGED}")
    start_value = started.value or {"started": BEGAN, "runner": "?"}
    if start_value["started"] == BEGAN:
        start_value["started"] = time_of_id(run) or BEGAN
    if ended.value is not None and ended.value["finished"] == BEGAN:
        ended.value["finished"] = start_value["started"]
    heartbeat, live, refused = None, None, 0
    folder = f"runs/{pipeline}/{run}"
    if ended.value is None:
        beat, counts = store.files.look([f"{folder}/{name}" for name in (HEARTBEAT, LIVE)])
        heartbeat = _read(HEARTBEAT, beat, HEARTBEAT_FORM).value
        live = _without_circles(LIVE, _read(LIVE, counts, LIVE_FORM))
        if live.value is not None and "at" not in live.value:
            live = _Read(None, [*live.problems, f"{LIVE} cannot be read: it does not say of when it is"])
        problems.extend(live.problems)
        had_heartbeat = started.value is None or started.value.get(SEALED) is True
        if not ended.problems and beat == Found(None) and had_heartbeat:
            # A run has a heartbeat until it has an end, which it may have got since that was looked at.
            (again,) = store.files.look([f"{folder}/{END}"])
            if again != end:
                return read_run_record(store, pipeline, run, start, again)
            ended.problems.append(f"{END} is missing")
            problems.append(ended.problems[0])
        refused = count_dead_letters(store, folder)
    return RunRecord(
        pipeline,
        run,
        start_value,
        ended.value,
        heartbeat,
        refused,
        tuple(dict.fromkeys(problems)),
        end_is_unreadable=bool(ended.value is None and ended.problems),
        live=live.value if live is not None else None,
    )


def _read(name: str, found: Found, form: Any) -> _Read:
    if found.content is None:
        return _Read(None, [f"{name} cannot be read: {found.problem}"] if found.problem else [])
    problems: list[str] = []
    try:
        value = fit(parse_object(found.content), form, "", problems)
    except ValueError as error:
        return _Read(None, [f"{name} cannot be read: {error}"])
    return _Read(value, [f"{name} is damaged: {problem}" for problem in problems])


def _without_circles(name: str, read: _Read) -> _Read:
    if read.value is not None:
        circles: list[str] = []
        drop_circles(read.value, circles)
        read.problems.extend(f"{name} is damaged: {problem}" for problem in circles)
    return read
