"""An exception of the user's keeps its type and message where it is observed; a note stands beside it."""

from __future__ import annotations

import builtins
import pathlib
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner

import beam_obs as obs
from beam_obs.wrapper.exception_note import note_of, note_text, put_note
from tests.programs import run
from tests.weaving.provenance import made

RUNNERS: dict[str, Callable[[], Any]] = {
    "FnApiRunner": lambda: "FnApiRunner",
    "bundles": BundleBasedDirectRunner,
}


class Refused(Exception):
    def __init__(self, number: int) -> None:
        super().__init__(number)


class NeedsTwo(Exception):
    def __init__(self, text: str, number: int) -> None:
        super().__init__(text, number)


class Silent(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def key(number: int) -> Any:
    return {}[number]


def file(number: int) -> Any:
    return open(f"/no/such/file/{number}")


def bare_assert(number: int) -> None:
    assert number < 0


def own(number: int) -> None:
    raise Refused(number)


def two_arguments(number: int) -> None:
    raise NeedsTwo("not", number)


def many_lines(number: int) -> None:
    raise LookupError(number, "a\nb")


def text(number: int) -> None:
    raise ValueError(f"bad {number}")


def text_of_lines(number: int) -> None:
    raise ValueError("bad\nvalue")


def silent(number: int) -> None:
    raise Silent(number)


def from_another(number: int) -> None:
    try:
        key(number)
    except KeyError as error:
        raise Refused(number) from error


def with_a_note(number: int) -> None:
    error = KeyError(number)
    if sys.version_info >= (3, 11):
        error.add_note("a note of\nthe user's")
    raise error


def group(number: int) -> None:
    of_several = getattr(builtins, "ExceptionGroup", ValueError)  # Python 3.10 has no groups
    raise of_several("several", [KeyError(number)])


class At(beam.DoFn):
    def __init__(self, place: str) -> None:
        self._place = place

    def setup(self) -> None:
        self._fail_at("setup")

    def start_bundle(self) -> None:
        self._fail_at("start")

    def process(self, number: int) -> Iterator[int]:
        yield number
        self._fail_at("process")

    def finish_bundle(self) -> None:
        self._fail_at("finish")

    def _fail_at(self, place: str) -> None:
        if place == self._place:
            raise KeyError(place)


class Sums(beam.CombineFn):
    def __init__(self, place: str) -> None:
        self._place = place

    def create_accumulator(self) -> list[int]:
        return []

    def add_input(self, accumulator: list[int], number: int) -> list[int]:
        return self._fail_at("add", [*accumulator, number])

    def merge_accumulators(self, accumulators: Any) -> list[int]:
        return self._fail_at("merge", [number for one in accumulators for number in one])

    def extract_output(self, accumulator: list[int]) -> Any:
        return self._fail_at("extract", accumulator)

    def _fail_at(self, place: str, accumulator: list[int]) -> list[int]:
        if place == self._place:
            raise KeyError(place)
        return accumulator


TRANSFORMS: dict[str, Callable[[], Any]] = {
    **{
        function.__name__: lambda function=function: beam.Map(function)
        for function in (
            key,
            file,
            bare_assert,
            own,
            two_arguments,
            many_lines,
            text,
            text_of_lines,
            silent,
            from_another,
            with_a_note,
            group,
        )
    },
    "Filter": lambda: beam.Filter(key),
    "FlatMap": lambda: beam.FlatMap(key),
    **{f"at {place}": lambda place=place: beam.ParDo(At(place)) for place in ("setup", "start", "process")},
    "at finish": lambda: beam.ParDo(At("finish")),
    **{
        f"combine at {place}": lambda place=place: beam.CombineGlobally(Sums(place)).without_defaults()
        for place in ("add", "merge", "extract")
    },
}


def raised(pipeline: beam.Pipeline, transform: Any) -> Exception:
    _ = pipeline | "make" >> beam.Create([7]) | "step" >> transform
    with pytest.raises(Exception) as caught:  # noqa: PT011
        pipeline.run().wait_until_finish()
    return caught.value


def observed(runner: Any, *options: str) -> obs.Pipeline:
    return obs.Pipeline(runner, options=PipelineOptions(["--obs_report=off", *options]), name="fails")


def shown(error: BaseException) -> tuple[type, str]:
    return type(error), str(error)


@pytest.mark.parametrize(
    ("runner", "name"),
    [
        *(("FnApiRunner", name) for name in TRANSFORMS),
        *(("bundles", name) for name in ("key", "text", "own", "at start", "at process", "combine at add")),
    ],
)
def test_an_exception_is_shown_as_bare(name: str, runner: str) -> None:
    bare = raised(beam.Pipeline(RUNNERS[runner]()), TRANSFORMS[name]())
    woven = raised(observed(RUNNERS[runner]()), TRANSFORMS[name]())

    assert shown(woven) == shown(bare)


@pytest.mark.parametrize("name", ["key", "own", "text", "Filter", "FlatMap", "at process", "with_a_note"])
def test_step_and_origin_are_noted_beside_it(name: str) -> None:
    error = raised(observed("FnApiRunner"), TRANSFORMS[name]())

    said = f"beam_obs: in step 'step', element of origin {made('make', 0).hex()} (position 0)"
    assert error.__notes__[-1].startswith(said)  # type: ignore[attr-defined,unused-ignore]


def test_the_report_of_the_run_has_it_as_bare(tmp_path: pathlib.Path) -> None:
    error = raised(observed("FnApiRunner", f"--obs_store={tmp_path}"), beam.Map(key))

    kept = obs.Store(str(tmp_path)).find("fails@latest").end["error"]  # type: ignore[index]
    assert (kept["type"], kept["message"]) == (type(error).__name__, "KeyError: 7 [while running 'step']")


def test_an_input_that_a_stage_cannot_leave_out_is_raised_as_bare() -> None:
    class Changing(Sums):
        def add_input(self, accumulator: list[int], number: int) -> list[int]:
            accumulator.append(number)
            raise KeyError(number)

    bare = raised(beam.Pipeline("FnApiRunner"), beam.CombineGlobally(Changing("")).without_defaults())
    stage = obs.Stage(beam.CombineGlobally(Changing("")).without_defaults())
    error = raised(observed("FnApiRunner"), stage)

    assert shown(error)[1].startswith("KeyError: 7")
    assert type(error) is type(bare)
    assert "while adding the input '7'" in (note_of(error) or "")


def test_a_note_is_found_in_what_another_process_wrote() -> None:
    def fail() -> None:
        try:
            key(1)
        except KeyError as error:
            put_note(error, note_text('a "step"', b""))
            raise error

    try:
        fail()
    except KeyError:
        written = traceback.format_exc()

    assert note_of(RuntimeError(written)) == "beam_obs: in step 'a \"step\"', element of no known origin"
    assert note_of(KeyError(1)) is None


def test_a_note_stays_where_python_has_none_for_exceptions() -> None:
    """Python 3.10 has no notes, and its bare ``raise`` takes the traceback of before: none is relied upon."""
    error = KeyError(1)
    try:
        raise error
    except KeyError as caught:
        put_note(caught, note_text("step", b""))

    assert note_of(error) == "beam_obs: in step 'step', element of no known origin"
    assert not getattr(error, "__notes__", ())


PROGRAM = """
import apache_beam as beam
import beam_obs as obs
from apache_beam.options.pipeline_options import PipelineOptions
with obs.Pipeline(options=PipelineOptions(["--runner=FnApiRunner", "--obs_report=off"]), name="fails") as p:
    _ = p | "make" >> beam.Create([7]) | "step" >> beam.Map(lambda number: {}[number])
"""


def test_a_program_that_ends_with_it_prints_both(tmp_path: pathlib.Path) -> None:
    ran = run(["-c", PROGRAM], cwd=tmp_path)

    last = ran.stderr.strip().splitlines()[-2:]
    assert "RuntimeError: KeyError: 7 [while running 'step']" in last
    # Python 3.10 prints notes only where a package teaches it to.
    if sys.version_info >= (3, 11):
        assert last[1].startswith("beam_obs: in step 'step', element of origin ")


def _inverse(number: int) -> float:
    return 1 / number


def test_generated_frames_have_plain_names_and_one_line_each(
    tmp_path: pathlib.Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZeroDivisionError) as caught, obs.Pipeline("FnApiRunner", name="p") as p:
        _ = p | beam.Create([0], reshuffle=False) | "fails" >> beam.Map(lambda number: _inverse(number))
    lines = "".join(traceback.format_tb(caught.value.__traceback__)).splitlines()

    (woven,) = [at for at, line in enumerate(lines) if line.startswith('  File "<beam_obs woven Map>"')]
    assert "apache_beam/runners/common.py" in lines[woven - 1]
    assert lines[woven + 1].startswith("  File \"<beam_obs: in step 'fails', element of origin ")
    assert "test_exception_note.py" in lines[woven + 2]
