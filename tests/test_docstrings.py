"""Every public name says what it takes, what it raises and how it is used; the examples run as doctests."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

import pytest

import beam_obs
import beam_obs.lineage
import beam_obs.testing

PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (beam_obs, beam_obs.lineage, beam_obs.testing)
    for name in module.__all__
}
CALLED = {name: value for name, value in PUBLIC.items() if callable(value)}

RAISES_NOTHING = {
    "beam_obs.File",
    "beam_obs.DeadLetter",
    "beam_obs.current_origin",
    "beam_obs.testing.Matcher",
    "beam_obs.testing.contains",
    "beam_obs.testing.meets",
}


def is_error(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


def is_answer(name: str, value: Any) -> bool:
    """Whether users get it and never make it: the question's example shows it."""
    return name.startswith("beam_obs.lineage.") and dataclasses.is_dataclass(value)


def section(text: str, title: str) -> str:
    found = re.search(rf"^( *){title}:\n((?:\1 +.*\n?|\n)+)", text, re.MULTILINE)
    return found[2] if found else ""


def own_parameters(value: Any) -> list[str]:
    """The names of what is given; of a class that takes what its base does, nothing."""
    makes_its_own = "__init__" in vars(value) or "_fields" in vars(value) if isinstance(value, type) else True
    return list(inspect.signature(value).parameters) if makes_its_own else []


def methods(value: Any) -> dict[str, Any]:
    return {
        name: member
        for name, member in inspect.getmembers(value, inspect.isroutine)
        if not name.startswith("_") and str(getattr(member, "__module__", "")).startswith("beam_obs")
    }


@pytest.mark.parametrize("name", CALLED)
def test_each_argument_is_told_of(name: str) -> None:
    text = inspect.getdoc(CALLED[name]) or ""
    told = section(text + "\n", "Args")
    missing = [one for one in own_parameters(CALLED[name]) if not re.search(rf"\b{one}\b", told)]
    assert missing == []


@pytest.mark.parametrize("name", CALLED)
def test_what_is_raised_is_told(name: str) -> None:
    value = CALLED[name]
    if is_error(value) or is_answer(name, value) or name in RAISES_NOTHING:
        return
    assert section((inspect.getdoc(value) or "") + "\n", "Raises")


@pytest.mark.parametrize("name", CALLED)
def test_there_is_an_example(name: str) -> None:
    value = CALLED[name]
    if is_answer(name, value):
        return
    bases = value.__mro__ if is_error(value) else (value,)
    shown = [one for one in bases if ">>> " in (one.__doc__ or "") and one.__module__.startswith("beam_obs")]
    assert shown


METHODS = {
    f"{name}.{method}": member
    for name, value in CALLED.items()
    if isinstance(value, type) and not is_error(value)
    for method, member in methods(value).items()
    if method not in ("expand", "default_label", "annotations")  # Beam's, which it calls itself
}


@pytest.mark.parametrize("name", METHODS)
def test_each_argument_of_a_method_is_told_of(name: str) -> None:
    member = METHODS[name]
    text = inspect.getdoc(member) or ""
    parameters = [one for one in inspect.signature(member).parameters if one not in ("self", "cls")]
    # One argument may be told of by the sentence that says what comes back.
    told = text if len(parameters) == 1 else section(text + "\n", "Args")
    assert text
    assert len(parameters) < 2 or [one for one in parameters if not re.search(rf"\b{one}\b", told)] == []


def test_what_is_not_for_users_is_no_method_of_an_answer() -> None:
    of_answers = {name.rpartition(".")[2] for name in METHODS if name.startswith("beam_obs.lineage.")}
    assert of_answers == {"to_json"}
