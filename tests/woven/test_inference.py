"""A prediction of RunInference has the origin of its example; where that is not sure, that of its batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, PredictionResult, RunInference
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs import lineage
from beam_obs.testing import assert_dead_letters, dead_letter
from beam_obs.wrapper.current_origin import current_origin

FOUND: list[tuple[str, Any, bytes | None]] = []
NUMBERS = list(range(12))


class Doubles(ModelHandler[int, Any, Any]):
    """Doubles numbers in batches of three or four.

    Args:
      answers: gives the predictions of a batch.
    """

    def __init__(self, answers: Any) -> None:
        super().__init__()
        self._answers = answers

    def load_model(self) -> Any:
        return lambda number: number * 2

    def run_inference(self, batch: Sequence[int], model: Any, inference_args: Any = None) -> Iterable[Any]:
        return self._answers(batch, model)  # type: ignore[no-any-return]

    def batch_elements_kwargs(self) -> dict[str, int]:
        return {"min_batch_size": 3, "max_batch_size": 4}


def named(batch: Sequence[int], model: Any) -> Any:
    return [PredictionResult(number, model(number)) for number in batch]


def bare(batch: Sequence[int], model: Any) -> Any:
    return (model(number) for number in batch)


def backwards(batch: Sequence[int], model: Any) -> Any:
    return [PredictionResult(number, model(number)) for number in reversed(batch)]


def fewer(batch: Sequence[int], model: Any) -> Any:
    return [PredictionResult(number, model(number)) for number in batch[1:]]


def keep(value: Any, kind: str) -> Any:
    FOUND.append((kind, value, current_origin()))
    return value


def infer(folder: Path, handler: Any, numbers: Any, runner: str = "FnApiRunner") -> None:
    FOUND.clear()
    options = [f"--obs_store={folder}", "--obs_lineage=strict", "--obs_report=off"]
    with obs.Pipeline(runner, PipelineOptions(options), name="infer") as p:
        examples = p | beam.Create(numbers) | "examples" >> beam.Map(keep, "example")
        examples | RunInference(handler) | "predictions" >> beam.Map(keep, "prediction")


def origins(kind: str) -> list[tuple[Any, bytes | None]]:
    return [(value, origin) for one, value, origin in FOUND if one == kind]


def answer(value: Any) -> Any:
    return getattr(value, "inference", value)


@pytest.mark.parametrize("runner", ["FnApiRunner", "BundleBasedDirectRunner"])
@pytest.mark.parametrize("answers", [named, bare])
def test_a_prediction_has_the_origin_of_its_example(tmp_path: Path, answers: Any, runner: str) -> None:
    infer(tmp_path, Doubles(answers), NUMBERS, runner)
    assert len(origins("prediction")) == len(NUMBERS)
    assert {(answer(value), origin) for value, origin in origins("prediction")} == {
        (number * 2, origin) for number, origin in origins("example")
    }


def test_a_prediction_of_a_keyed_example_has_its_origin(tmp_path: Path) -> None:
    infer(tmp_path, KeyedModelHandler(Doubles(named)), [(str(number), number) for number in NUMBERS])
    assert {(key, origin) for (key, _), origin in origins("prediction")} == {
        (key, origin) for (key, _), origin in origins("example")
    }


@pytest.mark.parametrize("answers", [backwards, fewer])
def test_predictions_in_another_order_or_number_have_the_origin_of_their_batch(
    tmp_path: Path, answers: Any
) -> None:
    infer(tmp_path, Doubles(answers), NUMBERS)
    of_examples = {origin for _, origin in origins("example")}
    of_predictions = {origin for _, origin in origins("prediction")}
    assert not of_examples & of_predictions
    assert None not in of_predictions
    assert list(tmp_path.glob("runs/*/*/derivations-*.avro"))


class Inverts(Doubles):
    """Gives the inverse of numbers: a batch with 0 in it fails."""

    def __init__(self) -> None:
        super().__init__(lambda batch, _: [10 / int(number) for number in batch])


def test_in_a_stage_an_example_that_fails_is_refused_alone_and_the_others_of_its_batch_keep_their_lines(
    tmp_path: Path,
) -> None:
    numbers, store = tmp_path / "numbers.txt", obs.Store(str(tmp_path / "store"))
    numbers.write_text("1\n2\n0\n5\n")
    options = PipelineOptions([f"--obs_store={tmp_path / 'store'}", "--obs_lineage=strict"])
    with obs.Pipeline("FnApiRunner", options, name="infer") as p:
        lines = p | obs.ReadFromText(str(numbers))
        inverse = lines | "infer" >> obs.Stage(RunInference(Inverts()))
        _ = inverse | beam.Map(str) | beam.io.WriteToText(str(tmp_path / "out"), shard_name_template="")

    refused = lineage.fate(f"{numbers}:3", store=store).into
    assert refused is not None
    assert not refused.written
    assert not refused.aggregates
    assert len(refused.dead_letters) == 1
    assert_dead_letters(
        p.result, dead_letter(source_uri=str(numbers), position=4, origin=refused.origin.hex())
    )
    outputs = (tmp_path / "out").read_text().splitlines()
    for at, output in enumerate(outputs, 1):
        (made_of,) = lineage.why(f"{tmp_path / 'out'}:{at}", store=store).made_of
        assert isinstance(made_of, lineage.FromSource)
        assert 10 / int(str(made_of.record.text)) == float(output)


def test_with_beams_exception_handling_predictions_have_their_lines_and_a_failed_batch_has_all_of_its_own(
    tmp_path: Path,
) -> None:
    numbers, store = tmp_path / "numbers.txt", obs.Store(str(tmp_path / "store"))
    numbers.write_text("1\n2\n4\n5\n0\n8\n")
    options = PipelineOptions([f"--obs_store={tmp_path / 'store'}", "--obs_lineage=strict"])
    with obs.Pipeline("FnApiRunner", options, name="infer") as p:
        lines = p | obs.ReadFromText(str(numbers))
        good, bad = lines | RunInference(Inverts()).with_exception_handling()
        for name, results in (("good", good), ("bad", bad.failed_inferences)):
            texts = results | f"{name} text" >> beam.Map(str)
            _ = texts | name >> beam.io.WriteToText(str(tmp_path / name), shard_name_template="")

    outputs = (tmp_path / "good").read_text().splitlines()
    assert outputs
    for at, output in enumerate(outputs, 1):
        (made_of,) = lineage.why(f"{tmp_path / 'good'}:{at}", store=store).made_of
        assert isinstance(made_of, lineage.FromSource)
        assert 10 / int(str(made_of.record.text)) == float(output)
    fate = lineage.fate(f"{numbers}:5", store=store).into
    assert fate is not None
    (batch,) = fate.aggregates
    assert [written.sink for written in batch.written] == ["bad"]
