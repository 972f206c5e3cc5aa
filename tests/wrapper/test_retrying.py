"""Records that fail for a while are tried again; a service that is down is waited for."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

import beam_obs as obs
from tests.running import Outcome, run, run_in_bundles, through

QUICK = {"backoff": 0.01, "jitter": 0.0}
CALLS: collections.Counter[Any] = collections.Counter()
DOWN_UNTIL = [0.0]


class Reset(ConnectionError):
    """An error of a client."""


@pytest.fixture(autouse=True)
def _forget_calls() -> None:
    CALLS.clear()
    DOWN_UNTIL[0] = 0.0


def works_from(attempt: int) -> Callable[[Any], Any]:
    def function(element: Any) -> Any:
        CALLS[element] += 1
        if CALLS[element] < attempt:
            raise Reset(f"{element} for the {CALLS[element]}. time")
        return element

    return function


def poisoned(element: Any) -> Any:
    CALLS[element] += 1
    if element == "poison":
        raise Reset("always")
    return element


def behind_a_service(element: Any) -> Any:
    CALLS[element] += 1
    if time.monotonic() < DOWN_UNTIL[0]:
        raise Reset("down")
    return element


def goes_down_at_5(element: int) -> int:
    if element == 5 and not CALLS["went down"]:
        CALLS["went down"] += 1
        DOWN_UNTIL[0] = time.monotonic() + 1
    return int(behind_a_service(element))


def probe() -> None:
    behind_a_service("probe")


def test_a_transient_error_is_tried_again_and_counted() -> None:
    outcome = through(["a", "b"], beam.Map(works_from(3)), retry=obs.Retry(attempts=3, **QUICK))

    assert outcome.values() == ["a", "b"]
    assert outcome.letters == []
    assert (outcome.counts().in_, outcome.counts().out, outcome.counts().retried) == (2, 2, 4)


def test_an_error_that_is_not_transient_is_refused_at_once() -> None:
    outcome = through(["a"], beam.Map(int), retry=obs.Retry(**QUICK))

    assert outcome.letter.attempt == 1
    assert outcome.counts().retried == 0


@pytest.mark.parametrize("run_it", [run, run_in_bundles])
def test_a_poison_record_among_good_ones_is_one_dead_letter(run_it: Callable[..., Outcome]) -> None:
    elements = ["a", "poison", "b", "c"]
    retry = obs.Retry(on=Reset, attempts=3, **QUICK)

    outcome = run_it(
        lambda p: (
            p
            | beam.Create(elements, reshuffle=False)
            | "step" >> obs.Stage(beam.Map(poisoned), retry=retry).with_dead_letters()
        )
    )

    assert outcome.values() == ["a", "b", "c"]
    assert outcome.refused == ["poison"]
    assert outcome.letter.attempt == 3
    assert outcome.letter.traceback.count("always") == 2, (
        "in the line and in the message: attempts are no causes of each other"
    )
    assert CALLS["poison"] == 3


def test_poison_that_comes_first_costs_the_budget_once_and_is_one_dead_letter() -> None:
    retry = obs.Retry(attempts=2, budget=0.3, **QUICK)

    outcome = through(["poison", "a", "b"], beam.Map(poisoned), retry=retry)

    assert outcome.values() == ["a", "b"]
    assert outcome.refused == ["poison"]


@pytest.mark.slow
def test_a_service_that_is_down_for_two_seconds_loses_nothing() -> None:
    DOWN_UNTIL[0] = time.monotonic() + 2
    elements = [f"{number}" for number in range(20)]

    outcome = through(elements, beam.Map(behind_a_service), retry=obs.Retry(attempts=3, **QUICK))

    assert sorted(outcome.values()) == sorted(elements)
    assert outcome.letters == []
    assert sum(CALLS.values()) < 60, "it is asked with growing pauses"


def test_a_service_that_goes_down_in_the_middle_loses_nothing_where_it_can_be_asked() -> None:
    retry = obs.Retry(attempts=2, probe=probe, **QUICK)

    outcome = through(list(range(20)), beam.Map(goes_down_at_5), retry=retry)

    assert sorted(outcome.values()) == list(range(20))
    assert outcome.letters == []
    assert CALLS["probe"] > 1


def test_with_a_probe_poison_is_refused_without_waiting() -> None:
    retry = obs.Retry(attempts=2, budget=60, probe=lambda: None, **QUICK)
    began = time.monotonic()

    outcome = through(["poison"] * 4 + ["a"], beam.Map(poisoned), retry=retry)

    assert outcome.values() == ["a"]
    assert len(outcome.letters) == 4
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("asked", [None, probe])
def test_a_service_that_stays_down_fails_the_bundle_and_says_so(asked: Any) -> None:
    DOWN_UNTIL[0] = float("inf")
    retry = obs.Retry(attempts=2, budget=0.5, probe=asked, **QUICK)

    with pytest.raises(
        Exception, match=r"stage 'step': its service is down: .*the last failed with .*Reset: down"
    ) as failed:
        through(["a", "b", "c", "d"], beam.Map(behind_a_service), retry=retry)

    assert "ServiceDown" in repr(failed.value) + str(failed.value) + type(failed.value).__name__


def test_what_was_refused_of_a_bundle_that_fails_is_no_dead_letter(tmp_path: Path) -> None:
    DOWN_UNTIL[0] = float("inf")
    retry = obs.Retry(attempts=1, budget=0.2, **QUICK)

    def build() -> None:
        with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(str(tmp_path / "dead")) as dead:
            stage = obs.Stage(beam.Map(behind_a_service), retry=retry, dead_letters=dead)
            _ = p | beam.Create(list("abcdef"), reshuffle=False) | "step" >> stage

    with pytest.raises(Exception, match="its service is down"):
        build()
    assert not list((tmp_path / "dead").glob("manifest*"))


def test_the_budget_is_that_of_a_bundle() -> None:
    retry = obs.Retry(attempts=100, budget=0.5, backoff=0.1, most=0.1, jitter=0, down_after=100)
    began = time.monotonic()

    outcome = through(["a"] + ["poison"] * 20 + ["b"], beam.Map(poisoned), retry=retry)

    assert outcome.values() == ["a", "b"]
    assert len(outcome.letters) == 20
    assert {letter.attempt for letter in outcome.letters} > {1}
    assert time.monotonic() - began < 20, "those behind the budget have one attempt each"


class Lazy(beam.DoFn):
    """Fails late, once for each element."""

    def process(self, element: str, times: int = 2) -> Iterator[str]:
        CALLS[element] += 1
        for number in range(times):
            yield f"{element}{number}"
        if CALLS[element] == 1:
            raise Reset("late")


@pytest.mark.parametrize(
    "transform",
    [
        lambda: beam.ParDo(Lazy()),
        lambda: beam.ParDo(Lazy(), times=2),
        lambda: beam.FlatMap(lambda element: map(str, Lazy().process(element))),
    ],
)
def test_lazy_results_are_never_given_twice(transform: Callable[[], Any]) -> None:
    outcome = through(["a", "b"], transform(), retry=obs.Retry(attempts=2, **QUICK))

    assert outcome.values() == ["a0", "a1", "b0", "b1"]
    assert outcome.counts().retried == 2


def test_other_kinds_of_steps_are_tried_again_too() -> None:
    works = works_from(2)
    for transform, wanted in (
        (beam.Filter(works), ["a"]),
        (beam.FlatMap(lambda element: [works(element)]), ["a"]),
        (beam.Map(lambda element, more: works(element) + more, "!"), ["a!"]),
        (beam.ParDo(works), ["a"]),
    ):
        CALLS.clear()
        outcome = through(["a"], transform, retry=obs.Retry(attempts=2, **QUICK))
        assert outcome.values() == wanted
    CALLS.clear()
    pairs = beam.MapTuple(lambda one, two: works((one, two)))
    assert through([(1, 2)], pairs, retry=obs.Retry(attempts=2, **QUICK)).values() == [(1, 2)]


def test_steps_of_a_composite_are_tried_again() -> None:
    works = works_from(2)

    class Composite(beam.PTransform):
        def expand(self, words: Any) -> Any:
            return (
                words
                | "look up" >> beam.Map(works)
                | beam.GroupBy(len)
                | "sums" >> beam.MapTuple(lambda length, words: (length, sorted(words)))
            )

    stage = obs.Stage(Composite(), retry=obs.Retry(attempts=2, **QUICK))
    outcome = run(lambda p: p | beam.Create(["a", "b", "cc"]) | "step" >> stage.with_dead_letters())

    assert outcome.values() == [(1, ["a", "b"]), (2, ["cc"])]
    assert outcome.counts("step/Composite/look up").retried == 3


def test_woven_steps_are_tried_again_and_keep_their_origin(tmp_path: Path) -> None:
    def look_up(element: int) -> tuple[int, bool]:
        CALLS[element] += 1
        origin = obs.current_origin()
        if CALLS[element] < 2:
            raise Reset("once")
        return element, origin is not None

    with obs.Pipeline("FnApiRunner", name="retried", store=str(tmp_path)) as p:
        stage = obs.Stage(beam.Map(look_up), retry=obs.Retry(attempts=2, **QUICK))
        _ = p | beam.Create([1, 2, 3]) | "look up" >> stage | beam.Map(_all_known)

    record = obs.Store(str(tmp_path)).find("latest")
    (told,) = [one for one in record.end["stages"] if one["label"] == "look up"]
    assert (told["in"], told["out"], told["retried"]) == (3, 3, 3)


def _all_known(pair: tuple[int, bool]) -> None:
    assert pair[1]


def test_workers_in_threads_share_what_they_know_of_a_service() -> None:
    DOWN_UNTIL[0] = time.monotonic() + 1
    outcome = through(
        list(range(40)),
        beam.Map(behind_a_service),
        "--direct_num_workers=2",
        "--direct_running_mode=multi_threading",
        retry=obs.Retry(attempts=2, **QUICK),
    )

    assert sorted(outcome.values()) == list(range(40))
    assert outcome.letters == []


STATE = beam.DoFn.StateParam(ReadModifyWriteStateSpec("seen", VarIntCoder()))


class Stateful(beam.DoFn):
    def process(self, pair: Any, state: Any = STATE) -> Any:
        yield pair


class Batched(beam.DoFn):
    def process_batch(self, batch: list[int]) -> Iterator[list[int]]:
        yield batch


class Finalizing(beam.DoFn):
    def process(self, element: int, finalizer: Any = beam.DoFn.BundleFinalizerParam) -> Iterable[int]:
        yield element


@pytest.mark.parametrize(
    ("dofn", "said"),
    [
        (Stateful(), "what an attempt wrote before it failed stays written"),
        (Finalizing(), "registers with the end of the bundle"),
    ],
)
def test_what_cannot_be_tried_again_is_refused_when_built(dofn: beam.DoFn, said: str) -> None:
    p = beam.Pipeline("FnApiRunner")
    with pytest.raises(obs.UsageError, match=f"obs.Stage 'step' .* cannot have retry=: .*{said}"):
        _ = p | beam.Create([(1, 2)]) | "step" >> obs.Stage(beam.ParDo(dofn), retry=obs.Retry())


def test_batches_and_aggregates_and_reads_are_refused_when_built() -> None:
    p = beam.Pipeline("FnApiRunner")
    numbers = p | beam.Create([1]).with_output_types(int)
    batched = beam.ParDo(Batched()).with_input_types(int).with_output_types(int)
    with pytest.raises(obs.UsageError, match="it takes batches"):
        _ = numbers | "batched" >> obs.Stage(batched, retry=obs.Retry())
    with pytest.raises(obs.UsageError, match=r"no step in it that can be tried again: .* made in parts"):
        _ = numbers | "sum" >> obs.Stage(beam.CombineGlobally(sum), retry=obs.Retry())
    with pytest.raises(obs.UsageError, match="a read of Beam's own is applied as it is"):
        _ = p | "read" >> obs.Source(beam.Create([1]), retry=obs.Retry())


class Fetch(beam.PTransform):
    """A read of the user's own."""

    def expand(self, pbegin: Any) -> Any:
        return pbegin | beam.Create(["a", "b"]) | "fetch" >> beam.Map(works_from(2))


def test_reads_and_writes_of_the_users_own_are_tried_again() -> None:
    retry = obs.Retry(attempts=2, **QUICK)

    def build(p: beam.Pipeline) -> Any:
        words = p | "read" >> obs.Source(Fetch(), retry=retry)
        return words | "write" >> obs.Sink(beam.Map(works_from(4)), retry=obs.Retry(attempts=4, **QUICK))

    outcome = run(build)

    assert outcome.values() == ["a", "b"]
    assert outcome.counts("read/Fetch/fetch").retried == 2
    assert outcome.counts("write").retried > 0


class GroupsToo(beam.PTransform):
    def expand(self, pairs: Any) -> Any:
        return pairs | beam.Map(lambda pair: pair) | "state" >> beam.ParDo(Stateful())


def test_steps_of_a_composite_that_cannot_be_tried_again_go_without() -> None:
    stage = obs.Stage(GroupsToo(), retry=obs.Retry())
    outcome = run(lambda p: p | beam.Create([(1, 2)]) | "step" >> stage)

    assert outcome.values() == [(1, 2)]
    assert [(step, why[:25]) for step, why in stage.untried] == [
        ("step/GroupsToo/state", "it has state or timers: w")
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"on": []}, "give classes of exceptions"),
        ({"on": "ConnectionError"}, "give classes of exceptions"),
        ({"on": [KeyboardInterrupt]}, "give classes of exceptions"),
        ({"attempts": 0}, "a whole number, 1 or more"),
        ({"backoff": -1}, "give seconds"),
        ({"budget": "60"}, "give seconds"),
        ({"jitter": 2}, "a share of the pause"),
        ({"down_after": 0}, "a whole number, 1 or more"),
        ({"probe": "ping"}, "a function without arguments"),
    ],
)
def test_a_retry_that_cannot_be_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(obs.UsageError, match=said):
        obs.Retry(**arguments)


def test_a_stage_says_what_a_retry_is() -> None:
    with pytest.raises(obs.UsageError, match=r"give an obs\.Retry"):
        obs.Stage(beam.Map(int), retry=3)
    with pytest.raises(obs.UsageError, match="given again by the next attempt"):
        obs.Stage(beam.Map(int), retry=obs.Retry(), partial=True)


def test_pauses_double_up_to_the_most() -> None:
    pauses = obs.Retry(backoff=1, most=5, jitter=0).pauses()
    assert [next(pauses) for _ in range(5)] == [1, 2, 4, 5, 5]
