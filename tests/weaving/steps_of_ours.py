"""Steps of beam_obs for random pipelines: what they refuse goes on beside what they give, as it was taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

import beam_obs as obs
from beam_obs.records.payload import decode_payload


class Passes(ModelHandler[Any, Any, Any]):
    """Gives examples back, in batches; a batch fails where one of its examples is refused."""

    def load_model(self) -> Any:
        return passes

    def run_inference(self, batch: Sequence[Any], model: Any, inference_args: Any = None) -> Iterable[Any]:
        return [model(example) for example in batch]

    def batch_elements_kwargs(self) -> dict[str, int]:
        return {"min_batch_size": 3, "max_batch_size": 4}


class UnionOfSome(beam.CombineFn):
    def create_accumulator(self) -> frozenset[int]:
        return frozenset()

    def add_input(self, accumulator: frozenset[int], numbers: frozenset[int]) -> frozenset[int]:
        return accumulator | passes((0, numbers))[1]

    def merge_accumulators(self, accumulators: Iterable[frozenset[int]]) -> frozenset[int]:
        return frozenset().union(*accumulators)

    def extract_output(self, accumulator: frozenset[int]) -> frozenset[int]:
        return accumulator


def passes(value: Any) -> Any:
    if sum(value[1]) % 3 == 1:
        raise ValueError(f"{value!r} is refused")
    return value


def _is_passed(value: Any) -> bool:
    return sum(value[1]) % 3 != 1


def _taken(letter: obs.DeadLetter) -> Any:
    """Returns the value that was refused; that the letter names its origin is looked at on the way."""
    origin = obs.current_origin()
    assert letter.origin == (origin and origin.hex()), letter
    key, numbers = decode_payload(letter.payload, letter.payload_coder, trust_pickles=True)
    return key[1] if isinstance(key, tuple) else key, numbers  # a hot key has a number beside it


def _both(make: Callable[[], obs.Stage]) -> Any:
    def apply(pcoll: Any, name: str) -> Any:
        typed = pcoll | f"{name} before" >> beam.Map(lambda value: value).with_output_types(
            tuple[int, frozenset]
        )
        given, refused = typed | name >> make().with_dead_letters()
        return (given, refused | f"{name} taken" >> beam.Map(_taken)) | f"{name} both" >> beam.Flatten()

    return apply


STEPS_OF_OURS: dict[str, Any] = {
    "stage": _both(lambda: obs.Stage(beam.Map(passes))),
    "check": _both(lambda: obs.Check(obs.holds("is passed", _is_passed))),
    "unique": _both(lambda: obs.Check(obs.unique("0"), obs.holds("is passed", _is_passed))),
    "guarded combine": _both(lambda: obs.Stage(beam.CombinePerKey(UnionOfSome()))),
    "guarded hot keys": _both(lambda: obs.Stage(beam.CombinePerKey(UnionOfSome()).with_hot_key_fanout(3))),
    "inference": _both(lambda: obs.Stage(RunInference(Passes()))),
}
