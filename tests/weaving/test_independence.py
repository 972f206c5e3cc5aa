"""The lineage of a run over located sources is the same whatever ran it: row by row, bit by bit."""

from __future__ import annotations

import collections
import csv
import random
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns, python_urns
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner, translations
from apache_beam.transforms import userstate, window

import beam_obs as obs
from beam_obs.testing import RetryingRunner
from tests.weaving.provenance import read_rows

KINDS = ("derivations", "output_index", "filtered")
Rows = collections.Counter[tuple[str, str, str]]


class AtTheEnd(beam.DoFn):
    """Gives the sum of a key when its window ends."""

    SUM = userstate.CombiningValueStateSpec("sum", sum)
    END = userstate.TimerSpec("end", userstate.TimeDomain.WATERMARK)
    SUM_PARAM = beam.DoFn.StateParam(SUM)
    END_PARAM = beam.DoFn.TimerParam(END)

    def process(
        self,
        pair: tuple[str, int],
        total: Any = SUM_PARAM,
        end: Any = END_PARAM,
        at: Any = beam.DoFn.WindowParam,
    ) -> None:
        total.add(pair[1])
        end.set(at.max_timestamp())

    @userstate.on_timer(END)
    def at_the_end(self, key: str = beam.DoFn.KeyParam, total: Any = SUM_PARAM) -> Any:
        yield key, total.read()


class Siblings(beam.PTransform):
    """Several aggregates of the same pairs, which runners may pack into one."""

    def annotations(self) -> dict[str, bytes]:
        return {python_urns.APPLY_COMBINER_PACKING: b""}

    def expand(self, pairs: Any) -> Any:
        return (
            pairs | "sum" >> beam.CombinePerKey(sum),
            pairs | "mean" >> beam.combiners.Mean.PerKey(),
            pairs | "most" >> beam.CombinePerKey(max),
            pairs | "nearest" >> beam.CombinePerKey(min, key=_from_ten),
        )


def _from_ten(number: int) -> int:
    return abs(number - 10)


class GlobalSiblings(Siblings):
    """The same of all elements."""

    def expand(self, elements: Any) -> Any:
        return (
            elements | "count" >> beam.combiners.Count.Globally(),
            elements | "total" >> beam.CombineGlobally(sum),
        )


def _moment(row: dict[str, str]) -> Any:
    return window.TimestampedValue((row["carrier"], int(row["delay"])), int(row["second"]))


def build(pipeline: Any, source: str, target: str, block: int, without: str) -> None:
    """Applies aggregates of all kinds, but for those left out, to rows of files."""
    rows = pipeline | "read" >> obs.ReadFromCsv(source, desired_bundle_size=block)
    late = rows | "late" >> beam.Filter(lambda row: int(row["delay"]) > 20)
    pairs = late | "when" >> beam.Map(_moment).with_output_types(tuple[str, int])
    fixed = pairs | "fixed" >> beam.WindowInto(window.FixedWindows(60))
    siblings = fixed | "siblings" >> Siblings()
    sliding = pairs | "sliding" >> beam.WindowInto(window.SlidingWindows(90, 30))
    groups = (
        sliding
        | "group" >> beam.GroupByKey()
        | "sizes" >> beam.MapTuple(lambda key, all_: (key, len([*all_])))
    )
    hot = fixed | "hot" >> beam.CombinePerKey(sum).with_hot_key_fanout(3)
    outputs = [*siblings, groups, hot]
    if without != "sessions":
        sessions = pairs | "sessions" >> beam.WindowInto(window.Sessions(5))
        outputs.append(sessions | "largest" >> beam.CombinePerKey(max))
    if without != "state":
        outputs.append(fixed | "state" >> beam.ParDo(AtTheEnd()))
    globally = [
        output | f"globally {at}" >> beam.WindowInto(window.GlobalWindows())
        for at, output in enumerate(outputs)
    ]
    flat = globally | "flat" >> beam.Flatten() | "spread" >> beam.Reshuffle()
    counts = flat | "ones" >> beam.Map(lambda pair: (pair[0], 1)) | "count" >> beam.CombinePerKey(sum)
    again = (
        pipeline | "again" >> obs.ReadFromCsv(source) | "delays" >> beam.Map(lambda row: int(row["delay"]))
    )
    all_, total = again | "all" >> GlobalSiblings()
    both = {"flat": flat, "counts": counts} | "join" >> beam.CoGroupByKey()
    beside = both | "beside" >> beam.Map(
        lambda pair, *all_: f"{pair[0]} {len(pair[1]['flat'])} {pair[1]['counts']} {all_}",
        beam.pvalue.AsSingleton(all_),
        beam.pvalue.AsSingleton(total),
    )
    beside | "write" >> beam.io.WriteToText(target)
    (
        flat
        | "lines" >> beam.Map(lambda pair: {"carrier": pair[0], "delay": pair[1]})
        | "json" >> obs.WriteToJson(f"{target}-json", stamp=False)
    )


def rows_of(folder: Path, runner: Any, *options: str, block: int = 65536, without: str = "") -> Rows:
    """Runs the pipeline and returns the rows of its lineage, each with its kind and step."""
    asked = [
        f"--obs_store={folder}/store",
        "--obs_lineage=strict",
        "--obs_lineage_filtered=all",
        "--obs_report=off",
    ]
    with obs.Pipeline(runner, PipelineOptions([*asked, *options]), name="flights") as p:
        build(p, str(folder / "*.csv"), f"{folder}/out", block, without)
    run = obs.Store(f"{folder}/store").find("latest").folder
    return collections.Counter(
        (kind, step, repr(sorted(row.items())))
        for kind in KINDS
        for step, row in read_rows(f"{folder}/store/{run}", kind)
    )


class WithoutLifting(FnApiRunner):
    """Brings the values of a key together before it combines any of them."""

    def create_stages(self, pipeline_proto: Any) -> Any:
        for step in pipeline_proto.components.transforms.values():
            if step.spec.urn == common_urns.composites.COMBINE_PER_KEY.urn:
                step.spec.Clear()
                step.spec.urn = python_urns.GENERIC_COMPOSITE_TRANSFORM
        return super().create_stages(pipeline_proto)


def _without_packing(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(translations, "pack_combiners", lambda stages, context: stages)
    return FnApiRunner()


RUNNERS: dict[str, tuple[Any, list[str], dict[str, Any]]] = {
    "threads": (
        lambda _: FnApiRunner(),
        ["--direct_num_workers=2", "--direct_running_mode=multi_threading"],
        {},
    ),
    "processes": (
        lambda _: FnApiRunner(),
        ["--direct_num_workers=2", "--direct_running_mode=multi_processing"],
        {},
    ),
    "bundles": (lambda _: BundleBasedDirectRunner(), [], {"without": "state"}),
    "small bundles": (lambda _: FnApiRunner(), ["--direct_num_workers=3"], {"block": 500}),
    "repeated bundles": (lambda _: FnApiRunner(bundle_repeat=2), [], {}),
    "retries": (lambda _: RetryingRunner(times=3), [], {"block": 2000}),
    # Beam's own job service; combiners are packed before the job is submitted.
    "job service": (
        lambda _: "PortableRunner",
        ["--job_endpoint=embed", "--environment_type=LOOPBACK"],
        {},
    ),
    "without packing": (_without_packing, [], {}),
    "without lifting and packing": (lambda _: WithoutLifting(), [], {}),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gives a folder of three files of flights."""
    folder, chance = tmp_path_factory.mktemp("flights"), random.Random(1)
    write_files(folder, chance)
    return folder


def write_files(folder: Path, chance: random.Random) -> None:
    """Writes three files of random flights."""
    for number in range(3):
        with (folder / f"{number}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["carrier", "delay", "second"])
            for _ in range(400):
                carrier = chance.choice(["UA", "AA", "B6", "DL", "longer name"])
                writer.writerow([carrier, chance.randint(-20, 200), chance.randint(0, 300)])


@pytest.fixture(scope="module")
def expected(files: Path) -> dict[str, Rows]:
    """Gives the lineage on one worker, by what is left out."""
    return {without: rows_of(files, FnApiRunner(), without=without) for without in ("", "state")}


@pytest.mark.slow
@pytest.mark.usefixtures("processes_as_workers")
@pytest.mark.parametrize("name", RUNNERS)
def test_lineage_is_the_same_row_by_row(
    name: str, files: Path, expected: dict[str, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, options, how = RUNNERS[name]
    found = rows_of(files, make(monkeypatch), *options, **how)

    wanted = expected[how.get("without", "")]
    assert found - wanted == wanted - found == collections.Counter()
    kinds = collections.Counter(kind for kind, _, _ in found.elements())
    assert kinds["derivations"] > 100
    assert kinds["output_index"] > 100
    assert kinds["filtered"] > 100
