"""An observed pipeline is a Beam pipeline, and each of its runs is kept once, however it ends."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

import beam_obs as obs
from beam_obs.store.run_record import RunRecord
from beam_obs.weaving.settings import WEAVE_VERSION

RUNNER = "FnApiRunner"
QUIET = "--obs_report=off"


def latest(name: str) -> RunRecord:
    return obs.Store().find(f"{name}@latest")


def end_of(name: str) -> dict[str, Any]:
    end = latest(name).end
    assert end is not None
    return end


def parse(text: str) -> int:
    return int(text)


def build(pipeline: beam.Pipeline, records: tuple[str, ...] = ("1", "2", "x")) -> Any:
    return pipeline | "read" >> beam.Create(records) | "parse" >> obs.Stage(beam.Map(parse))


def test_a_run_is_kept_with_its_counts_balance_and_dead_letters() -> None:
    with obs.Pipeline(RUNNER, argv=[QUIET, "--obs_sample_rate=1"], name="kept") as p:
        assert isinstance(p, beam.Pipeline)
        assert_that(build(p), equal_to([1, 2]))
    record, end = latest("kept"), end_of("kept")
    (stage,) = end["stages"]
    assert record.status_text == "done, 1 dead"
    assert (stage["in"], stage["out"], stage["dead"], stage["filtered"]) == (3, 2, 1, 0)
    assert stage["latency_us_le"]["inf"] == 3
    assert stage["p50_us"] <= stage["p99_us"]
    assert end["balance"]["holds"] is True
    assert end["balance"]["checked"] == 6
    (kind,) = end["dead_letters"]["by_fingerprint"]
    assert (kind["stage"], kind["error_type"], kind["payload_text"], kind["count"]) == (
        "parse",
        "ValueError",
        "x",
        1,
    )
    assert end["error"] is None


def test_start_says_what_was_run() -> None:
    argv = [QUIET, "--db_password=hunter2", "--job_name=nightly"]
    with obs.Pipeline(RUNNER, argv=argv, name="start") as p:
        build(p)
    start = latest("start").start
    assert start["pipeline"] == "start"
    assert start["runner"] == "FnApiRunner"
    assert start["beam_version"] == beam.__version__
    assert start["weave_version"] == WEAVE_VERSION
    assert start["options"]["db_password"] == "[redacted]"
    assert start["options"]["job_name"] == "nightly"
    assert start["coders"]["parse"]["coder"] == "beam:coder:string_utf8:v1"
    assert start["coders"]["parse"]["kind"] == "Map"
    assert set(start["process"]) == {"host", "machine", "pid", "started"}
    assert start["code"]["version"]


def test_steps_that_are_no_stages_have_beams_own_counts() -> None:
    with obs.Pipeline(RUNNER, argv=[QUIET], name="steps") as p:
        build(p) | "key" >> beam.Map(lambda number: (number % 2, number)) | "sum" >> beam.CombinePerKey(sum)
    steps = {step["label"]: step for step in end_of("steps")["steps"]}
    assert list(steps) == ["read", "parse", "key", "sum"]
    assert (steps["read"]["in"], steps["read"]["out"]) == (None, 3)
    assert (steps["key"]["in"], steps["key"]["out"]) == (2, 2)
    assert (steps["sum"]["in"], steps["sum"]["out"]) == (2, 2)


def test_a_pipeline_with_branches_side_inputs_and_tags_balances() -> None:
    def split(number: int, offsets: list[int]) -> Any:
        yield number + len(offsets)
        if number % 2:
            yield beam.pvalue.TaggedOutput("odd", number)

    with obs.Pipeline(RUNNER, argv=[QUIET], name="branches") as p:
        numbers = build(p, tuple(map(str, range(50))) + ("x",) * 5)
        even = numbers | "even" >> obs.Stage(beam.Filter(lambda number: number % 2 == 0))
        split_up = numbers | "split" >> obs.Stage(
            beam.FlatMap(split, beam.pvalue.AsList(even)).with_outputs("odd", main="all")
        )
        both = (split_up.all, split_up.odd, even) | beam.Flatten()
        shuffled = both | beam.Reshuffle()
        for number in range(3):
            shuffled | f"consumer {number}" >> obs.Stage(beam.Map(lambda value: value))
        p | "nothing" >> beam.Create([]) | "nobody" >> obs.Stage(beam.Map(lambda value: value))
    end = end_of("branches")
    counts = {stage["label"]: (stage["in"], stage["out"]) for stage in end["stages"]}
    assert counts["split"] == (50, 75)
    assert counts["consumer 2"] == (100, 100)
    assert counts["nobody"] == (0, 0)
    assert end["balance"]["broken"] == []
    assert end["balance"]["checked"] > 15


def test_composites_show_the_stages_inside() -> None:
    class Clean(beam.PTransform):
        def expand(self, lines: Any) -> Any:
            return lines | "strip" >> beam.Map(str.strip) | "parse" >> obs.Stage(beam.Map(parse))

    with obs.Pipeline(RUNNER, argv=[QUIET], name="composites") as p:
        p | "read" >> beam.Create([" 1", "x"]) | "clean" >> Clean()
    end = end_of("composites")
    assert [step["label"] for step in end["steps"]] == ["read", "clean/strip", "clean/parse"]
    assert end["balance"]["holds"] is True


def test_each_run_of_a_pipeline_is_a_run_of_its_own() -> None:
    pipeline = obs.Pipeline(RUNNER, argv=[QUIET], name="again")
    build(pipeline)
    for _ in range(2):
        pipeline.run().wait_until_finish()
    first, second = obs.Store().runs("again")
    assert first.id != second.id
    assert [record.refused for record in (first, second)] == [1, 1]


def test_the_name_of_the_command_line_goes_before_the_programs() -> None:
    with obs.Pipeline(RUNNER, argv=[QUIET, "--obs_pipeline=theirs", "--obs_store=there"], name="mine") as p:
        build(p)
    assert obs.Store("there").find("latest").pipeline == "theirs"


@pytest.mark.parametrize("name", ["a/b", "", "..", "x" * 129])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(obs.UsageError, match="cannot be named"):
        obs.Pipeline(RUNNER, name=name)


def test_a_failing_run_keeps_its_error_its_live_counts_and_its_dead_letters() -> None:
    def fail(number: int) -> int:
        raise RuntimeError("no luck with token=hunter2")

    with (
        pytest.raises(RuntimeError, match="no luck"),
        obs.Pipeline(RUNNER, argv=[QUIET], name="failing") as p,
    ):
        build(p) | beam.Reshuffle() | "fail" >> beam.Map(fail)
    record, end = latest("failing"), end_of("failing")
    assert record.status_text == "failed, 1 dead"
    assert "no luck" in end["error"]["message"]
    assert "hunter2" not in json.dumps(end)
    assert end["counts_from"] == "live"
    assert end["stages"][0]["in"] == 3
    assert end["balance"]["holds"] is None
    assert end["dead_letters"]["uncommitted"] == 1
    assert end["dead_letters"]["by_fingerprint"][0]["payload_text"] == "x"


def test_a_pipeline_that_cannot_be_built_is_kept_as_failed() -> None:
    def build_wrongly() -> None:
        with obs.Pipeline(RUNNER, argv=[QUIET], name="unbuilt") as p:
            build(p)
            raise KeyError("no such column")

    with pytest.raises(KeyError):
        build_wrongly()
    end = end_of("unbuilt")
    assert end["status"] == "failed"
    assert end["error"]["type"] == "KeyError"
    assert end["counts_from"] is None


def test_leaving_the_block_by_sys_exit_is_kept_as_cancelled() -> None:
    with pytest.raises(SystemExit), obs.Pipeline(RUNNER, argv=[QUIET], name="exited"):
        raise SystemExit(3)
    assert latest("exited").status == "cancelled"


def test_an_error_after_the_run_leaves_it_done() -> None:
    def fail_afterwards() -> None:
        with obs.Pipeline(RUNNER, argv=[QUIET], name="after") as p:
            build(p)
            p.run()
            raise KeyError

    with pytest.raises(KeyError):
        fail_afterwards()
    assert [record.status for record in obs.Store().runs("after")] == ["done"]


@pytest.mark.parametrize(
    ("rate", "minimum", "status"), [("0.3", "3", "failed"), ("0.4", "3", "done"), ("0", "4", "done")]
)
def test_too_many_refusals_fail_the_run(rate: str, minimum: str, status: str) -> None:
    argv = [QUIET, f"--obs_max_dead_rate={rate}", f"--obs_max_dead_minimum={minimum}"]
    pipeline = obs.Pipeline(RUNNER, argv=argv, name="rate")
    build(pipeline)
    if status == "failed":
        with pytest.raises(obs.DeadRateExceeded) as caught:
            pipeline.run()
        error = caught.value
        assert (error.stage, error.dead, error.taken, error.limit) == ("parse", 1, 3, 0.3)
        assert "33.3%" in str(error)
        assert "ValueError: invalid literal" in str(error)
    else:
        pipeline.run()
    end = end_of("rate")
    assert end["status"] == status
    assert end["dead_letters"]["committed"] == 1


def test_start_says_what_share_each_step_may_refuse() -> None:
    with obs.Pipeline(RUNNER, argv=[QUIET, "--obs_max_dead_minimum=7"], name="limits") as p:
        read = p | "read" >> beam.Create(["1"])
        _ = read | "strict" >> obs.Stage(beam.Map(parse), max_dead_rate=0.01)
        _ = read | "parse" >> obs.Stage(beam.Map(parse))
    start = latest("limits").start
    assert (start["max_dead_rate"], start["max_dead_minimum"]) == (0.5, 7)
    assert start["dead_rates"] == {"strict": {"share": 0.01, "minimum": None}}


def test_half_of_few_records_may_be_refused_by_default() -> None:
    with obs.Pipeline(RUNNER, argv=[QUIET], name="default") as p:
        build(p, ("x",) * 99)
    assert latest("default").status_text == "done, 99 dead"
    with pytest.raises(obs.DeadRateExceeded), obs.Pipeline(RUNNER, argv=[QUIET], name="default") as p:
        build(p, ("x",) * 51 + ("1",) * 49)


def test_a_store_that_cannot_be_written_starts_nothing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    ran = tmp_path / "ran"
    pipeline = obs.Pipeline(RUNNER, argv=[f"--obs_store={tmp_path / 'file'}"])
    pipeline | beam.Create([1]) | beam.Map(lambda _: ran.write_text("yes"))
    with pytest.raises(obs.StoreNotWritable):
        pipeline.run()
    assert not ran.exists()


def test_a_store_out_of_reach_starts_nothing() -> None:
    pipeline = obs.Pipeline("PrismRunner", argv=["--environment_type=DOCKER"], name="reach")
    pipeline | beam.Create([1])
    with pytest.raises(obs.StoreOutOfReach):
        pipeline.run()
    assert obs.Store().runs() == []


def test_the_bundle_based_runner_is_observed_though_beam_runs_a_copy() -> None:
    result = None
    pipeline = obs.Pipeline("BundleBasedDirectRunner", argv=[QUIET], name="copy")
    build(pipeline)
    result = pipeline.run()
    result.wait_until_finish()
    result.wait_until_finish()
    (record,) = obs.Store().runs("copy")
    assert record.status_text == "done, 1 dead"
    assert record.end is not None
    assert record.end["stages"][0]["in"] == 3
    assert record.end["balance"]["holds"] is True


def test_cancelling_a_result_ends_the_run_as_cancelled() -> None:
    pipeline = obs.Pipeline("BundleBasedDirectRunner", argv=[QUIET], name="cancelled")
    build(pipeline)
    result = pipeline.run()
    result.cancel()
    assert [record.status for record in obs.Store().runs("cancelled")] == ["cancelled"]


def test_a_failure_found_by_waiting_ends_the_run_as_failed() -> None:
    pipeline = obs.Pipeline("BundleBasedDirectRunner", argv=[QUIET], name="late")
    build(pipeline) | beam.Map(lambda number: 1 // (number - 1))
    result = pipeline.run()
    with pytest.raises(ZeroDivisionError):
        result.wait_until_finish()
    assert latest("late").status == "failed"


def test_instrument_observes_a_plain_pipeline() -> None:
    with (
        obs.instrument(name="plain", store="there"),
        beam.Pipeline(RUNNER, options=PipelineOptions([QUIET])) as p,
    ):
        build(p)
    assert obs.Store("there").find("plain@latest").status_text == "done, 1 dead"


def observed(store: Any, *argv: str) -> None:
    with obs.Pipeline(RUNNER, argv=[QUIET, *argv], name="kept", store=store) as p:
        build(p)


def instrumented(store: Any, *argv: str) -> None:
    with obs.instrument(name="kept", store=store), beam.Pipeline(RUNNER, argv=[QUIET, *argv]) as p:
        build(p)


BOTH_WAYS = pytest.mark.parametrize("run", [observed, instrumented])


@BOTH_WAYS
@pytest.mark.parametrize("given", ["there", pathlib.Path("there"), obs.Store], ids=str)
def test_a_run_is_kept_in_the_store_that_the_program_names(run: Any, given: Any) -> None:
    run(obs.Store("there") if given is obs.Store else given)
    assert len(obs.Store("there").runs("kept")) == 1
    assert obs.Store().runs() == []


@BOTH_WAYS
def test_the_option_goes_before_the_program_and_the_program_before_the_variable(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pathlib.Path("beam_obs.toml").write_text('store = "of the file"\n')
    run(None)
    monkeypatch.setenv("BEAM_OBS_STORE", "of the variable")
    run(None)
    run("of the program")
    run("of the program", "--obs_store=of the option")
    for store in ("of the file", "of the variable", "of the program", "of the option"):
        assert len(obs.Store(store).runs("kept")) == 1


@BOTH_WAYS
@pytest.mark.parametrize("given", [3, "", " ", b"there"], ids=repr)
def test_what_is_no_store_is_refused_where_it_is_given(run: Any, given: Any) -> None:
    with pytest.raises(obs.UsageError, match=f"store={given!r}: give a path, e.g. 'gs://bucket/runs'"):
        run(given)


def test_a_pipeline_of_ours_is_not_in_the_store_of_instrument() -> None:
    with obs.instrument(name="outer", store="outer"):
        observed("inner")
        observed(None)
    assert obs.Store("outer").runs() == []
    assert len(obs.Store("inner").runs()) == len(obs.Store().runs()) == 1


def test_instrument_observes_a_test_pipeline_with_beams_own_counts() -> None:
    with obs.instrument(name="tested"), TestPipeline(RUNNER, options=PipelineOptions([QUIET])) as p:
        build(p)
    (record,) = obs.Store().runs("tested")
    assert record.status_text == "done, 1 dead"
    assert record.end is not None
    assert record.end["balance"]["checked"] == 5


def test_instrument_and_an_observed_pipeline_do_not_observe_twice() -> None:
    with obs.instrument(name="outer"), obs.Pipeline(RUNNER, argv=[QUIET], name="inner") as p:
        build(p)
    assert [record.pipeline for record in obs.Store().runs()] == ["inner"]


def test_instrument_ends_when_it_is_uninstalled() -> None:
    original = beam.Pipeline.run
    outer = obs.instrument(name="outer")
    inner = obs.instrument(name="inner")
    inner.uninstall()
    with beam.Pipeline(RUNNER, argv=[QUIET]) as p:
        build(p)
    outer.uninstall()
    outer.uninstall()
    assert beam.Pipeline.run is original
    with beam.Pipeline(RUNNER) as p:
        p | beam.Create([1])
    assert [record.pipeline for record in obs.Store().runs()] == ["outer"]


def test_pipelines_of_several_threads_are_runs_of_their_own() -> None:
    import concurrent.futures

    def run(number: int) -> None:
        with obs.Pipeline(RUNNER, argv=[QUIET], name=f"thread-{number}") as p:
            build(p, ("x",) * number)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(run, range(1, 5)))
    assert {record.pipeline: record.refused for record in obs.Store().runs()} == {
        f"thread-{number}": number for number in range(1, 5)
    }


def test_a_run_without_bad_records_and_without_lineage_leaves_its_start_and_its_end() -> None:
    with obs.Pipeline(RUNNER, argv=[QUIET, "--obs_lineage=off"], name="clean") as p:
        build(p, ("1", "2"))
    folder = pathlib.Path(".beam_obs") / latest("clean").folder
    assert sorted(path.name for path in folder.iterdir()) == ["end.json", "start.json"]
