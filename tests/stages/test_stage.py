"""A Stage gives what its transform gives."""

from __future__ import annotations

import functools
import operator
import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import apache_beam as beam
import pytest
from apache_beam import typehints
from apache_beam.pvalue import AsDict, AsIter, AsList, AsMultiMap, AsSingleton, TaggedOutput
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, Repeatedly
from apache_beam.transforms.window import (
    FixedWindows,
    GlobalWindows,
    Sessions,
    SlidingWindows,
    TimestampedValue,
)

import beam_obs as obs
from tests.running import Outcome, bare, observed, run, through

WORDS = ["a", "bb", "ccc"]


class Doubler:
    """A callable object."""

    def __call__(self, word: str) -> str:
        return word * 2


class Halves(beam.DoFn):
    def process(self, word, *args, **kwargs):  # type: ignore[no-untyped-def]
        yield word[: len(word) // 2]
        yield word[len(word) // 2 :]


class ByLength(beam.DoFn):
    def process(self, word: str) -> Iterable[Any]:
        if len(word) == 1:
            yield TaggedOutput("short", word)
        elif len(word) == 2:
            yield TaggedOutput("middling", len(word))
        else:
            yield word


def join(word, *parts, **named):  # type: ignore[no-untyped-def]
    return " ".join([word, *map(str, parts), *(f"{name}={value}" for name, value in named.items())])


def is_long(word: str, limit: int = 2) -> bool:
    return len(word) >= limit


def letters_of(word: str) -> Iterable[str]:
    yield from word


TRANSFORMS: dict[str, Callable[[], Any]] = {
    "Map": lambda: beam.Map(lambda word: word + "!"),
    "Map of a builtin": lambda: beam.Map(len),
    "Map of a method of a builtin": lambda: beam.Map(str.upper),
    "Map of a partial": lambda: beam.Map(functools.partial(operator.add, "first")),
    "Map of a callable object": lambda: beam.Map(Doubler()),
    "Map of an operator": lambda: beam.Map(operator.itemgetter(0)),
    "Map with arguments": lambda: beam.Map(join, 1, "two", three=3),
    "Map with a default": lambda: beam.Map(is_long),
    "FlatMap": lambda: beam.FlatMap(letters_of),
    "FlatMap of list": lambda: beam.FlatMap(list),
    "FlatMap that returns a set": lambda: beam.FlatMap(lambda word: {word, "x"}),
    "FlatMap that returns a tuple": lambda: beam.FlatMap(lambda word: (word, 1)),
    "FlatMap that returns a range": lambda: beam.FlatMap(lambda word: range(len(word))),
    "FlatMap that returns an iterator": lambda: beam.FlatMap(lambda word: map(str.upper, word)),
    "FlatMap that returns a map's items": lambda: beam.FlatMap(lambda word: {word: 1}.items()),
    "FlatMap that returns None": lambda: beam.FlatMap(lambda word: None),
    "FlatMap with arguments": lambda: beam.FlatMap(lambda word, more: [word, more], "more"),
    "FlatMap without a function": lambda: beam.Map(list) | beam.FlatMap(),
    "Filter": lambda: beam.Filter(is_long),
    "Filter with arguments": lambda: beam.Filter(is_long, limit=3),
    "Filter of a builtin": lambda: beam.Filter(str.isupper),
    "MapTuple": lambda: beam.Map(lambda word: (word, 1)) | beam.MapTuple(lambda word, one: word * (one + 1)),
    "MapTuple with arguments": lambda: (
        beam.Map(lambda word: (word, 1))
        | beam.MapTuple(lambda word, one, two=0, k=0: (word, one, two, k), 2, k=3)
    ),
    "FlatMapTuple": lambda: (
        beam.Map(lambda word: (word, 2)) | beam.FlatMapTuple(lambda word, times: [word] * times)
    ),
    "ParDo of a DoFn": lambda: beam.ParDo(Halves()),
    "ParDo of a DoFn with arguments": lambda: beam.ParDo(Halves(), 1, two=2),
    "ParDo of a callable": lambda: beam.ParDo(letters_of),
    "ParDo of a lambda": lambda: beam.ParDo(lambda word: [word, word]),
    "Map that gives timestamps": lambda: beam.Map(lambda word: TimestampedValue(word, len(word))),
    "Keys": lambda: beam.Map(lambda word: (word, 1)) | beam.Keys(),
    "WithKeys": lambda: beam.WithKeys(len),
}


def seen(outcome: Outcome) -> Any:
    return outcome.emitted["main"], outcome.types["main"]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_values_types_and_times_are_those_without_a_stage(name: str) -> None:
    staged = through(WORDS, TRANSFORMS[name]())
    assert seen(staged) == seen(bare(WORDS, TRANSFORMS[name]()))
    assert staged.letters == []


SIDE_INPUTS: dict[str, Callable[[Any], Any]] = {
    "AsSingleton": lambda numbers: AsSingleton(numbers | beam.CombineGlobally(sum)),
    "AsIter": AsIter,
    "AsList": AsList,
    "AsDict": lambda numbers: AsDict(numbers | beam.WithKeys(str)),
    "AsMultiMap": lambda numbers: AsMultiMap(numbers | beam.WithKeys(lambda number: number % 2)),
}


def with_side(word, side, *more, extra=None):  # type: ignore[no-untyped-def]
    def text(of: Any) -> str:
        if isinstance(of, (int, str, type(None))):
            return repr(of)
        if hasattr(of, "items"):
            return repr(sorted((key, text(value)) for key, value in of.items()))
        if hasattr(of, "__iter__"):
            return repr(sorted(of))
        return repr([sorted(of[0]), sorted(of[1])])

    return word, " ".join(map(text, (side, *more, extra)))


class WithSide(beam.DoFn):
    def process(self, word, side, *more, extra=None):  # type: ignore[no-untyped-def]
        yield with_side(word, side, *more, extra=extra)


@pytest.mark.parametrize("kind", SIDE_INPUTS)
@pytest.mark.parametrize(
    "make",
    [
        lambda side: beam.Map(with_side, side),
        lambda side: beam.Map(with_side, 1, extra=side),
        lambda side: beam.FlatMap(lambda *args, **kwargs: [with_side(*args, **kwargs)], side, "x"),
        lambda side: beam.Filter(lambda word, side: with_side(word, side) is not None, side),
        lambda side: beam.ParDo(WithSide(), side),
        lambda side: beam.ParDo(WithSide(), "first", side, extra=side),
    ],
    ids=["Map", "Map by name", "FlatMap", "Filter", "ParDo", "ParDo twice"],
)
def test_side_inputs_are_those_without_a_stage(kind: str, make: Any) -> None:
    def build(p: beam.Pipeline, wrap: Any) -> Any:
        side = SIDE_INPUTS[kind](p | "numbers" >> beam.Create([1, 2, 3]))
        return p | beam.Create(WORDS) | wrap(make(side))

    assert seen(run(lambda p: build(p, observed))) == seen(run(lambda p: build(p, lambda one: one)))


def test_a_side_input_of_another_window_is_mapped_as_without_a_stage() -> None:
    def build(p: beam.Pipeline, wrap: Any) -> Any:
        numbers = (
            p | "numbers" >> beam.Create(range(20)) | "times" >> beam.Map(lambda at: TimestampedValue(at, at))
        )
        side = AsList(numbers | "ten" >> beam.WindowInto(FixedWindows(10)))
        words = p | beam.Create(WORDS) | beam.Map(lambda word: TimestampedValue(word, 6 * len(word)))
        return words | "five" >> beam.WindowInto(FixedWindows(5)) | wrap(beam.Map(with_side, side))

    assert seen(run(lambda p: build(p, observed))) == seen(run(lambda p: build(p, lambda one: one)))


@pytest.mark.parametrize(
    "outputs",
    [
        lambda pardo: pardo.with_outputs("short", "middling"),
        lambda pardo: pardo.with_outputs("short", "middling", main="long"),
    ],
    ids=["tags", "tags and main"],
)
def test_tagged_outputs_are_those_without_a_stage(outputs: Any) -> None:
    staged = through(WORDS, outputs(beam.ParDo(ByLength())))
    plain = bare(WORDS, outputs(beam.ParDo(ByLength())))
    assert {**plain.emitted, "dead": []} == staged.emitted
    assert (staged.values("main"), staged.values("short"), staged.values("middling")) == (["ccc"], ["a"], [2])


def test_tagged_outputs_can_be_unpacked_and_named() -> None:
    def build(p: beam.Pipeline) -> Any:
        pardo = beam.ParDo(ByLength()).with_outputs("short", "middling", main="long")
        outputs = p | beam.Create(WORDS) | "step" >> obs.Stage(pardo)
        short, long = outputs.short, outputs["long"]
        first, second, third = outputs
        return {"short": short, "long": long, "1": first, "2": second, "3": third}

    outcome = run(build)
    assert [outcome.values(name) for name in outcome.emitted] == [["a"], ["ccc"], ["ccc"], ["a"], [2]]


def test_tags_used_but_not_declared_are_outputs_on_demand() -> None:
    def build(p: beam.Pipeline) -> Any:
        outputs, letters = p | beam.Create(WORDS) | observed(beam.ParDo(ByLength()).with_outputs())
        return {"main": outputs[None], "short": outputs.short, "dead": letters}

    outcome = run(build)
    assert (outcome.values(), outcome.values("short"), outcome.letters) == (["ccc"], ["a"], [])


def test_tags_used_but_not_declared_are_dropped_without_with_outputs_as_beam_does() -> None:
    assert through(WORDS, beam.ParDo(ByLength())).values() == bare(WORDS, beam.ParDo(ByLength())).values()


def test_a_tag_beside_the_declared_ones_is_dropped_as_beam_does() -> None:
    def emitted(run_with: Any) -> Any:
        return run_with(WORDS, beam.ParDo(ByLength()).with_outputs("short")).emitted

    assert emitted(through) == {**emitted(bare), "dead": []}


def test_tagged_outputs_leave_a_composite_of_the_user() -> None:
    class Split(beam.PTransform):
        def expand(self, words: Any) -> Any:
            return words | "by length" >> obs.Stage(
                beam.ParDo(ByLength()).with_outputs("short", "middling", main="long")
            )

    class Outer(beam.PTransform):
        def expand(self, words: Any) -> Any:
            return words | Split()

    outcome = run(lambda p: p | beam.Create(WORDS) | "outer" >> Outer())
    assert (outcome.values(), outcome.values("short"), outcome.values("middling")) == (["ccc"], ["a"], [2])


@typehints.with_input_types(str)
@typehints.with_output_types(int)
class Sizes(beam.DoFn):
    def process(self, word):  # type: ignore[no-untyped-def]
        yield len(word)


class Point(NamedTuple):
    x: int
    y: int


HINTED: dict[str, Callable[[], Any]] = {
    "declared": lambda: beam.Map(lambda word: (word, 1)).with_output_types(tuple[str, int]),
    "declared by the DoFn": lambda: beam.ParDo(Sizes()),
    "inferred": lambda: beam.Map(lambda word: [word]),
    "annotated": lambda: beam.FlatMap(letters_of),
    "annotated DoFn": lambda: beam.ParDo(ByLength()),
    "a schema": lambda: beam.Map(lambda word: Point(1, 2)).with_output_types(Point),
    "rows": lambda: beam.Map(lambda word: beam.Row(word=word)),
    "type variables": lambda: (
        beam.Map(lambda x: x)
        .with_input_types(typehints.TypeVariable("T"))
        .with_output_types(typehints.TypeVariable("T"))
    ),
}


@pytest.mark.parametrize("name", HINTED)
def test_types_and_coders_are_those_without_a_stage(name: str) -> None:
    def built(wrap: Any) -> Any:
        pipeline = beam.Pipeline("DirectRunner")
        made = pipeline | beam.Create(WORDS) | wrap(HINTED[name]())
        main = made[0] if isinstance(made, tuple) else made
        proto, context = pipeline.to_runner_api(return_context=True)
        coder = proto.components.pcollections[context.pcollections.get_id(main)].coder_id
        return main.element_type, str(context.coders.get_by_id(coder)), main.is_bounded

    assert built(observed) == built(lambda one: "step" >> one)


def test_types_of_tagged_outputs_are_those_without_a_stage() -> None:
    def types(wrap: Any) -> Any:
        hinted = beam.ParDo(ByLength()).with_output_types(str, short=str, middling=int)
        made = beam.Pipeline() | beam.Create(WORDS) | wrap(hinted.with_outputs("short", "middling"))
        outputs = made[0] if isinstance(made, tuple) else made
        return [outputs[tag].element_type for tag in (None, "short", "middling")]

    assert types(observed) == types(lambda one: one) == [str, str, int]


def test_wrong_input_types_are_refused_as_without_a_stage() -> None:
    messages = []
    for wrap in (observed, lambda one: "step" >> one):
        with pytest.raises(typehints.TypeCheckError, match="requires") as caught:
            _ = beam.Pipeline() | beam.Create(WORDS) | wrap(beam.Map(lambda x: x).with_input_types(int))
        messages.append(str(caught.value).replace("step/Observed", "step"))
    assert messages[0] == messages[1]


def test_wrong_types_further_down_are_refused_as_without_a_stage() -> None:
    words = beam.Pipeline() | beam.Create(WORDS) | "step" >> obs.Stage(beam.Map(len))
    with pytest.raises(typehints.TypeCheckError):
        _ = words | beam.Map(lambda x: x).with_input_types(str)


def test_type_hints_can_be_put_on_the_stage() -> None:
    made = (
        beam.Pipeline() | beam.Create(WORDS) | "step" >> obs.Stage(beam.Map(str.upper)).with_output_types(int)
    )
    assert made.element_type is int


@pytest.mark.parametrize("check", ["--runtime_type_check", "--performance_runtime_type_check"])
def test_types_checked_at_run_time_let_dead_letters_through(check: str) -> None:
    parse = beam.Map(lambda word: int(word)).with_input_types(str).with_output_types(int)
    outcome = through(["1", "x", "3"], parse, check)
    assert (outcome.values(), outcome.refused) == ([1, 3], ["x"])


def test_a_result_of_a_wrong_type_found_at_run_time_is_a_dead_letter() -> None:
    lie = beam.Map(lambda word: word).with_output_types(int)
    with pytest.raises(Exception, match="should be of type"):
        bare(["x"], lie, "--runtime_type_check")
    outcome = through(["x"], beam.Map(lambda word: word).with_output_types(int), "--runtime_type_check")
    assert (outcome.values(), outcome.refused) == ([], ["x"])


WINDOWS = {
    "fixed": FixedWindows(10),
    "sliding": SlidingWindows(10, 5),
    "sessions": Sessions(5),
    "global": GlobalWindows(),
}


@pytest.mark.parametrize("windows", WINDOWS)
def test_windows_times_and_panes_pass_through(windows: str) -> None:
    def build(p: beam.Pipeline, wrap: Any) -> Any:
        words = p | beam.Create(range(6)) | beam.Map(lambda at: TimestampedValue(("k", at), at * 4))
        grouped = words | beam.WindowInto(WINDOWS[windows]) | beam.GroupByKey()
        return grouped | wrap(beam.Map(lambda pair: (pair[0], sorted(pair[1]))))

    staged, plain = run(lambda p: build(p, observed)), run(lambda p: build(p, lambda one: one))
    assert staged.emitted["main"] == plain.emitted["main"]


def test_windowing_strategy_of_the_result_is_that_without_a_stage() -> None:
    def windowing(wrap: Any) -> Any:
        pcoll = (
            beam.Pipeline()
            | beam.Create(WORDS)
            | beam.WindowInto(
                FixedWindows(10),
                trigger=Repeatedly(AfterCount(2)),
                accumulation_mode=AccumulationMode.DISCARDING,
            )
        )
        made = pcoll | wrap(beam.Map(len))
        return (made[0] if isinstance(made, tuple) else made).windowing

    assert windowing(observed) == windowing(lambda one: one)


class Annotated(beam.ParDo):
    def annotations(self) -> dict[str, Any]:
        return {"owner": b"us"}


def test_resource_hints_and_annotations_stay_on_the_step() -> None:
    pipeline = beam.Pipeline("DirectRunner")
    pardo = Annotated(Halves()).with_resource_hints(min_ram="1GB")
    _ = pipeline | beam.Create(WORDS) | observed(pardo)
    proto = pipeline.to_runner_api()
    (step,) = [
        one for one in proto.components.transforms.values() if one.unique_name.endswith("step/Observed")
    ]
    hints = proto.components.environments[step.environment_id].resource_hints
    assert (step.annotations["owner"], hints["beam:resources:min_ram_bytes:v1"]) == (b"us", b"1000000000")


def test_display_data_shows_the_users_function() -> None:
    def shown(transform: Any) -> Any:
        pipeline = beam.Pipeline("DirectRunner")
        _ = pipeline | beam.Create(WORDS) | "step" >> transform
        steps = pipeline.to_runner_api().components.transforms.values()
        (step,) = [
            one
            for one in steps
            if one.unique_name in ("step", "step/Observed") and one.spec.urn.endswith("pardo:v1")
        ]
        return [item.payload for item in step.display_data if b"fn" in item.payload]

    assert shown(obs.Stage(beam.Map(len))) == shown(beam.Map(len))


def test_a_transform_object_can_be_used_in_two_stages() -> None:
    parse = beam.Map(int)

    def build(p: beam.Pipeline) -> Any:
        first = p | "one" >> beam.Create(["1", "x"]) | "first" >> obs.Stage(parse).with_dead_letters()
        second = p | "two" >> beam.Create(["2", "y"]) | "second" >> obs.Stage(parse).with_dead_letters()
        return {"1": first[0], "dead 1": first[1], "2": second[0], "dead 2": second[1]}

    outcome = run(build)
    assert (outcome.values("1"), outcome.values("2")) == ([1], [2])
    stages = [letter.stage for name in ("dead 1", "dead 2") for letter in outcome.values(name)]
    assert stages == ["first", "second"]


def test_a_transform_is_the_same_after_it_was_in_a_stage() -> None:
    parse = beam.Map(int)
    through(["1"], parse)
    with pytest.raises(ValueError, match="while running 'step'"):
        bare(["x"], parse)


def test_a_stage_object_can_be_used_twice() -> None:
    stage = obs.Stage(beam.Map(int)).with_dead_letters()

    def build(p: beam.Pipeline) -> Any:
        words = p | beam.Create(["1", "x"])
        first, second = words | "first" >> stage, words | "second" >> stage
        return {"1": first[0], "2": second[0], "dead": (first[1], second[1]) | beam.Flatten()}

    outcome = run(build)
    assert (outcome.values("1"), outcome.values("2")) == ([1], [1])
    assert sorted(letter.stage for letter in outcome.letters) == ["first", "second"]


def test_a_stage_object_can_be_used_in_two_pipelines() -> None:
    stage = "step" >> obs.Stage(beam.Map(int)).with_dead_letters()
    outcomes = [run(lambda p: p | beam.Create(["1", "x"]) | stage) for _ in range(2)]
    assert [(outcome.values(), outcome.refused) for outcome in outcomes] == [([1], ["x"])] * 2


def test_the_label_of_the_transform_is_that_of_the_stage() -> None:
    outcome = run(lambda p: p | beam.Create(["x"]) | obs.Stage("parse" >> beam.Map(int)).with_dead_letters())
    assert outcome.letter.stage == "parse"


def test_a_label_before_the_stage_wins_over_that_of_the_transform() -> None:
    stage = "outer" >> obs.Stage("inner" >> beam.Map(int)).with_dead_letters()
    assert run(lambda p: p | beam.Create(["x"]) | stage).letter.stage == "outer"


def test_the_stage_of_a_dead_letter_is_the_full_label() -> None:
    class Clean(beam.PTransform):
        def expand(self, words: Any) -> Any:
            return words | "parse" >> obs.Stage(beam.Map(int)).with_dead_letters()

    assert run(lambda p: p | beam.Create(["x"]) | "clean" >> Clean()).letter.stage == "clean/parse"


def test_an_empty_input_gives_nothing_and_no_dead_letter() -> None:
    outcome = through([], beam.Map(int))
    assert (outcome.values(), outcome.letters) == ([], [])


def test_the_result_is_the_same_with_many_workers() -> None:
    outcome = run_many()
    assert (outcome.values("sum"), outcome.values("bad")) == ([sum(range(0, 1000, 2))], [500])


def run_many() -> Outcome:
    def build(p: beam.Pipeline) -> Any:
        words = p | beam.Create(range(1000)) | beam.Reshuffle()
        good, dead = words | observed(beam.Map(refuse_odd))
        return {"sum": good | beam.CombineGlobally(sum), "bad": dead | beam.combiners.Count.Globally()}

    return run(build, "--direct_num_workers=3", "--direct_running_mode=multi_threading")


def refuse_odd(number: int) -> int:
    if number % 2:
        raise ValueError(f"odd: {number}")
    return number


@pytest.mark.slow
def test_stages_and_their_dead_letters_cross_processes(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(os.path.dirname(obs.__file__)))
    options = ["--runner=DirectRunner", "--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    with beam.Pipeline(argv=options) as p, obs.DeadLetters(obs.JsonLines(str(tmp_path / "dead"))) as dead:
        good, letters = (
            p
            | beam.Create(range(100))
            | beam.Reshuffle()
            | "step" >> obs.Stage(beam.Map(lambda number: 1 // (number % 10))).with_dead_letters()
        )
        _ = good | "write" >> beam.io.WriteToText(str(tmp_path / "good"))
        _ = (
            letters
            | "payload" >> obs.Stage(beam.Map(lambda letter: 1 / int(letter.payload_text)), dead_letters=dead)
            | "ratios" >> beam.io.WriteToText(str(tmp_path / "ratios"))
        )
    lines = {
        name: sum(f.read_text().count("\n") for f in tmp_path.glob(f"{name}-*"))
        for name in ("good", "ratios")
    }
    assert lines == {"good": 90, "ratios": 9}
    rows = [line for file in (tmp_path / "dead").glob("*.jsonl") for line in file.read_text().splitlines()]
    assert len(rows) == 1


def test_a_pipeline_that_went_through_its_portable_form_gives_the_same(tmp_path: Any) -> None:
    pipeline = beam.Pipeline("FnApiRunner")
    with obs.DeadLetters(obs.JsonLines(str(tmp_path / "dead"))) as dead:
        good, letters = (
            pipeline
            | beam.Create(["1", "x"])
            | "step"
            >> obs.Stage(beam.ParDo(ByLength()).with_outputs("short", main="long")).with_dead_letters()
        )
        _ = (
            good.short
            | "parse" >> obs.Stage(beam.Map(int), dead_letters=dead)
            | beam.Map(str)
            | "write" >> write(tmp_path / "good")
        )
        _ = letters | "letters" >> beam.Map(str) | "write letters" >> write(tmp_path / "letters")
    again = beam.Pipeline.from_runner_api(pipeline.to_runner_api(), pipeline.runner, pipeline._options)
    again.run().wait_until_finish()
    assert "".join(path.read_text() for path in tmp_path.glob("good*")) == "1\n"
    assert len(list((tmp_path / "dead").glob("*.jsonl"))) == 1


def write(path: Any) -> Any:
    return beam.io.WriteToText(str(path))


class Shape(beam.ParDo):
    """A ParDo of the user's own with more to it."""

    def __init__(self, extra: str) -> None:
        super().__init__(lambda word: [word + extra])
        self.extra = extra

    def display_data(self) -> dict[str, Any]:
        return {"extra": self.extra}


def test_a_pardo_of_the_users_own_class_works() -> None:
    assert through(WORDS, Shape("!")).values() == ["a!", "bb!", "ccc!"]


@pytest.mark.parametrize(
    "transform",
    [
        lambda: beam.WindowInto(FixedWindows(5)),
        lambda: beam.Map(str.upper).with_exception_handling(main_tag="good"),
        lambda: beam.Distinct(),
        lambda: beam.Reshuffle(),
        lambda: beam.combiners.Count.PerElement(),
        lambda: beam.Map(str.upper) | "then" >> beam.Filter(str.isupper),
        lambda: beam.Partition(lambda word, count: len(word) % count, 2),
    ],
)
def test_other_transforms_of_beam_give_what_they_give_without_a_stage(transform: Any) -> None:
    def outputs(made: Any) -> Any:
        parts = [made] if isinstance(made, beam.PCollection) else list(made)
        return {str(number): part for number, part in enumerate(parts)}

    staged = run(lambda p: outputs((p | beam.Create(WORDS) | observed(transform()))[0]))
    plain = run(lambda p: outputs(p | beam.Create(WORDS) | transform()))
    assert staged.emitted == plain.emitted
