"""The process functions of the wrapper: one for each way of calling and each form of elements. The hot path.

A branch or a call for each element costs more than all the rest, so that the functions are made from texts,
each with just the lines that it needs: to count, time and refuse in a stage, to carry a provenance in a woven
step, or both. `benchmarks/stage.py` and `benchmarks/weave.py` give what they cost. Some of the functions
stand written out in `tests/wrapper/process_functions/`, among them every line that one may have.

What a text takes from outside are its globals: a closure is copied into the frame at each call, name by name.
Each step has a copy of the code, in which Python 3.11 and later keep where its globals are.

The value of a function's local variable `provenance` is what `current_origin` looks for.
"""

from __future__ import annotations

import functools
import marshal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from beam_obs.wrapper import process_templates as templates
from beam_obs.wrapper.current_origin import OBSERVED_FRAME, WOVEN_FRAME
from beam_obs.wrapper.element_forms import KEYED, PLAIN, WOVEN
from beam_obs.wrapper.user_callable import DO_FN, FILTER, MAP, MAP_TUPLE

GENERATOR = "generator"
"""Kind of a generator function, whose results need not be looked at for what they are."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """Which process function.

    Args:
      kind: how the user's function is called: a kind of `user_callable`, or `GENERATOR`.
      takes: form of the elements.
      gives: form of the main output; `PLAIN` where they are taken `PLAIN`, and where nobody asks for origins.
      is_stage: whether it counts, times and refuses.
      takes_arguments: whether there are more arguments than the element.
      notes_filtered: whether there are rows for elements that gave nothing.
      tells_origin: whether the function is called with the provenance too: of one output, and woven.
      has_state: whether the function has state, so that what it gives may come of more than its element;
        woven, with arguments.
      is_splittable: whether it works on a part of its element, which is never refused half way; in a stage.
      traces: whether the function is called within a span for the records that are sampled; woven.
      continues: whether records may have come with a trace, whose flag decides; where it traces.
      tallies: whether the ledger has what passes it; woven.
      settles: whether it sees to it that what is held for the ledger stays few; where that has what it takes.
    """

    kind: str
    takes: str = PLAIN
    gives: str = PLAIN
    is_stage: bool = False
    takes_arguments: bool = False
    notes_filtered: bool = False
    tells_origin: bool = False
    has_state: bool = False
    is_splittable: bool = False
    traces: bool = False
    continues: bool = False
    tallies: bool = False
    settles: bool = False

    @property
    def is_woven(self) -> bool:
        """Whether elements have a provenance beside them."""
        return self.takes != PLAIN


def maker(way: Way) -> Callable[[dict[str, Any]], tuple[Callable[..., Any], Callable[[], Any] | None]]:
    """Returns what makes a process function, and what reads its counts, of what its names stand for."""

    def make(values: dict[str, Any]) -> tuple[Callable[..., Any], Callable[[], Any] | None]:
        # Without a name, pickling the function looks for its module in all that are imported.
        namespace: dict[str, Any] = {**values, "__name__": __name__}
        exec(marshal.loads(_code(way)), namespace)
        made: tuple[Callable[..., Any], Callable[[], Any] | None] = namespace.pop("make")()
        return made

    return make


@functools.cache
def _code(way: Way) -> bytes:
    # A traceback shows it in place of a file; lines of a text that nobody has written would tell nothing.
    frame = WOVEN_FRAME if way.is_woven else OBSERVED_FRAME
    name = f"{frame}{DO_FN if way.kind == GENERATOR else way.kind}>"
    return marshal.dumps(compile(text_of(way), name, "exec"))


def text_of(way: Way) -> str:
    """Returns the text of `make`, which gives a process function, and what reads the counts of a stage's."""
    fragments = _fragments(way)
    body = "".join(_filled(text, fragments) for text in _functions(way))
    read = "read" if way.is_stage else "None"
    return f"def make():\n{_indented(body, 4)}\n    return process, {read}\n"


def _functions(way: Way) -> list[str]:
    """Returns the texts that stand in `make`: what the process function needs, then itself."""
    if way.is_splittable:
        return [templates.PASSING_ON_COUNTS, templates.STAGE_PASSING_ON]
    texts = [templates.STAGE_COUNTS] * way.is_stage + [templates.TO_SETTLE] * way.settles
    if way.is_woven and not way.has_state:
        texts.append(templates.LATER)
    if way.is_woven and way.is_stage:
        texts.append(templates.REFUSED)
    return [*texts, _process_function(way)]


def _process_function(way: Way) -> str:
    if way.kind == FILTER:
        return templates.FILTERING
    if way.kind in (MAP, MAP_TUPLE):
        return templates.GIVING_ONE
    if way.is_stage:
        return templates.STAGE_GENERATING if way.kind == GENERATOR else templates.STAGE_GIVING_MANY
    if way.has_state:
        return templates.REMEMBERING
    return templates.GENERATING if way.kind == GENERATOR else templates.GIVING_MANY


def _fragments(way: Way) -> dict[str, str]:
    """Returns what stands for each name in the texts."""
    fragments = {
        "arguments": _arguments(way),
        "value": _value(way),
        "called_with": _called_with(way),
        "count_and_time": _count_and_time(way),
        "count_kept": "kept += 1" if way.is_stage else "",
        "counts": _counts(way),
        "take_apart": _take_apart(way),
        "call": "run" if way.traces else "function",
        "result_in_form": _result_in_form(way),
        "give_nothing": _give_nothing(way),
        "give_one": _give_one(way),
        "give_yielded": _give_yielded(way),
        "give_lone": _give_lone(way),
        "give_listed": "pass" if way.is_woven else templates.GIVE_LISTED,
        "give_alone": _give_alone(way),
        "give_all": _give_all(way),
        "pass_on": templates.PASS_ON[way.takes, way.gives],
        "settled": _later(way, "results"),
        "go_on": _later(way, f"go_on({_value(way)}, results, iterator)"),
        "refuse_or_raise": _refuse_or_raise(way),
        "letters": "letters" if way.has_state else "[pack(provenance, letter) for letter in letters]",
        "raise_if_text": "refuse_text(results)" if way.kind == DO_FN else "",
        "take_as_absent": "result = absent" if way.notes_filtered or way.tallies else "",
        "note_if_absent": _note_if_absent(way),
        "count_given": "gave(provenance)" if way.tallies else "",
        "count_more": "gave_more(provenance, len(results))" if way.tallies and not way.has_state else "",
        "count_later": templates.COUNT_LATER if way.tallies else "",
        "count_refused": _count_refused(way),
    }
    return fragments | {"hold_back": _filled(templates.HOLD_BACK, fragments)}


def _arguments(way: Way) -> str:
    return ", *args, **kwargs" if way.takes_arguments else ""


def _take_apart(way: Way) -> str:
    counted = "\ntook(provenance)" if way.tallies and not way.is_splittable else ""
    counted = (templates.SETTLE.rstrip("\n") if way.settles else "") + counted
    choose = templates.CHOOSE_CALL_BY_FLAG if way.continues else templates.CHOOSE_CALL * way.traces
    return templates.TAKE_APART[way.takes] + templates.WATCH * way.has_state + counted + choose


def _note_if_absent(way: Way) -> str:
    counted, noted = templates.COUNT_IF_ABSENT * way.tallies, templates.NOTE_IF_ABSENT * way.notes_filtered
    return counted.rstrip("\n") + noted


def _count_refused(way: Way) -> str:
    if way.has_state:
        return "died(provenance)" if way.tallies else ""
    return templates.COUNT_REFUSED if way.tallies else ""


def _value(way: Way) -> str:
    """Returns the variable that has what the user's function is to see."""
    return "value" if way.is_woven else "element"


def _called_with(way: Way) -> str:
    if way.kind == MAP_TUPLE:
        return f"*{_value(way)}"
    return f"{_value(way)}, provenance" if way.tells_origin else _value(way)


def _count_and_time(way: Way) -> str:
    if not way.is_stage:
        return ""
    counters = {FILTER: ", kept", MAP: "", MAP_TUPLE: ""}.get(way.kind, ", out, filtered, others")
    return _filled(templates.COUNT_AND_TIME, {"counters": counters, "arguments": _arguments(way)})


def _counts(way: Way) -> str:
    """Returns how many elements were taken, outputs given and elements that gave nothing."""
    if way.kind == FILTER:
        return "taken, kept, taken - kept - guard.dead"
    if way.kind in (MAP, MAP_TUPLE):
        return "taken, taken - guard.dead, 0"
    return "taken, taken - others + out, filtered"


def _result_in_form(way: Way) -> str:
    if not way.is_woven:
        return "result"
    # Parts of a pair are taken by their place: of three one would be lost.
    is_plain = "result.__class__ in ordinary" + (" and len(result) == 2" if way.gives == KEYED else "")
    return f"{templates.IN_FORM[way.gives]} if {is_plain} else pack(provenance, result)"


def _give_nothing(way: Way) -> str:
    if way.has_state:
        return _of_call("()")
    counted = "missed(provenance)\n" if way.tallies else ""
    if way.notes_filtered:
        return f"{counted}return note_filtered(provenance) if provenance[9:] >= least else ()"
    return f"{counted}return ()"


def _give_one(way: Way) -> str:
    if way.has_state:
        return _of_call("(result,)")
    if not way.is_woven:
        return "return (result,)"
    return templates.GIVE_ONE[way.gives]


def _give_lone(way: Way) -> str:
    """Returns what gives the result that is alone in a list, where it can be told at once that it may be."""
    return templates.GIVE_LONE if way.gives == WOVEN and not way.has_state else ""


def _give_yielded(way: Way) -> str:
    """Returns what gives the one result of a generator, or holds it."""
    if not way.is_woven:
        return "return (result,)"
    return templates.GIVE_YIELDED if way.gives == WOVEN and not way.has_state else "results = [result]"


def _give_alone(way: Way) -> str:
    """Returns what gives the one result of a woven step that was in no list, or is one of Beam's wrappers."""
    if not way.is_woven:
        return ""
    first, give = ("_", _of_call("results")) if way.has_state else ("result", _give_one(way))
    return _filled(templates.GIVE_ALONE, {"first": first, "give_first": give})


def _give_all(way: Way) -> str:
    if way.has_state:
        return _of_call("results")
    if not way.is_woven:
        return "return results"
    return _filled(templates.GIVE_ALL_WOVEN, {"result_in_form": _result_in_form(way)})


def _of_call(results: str) -> str:
    """Returns what gives the results of a call that has ended: all that it does with its state is done."""
    return f"return list(outputs({results}, call))"


def _later(way: Way, results: str) -> str:
    """Returns what gives lazy results while Beam iterates over them."""
    if way.has_state:
        return f"outputs({results}, call)"
    return f"later(provenance, {results})" if way.is_woven else results


def _refuse_or_raise(way: Way) -> str:
    if way.is_splittable and not way.is_woven:
        return "raise"
    if way.is_splittable or not way.is_stage:
        return "note(error, provenance)\nraise error"
    if way.has_state:
        return _of_call("refused(provenance, value, error)")
    return "return refused(provenance, value, error)" if way.is_woven else "return refuse(element, error)"


def _filled(text: str, fragments: dict[str, str]) -> str:
    """Returns a text with its fragments filled in, each of their lines indented; empty lines are dropped."""
    lines: list[str] = []
    for line in text.strip("\n").split("\n"):
        bare = line.strip()
        if bare.startswith("{") and bare.endswith("}") and bare[1:-1] in fragments:
            line = _indented(fragments[bare[1:-1]], len(line) - len(bare))
        else:
            line = line.format(**fragments)
        if line.strip():
            lines.append(line)
    return "\n".join(lines) + "\n"


def _indented(text: str, by: int) -> str:
    return "\n".join(f"{' ' * by}{line}" if line else line for line in text.strip("\n").split("\n"))
