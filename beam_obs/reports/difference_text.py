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
from beam_obs.reports.fitting import MOST_TEXT, FittingColumn, FittingTable, Heading, clipped, told, whole
from beam_obs.store.dataset_difference import CHANGED, SAME, UNKNOWN, DatasetChange, Pair
from beam_obs.store.difference import RunDifference, relative_change
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
        if not difference.steps:
            which = [
                name
                for name, record in (("before", difference.before), ("after", difference.after))
                if (record.end or {}).get("counts_from") is None
            ]
            yield Text()
            yield told(f"No counts to compare: the run {' and that '.join(which)} has none.", "yellow")
            return
        first = difference.first
        if not first:
            yield Text()
            yield told(self._nothing_changed(difference), "green")
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
        rows = []
        for step in steps:
            reasons = step.own or (self._counts_in_words(step),)
            for position, reason in enumerate(reasons):
                label = whole(clean(step.label) if position == 0 else "", "bold")
                rows.append((label, whole(clipped(reason, self._most_text))))
        return Padding(FittingTable((_NAME, _SENTENCE), rows), (0, 2, 0, 2))

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
        rows = [
            (whole(clean(name)), whole(f"{_value(before)} {self._arrow} {_value(after)}", "yellow"))
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
            what = whole(f"{self._numbers(records)} {noun} {_percent(records)}" if known else "")
            if dataset.state in (NEW, GONE):
                what = whole("").append(f"{dataset.state} ", _STYLES[dataset.state])
                what.append(clean(dataset.uri[0] or dataset.uri[1]), "dim")
            digest = f"digest {_short(dataset.digest[0])} {self._arrow} {_short(dataset.digest[1])}"
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
        names = ("in", "out", "dead", "filtered", *(("dropped",) if dropped else ()))
        names = tuple(name for name in names if any(any(step.counts.get(name, ())) for step in shown))
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
        rows = []
        for kind in shown[:_SHOWN_KINDS]:
            stage, fingerprint = kind.kind["stage"], kind.kind["fingerprint"]
            error = kind.kind["error_type"].rpartition(".")[2]
            told_error = clipped(f"{clean(error)}: {clean(kind.kind['error_message'])}", self._most_text)
            what = whole(told_error, "red")
            if payload := clipped(clean(kind.kind["payload_text"]), self._most_text):
                what.append(f"\n{payload}", "dim not red")
            where = whole(clean(stage), "bold").append(f"\n{fingerprint}", "dim not bold")
            state = Text(kind.state if kind.state != RECURRING else "", _KIND_STYLES[kind.state])
            rows.append((state, Text(self._numbers((kind.before, kind.after))), where, what))
        columns = (FittingColumn("", "left"), FittingColumn(""), FittingColumn("", "left", 16, 24), _SENTENCE)
        yield Padding(FittingTable(columns, rows), (0, 2, 0, 2))
        if len(shown) > _SHOWN_KINDS:
            yield told(f"and {len(shown) - _SHOWN_KINDS:,} more (--json has all)", "dim")


def _title(text: str, rest: str = "") -> RenderableType:
    title = whole(text, "bold").append(f"  {rest}" if rest else "", "not bold dim")
    return Padding(title, (1, 0, 0, 2))


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
