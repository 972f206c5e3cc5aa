"""The difference of two runs, for people: where it begins, and what else is not as it was.

What is the same takes one line at most. Text from records is shown without control characters, on lines
that are never longer than the terminal's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from beam_obs.records.number_text import counted
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import bytes_text, clean, seconds_text
from beam_obs.reports.balance_text import balance_text
from beam_obs.reports.difference_wording import (
    changed_further,
    changed_pairs,
    counted_steps,
    digest_text,
    kind_counts_text,
    nothing_first_text,
    numbers_text,
    percent_text,
    reasons_text,
    shown_kinds,
    value_text,
)
from beam_obs.reports.fitting import MOST_TEXT, FittingColumn, FittingTable, Heading, clipped, told, whole
from beam_obs.store.dataset_difference import CHANGED, SAME, UNKNOWN, DatasetChange
from beam_obs.store.difference import RunDifference
from beam_obs.store.kinds_of_refusal import GONE, NEW, RECURRING, KindChange
from beam_obs.store.run_record import RunRecord
from beam_obs.store.step_difference import StepChange

_SHOWN_FILES = 8
_SHOWN_KINDS = 12
_SIGNS = {NEW: "+", GONE: "-", CHANGED: "~"}
_STYLES = {NEW: "green", GONE: "red", CHANGED: "yellow"}
_KIND_STYLES = {NEW: "bold red", GONE: "green", RECURRING: "yellow"}


_NAME = FittingColumn("", "left", 16, 28)
_SENTENCE = FittingColumn("", "left", 24)


def render_difference(
    difference: RunDifference, ascii_only: bool = False, most_text: int | None = MOST_TEXT
) -> RenderableType:
    """Returns the difference as something that `rich` prints.

    Args:
      difference: the difference.
      ascii_only: whether the terminal shows ASCII only.
      most_text: most characters of an error's message or of a record that are shown; None for all.
    """
    return Group(*_Rendering("->" if ascii_only else "→", ascii_only, most_text).parts(difference))


class _Rendering:
    def __init__(self, arrow: str, ascii_only: bool, most_text: int | None) -> None:
        self._most_text = most_text
        self._arrow = arrow
        self._ascii_only = ascii_only

    def parts(self, difference: RunDifference) -> Iterator[RenderableType]:
        yield Text()
        yield from self._header(difference.before, difference.after)
        yield from self._first(difference)
        yield from self._pairs("Code", difference.code)
        yield from self._pairs("Options", difference.options)
        yield from self._datasets("Inputs", difference.inputs)
        yield from self._steps(difference)
        yield from self._kinds(difference.kinds)
        yield from self._datasets("Outputs", difference.outputs)
        yield Text()

    def _header(self, before: RunRecord, after: RunRecord) -> Iterator[RenderableType]:
        names = [before.pipeline, *([after.pipeline] if after.pipeline != before.pipeline else [])]
        title = Text().append(f" {self._arrow} ".join(map(clean, names)), "bold")
        title.append(f"  {before.id[:SHORT_ID]} {self._arrow} {after.id[:SHORT_ID]}", "not bold")
        yield Heading(title, "-" if self._ascii_only else "─")
        for name, record in (("before", before), ("after", after)):
            took = f", took {seconds_text(record.seconds)}" if record.seconds is not None else ""
            started = record.start["started"][:19].replace("T", " ")
            line = whole(f"{name:<7} {record.id[:SHORT_ID]}  {started} UTC{took}  ", "dim")
            yield Padding(line.append(record.status_text, "bold not dim"), (0, 0, 0, 2))
            balance = (record.end or {}).get("balance")
            if balance:
                style = "red" if balance.get("holds") is False else "dim"
                yield told(balance_text(balance), style, 10)

    def _first(self, difference: RunDifference) -> Iterator[RenderableType]:
        if nothing := nothing_first_text(difference):
            yield Text()
            yield told(nothing, "green" if difference.steps else "yellow")
            return
        yield _title("Changed first")
        yield self._reasons(difference.first)
        if further := changed_further(difference):
            yield _title("Changed of its own further downstream")
            yield self._reasons(further)

    def _reasons(self, steps: Any) -> RenderableType:
        rows = []
        for step in steps:
            for position, reason in enumerate(reasons_text(step, self._arrow)):
                label = whole(clean(step.label) if position == 0 else "", "bold")
                rows.append((label, whole(clipped(reason, self._most_text))))
        return Padding(FittingTable((_NAME, _SENTENCE), rows), (0, 2, 0, 2))

    def _pairs(self, title: str, pairs: Any) -> Iterator[RenderableType]:
        changed = changed_pairs(pairs)
        if not changed:
            version = f" {pairs['version'][0]}" if "version" in pairs else ""
            yield _title(title, f"the same{clean(version)}")
            return
        yield _title(title)
        rows = [
            (whole(clean(name)), whole(f"{value_text(before)} {self._arrow} {value_text(after)}", "yellow"))
            for name, (before, after) in changed.items()
        ]
        yield Padding(FittingTable((_NAME, _SENTENCE), rows), (0, 2, 0, 2))

    def _datasets(self, title: str, datasets: tuple[DatasetChange, ...]) -> Iterator[RenderableType]:
        if not datasets:
            return
        shown = [dataset for dataset in datasets if dataset.state != SAME]
        number = len(datasets) - len(shown)
        if not shown:
            yield _title(title, f"the same ({number:,})")
            return
        yield _title(title, f"{number:,} the same" if number else "")
        rows: list[tuple[Text, ...]] = []
        for dataset in shown:
            name = whole(clean(dataset.name), "bold")
            records, known = dataset.records, None not in dataset.records
            noun = "record" if records == (1, 1) else "records"
            what = whole(
                f"{numbers_text(records, self._arrow)} {noun} {percent_text(records)}" if known else ""
            )
            if dataset.state in (NEW, GONE):
                what = whole("").append(f"{dataset.state} ", _STYLES[dataset.state])
                what.append(clean(dataset.uri[0] or dataset.uri[1]), "dim")
            digest = f"digest {digest_text(dataset.digest[0])} {self._arrow} {digest_text(dataset.digest[1])}"
            unknown = "no versions" if title == "Inputs" else "no digests"
            side = digest if any(dataset.digest) else unknown if dataset.state == UNKNOWN else ""
            rows.append((name, what, Text(side, "dim")))
            rows.extend((Text(), self._file(file), Text()) for file in dataset.files[:_SHOWN_FILES])
            if dataset.files:
                more = len(dataset.files) - _SHOWN_FILES
                rest = f"and {more:,} more; " if more > 0 else ""
                same = whole(f"  {rest}{counted(dataset.same_files, 'file')} the same", "dim")
                rows.append((Text(), same, Text()))
        yield Padding(FittingTable((_NAME, _SENTENCE, FittingColumn("", "left")), rows), (0, 2, 0, 2))

    def _file(self, file: dict[str, Any]) -> Text:
        line = whole("").append(f"{_SIGNS[file['state']]} {clean(file['name'])}", _STYLES[file["state"]])
        sizes = [bytes_text(size) for size in file["bytes"] if size is not None]
        return line.append(f"  {f' {self._arrow} '.join(dict.fromkeys(sizes))}", "dim")

    def _steps(self, difference: RunDifference) -> Iterator[RenderableType]:
        if not difference.steps:
            return
        shown = [step for step in difference.steps if step.state != SAME]
        same = len(difference.steps) - len(shown)
        if not shown:
            yield _title("Steps", f"the same counts ({same:,})")
            return
        yield _title("Steps", f"{same:,} with the same counts" if same else "")
        names = counted_steps(shown)
        columns = [FittingColumn("", "left", 14, hangs=2)]
        for name in names:
            columns.append(FittingColumn(name))
            if name in ("in", "out"):
                columns.append(FittingColumn("", name=f"change of {name}"))
        gives_way = ("change of out", "change of in", "filtered", "dropped", "dead")
        rows = [list(self._step(step, names)) for step in shown]
        yield Padding(FittingTable(columns, rows, gives_way, header_style="dim"), (0, 2, 0, 2))

    def _step(self, step: StepChange, names: tuple[str, ...]) -> Iterator[Text]:
        sign = ("> " if self._ascii_only else "▸ ") if step.is_first else "  "
        label = whole("").append(f"{sign}{clean(step.label)}", "bold" if step.is_first else "")
        if step.state in (NEW, GONE):
            label.append(f" {step.state}", _STYLES[step.state])
        yield label
        for name in names:
            pair = step.counts.get(name)
            differs = pair is not None and pair[0] != pair[1]
            style = "dim" if not differs else "bold red" if name == "dead" else ""
            yield Text(numbers_text(pair, self._arrow) if pair is not None else "", style)
            if name in ("in", "out"):
                yield Text(percent_text(pair) if pair is not None else "", "yellow" if differs else "dim")

    def _kinds(self, kinds: tuple[KindChange, ...]) -> Iterator[RenderableType]:
        if not kinds:
            return
        yield _title("Kinds of refusal", kind_counts_text(kinds))
        shown = shown_kinds(kinds)
        rows = []
        for kind in shown[:_SHOWN_KINDS]:
            stage, fingerprint = kind.kind["stage"], kind.kind["fingerprint"]
            error = kind.kind["error_type"].rpartition(".")[2]
            told_error = clipped(f"{clean(error)}: {clean(kind.kind['error_message'])}", self._most_text)
            what = whole("").append(told_error, "red")
            if payload := clipped(clean(kind.kind["payload_text"]), self._most_text):
                what.append(f"\n{payload}", "dim")
            where = whole(clean(stage), "bold").append(f"\n{fingerprint}", "dim not bold")
            state = Text(kind.state if kind.state != RECURRING else "", _KIND_STYLES[kind.state])
            rows.append((state, Text(numbers_text((kind.before, kind.after), self._arrow)), where, what))
        columns = (FittingColumn("", "left"), FittingColumn(""), FittingColumn("", "left", 16, 24), _SENTENCE)
        yield Padding(FittingTable(columns, rows), (0, 2, 0, 2))
        if len(shown) > _SHOWN_KINDS:
            yield told(f"and {len(shown) - _SHOWN_KINDS:,} more (--json has all)", "dim")


def _title(text: str, rest: str = "") -> RenderableType:
    title = whole(text, "bold").append(f"  {rest}" if rest else "", "not bold dim")
    return Padding(title, (1, 0, 0, 2))
