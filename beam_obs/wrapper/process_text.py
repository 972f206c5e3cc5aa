"""The process functions of the wrapper: one for each way of calling and each form of elements. The hot path.

A branch or a call for each element costs more than all the rest, so that the functions are made from texts,
each with just the lines that it needs: to count, time and refuse in a stage, to carry a provenance in a woven
step, or both. `benchmarks/stage.py` and `benchmarks/weave.py` give what they cost.

The value of a function's local variable `provenance` is what `current_origin` looks for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from beam_obs.wrapper.current_origin import OBSERVED_FRAME, WOVEN_FRAME
from beam_obs.wrapper.element_forms import KEYED, PLAIN, WOVEN
from beam_obs.wrapper.user_callable import DO_FN, FILTER, MAP, MAP_TUPLE

GENERATOR = "generator"

_UNPACK = {
    PLAIN: "",
    WOVEN: "provenance, value = element",
    KEYED: "key, (provenance, value) = element\nvalue = (key, value)",
}
_PACKED = {
    PLAIN: "result",
    WOVEN: "(provenance, result)",
    KEYED: "(result[0], (provenance, result[1]))",
}
_PASS = {
    (PLAIN, PLAIN): "return [element]",
    (WOVEN, WOVEN): "return [element]",
    (KEYED, KEYED): "return [element]",
    (WOVEN, KEYED): "key, value = value\nreturn [(key, (provenance, value))]",
    (KEYED, WOVEN): "return [(provenance, value)]",
}

_ONE = """
def process(element{more}):
    {begin}
    {unpack}
    try:
        result = function({call}{more})
    except Exception as error:
        {fail}
    {give_one}
"""

_FILTER = """
def process(element{more}):
    {begin}
    {unpack}
    try:
        if not function({value}{more}):
            {nothing}
    except Exception as error:
        {fail}
    {kept}
    {pass_on}
"""

_MANY = """
def process(element{more}):
    {unpack}
    try:
        results = function(value{more})
    except Exception as error:
        {fail}
    kind = results.__class__
    if kind is list or kind is tuple:
        if len(results) == 1:
            (result,) = results
            {give_one}
        if results:
            {give_all}
        {nothing}
    if results is None:
        {nothing}
    {refuse_text}
    return later(provenance, results)
"""

_GENERATE = """
def process(element{more}):
    {unpack}
    {absent}
    try:
        for result in function(value{more}):
            yield {packed}
    except Exception as error:
        {fail}
    {noted}
"""

# An element that gave one output is not counted apart: it is one that is not among the others.
# Most generators yield once: two loops that break cost less than an islice.
_STAGED_MANY = """
def process(element{more}):
    {begin}
    {unpack}
    try:
        results = function({value}{more})
        kind = results.__class__
        if kind is not list:
            if kind is lazy_kind:
                for result in results:
                    break
                else:
                    others += 1
                    filtered += 1
                    {nothing}
                for second in results:
                    break
                else:
                    results = alone
                if results is not alone:
                    iterator, results = results, [result, second]
                    for result in iterator:
                        results += [result, *islice(iterator, cap)]
                        break
                    if len(results) > cap:
                        others += 1
                        return {go_on}
            else:
                results = settle({value}, results)
                if results.__class__ is lazily:
                    others += 1
                    return {lazy}
    except Exception as error:
        others += 1
        {fail}
    if results is alone:
        {give_one}
    if len(results) == 1:
        {give_first}
    others += 1
    if results:
        out += len(results)
        {give_all}
    filtered += 1
    {nothing}
"""

_LATER = """
def later(provenance, results):
    {absent}
    try:
        for result in results:
            yield {packed}
    except Exception as error:
        note(error, provenance)
        raise error
    {noted}
"""

_REFUSED = """
def refused(provenance, value, error):
    try:
        letters = refuse(value, error)
    except Exception as raised:
        note(raised, provenance)
        raise raised
    return [pack(provenance, letter) for letter in letters]
"""

_BEGIN = """
nonlocal left, given{counts}
left -= 1
if not left:
    left, given = rate + 1, given + rate
    return timed(process, element{more})
"""

# One element in `rate` is timed: how many are left until the next one also says how many there were.
_STAGE = """
left = given = min(rate, 1)
out = kept = filtered = others = 0
refuse, timed, go_on = guard.refuse, guard.timed, guard.go_on

def read():
    taken = given - left
    return {read}
"""


class Way(NamedTuple):
    """Which process function.

    Args:
      kind: how the user's function is called: a kind of `user_callable`, or `GENERATOR`.
      takes: form of the elements.
      gives: form of the main output; `PLAIN` where they are taken `PLAIN`, and only there.
      is_stage: whether it counts, times and refuses.
      takes_arguments: whether there are more arguments than the element.
      notes_filtered: whether there are rows for elements that gave nothing.
      tells_origin: whether the function is called with the provenance too: of one output, and woven.
    """

    kind: str
    takes: str
    gives: str
    is_stage: bool
    takes_arguments: bool
    notes_filtered: bool = False
    tells_origin: bool = False


@functools.cache
def maker(way: Way) -> Callable[[dict[str, Any]], tuple[Callable[..., Any], Callable[[], Any] | None]]:
    """Returns what makes a process function, and what reads its counts, of the names that its text has."""
    # A traceback shows it in place of a file; lines of a text that nobody has written would tell nothing.
    frame = OBSERVED_FRAME if way.takes == PLAIN else WOVEN_FRAME
    name = f"{frame}{DO_FN if way.kind == GENERATOR else way.kind}>"
    text = "def make({names}):\n{body}\n    return process, {read}\n"
    names, body = _names(way), _indented(_body(way), 4)
    source = text.format(names=", ".join(names), body=body, read="read" if way.is_stage else "None")
    namespace: dict[str, Any] = {}
    exec(compile(source, name, "exec"), namespace)
    make = namespace["make"]
    return lambda values: make(*(values[name] for name in names))


_OF_ALL = ("function",)
_OF_STAGES = ("guard", "rate", "cap", "lazy_kind", "lazily", "settle", "islice", "alone")
_OF_WOVEN = ("ordinary", "pack", "note", "refuse_text", "least", "note_filtered", "absent")


def _names(way: Way) -> tuple[str, ...]:
    return _OF_ALL + _OF_STAGES * way.is_stage + _OF_WOVEN * (way.takes != PLAIN)


def _body(way: Way) -> str:
    """Returns the text of a process function and what it needs."""
    kind, takes, gives, is_stage, takes_arguments, notes_filtered, tells_origin = way
    is_plain = takes == PLAIN
    value = "element" if is_plain else "value"
    more = ", *args, **kwargs" if takes_arguments else ""
    packed = f"{_PACKED[gives]} if result.__class__ in ordinary else pack(provenance, result)"
    nothing = "return ()"
    if notes_filtered:
        nothing = "return note_filtered(provenance) if provenance[9:] >= least else ()"
    if is_plain:
        give_one = "return [result]"
        give_all = "return results"
    else:
        pair = "key, result = result\n    " if gives == KEYED else ""
        given = "(key, (provenance, result))" if gives == KEYED else "(provenance, result)"
        give_one = (
            f"if result.__class__ in ordinary:\n    {pair}return [{given}]\nreturn [pack(provenance, result)]"
        )
        # A comprehension would make the provenance a variable that is slower to read.
        give_all = f"packed = []\nfor result in results:\n    packed.append({packed})\nreturn packed"
    if not is_stage:
        fail = "note(error, provenance)\nraise error"
    elif is_plain:
        fail = "return refuse(element, error)"
    else:
        fail = "return refused(provenance, value, error)"
    if kind == FILTER:
        text, counts, read = _FILTER, ", kept", "taken, kept, taken - kept - guard.dead"
    elif kind in (MAP, MAP_TUPLE):
        text, counts, read = _ONE, "", "taken, taken - guard.dead, 0"
    elif is_stage:
        text, counts = _STAGED_MANY, ", out, filtered, others"
        read = "taken, taken - others + out, filtered"
    else:
        text, counts, read = (_GENERATE if kind == GENERATOR else _MANY), "", ""
    go_on, lazy = f"go_on({value}, results, iterator)", "results"
    parts = {
        "more": more,
        "begin": _filled(_BEGIN, {"counts": counts, "more": more}) if is_stage else "",
        "unpack": _UNPACK[takes],
        "value": value,
        "call": f"*{value}" if kind == MAP_TUPLE else f"{value}, provenance" if tells_origin else value,
        "packed": packed,
        "fail": fail,
        "nothing": nothing,
        "give_one": give_one,
        "give_all": give_all,
        "give_first": "return results" if is_plain else f"(result,) = results\n{give_one}",
        "kept": "kept += 1" if is_stage else "",
        "pass_on": _PASS[takes, gives],
        "refuse_text": "refuse_text(results)" if kind == DO_FN else "",
        "go_on": go_on if is_plain else f"later(provenance, {go_on})",
        "lazy": lazy if is_plain else f"later(provenance, {lazy})",
        "absent": "result = absent" if notes_filtered else "",
        "noted": (
            "if result is absent and provenance[9:] >= least:\n    yield from note_filtered(provenance)"
            if notes_filtered
            else ""
        ),
        "read": read,
    }
    texts = [_STAGE] if is_stage else []
    if not is_plain:
        texts += [_LATER, _REFUSED] if is_stage else [_LATER]
    return "".join(_filled(one, parts) for one in (*texts, text))


def _filled(text: str, parts: dict[str, str]) -> str:
    """Returns a text with its parts filled in, each line of them indented; lines left empty are dropped."""
    lines: list[str] = []
    for line in text.strip("\n").split("\n"):
        bare = line.strip()
        if bare.startswith("{") and bare.endswith("}") and bare[1:-1] in parts:
            line = _indented(parts[bare[1:-1]], len(line) - len(bare))
        else:
            line = line.format(**parts)
        if line.strip():
            lines.append(line)
    return "\n".join(lines) + "\n"


def _indented(text: str, by: int) -> str:
    return "\n".join(f"{' ' * by}{line}" if line else line for line in text.strip("\n").split("\n"))
