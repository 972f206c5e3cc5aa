"""The process function of a woven RunInference: each prediction has the origin of its example.

Beam's model handlers give predictions in the order of their examples. Where their number differs, or a
prediction names another example than its own, all of the batch's predictions have the origin of the batch.
A batch that fails in a Stage is tried again example by example: each is predicted or refused by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from apache_beam.pvalue import TaggedOutput

from beam_obs.records.contributors import gather, origins_in_order
from beam_obs.records.lineage_rows import BATCH
from beam_obs.woven.superset import superset
from beam_obs.wrapper.element_forms import ROWS, unpack
from beam_obs.wrapper.woven_step import WovenStep


def inference_process(
    whole: Callable[..., Any], step: WovenStep, limit: int | None, alone: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """Returns the process function of a step that takes batches and gives a prediction for each example.

    Args:
      whole: gives the predictions of a batch; None where its examples are to be tried one by one.
      step: of the function.
      limit: of contributors, where the predictions get the origin of their batch.
      alone: gives what comes of one example of such a batch.
    """
    note = step.note

    def woven_process(element: Any, *args: Any, **kwargs: Any) -> Any:
        provenance, batch = unpack(step.takes, element)
        return woven_results(provenance, batch, args, kwargs)

    def woven_results(provenance: bytes, batch: Any, args: Any, kwargs: Any) -> Iterator[Any]:
        try:
            origins = origins_in_order(provenance)
            call = step.call_for_batch(whole, origins or (provenance,))
            results = call(batch, *args, **kwargs)
            if results is None and alone is not None:
                of_each = origins or [provenance] * len(batch)
                for provenance, example in zip(of_each, batch, strict=True):
                    for result in alone(example, *args, **kwargs):
                        yield step.pack(provenance, result)
                return
            results = list(results or ())
        except Exception as error:
            note(error, provenance)
            raise error
        if origins is not None and _are_in_order(results, batch):
            yield from map(step.pack, origins, results)
            return
        found = gather((provenance,), limit)
        origin, row = superset(found, step.label, BATCH) if origins else (provenance, None)
        if row is not None:
            step.note_gathered(origin, found)
        if row is not None and results:
            yield TaggedOutput(ROWS, row)
        for result in results:
            yield step.pack(origin, result)

    return woven_process


def _are_in_order(results: list[Any], batch: Sequence[Any]) -> bool:
    if len(results) != len(batch) or any(isinstance(result, TaggedOutput) for result in results):
        return False
    examples = [_example(result) for result in results]
    given = {id(_unkeyed(element)) for element in batch}
    return all(
        id(example) not in given or example is _unkeyed(element)
        for example, element in zip(examples, batch, strict=True)
    )


def _example(result: Any) -> Any:
    """Returns the example that a ``PredictionResult`` names, also one with a key; else None."""
    return getattr(_unkeyed(result), "example", None)


def _unkeyed(value: Any) -> Any:
    return value[1] if type(value) is tuple and len(value) == 2 else value
