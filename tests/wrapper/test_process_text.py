"""Process functions, written out in `process_functions/`: a change of the hot path is seen there as code.

`python -m tests.wrapper.test_process_text` writes them anew.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator

import pytest

from beam_obs.wrapper.element_forms import KEYED, PLAIN, WOVEN
from beam_obs.wrapper.process_text import GENERATOR, Way, text_of
from beam_obs.wrapper.user_callable import DO_FN, FILTER, FLAT_MAP, MAP, MAP_TUPLE

FOLDER = pathlib.Path(__file__).parent / "process_functions"
WRITE_ANEW = "python -m tests.wrapper.test_process_text"
HEADER = f"# Written by `{WRITE_ANEW}`, for\n# {{}}\n\n\n"

WRITTEN_OUT = {
    "stage_map": Way(kind=MAP, is_stage=True),
    "stage_map_tuple_with_arguments": Way(kind=MAP_TUPLE, is_stage=True, takes_arguments=True),
    "stage_filter": Way(kind=FILTER, is_stage=True),
    "stage_flat_map": Way(kind=FLAT_MAP, is_stage=True),
    "woven_stage_flat_map": Way(kind=FLAT_MAP, takes=KEYED, gives=KEYED, is_stage=True, notes_filtered=True),
    "woven_stage_with_state": Way(
        kind=DO_FN, takes=KEYED, gives=WOVEN, is_stage=True, takes_arguments=True, has_state=True
    ),
    "woven_with_state": Way(kind=DO_FN, takes=WOVEN, gives=KEYED, takes_arguments=True, has_state=True),
    "stage_generator": Way(kind=GENERATOR, is_stage=True),
    "woven_stage_generator": Way(kind=GENERATOR, takes=WOVEN, gives=WOVEN, is_stage=True),
    "stage_splittable": Way(kind=DO_FN, is_stage=True, takes_arguments=True, is_splittable=True),
    "woven_stage_splittable": Way(
        kind=DO_FN, takes=WOVEN, gives=WOVEN, is_stage=True, takes_arguments=True, is_splittable=True
    ),
    "woven_map": Way(kind=MAP, takes=WOVEN, gives=WOVEN),
    "woven_map_traced": Way(kind=MAP, takes=WOVEN, gives=WOVEN, traces=True),
    "woven_map_that_stamps_traced": Way(kind=MAP, takes=WOVEN, gives=WOVEN, tells_origin=True, traces=True),
    "woven_map_tuple_traced": Way(kind=MAP_TUPLE, takes=WOVEN, gives=WOVEN, traces=True),
    "woven_filter_traced": Way(kind=FILTER, takes=WOVEN, gives=WOVEN, traces=True),
    "woven_dofn_traced": Way(kind=DO_FN, takes=WOVEN, gives=WOVEN, traces=True),
    "woven_map_of_messages_traced": Way(kind=MAP, takes=WOVEN, gives=WOVEN, traces=True, continues=True),
    "woven_generator_traced": Way(kind=GENERATOR, takes=WOVEN, gives=WOVEN, traces=True),
    "woven_map_that_stamps": Way(kind=MAP, takes=WOVEN, gives=WOVEN, tells_origin=True),
    "woven_map_tuple": Way(kind=MAP_TUPLE, takes=WOVEN, gives=WOVEN),
    "woven_filter_to_keyed": Way(kind=FILTER, takes=WOVEN, gives=KEYED),
    "woven_filter_from_keyed": Way(kind=FILTER, takes=KEYED, gives=WOVEN),
    "woven_map_to_plain": Way(kind=MAP, takes=WOVEN, gives=PLAIN),
    "woven_filter_to_plain": Way(kind=FILTER, takes=WOVEN, gives=PLAIN),
    "woven_dofn_to_plain": Way(kind=DO_FN, takes=WOVEN, gives=PLAIN),
    "woven_dofn_with_arguments": Way(kind=DO_FN, takes=WOVEN, gives=WOVEN, takes_arguments=True),
    "woven_generator": Way(kind=GENERATOR, takes=WOVEN, gives=WOVEN, notes_filtered=True),
    "tallied_map": Way(kind=MAP, takes=WOVEN, gives=WOVEN, tallies=True),
    "tallied_filter": Way(kind=FILTER, takes=WOVEN, gives=WOVEN, tallies=True),
    "tallied_dofn": Way(kind=DO_FN, takes=WOVEN, gives=WOVEN, notes_filtered=True, tallies=True),
    "tallied_map_behind_a_shuffle": Way(kind=MAP, takes=KEYED, gives=WOVEN, tallies=True, settles=True),
    "tallied_stage": Way(kind=DO_FN, takes=WOVEN, gives=WOVEN, is_stage=True, tallies=True),
    "tallied_stage_with_state": Way(
        kind=DO_FN,
        takes=WOVEN,
        gives=WOVEN,
        is_stage=True,
        takes_arguments=True,
        has_state=True,
        tallies=True,
    ),
}
"""By the name of the file: among them every line that a process function may have."""


def written(way: Way) -> str:
    options = {
        field.name: getattr(way, field.name)
        for field in dataclasses.fields(way)
        if getattr(way, field.name) != field.default
    }
    told = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return HEADER.format(f"Way({told})") + text_of(way)


def all_ways() -> Iterator[Way]:
    """Every way that a step may need."""
    woven = list(itertools.product([WOVEN, KEYED], [WOVEN, KEYED, PLAIN]))
    for (takes, gives), is_stage, takes_arguments, notes_filtered, tells_origin in itertools.product(
        [(PLAIN, PLAIN), *woven], *[[False, True]] * 4
    ):
        for kind, traces in itertools.product(
            (MAP, MAP_TUPLE, FILTER, FLAT_MAP, DO_FN, GENERATOR), [False, takes != PLAIN]
        ):
            way = Way(
                kind=kind,
                takes=takes,
                gives=gives,
                is_stage=is_stage,
                takes_arguments=takes_arguments,
                notes_filtered=notes_filtered,
                tells_origin=tells_origin,
                traces=traces,
            )
            of_a_woven_step = notes_filtered or tells_origin or not is_stage
            if (way.is_woven or not of_a_woven_step) and (kind == MAP or not tells_origin):
                yield way
                if traces:
                    yield dataclasses.replace(way, continues=True)
                if way.is_woven:
                    yield dataclasses.replace(way, tallies=True)
                    yield dataclasses.replace(way, tallies=True, settles=True)
        of_one_kind = Way(kind=DO_FN, takes=takes, gives=gives, is_stage=is_stage, takes_arguments=True)
        if takes_arguments and not (notes_filtered or tells_origin):
            if of_one_kind.is_woven:
                yield dataclasses.replace(of_one_kind, has_state=True)
                yield dataclasses.replace(of_one_kind, has_state=True, tallies=True)
            if is_stage:
                yield dataclasses.replace(of_one_kind, is_splittable=True)
                yield dataclasses.replace(of_one_kind, is_splittable=True, tallies=of_one_kind.is_woven)


def lines_of(way: Way) -> set[str]:
    """The lines of a text but its first, and without more arguments."""
    return {line.strip().replace(", *args, **kwargs", "") for line in text_of(way).splitlines()[1:]}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_process_function_is_as_it_is_written_out(name: str) -> None:
    assert (FOLDER / f"{name}.py").read_text() == written(WRITTEN_OUT[name]), WRITE_ANEW


def test_no_other_function_is_written_out() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == sorted(WRITTEN_OUT)


def test_every_line_of_any_process_function_is_written_out() -> None:
    seen = set().union(*(lines_of(way) for way in WRITTEN_OUT.values()))
    assert {line for way in all_ways() for line in lines_of(way)} - seen == set(), "no text has it"


def test_more_arguments_are_taken_and_handed_on() -> None:
    for way in all_ways():
        assert text_of(way).count(", *args, **kwargs") == (
            0 if not way.takes_arguments else 3 if way.is_stage and not way.is_splittable else 2
        )


@pytest.mark.slow
def test_every_text_compiles() -> None:
    for way in all_ways():
        compile(text_of(way), "text", "exec")


if __name__ == "__main__":
    for name, way in WRITTEN_OUT.items():
        (FOLDER / f"{name}.py").write_text(written(way))
