"""What is answered of real runs, at the default limit, is what their records themselves say.

Each output names the lines that it was made of, so that both ways are known: from an output to its lines,
and from a line to all outputs that it went into.
"""

from __future__ import annotations

import ast
import collections
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs import lineage
from beam_obs.lineage import FromAggregate, FromSource, Into
from beam_obs.records.record_content import output_digest
from tests.chance import chance as chance_of
from tests.weaving.random_steps import STEPS, typed


class Run:
    """A run of random steps over the lines of a file, and what its outputs say that they were made of.

    Args:
      folder: an empty one.
      names: of the steps.
      count: lines of the file.
    """

    def __init__(self, folder: Path, names: list[str], count: int) -> None:
        self.source = folder / "numbers.txt"
        self.source.write_text("".join(f"{number}\n" for number in range(count)))
        self.store = obs.Store(str(folder / "store"))
        asked = [f"--obs_store={folder / 'store'}", "--obs_lineage=strict", "--obs_report=off"]
        asked += ["--obs_max_dead_rate=1"]  # steps may refuse as many records as they like
        with obs.Pipeline("FnApiRunner", PipelineOptions(asked), name="oracle") as p:
            lines = p | "read" >> obs.ReadFromText(str(self.source), desired_bundle_size=1000)
            keys = max(2, count // 1200)
            found = typed(lines | beam.Map(lambda line: (int(line) % keys, frozenset([int(line)]))), "first")
            for at, name in enumerate(names):
                found = typed(STEPS[name](found, f"{at} {name}"), f"{at}")
            texts = found | "text" >> beam.MapTuple(lambda key, numbers: f"({key}, {sorted(numbers)})")
            texts | "write" >> beam.io.WriteToText(str(folder / "out"), num_shards=1, shard_name_template="")
        self.output = folder / "out"
        self.outputs = self.output.read_text().splitlines()
        self.numbers = [frozenset(ast.literal_eval(text)[1]) for text in self.outputs]
        self.went_into: dict[int, set[bytes]] = collections.defaultdict(set)
        for text, numbers in zip(self.outputs, self.numbers, strict=True):
            for number in numbers:
                self.went_into[number].add(output_digest(text.encode()))

    def check_forward(self, number: int) -> str:
        """Checks what became of a line; returns how certain the answer was."""
        answer = lineage.fate(f"{self.source}:{number + 1}", store=self.store, everything=True)
        assert answer.into is not None
        wanted, found = self.went_into[number], set(_written(answer.into))
        possible = {one for origin in _maybe(answer.into) for one in self._possibly(origin)}
        assert found <= wanted <= found | possible
        if not wanted and "which lost records" in answer.certainty.reason:
            # Beam drops what a count trigger still waits for when its window ends: the balance has found it.
            assert answer.certainty.kind == lineage.NOT_RECORDED
            return "lost"
        assert answer.certainty.kind == (lineage.SAMPLED if possible else lineage.COMPLETE)
        for one in _all(answer.into):
            went_on = one.written or one.aggregates or one.may_be_in or one.dead_letters
            assert bool(one.end) == (not went_on), one
        return answer.certainty.kind

    def _possibly(self, origin: bytes) -> set[bytes]:
        into = lineage.fate(origin.hex(), store=self.store, everything=True).into
        assert into is not None
        return set(_written(into)).union(*(self._possibly(one) for one in _maybe(into)))

    def check_backward(self, at: int) -> str:
        """Checks what an output was made of; returns how certain the answer was."""
        answer = lineage.why(f"{self.output}:{at + 1}", store=self.store, all_contributors=True)
        assert len(answer.made_of) >= 1
        for tree in answer.made_of:
            found = set(_numbers(tree))
            assert found <= self.numbers[at]
            if answer.certainty.kind == lineage.COMPLETE:
                assert found == self.numbers[at]
        assert answer.certainty.kind != lineage.NOT_RECORDED
        return answer.certainty.kind


def _all(into: Into) -> Iterator[Into]:
    yield into
    for aggregate in into.aggregates:
        yield from _all(aggregate)


def _written(into: Into) -> Iterator[bytes]:
    return (digest for one in _all(into) for written in one.written for digest in written.digests)


def _maybe(into: Into) -> Iterator[bytes]:
    return (possible.origin for one in _all(into) for possible in one.may_be_in)


def _numbers(tree: FromSource | FromAggregate) -> Iterator[int]:
    if isinstance(tree, FromSource):
        assert tree.record.state == lineage.VERIFIED
        yield int(tree.record.text)
    else:
        for one in tree.contributors:
            yield from _numbers(one)


def check(folder: Path, names: list[str], count: int, answers: int, chance: random.Random) -> Any:
    """Checks so many answers each way; returns how many of them were how certain."""
    run = Run(folder, names, count)
    kinds: collections.Counter[str] = collections.Counter()
    for number in chance.sample(range(count), min(count, answers)):
        kinds["forward " + run.check_forward(number)] += 1
    for at in chance.sample(range(len(run.outputs)), min(len(run.outputs), answers)):
        kinds["backward " + run.check_backward(at)] += 1
    return kinds


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "count"),
    [
        (["map", "filter"], 50),
        (["filter", "group", "flat map"], 50),
        (["fixed windows", "combine", "reshuffle"], 100),
        (["filter", "combine"], 2500),
        (["fixed windows", "group"], 6000),
    ],
)
def test_answers_are_what_the_records_say(names: list[str], count: int, tmp_path: Path) -> None:
    kinds = check(tmp_path, names, count, 10, chance_of(5))

    assert kinds["backward complete"] + kinds["backward sampled"] > 0
    assert kinds["forward complete"] + kinds["forward sampled"] == 10


@pytest.mark.oracle
def test_answers_of_random_runs_are_what_their_records_say(tmp_path: Path) -> None:
    chance, names = chance_of(11), sorted(STEPS)
    kinds: collections.Counter[str] = collections.Counter()
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        steps = [chance.choice(names) for _ in range(chance.randint(1, 3))]
        kinds += check(folder, steps, chance.choice([40, 300, 3000]), 15, chance)
    print(f"answers of 20 random runs, none wrong: {dict(sorted(kinds.items()))}")
