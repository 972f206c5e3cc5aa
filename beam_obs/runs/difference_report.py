"""The difference of two runs, for people: where it begins, and what else is not as it was.

What is the same takes one line at most. Text from records is shown without control characters, on lines
that are never longer than the terminal's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from beam_obs.runs.balance_text import balance_text
from beam_obs.runs.difference import (
    CHANGED,
    SAME,
    UNKNOWN,
    DatasetChange,
    Pair,
    RunDifference,
    StepChange,
    relative_change,
)
from beam_obs.runs.kinds import GONE, NEW, RECURRING, KindChange
from beam_obs.runs.record import RunRecord
from beam_obs.runs.report import SHORT_ID
from beam_obs.runs.wording import bytes_text, clean, seconds_text, tail

_SHOWN_FILES = 8
_SHOWN_KINDS = 12
_SIGNS = {NEW: "+", GONE: "-", CHANGED: "~"}
_STYLES = {NEW: "green", GONE: "red", CHANGED: "yellow"}
_KIND_STYLES = {NEW: "bold red", GONE: "green", RECURRING: "yellow"}


def render_difference(difference: RunDifference, ascii_only: bool = False) -> RenderableType:
    """Returns the difference as something that `rich` prints.

    Args:
      difference: the difference.
      ascii_only: whether the terminal shows ASCII only.
    """
    return Group(*_Rendering("->" if ascii_only else "→", ascii_only).parts(difference))


class _Rendering:
    def __init__(self, arrow: str, ascii_only: bool) -> None:
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
        title = _line(f" {self._arrow} ".join(map(clean, names)), "bold")
        title.append(f"  {before.id[:SHORT_ID]} {self._arrow} {after.id[:SHORT_ID]}", "not bold")
        yield Rule(title, align="left", style="dim", characters="-" if self._ascii_only else "─")
        for name, record in (("before", before), ("after", after)):
            took = f", took {seconds_text(record.seconds)}" if record.seconds is not None else ""
            started = record.start["started"][:19].replace("T", " ")
            line = _line(f"  {name:<7} {record.id[:SHORT_ID]}  {started} UTC{took}  ", "dim")
            yield line.append(record.status_text, "bold not dim")
            balance = (record.end or {}).get("balance")
            if balance:
                style = "red" if balance.get("holds") is False else "dim"
                yield _line(f"          {balance_text(balance)}", style)

    def _first(self, difference: RunDifference) -> Iterator[RenderableType]:
        if not difference.steps:
            which = [
                name
                for name, record in (("before", difference.before), ("after", difference.after))
                if (record.end or {}).get("counts_from") is None
            ]
            yield _line(f"\n  No counts to compare: the run {' and that '.join(which)} has none.", "yellow")
            return
        first = difference.first
        if not first:
            yield _line(f"\n  {self._nothing_changed(difference)}", "green")
            return
        yield _title("Changed first")
        yield self._reasons(first)
        further = [step for step in difference.steps if step.own and not step.is_first]
        if further:
            yield _title("Changed of its own further downstream")
            yield self._reasons(further)

    def _nothing_changed(self, difference: RunDifference) -> str:
        version = difference.code["version"]
        differ = [
            name
            for name, is_same in (
                ("the code's version", version[0] == version[1]),
                ("options", not difference.options),
            )
            if not is_same
        ]
        if not differ:
            return "Every step has the same counts, with the same code and options."
        known = all(step.code == SAME for step in difference.steps)
        what = "counts and the same code" if known else "counts"
        differs = "differs" if differ == ["the code's version"] else "differ"
        return f"Every step has the same {what}, though {' and '.join(differ)} {differs}."

    def _reasons(self, steps: Any) -> RenderableType:
        table = _table()
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=28)
        table.add_column(min_width=16)
        for step in steps:
            reasons = step.own or (self._counts_in_words(step),)
            for position, reason in enumerate(reasons):
                label = Text(tail(clean(step.label), 28), "bold") if position == 0 else Text()
                table.add_row(label, _line(reason))
        return Padding(table, (0, 2, 0, 2))

    def _counts_in_words(self, step: StepChange) -> str:
        told = [
            f"{name} {pair[0]:,} {self._arrow} {pair[1]:,}"
            for name, pair in step.counts.items()
            if pair[0] != pair[1]
        ]
        return ", ".join(told)

    def _pairs(self, title: str, pairs: Any) -> Iterator[RenderableType]:
        changed = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        if not changed:
            version = f" {pairs['version'][0]}" if "version" in pairs else ""
            yield _title(title, f"the same{clean(version)}")
            return
        yield _title(title)
        table = _table()
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=28)
        table.add_column(min_width=16)
        for name, (before, after) in changed.items():
            table.add_row(clean(name), _line(f"{_value(before)} {self._arrow} {_value(after)}", "yellow"))
        yield Padding(table, (0, 2, 0, 2))

    def _datasets(self, title: str, datasets: tuple[DatasetChange, ...]) -> Iterator[RenderableType]:
        if not datasets:
            return
        shown = [dataset for dataset in datasets if dataset.state != SAME]
        number = len(datasets) - len(shown)
        if not shown:
            yield _title(title, f"the same ({number:,})")
            return
        yield _title(title, f"{number:,} the same" if number else "")
        table = _table()
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=28)
        table.add_column(min_width=16)
        table.add_column(no_wrap=True)
        for dataset in shown:
            name = Text(tail(clean(dataset.name), 28), "bold")
            records, known = dataset.records, None not in dataset.records
            what = _line(f"{self._numbers(records)} records {_percent(records)}" if known else "")
            if dataset.state in (NEW, GONE):
                what = _line(f"{dataset.state} ", _STYLES[dataset.state])
                what.append(clean(dataset.uri[0] or dataset.uri[1]), "dim")
            digest = f"digest {_short(dataset.digest[0])} {self._arrow} {_short(dataset.digest[1])}"
            unknown = "no versions" if title == "Inputs" else "no digests"
            side = digest if any(dataset.digest) else unknown if dataset.state == UNKNOWN else ""
            table.add_row(name, what, Text(side, "dim"))
            for file in dataset.files[:_SHOWN_FILES]:
                table.add_row("", self._file(file), "")
            if dataset.files:
                more = len(dataset.files) - _SHOWN_FILES
                rest = f"and {more:,} more; " if more > 0 else ""
                table.add_row("", _line(f"  {rest}{dataset.same_files:,} files the same", "dim"), "")
        yield Padding(table, (0, 2, 0, 2))

    def _file(self, file: dict[str, Any]) -> Text:
        line = _line(f"{_SIGNS[file['state']]} {clean(file['name'])}", _STYLES[file["state"]])
        sizes = [bytes_text(size) for size in file["bytes"] if size is not None]
        return line.append(f"  {f' {self._arrow} '.join(dict.fromkeys(sizes))}", "dim")

    def _numbers(self, pair: Pair) -> str:
        if pair[0] == pair[1]:
            return _number(pair[0])
        return f"{_number(pair[0])} {self._arrow} {_number(pair[1])}"

    def _steps(self, difference: RunDifference) -> Iterator[RenderableType]:
        if not difference.steps:
            return
        shown = [step for step in difference.steps if step.state != SAME]
        same = len(difference.steps) - len(shown)
        if not shown:
            yield _title("Steps", f"the same counts ({same:,})")
            return
        yield _title("Steps", f"{same:,} with the same counts" if same else "")
        dropped = any(any(step.counts.get("dropped", (0, 0))) for step in shown)
        table = _table(show_header=True)
        table.add_column("", min_width=14)
        names = ("in", "out", "dead", "filtered", *(("dropped",) if dropped else ()))
        names = tuple(name for name in names if any(any(step.counts.get(name, ())) for step in shown))
        for name in names:
            table.add_column(name, justify="right", no_wrap=True)
            if name in ("in", "out"):
                table.add_column("", justify="right", no_wrap=True)
        for step in shown:
            table.add_row(*self._step(step, names))
        yield Padding(table, (0, 2, 0, 2))

    def _step(self, step: StepChange, names: tuple[str, ...]) -> Iterator[Text]:
        sign = ("> " if self._ascii_only else "▸ ") if step.is_first else "  "
        label = _line(f"{sign}{tail(clean(step.label))}", "bold" if step.is_first else "")
        if step.state in (NEW, GONE):
            label.append(f" {step.state}", _STYLES[step.state])
        yield label
        for name in names:
            pair = step.counts.get(name)
            differs = pair is not None and pair[0] != pair[1]
            style = "dim" if not differs else "bold red" if name == "dead" else ""
            yield Text(self._numbers(pair) if pair is not None else "", style)
            if name in ("in", "out"):
                yield Text(_percent(pair) if pair is not None else "", "yellow" if differs else "dim")

    def _kinds(self, kinds: tuple[KindChange, ...]) -> Iterator[RenderableType]:
        if not kinds:
            return
        numbers = [(sum(kind.state == state for kind in kinds), state) for state in (NEW, GONE, RECURRING)]
        yield _title(
            "Kinds of refusal", ", ".join(f"{number:,} {state}" for number, state in numbers if number)
        )
        order = (NEW, GONE, RECURRING)
        shown = [kind for kind in kinds if kind.state != RECURRING or kind.before != kind.after]
        shown.sort(key=lambda kind: order.index(kind.state))
        table = _table()
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=24)
        table.add_column(min_width=16)
        for kind in shown[:_SHOWN_KINDS]:
            stage, fingerprint = kind.kind["stage"], kind.kind["fingerprint"]
            error = kind.kind["error_type"].rpartition(".")[2]
            what = _line(f"{clean(error)}: {clean(kind.kind['error_message'])}", "red")
            what.append(f"\n{clean(kind.kind['payload_text'])}", "dim")
            where = Text(tail(clean(stage), 24), "bold").append(f"\n{fingerprint}", "dim not bold")
            state = Text(kind.state if kind.state != RECURRING else "", _KIND_STYLES[kind.state])
            table.add_row(state, self._numbers((kind.before, kind.after)), where, what)
        yield Padding(table, (0, 2, 0, 2))
        if len(shown) > _SHOWN_KINDS:
            yield _line(f"  and {len(shown) - _SHOWN_KINDS:,} more (--json has all)", "dim")


def _table(show_header: bool = False) -> Table:
    return Table(box=None, show_header=show_header, pad_edge=False, padding=(0, 1), header_style="dim")


def _title(text: str, rest: str = "") -> Text:
    return _line(f"\n  {text}", "bold").append(f"  {rest}" if rest else "", "not bold dim")


def _line(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _value(value: Any) -> str:
    return "not given" if value is None else clean(value) or "''"


def _number(value: int | None) -> str:
    return "none" if value is None else f"{value:,}"


def _short(digest: str | None) -> str:
    return digest[:8] if digest else "none"


def _percent(pair: Pair) -> str:
    """Returns a relative change for people.

    >>> _percent((200, 150)), _percent((1000, 1001)), _percent((3, 3)), _percent((1, 30))
    ('-25.0%', '+0.1%', '', 'x30')
    """
    change = relative_change(pair)
    if not change:
        return ""
    if change >= 9.995:
        return f"x{change + 1:,.0f}"
    return f"{change:+.1%}" if abs(change) >= 0.0005 else f"{change:+.0e}"
