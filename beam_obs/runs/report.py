"""The report of a run, for people: what went through each step, what was refused, and whether it adds up.

Made from what the store has of the run alone, so that it can be shown again at any time. Text from
records is shown without control characters, on lines that are never longer than the terminal's.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from beam_obs.runs.balance_text import balance_text, dropped_texts, unchecked_texts
from beam_obs.runs.fitting import FittingColumn, FittingTable, clipped, told, whole
from beam_obs.runs.folding import WITHIN, folded_record
from beam_obs.runs.record import RunRecord, parse_time
from beam_obs.runs.store import Store
from beam_obs.runs.wording import (
    bytes_text,
    clean,
    clean_lines,
    letters_beside,
    lost_evidence,
    microseconds_text,
    number_of,
    seconds_text,
    tail,
)

PLAIN_COLUMNS = 100
SHORT_ID = 13
"""So much of a run's id is its time in milliseconds: enough to tell runs apart, as a rule."""

_SHOWN_KINDS = 10
_NAME_COLUMNS = 16
"""Names go on in the next line before a column of numbers is left out, but are not narrower than this."""
_STATUS_STYLES = {
    "done": "bold green",
    "running": "bold cyan",
    "submitted": "bold cyan",
    "template": "bold cyan",
    "failed": "bold red",
    "lost": "bold red",
    "cancelled": "bold yellow",
}


def print_report(record: RunRecord, store: Store, kind: str) -> None:
    """Prints a run's report.

    Args:
      record: the run.
      store: where it is kept.
      kind: ``text`` (on standard error), ``json`` (one line on standard output) or ``off``.
    """
    if kind == "json":
        print(json.dumps(record_json(record, store), ensure_ascii=True), flush=True)
    elif kind == "text":
        console = console_for(sys.stderr)
        print_plainly(console, render_report(record, store, ascii_only=not writes_unicode(console)))


class _CleanConsole(Console):
    """A console that takes nothing for markup, and prints nothing that a terminal acts upon."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.replace("\n", "").isprintable():
                yield segment
            else:
                yield Segment(clean_lines(segment.text), segment.style)


def print_plainly(console: Console, what: RenderableType) -> None:
    """Prints without the blanks that tables put at the ends of lines."""
    with console.capture() as captured:
        console.print(Group(what))  # a text on its own loses that it is to be cut, not broken
    text = "".join(f"{line.rstrip(' ')}\n" for line in captured.get().splitlines())
    # Where a line is cut `rich` puts an ellipsis, whatever the terminal shows.
    console.file.write(text if writes_unicode(console) else text.replace("…", "~"))
    console.file.flush()


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
    }


def report_svg(
    record: RunRecord, store: Store, columns: int = PLAIN_COLUMNS, title: str = "", all_steps: bool = False
) -> str:
    """Returns the report as a picture of a terminal, in SVG; a picture is for others, so that what lies below
    the working folder is shown from there."""
    console = _CleanConsole(
        record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    below = os.getcwd() + os.sep
    start, end = _seen_from(below, record.start), _seen_from(below, record.end)
    seen = dataclasses.replace(record, start=start, end=end)
    console.print(render_report(seen, store, all_steps=all_steps))
    picture = console.export_svg(title=title or f"{record.pipeline}: {record.status_text}")
    # Whoever opens the picture is not to ask a server for fonts; any monospace one will do.
    return re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL)


def _seen_from(folder: str, value: Any) -> Any:
    """Returns JSON-able values with paths below a folder as they are seen from it."""
    if isinstance(value, str):
        return value.replace(folder, "")
    if isinstance(value, list):
        return [_seen_from(folder, part) for part in value]
    if isinstance(value, dict):
        return {name: _seen_from(folder, part) for name, part in value.items()}
    return value


def console_for(file: Any) -> Console:
    """Returns a console that is plain, and 100 columns wide, where `file` is not a terminal."""
    terminal = bool(getattr(file, "isatty", lambda: False)())
    return _CleanConsole(
        file=file,
        width=None if terminal else PLAIN_COLUMNS,
        force_terminal=None if terminal else False,
        color_system="auto" if terminal else None,
        soft_wrap=False,
    )


def render_report(
    record: RunRecord, store: Store, ascii_only: bool = False, all_steps: bool = False
) -> RenderableType:
    """Returns the report as something that `rich` prints.

    Args:
      record: the run.
      store: where it is kept.
      ascii_only: whether the terminal shows ASCII only.
      all_steps: whether steps within a composite of Beam's own have rows of their own.
    """
    record = folded_record(record, all_steps)
    parts = [part for part in _parts(record, store, _ASCII if ascii_only else _UNICODE) if part is not None]
    return Group(*parts)


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


def _parts(record: RunRecord, store: Store, marks: _Marks) -> Iterator[RenderableType | None]:
    end = record.end or {}
    yield Text()
    yield from _header(record, marks)
    yield _failure(end.get("error"))
    if record.status == "template":
        yield _line(f"\n  A classic template of Dataflow: {clean(record.start['template'])}", "")
        yield _line(
            "  Its jobs leave their dead letters here, and no counts. A Flex template has a run of", "dim"
        )
        yield _line("  its own for each job.", "dim")
    elif record.end is None:
        yield _line("\n  No counts yet: they are written when the run ends.", "dim")
    else:
        yield _steps(end, marks)
        yield from _notes(end, marks)
    yield from _dead_letters(end.get("dead_letters") or {}, record.status, marks)
    yield from _checks(end.get("checks") or [])
    yield from _datasets("Inputs", end.get("inputs") or record.start.get("inputs") or [], marks)
    yield from _datasets("Outputs", end.get("outputs") or [], marks)
    yield from _next_commands(record, store)
    yield Text()


def _header(record: RunRecord, marks: _Marks) -> Iterator[RenderableType]:
    title = Text(no_wrap=True, overflow="ellipsis")
    title.append(f"{clean(record.pipeline)}  ", "bold")
    title.append(record.status, _STATUS_STYLES.get(record.status, "bold"))
    if record.refused:
        title.append(f", {record.refused:,} dead", "bold red")
    yield Rule(title, align="left", style="dim", characters="─" if marks is _UNICODE else "-")
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


def _failure(error: dict[str, Any] | None) -> RenderableType | None:
    if not error:
        return None
    lines = [line for line in str(error.get("message") or "").splitlines() if line.strip()]
    # Beam repeats the error at the end, behind the frames of its own code.
    shown = lines if len(lines) <= 6 else [lines[0], *lines[-4:]]
    text = whole("")
    for position, line in enumerate(shown or [""]):
        text.append(f"{error['type']}: " if position == 0 else "\n", "bold red")
        text.append(clipped(clean(line)), "red")
    record = _failing_record(error.get("at") or {})
    if record:
        text.append(f"\n{clipped(clean(record))}", "yellow")
    return Padding(text, (1, 2, 0, 2))


def _failing_record(at: Mapping[str, Any]) -> str:
    """Returns the record that the run failed at, in a line; nothing where it is not known."""
    if not at:
        return ""
    place = "" if at.get("position") is None else f"position {at['position']}"
    if at.get("uri"):
        where = [part for part in (place, f"origin {at['origin']}") if part]
        line = "" if at.get("line") is None else f"line {at['line']} of "
        text = f"at step {at['step']}: {line}{at['uri']} ({', '.join(where)})"
        return text if at.get("record") is None else f"{text}: {at['record']}"
    return f"at step {at['step']}: element of origin {at['origin']}{f' ({place})' if place else ''}"


def _steps(end: dict[str, Any], marks: _Marks) -> RenderableType | None:
    stages = {stage["label"]: stage for stage in end.get("stages") or []}
    steps = end.get("steps") or [{"label": label, "is_stage": True} for label in stages]
    if not steps or end.get("counts_from") is None:
        return None
    dropped = any(step.get("dropped") for step in (*stages.values(), *steps))
    late = ("dropped",) if dropped else ()
    of_stages = ("dead", "filtered", *late, "p50", "p99") if stages else late
    columns = [FittingColumn("  step", "left", _NAME_COLUMNS)]
    columns.extend(FittingColumn(header) for header in ("in", "out", *of_stages))
    rows = [_step(step, stages, dropped, marks) for step in steps]
    gives_way = ("p99", "p50", "filtered", *late, "dead")
    return Padding(FittingTable(columns, rows, gives_way, header_style="dim"), (1, 2, 1, 2))


def _step(
    step: Mapping[str, Any], stages: Mapping[str, Mapping[str, Any]], dropped: bool, marks: _Marks
) -> list[Text]:
    """Returns the row of a step."""
    label, stage = tail(clean(step["label"])), stages.get(step["label"])
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
    balance = end.get("balance") or {}
    if end.get("counts_from") is None:
        yield Text()
        yield told(clean(balance.get("unchecked") or "no counts"), "yellow")
        for text in dropped_texts(balance):
            yield told(f"{text}", "yellow", 6)
        return
    holds = balance.get("holds")
    mark = {True: f"{marks.tick} ", False: f"{marks.cross} ", None: ""}[holds]
    style = {True: "green", False: "bold red", None: "dim"}[holds]
    yield told(f"{mark}{balance_text(balance)}", style)
    for line in balance.get("broken") or ():
        yield told(f"{clean(line['text'])}", "red", 6)
    for text in dropped_texts(balance):
        yield told(f"{text}", "yellow", 6)
    for text in unchecked_texts(balance):
        yield told(f"{text}", "dim", 6)
    if end.get("lineage"):
        yield told(f"{clean(end['lineage']['text'])}", "yellow" if end["lineage"]["opaque"] else "dim")
    if end.get("counts_from") == "live":
        # A job may end well on a runner that loses counts.
        why = "the runner lost some of its own" if end.get("status") == "done" else "none was committed"
        yield told(f"counts are live: looked at in this process when the run ended, {why}", "yellow")
    errors = sum(stage.get("internal_errors", 0) for stage in end.get("stages") or [])
    if errors:
        yield told(
            f"{errors:,} errors of beam_obs itself were swallowed; no record was lost by them", "yellow"
        )
    notes = []
    if end.get("stages"):
        notes.append(f"{marks.stage} stage: times are of a sample of its records")
    if any(not step["is_stage"] for step in end.get("steps") or []):
        notes.append("other steps as Beam counts them")
    if notes:
        yield told(f"{'; '.join(notes)}", "dim")


def _dead_letters(refused: dict[str, Any], status: str, marks: _Marks) -> Iterator[RenderableType]:
    beside = letters_beside(refused, status)
    if not refused.get("count") and not beside:
        return
    yield _title("Dead letters", f"{refused['count']:,}")
    for line in beside:
        yield _line(f"  {line}", "yellow")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=24)
    table.add_column(min_width=16)
    kinds = refused.get("by_fingerprint") or []
    for kind in kinds[:_SHOWN_KINDS]:
        what = _line("", "")
        what.append(f"{clean(kind['error_type'].rpartition('.')[2])}: {clean(kind['error_message'])}", "red")
        what.append(f"\n{clean(kind['payload_text']) or marks.none}", "dim")
        stage = Text(tail(clean(kind["stage"]), 24), "bold")
        if kind.get(WITHIN):
            stage.append(f"\n{tail(clean(kind[WITHIN]), 24)}", "not bold")
        stage.append(f"\n{kind['fingerprint']}", "dim not bold")
        table.add_row(Text(f"{kind['count']:,}", "bold red"), stage, what)
        if kind.get("source_uri"):
            at = f" at {kind['position']:,}" if kind.get("position") is not None else ""
            table.add_row("", "", _line(f"{tail(clean(kind['source_uri']), 48)}{at}", "dim"))
    yield Padding(table, (0, 2, 0, 2))
    if len(kinds) > _SHOWN_KINDS:
        yield _line(f"  and {len(kinds) - _SHOWN_KINDS:,} more kinds", "dim")


def _checks(checks: list[dict[str, Any]]) -> Iterator[RenderableType]:
    if not checks:
        return
    yield _title("Assumptions broken", "counted only, the records went on")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=24)
    table.add_column(min_width=16)
    for check in checks:
        stage = Text(tail(clean(check["stage"]), 24), "bold")
        table.add_row(Text(f"{check['broken']:,}", "bold yellow"), stage, _line(clean(check["example"]), ""))
    yield Padding(table, (0, 2, 0, 2))


def _datasets(title: str, datasets: list[dict[str, Any]], marks: _Marks) -> Iterator[RenderableType]:
    if not datasets:
        return
    yield _title(title)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=24)
    table.add_column(min_width=16)
    for _ in range(4):
        table.add_column(justify="right", no_wrap=True)
    for dataset in datasets:
        files = dataset.get("files") or []
        sizes = [file.get("bytes", 0) for file in files]
        records, written = dataset.get("records"), dataset.get("file_count")
        table.add_row(
            Text(clean(dataset.get("name") or dataset.get("label") or ""), "bold"),
            _line(tail(clean(dataset.get("uri") or ""), 60), "dim"),
            Text(number_of(records, "record") if records is not None else ""),
            Text("" if written in (None, 1) else number_of(written, "file")),
            Text(bytes_text(sum(sizes)) if any(sizes) else ""),
            Text(f"digest {dataset['digest'][:8]}" if dataset.get("digest") else "", "dim"),
        )
    yield Padding(table, (0, 2, 0, 2))


def _next_commands(record: RunRecord, store: Store) -> Iterator[RenderableType]:
    yield Text()
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column()
    short = record.id[:SHORT_ID]
    where = "" if store.is_default else f" --store {shlex.quote(store.shown_uri)}"
    table.add_row(Text("store", "dim"), whole(store.shown_uri))
    if record.refused:
        table.add_row(Text("next", "dim"), whole(f"beam-obs dead-letters list {short}{where}", "cyan"))
        table.add_row("", whole(f"beam-obs show {short} --json{where}", "cyan"))
    else:
        table.add_row(Text("next", "dim"), whole(f"beam-obs show {short} --json{where}", "cyan"))
    yield Padding(table, (0, 2, 0, 2))


def _title(text: str, count: str = "") -> RenderableType:
    title = Text(f"\n  {text}", "bold")
    if count:
        title.append(f"  {count}", "bold red")
    return title


def _line(text: str, style: str) -> Text:
    """Returns text that is cut, not broken, where its line is too short."""
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _number(value: int | None, marks: _Marks, style: str = "") -> Text:
    return Text(marks.none if value is None else f"{value:,}", "dim" if value is None else style)


def render_runs(records: Iterable[RunRecord], ascii_only: bool = False) -> RenderableType:
    """Returns a table of runs, newest first as given."""
    columns = (
        FittingColumn("run", "left"),
        FittingColumn("pipeline", "left", _NAME_COLUMNS),
        FittingColumn("started (UTC)", "left"),
        FittingColumn("took"),
        FittingColumn("status", "left", 12, is_last=True),
        FittingColumn("code", "left", 12),
    )
    rows = []
    for record in records:
        status = whole(record.status, _STATUS_STYLES.get(record.status, "bold"))
        if record.refused:
            status.append(f", {record.refused:,} dead", "red")
        if ((record.end or {}).get("balance") or {}).get("holds") is False:
            status.append(", not balanced", "bold red")
        rows.append(
            (
                Text(record.id[:SHORT_ID]),
                whole(clean(record.pipeline)),
                Text(f"{parse_time(record.start['started']):%Y-%m-%d %H:%M:%S}"),
                Text(seconds_text(record.seconds)),
                status,
                _line(clean((record.start.get("code") or {}).get("version", "?")), "dim"),
            )
        )
    lines = None if ascii_only else box.SIMPLE_HEAD
    return FittingTable(columns, rows, ("code", "took", "started (UTC)"), lines)


def writes_unicode(console: Console) -> bool:
    return (console.encoding or "").lower().replace("-", "").startswith("utf")
