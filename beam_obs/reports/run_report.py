"""The report of a run, for people: what went through each step, what was refused, and whether it adds up.

Made from what the store has of the run alone, so that it can be shown again at any time. Text from
records is shown without control characters, on lines that are never longer than the terminal's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from beam_obs.records.number_text import counted
from beam_obs.records.wording import (
    bytes_text,
    clean,
    letters_beside,
    lost_evidence,
    microseconds_text,
    seconds_text,
)
from beam_obs.reports.as_of import counts_text
from beam_obs.reports.canary_notes import canary_notes
from beam_obs.reports.console import console_for, print_plainly, writes_unicode
from beam_obs.reports.dataset_text import shown_places
from beam_obs.reports.failure_text import failing_record_text, failure_lines
from beam_obs.reports.fitting import (
    MOST_TEXT,
    FittingColumn,
    FittingTable,
    Heading,
    clipped,
    shortened,
    told,
    whole,
)
from beam_obs.reports.instruments_text import instrument_lines, instrument_notes
from beam_obs.reports.lateness_text import lateness_text
from beam_obs.reports.next_commands import next_commands
from beam_obs.reports.replay_text import replay_text
from beam_obs.reports.run_notes import (
    BAD,
    DOUBTFUL,
    GOOD,
    QUIET,
    RunNote,
    balance_notes,
    count_notes,
    telemetry_notes,
    worker_notes,
)
from beam_obs.reports.run_so_far import with_refusals
from beam_obs.reports.runs_table import NAME_COLUMNS, STATUS_STYLES
from beam_obs.reports.status_text import status_lines
from beam_obs.store.folding import WITHIN, folded_record
from beam_obs.store.run_record import RunRecord, parse_time
from beam_obs.store.store import Store

_SHOWN_KINDS = 10
_COUNT = FittingColumn("")
_STAGE = FittingColumn("", "left", 16, 24)
"""Of names, and of fingerprints, which have 16 digits."""
_SENTENCE = FittingColumn("", "left", 24)


def print_report(record: RunRecord, store: Store, kind: str) -> None:
    """Prints a run's report.

    Args:
      record: the run.
      store: where it is kept.
      kind: ``text`` (on standard error) or ``json`` (one line on standard output).
    """
    if kind == "json":
        print(json.dumps(record_json(record, store), ensure_ascii=True), flush=True)
    else:
        print_report_on(console_for(sys.stderr), record, store)


def print_report_on(console: Console, record: RunRecord, store: Store, all_steps: bool = False) -> None:
    """Prints a run's report; where it is read by no person nothing of it is left out."""
    most_text = MOST_TEXT if console.is_terminal else None
    report = render_report(record, store, not writes_unicode(console), most_text, all_steps)
    print_plainly(console, report)


def record_json(record: RunRecord, store: Store) -> dict[str, Any]:
    """Returns a run as JSON-able values: status, start and end, without the portable coders."""
    return {
        "id": record.id,
        "pipeline": record.pipeline,
        "status": record.status,
        "dead": record.refused,
        "store": store.uri,
        "start": {name: value for name, value in record.start.items() if name != "coders"},
        "end": record.end,
        **({"live": record.live} if record.live is not None else {}),
    }


def render_report(
    record: RunRecord,
    store: Store,
    ascii_only: bool = False,
    most_text: int | None = MOST_TEXT,
    all_steps: bool = False,
) -> RenderableType:
    """Returns the report as something that `rich` prints.

    Args:
      record: the run.
      store: where it is kept.
      ascii_only: whether the terminal shows ASCII only.
      most_text: most characters of an error's message or of a record that are shown; None for all.
      all_steps: whether steps within a composite of Beam's own have rows of their own.
    """
    record = folded_record(with_refusals(record, store), all_steps)
    parts = _parts(record, store, _ASCII if ascii_only else _UNICODE, most_text)
    return Group(*(part for part in parts if part is not None))


class _Marks:
    """Signs that not every terminal has."""

    def __init__(self, tick: str, cross: str, stage: str, none: str, dot: str, micro: str) -> None:
        self.tick, self.cross, self.stage, self.none, self.dot, self.micro = (
            tick,
            cross,
            stage,
            none,
            dot,
            micro,
        )


_UNICODE = _Marks("✓", "✗", "◆", "–", "·", "µs")  # noqa: RUF001 - a dash stands for no number
_ASCII = _Marks("ok", "!!", "*", "-", "-", "us")


def _parts(
    record: RunRecord, store: Store, marks: _Marks, most_text: int | None
) -> Iterator[RenderableType | None]:
    end = record.last_known
    yield Text()
    yield from _header(record, marks)
    yield _failure(end.get("error"), most_text)
    if record.status == "template":
        yield Text()
        first, *others = status_lines(record)
        yield told(first)
        yield from (told(line, "dim") for line in others)
    elif record.end is None:
        yield _steps(end, marks) or Text()
        yield told(counts_text(record), "dim")
        if behind := lateness_text(record.live or {}):
            yield told(behind, "dim")
        if record.job_state is not None:
            yield from (told(line, "dim") for line in status_lines(record))
    else:
        yield _steps(end, marks)
        yield from _notes(end, marks)
    yield from _dead_letters(end.get("dead_letters") or {}, record.status, marks, most_text)
    yield from _checks(end.get("checks") or [], most_text)
    yield from _instruments(end.get("instruments") or {})
    yield from _datasets("Inputs", end.get("inputs") or record.start.get("inputs") or [])
    yield from _datasets("Outputs", end.get("outputs") or [])
    yield from _next_commands(record, store)
    yield Text()


def _header(record: RunRecord, marks: _Marks) -> Iterator[RenderableType]:
    title = Text().append(f"{clean(record.pipeline)}  ", "bold")
    title.append(record.status, STATUS_STYLES.get(record.status, "bold"))
    if record.job_state is not None:
        title.append(f", job {record.job_state}")
    if record.refused:
        title.append(f", {record.refused:,} dead", "bold red")
    yield Heading(title, "─" if marks is _UNICODE else "-")
    start = record.start
    code = start.get("code") or {}
    facts = [
        f"started {parse_time(start['started']):%Y-%m-%d %H:%M:%S} UTC",
        *([f"took {seconds_text(record.seconds)}"] if record.seconds is not None else []),
        str(start.get("runner", "?")),
        f"code {code.get('version', '?')}",
        *([str(code["package"])] if code.get("package") else []),
    ]
    job = f" {marks.dot} job {clean(record.job_id)}" if record.job_id else ""
    yield told(f"run {record.id}{job}")
    yield told(f" {marks.dot} ".join(clean(fact) for fact in facts), "dim")
    replay = replay_text(start)
    if replay:
        yield told(replay)


def _failure(error: dict[str, Any] | None, most_text: int | None) -> RenderableType | None:
    if not error:
        return None
    text = whole("")
    for position, line in enumerate(failure_lines(error)):
        text.append(f"{error['type']}: " if position == 0 else "\n", "bold red")
        text.append(shortened(line, most_text), "red")
    record = failing_record_text(error.get("at"))
    if record:
        text.append(f"\n{clipped(clean(record), most_text)}", "yellow")
    return Padding(text, (1, 2, 0, 2))


def _steps(end: dict[str, Any], marks: _Marks) -> RenderableType | None:
    stages = {stage["label"]: stage for stage in end.get("stages") or []}
    steps = end.get("steps") or [{"label": label, "is_stage": True} for label in stages]
    if not steps or end.get("counts_from") is None:
        return None
    dropped = any(step.get("dropped") for step in (*stages.values(), *steps))
    late = ("dropped",) if dropped else ()
    of_stages = ("dead", "filtered", *late, "p50", "p99") if stages else late
    columns = [FittingColumn("  step", "left", NAME_COLUMNS, hangs=2)]
    columns.extend(FittingColumn(header) for header in ("in", "out", *of_stages))
    rows = [_step(step, stages, dropped, marks) for step in steps]
    gives_way = ("p99", "p50", "filtered", *late, "dead")
    return Padding(FittingTable(columns, rows, gives_way, header_style="dim"), (1, 2, 1, 2))


def _step(
    step: Mapping[str, Any], stages: Mapping[str, Mapping[str, Any]], dropped: bool, marks: _Marks
) -> list[Text]:
    """Returns the row of a step."""
    label, stage = clean(step["label"]), stages.get(step["label"])
    if stage is None:
        counts = [_number(step.get("in"), marks, "dim"), _number(step.get("out"), marks, "dim")]
        of_stages = [Text(), Text()] if stages else []
        late = [_late(step, marks)] if dropped else []
        return [whole(f"  {label}", "dim"), *counts, *of_stages, *late, *of_stages]
    cells = [_number(stage["in"], marks), _number(stage["out"], marks)]
    cells.append(_number(stage["dead"], marks, "bold red" if stage["dead"] else "dim"))
    cells.append(_number(stage["filtered"], marks, "" if stage["filtered"] else "dim"))
    if dropped:
        cells.append(_late(stage, marks))
    times = (microseconds_text(stage[name], marks.micro, marks.none) for name in ("p50_us", "p99_us"))
    name = whole("").append(f"{marks.stage} ", "cyan").append(label, "bold")
    return [name, *cells, *map(Text, times)]


def _late(step: Mapping[str, Any], marks: _Marks) -> Text:
    return _number(step.get("dropped") or 0, marks, "yellow" if step.get("dropped") else "dim")


def _notes(end: dict[str, Any], marks: _Marks) -> Iterator[RenderableType]:
    for line in lost_evidence(end):
        yield told(f"{line}", "bold yellow")
    balance = balance_notes(end)
    if end.get("counts_from") is None:
        yield Text()
        yield from map(_note, (*balance, *canary_notes(end), *worker_notes(end), *telemetry_notes(end)))
        return
    mark = {GOOD: f"{marks.tick} ", BAD: f"{marks.cross} "}.get(balance[0].tone, "")
    yield _note(balance[0]._replace(text=f"{mark}{balance[0].text}"))
    yield from map(
        _note,
        (*balance[1:], *canary_notes(end), *count_notes(end), *worker_notes(end), *telemetry_notes(end)),
    )
    notes = []
    if end.get("stages"):
        notes.append(f"{marks.stage} stage: times are of a sample of its records")
    if any(not step["is_stage"] for step in end.get("steps") or []):
        notes.append("other steps as Beam counts them")
    if notes:
        yield told(f"{'; '.join(notes)}", "dim")


def _note(note: RunNote) -> Any:
    style = {GOOD: "green", BAD: "red" if note.is_detail else "bold red", DOUBTFUL: "yellow", QUIET: "dim"}
    return told(note.text, style[note.tone], 6 if note.is_detail else 2)


def _dead_letters(
    refused: dict[str, Any], status: str, marks: _Marks, most_text: int | None
) -> Iterator[RenderableType]:
    beside = letters_beside(refused, status)
    if not refused.get("count") and not beside:
        return
    yield _title("Dead letters", f"{refused['count']:,}")
    for line in beside:
        yield told(line, "yellow")
    rows: list[tuple[Text, ...]] = []
    kinds = refused.get("by_fingerprint") or []
    for kind in kinds[:_SHOWN_KINDS]:
        error = f"{kind['error_type'].rpartition('.')[2]}: {kind['error_message']}"
        what = whole("").append(shortened(clean(error), most_text), "red")
        what.append(f"\n{clipped(clean(kind['payload_text']), most_text) or marks.none}", "dim")
        if kind.get("source_uri"):
            at = f" at {kind['position']:,}" if kind.get("position") is not None else ""
            what.append(f"\n{clean(kind['source_uri'])}{at}", "dim")
        stage = whole(clean(kind["stage"]), "bold")
        if kind.get(WITHIN):
            stage.append(f"\n{clean(kind[WITHIN])}", "not bold")
        stage.append(f"\n{kind['fingerprint']}", "dim not bold")
        rows.append((Text(f"{kind['count']:,}", "bold red"), stage, what))
    yield Padding(FittingTable((_COUNT, _STAGE, _SENTENCE), rows), (0, 2, 0, 2))
    if len(kinds) > _SHOWN_KINDS:
        yield told(f"and {counted(len(kinds) - _SHOWN_KINDS, 'more kind')}", "dim")


def _checks(checks: list[dict[str, Any]], most_text: int | None) -> Iterator[RenderableType]:
    if not checks:
        return
    yield _title("Assumptions broken", "counted only, the records went on")
    rows = [
        (
            Text(f"{check['broken']:,}", "bold yellow"),
            whole(clean(check["stage"]), "bold"),
            whole(clipped(clean(check["example"]), most_text)),
        )
        for check in checks
    ]
    yield Padding(FittingTable((_COUNT, _STAGE, _SENTENCE), rows), (0, 2, 0, 2))


def _instruments(instruments: dict[str, Any]) -> Iterator[RenderableType]:
    rows = [
        (whole(name, "bold"), whole(step), whole(text)) for name, step, text in instrument_lines(instruments)
    ]
    notes = list(instrument_notes(instruments))
    if not rows and not notes:
        return
    yield _title("Instruments")
    yield Padding(FittingTable((_STAGE, _STAGE, _SENTENCE), rows), (0, 2, 0, 2))
    yield from (told(note, "dim") for note in notes)


def _datasets(title: str, datasets: list[dict[str, Any]]) -> Iterator[RenderableType]:
    if not datasets:
        return
    yield _title(title)
    columns = (_STAGE, _SENTENCE, *(FittingColumn("") for _ in range(4)))
    rows: list[tuple[Text, ...]] = []
    for dataset, place in zip(datasets, shown_places(datasets), strict=True):
        sizes = [file.get("bytes", 0) for file in dataset.get("files") or []]
        records, written = dataset.get("records"), dataset.get("file_count")
        cells = (
            whole(clean(dataset.get("name") or dataset.get("label") or ""), "bold"),
            whole(place, "dim"),
            Text("" if records is None else counted(records, "record")),
            Text("" if written in (None, 1) else counted(written, "file")),
            Text(bytes_text(sum(sizes)) if any(sizes) else ""),
            Text(f"digest {dataset['digest'][:8]}" if dataset.get("digest") else "", "dim"),
        )
        rows.append(cells)
    yield Padding(FittingTable(columns, rows), (0, 2, 0, 2))


def _next_commands(record: RunRecord, store: Store) -> Iterator[RenderableType]:
    yield Text()
    commands = next_commands(record, store)
    rows = [(Text("store", "dim"), whole(store.shown_uri))]
    rows.extend((Text("" if n else "next", "dim"), whole(text, "cyan")) for n, text in enumerate(commands))
    yield Padding(FittingTable((FittingColumn("", "left"), _SENTENCE), rows), (0, 2, 0, 2))


def _title(text: str, count: str = "") -> RenderableType:
    title = Text(f"\n  {text}", "bold")
    if count:
        title.append(f"  {count}", "bold red")
    return title


def _number(value: int | None, marks: _Marks, style: str = "") -> Text:
    return Text(marks.none if value is None else f"{value:,}", "dim" if value is None else style)
