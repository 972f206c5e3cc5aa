"""What the difference of two runs is in words, however it is laid out: on a terminal or on pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from beam_obs.records.wording import clean
from beam_obs.store.dataset_difference import SAME, Pair
from beam_obs.store.difference import RunDifference, relative_change
from beam_obs.store.kinds_of_refusal import GONE, NEW, RECURRING, KindChange
from beam_obs.store.step_difference import StepChange

STEP_COUNTS = ("in", "out", "dead", "filtered", "dropped")


def nothing_first_text(difference: RunDifference) -> str:
    """Returns why no step is told to have changed first; empty where one did."""
    if difference.steps:
        return "" if difference.first else _nothing_changed(difference)
    which = [
        name
        for name, record in (("before", difference.before), ("after", difference.after))
        if (record.end or {}).get("counts_from") is None
    ]
    return f"No counts to compare: the run {' and that '.join(which)} has none."


def _nothing_changed(difference: RunDifference) -> str:
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


def changed_further(difference: RunDifference) -> tuple[StepChange, ...]:
    """Returns the steps that changed of their own, downstream of those that changed first."""
    return tuple(step for step in difference.steps if step.own and not step.is_first)


def reasons_text(step: StepChange, arrow: str) -> tuple[str, ...]:
    """Returns what changed at a step: of its own, else its counts.

    Args:
      step: the step.
      arrow: between a value before and after.
    """
    if step.own:
        return step.own
    counts = [
        f"{name} {pair[0]:,} {arrow} {pair[1]:,}" for name, pair in step.counts.items() if pair[0] != pair[1]
    ]
    return (", ".join(counts),)


def changed_pairs(pairs: Mapping[str, Pair]) -> dict[str, Pair]:
    """Returns those of the values that differ."""
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def counted_steps(steps: Iterable[StepChange]) -> tuple[str, ...]:
    """Returns the names of the counts that any of some steps has, in their order."""
    shown = list(steps)
    dropped = any(any(step.counts.get("dropped", (0, 0))) for step in shown)
    names = STEP_COUNTS if dropped else STEP_COUNTS[:-1]
    return tuple(name for name in names if any(any(step.counts.get(name, ())) for step in shown))


def shown_kinds(kinds: Iterable[KindChange]) -> list[KindChange]:
    """Returns the kinds that are new, then those that are gone, then those whose number changed."""
    order = (NEW, GONE, RECURRING)
    shown = [kind for kind in kinds if kind.state != RECURRING or kind.before != kind.after]
    return sorted(shown, key=lambda kind: order.index(kind.state))


def kind_counts_text(kinds: Iterable[KindChange]) -> str:
    """Returns how many kinds are new, gone and recurring."""
    states = [kind.state for kind in kinds]
    numbers = ((states.count(state), state) for state in (NEW, GONE, RECURRING))
    return ", ".join(f"{number:,} {state}" for number, state in numbers if number)


def value_text(value: Any) -> str:
    """Returns a value of code or options.

    >>> value_text(None), value_text(""), value_text(7)
    ('not given', "''", '7')
    """
    return "not given" if value is None else clean(value) or "''"


def number_text(value: int | None) -> str:
    """Returns a count.

    >>> number_text(None), number_text(1000)
    ('none', '1,000')
    """
    return "none" if value is None else f"{value:,}"


def numbers_text(pair: Pair, arrow: str) -> str:
    """Returns a count before and after, or once where it is the same.

    >>> numbers_text((1, 2), "->"), numbers_text((2, 2), "->")
    ('1 -> 2', '2')
    """
    if pair[0] == pair[1]:
        return number_text(pair[0])
    return f"{number_text(pair[0])} {arrow} {number_text(pair[1])}"


def percent_text(pair: Pair) -> str:
    """Returns a relative change.

    >>> percent_text((200, 150)), percent_text((1000, 1001)), percent_text((3, 3)), percent_text((1, 30))
    ('-25.0%', '+0.1%', '', 'x30')
    """
    change = relative_change(pair)
    if not change:
        return ""
    if change >= 9.995:
        return f"x{change + 1:,.0f}"
    return f"{change:+.1%}" if abs(change) >= 0.0005 else f"{change:+.0e}"


def digest_text(digest: str | None) -> str:
    """Returns as much of a digest as tells it apart."""
    return digest[:8] if digest else "none"
