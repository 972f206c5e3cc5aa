"""Dead letters are given to their stage again by the program that is run, once each."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import textwrap

import pytest

import beam_obs as obs
import beam_obs.lineage as lineage
from beam_obs.dead_letters.letter_snapshot import read_letters
from beam_obs.lineage.readable_files import ReadableFiles
from beam_obs.store.erasure import erase
from beam_obs.store.person import Person
from beam_obs.store.store import Store
from beam_obs.web.pages.record_page import record_at_page
from beam_obs.web.stored_runs import StoredRuns
from tests import programs
from tests.shared_runs import made_once

PROGRAM = """
    import argparse, os, signal
    import apache_beam as beam
    import beam_obs as obs
    from apache_beam.options.pipeline_options import PipelineOptions

    def parse(line, rates, knows):
        if os.environ.get("KILLED_AT") == line["fare"]:
            os.kill(os.getpid(), signal.SIGKILL)
        fare = {"cheap": "1"}.get(line["fare"], line["fare"]) if "cheap" in knows else line["fare"]
        return {"city": line["city"], "fare": float(fare) * rates["EUR"]}

    def per_rider(trip, knows):
        if trip["fare"] == 0 and "zero" in knows:
            return trip | {"riders": 0}
        return trip | {"riders": 10 / trip["fare"]}

    class Enrich(beam.PTransform):
        def __init__(self, knows):
            super().__init__()
            self.knows = knows

        def expand(self, trips):
            return trips | "riders" >> beam.Map(per_rider, self.knows)

    def main():
        parser = argparse.ArgumentParser()
        parser.add_argument("--output", default="out")
        parser.add_argument("--knows", default="")
        given, rest = parser.parse_known_args()
        options = PipelineOptions(["--runner=FnApiRunner", *rest])
        with obs.Pipeline(options=options, name="fares") as p:
            rates = p | "rates" >> beam.Create([("EUR", 2)])
            lines = p | obs.ReadFromCsv("fares.csv")
            _ = lines | "copy" >> obs.WriteToJson(f"{given.output}-copy", ".jsonl")
            trips = lines | "parse" >> obs.Stage(beam.Map(parse, beam.pvalue.AsDict(rates), given.knows))
            rich = trips | "enrich" >> obs.Stage(Enrich(given.knows))
            more = p | "more" >> beam.Create([{"city": "ulm", "fare": 1.0, "riders": 10}])
            all_ = (rich, more) | beam.Flatten()
            _ = all_ | "write" >> obs.WriteToJson(given.output, ".jsonl", num_shards=1)
            pairs = rich | beam.Map(lambda trip: (trip["city"], trip["fare"]))
            sums = pairs | "sum" >> beam.CombinePerKey(sum)
            _ = sums | beam.Map(str) | "sums" >> beam.io.WriteToText(f"{given.output}-sums", num_shards=1)

    if __name__ == "__main__":
        main()
"""
FARES = "city,fare\nrome,12.5\nparis,cheap\noslo,0\nbonn,7\nbern,dear\nlyon,x,y\n"


def told_of(fate: lineage.Fate) -> tuple[str, list[str], list[str]]:
    """Its run, and the labels of sinks that have the record and of stages that refused it."""
    assert fate.run is not None
    assert fate.into is not None
    written = [one.sink for one in fate.into.written]
    return fate.run.id, written, [one.stage for one in fate.into.dead_letters]


@pytest.fixture
def refused(tmp_path_factory: pytest.TempPathFactory) -> obs.RunRecord:
    """A run that has refused two records at a stage, one in a composite and one as it was read."""

    def make(folder: pathlib.Path) -> None:
        (folder / "fares.csv").write_text(FARES)
        (folder / "program.py").write_text(textwrap.dedent(PROGRAM))
        done = programs.run(["program.py", "--obs_report=off"], cwd=folder)
        assert done.returncode == 0, done.stderr

    shutil.copytree(made_once(tmp_path_factory, "refused-fares", make), ".", dirs_exist_ok=True)
    record = obs.Store().find("latest")
    assert record.status_text == "done, 4 dead"
    return record


def replay(
    run: str, *options: str, arguments: tuple[str, ...] = (), program: str = "program.py", code: int = 0
) -> subprocess.CompletedProcess[str]:
    command = ["-m", "beam_obs.cli", "dead-letters", "replay", run, "--program", program, *options]
    output = f"--output=other{obs.Store().count()}"
    done = programs.run([*command, "--", "--obs_report=off", output, *arguments])
    assert done.returncode == code, done.stdout + done.stderr
    return done


def records(prefix: str) -> list[dict[str, object]]:
    return [
        json.loads(line)
        for file in sorted(pathlib.Path().glob(f"{prefix}-0*.jsonl"))
        for line in file.read_text().splitlines()
    ]


def letters(run: str = "latest") -> list[obs.DeadLetter]:
    return sorted(obs.read_dead_letters(run), key=lambda letter: letter.payload_text)


@pytest.mark.slow
def test_letters_go_through_their_stage_and_all_behind_it(refused: obs.RunRecord) -> None:
    done = replay("latest", arguments=("--knows=cheap,zero", "--output=again"))
    record = obs.Store().find("latest")
    assert (record.pipeline, record.start["parent_run"]) == ("fares", refused.id)
    assert record.status_text == "done, 1 dead"
    assert f"({record.status_text}) replayed 3 dead letters of run {refused.id[:13]}" in done.stdout
    assert "1 letter not replayed: 'ReadFromCsv' refused them as it read them" in done.stderr
    assert sorted(str(one["city"]) for one in records("again")) == ["oslo", "paris"]
    sums = pathlib.Path("again-sums-00000-of-00001").read_text().splitlines()
    assert sorted(sums) == ["('oslo', 0.0)", "('paris', 2.0)"]
    assert record.end is not None
    assert record.end["balance"]["holds"]
    # What is upstream or beside does not come again.
    assert list(pathlib.Path().glob("again-copy*")) == []
    steps = {step["label"] for step in record.end["steps"]}
    assert "parse" in steps
    assert steps.isdisjoint({"ReadFromCsv", "copy", "more"})


@pytest.mark.slow
def test_a_letter_refused_again_is_the_next_attempt(refused: obs.RunRecord) -> None:
    before = {letter.payload_text: letter for letter in letters(refused.id)}
    replay("latest")
    for letter in letters():
        first = before[letter.payload_text]
        assert (letter.attempt, letter.root_id) == (2, first.id)
        assert letter.first_failed_at == first.failed_at < letter.failed_at
        assert (letter.origin, letter.key) == (first.origin, first.key)
        assert (letter.source_uri, letter.position) == (first.source_uri, first.position)
    # Each of them once.
    runs = obs.Store().count()
    done = replay(refused.id, code=1)
    assert "3 letters not replayed: replayed: its replay" in done.stderr
    assert "no dead letter that is asked for can be replayed" in done.stderr
    assert obs.Store().count() == runs
    # A replay of the replay is of the same source records.
    replay("latest", arguments=("--knows=cheap,zero", "--output=again"))
    (paris,) = (at for at, one in enumerate(records("again"), 1) if one["city"] == "paris")
    answer = lineage.why(f"again-00000-of-00001.jsonl:{paris}")
    assert answer.run is not None
    assert (answer.run.id, answer.certainty.kind) == (obs.Store().find("latest").id, "complete")
    (source,) = answer.made_of
    assert isinstance(source, lineage.FromSource)
    assert (source.record.text, source.record.line) == ("paris,cheap", 3)
    (of_sum,) = lineage.why("again-sums-00000-of-00001:1").made_of
    assert isinstance(of_sum, lineage.FromSource)
    assert of_sum.record.line in (3, 4)
    # What became of a record is told over all runs, from each of them.
    third, second = (one.id for one in obs.Store().runs()[:2])
    fares = str(next(iter(before.values())).source_uri)
    whole = lineage.fate(f"{fares}:3")
    assert (told_of(whole), [*map(told_of, whole.replays)]) == (
        (refused.id, ["copy"], ["parse"]),
        [(second, [], ["parse"]), (third, ["sums", "write"], [])],
    )
    assert whole.into is not None
    of_origin = lineage.fate(whole.into.origin.hex())
    assert (of_origin.run, len(of_origin.replays)) == (whole.run, 2)
    last = lineage.fate(f"{fares}:3", run=third)
    assert [*map(told_of, (*last.before, last))] == [*map(told_of, (whole, *whole.replays))]
    assert [one.certainty.kind for one in (whole, *whole.replays)] == ["complete"] * 3
    # One that went well is of the run that read it alone.
    rome = lineage.fate(f"{fares}:2")
    assert (told_of(rome), rome.replays) == ((refused.id, ["copy", "sums", "write"], []), ())
    assert rome.into is not None
    assert told_of(lineage.fate(rome.into.origin.hex())) == told_of(rome)
    elsewhere = lineage.fate(rome.into.origin.hex(), run=third).into
    assert elsewhere is not None
    assert elsewhere.end == "not among the records that this run replayed"
    page = record_at_page(
        StoredRuns(obs.Store()), {"at": f"{fares}:3"}, ReadableFiles([str(pathlib.Path(fares).parent)])
    ).values
    assert [one["fate"].run.id for one in page["elsewhere"]] == [second, third]
    # A person is erased from what was replayed, too.
    snapshot, _ = sorted(pathlib.Path(".beam_obs").glob("runs/*/*/replayed.avro"))
    assert b"bern" in b"".join(letter.payload for letter in read_letters(str(snapshot)))
    counts = erase(Store(), Person("city", "bern")).counts
    assert counts["dead letters that were replayed"] == 2
    assert len(list(read_letters(str(snapshot)))) == 2
    assert b"bern" not in b"".join(letter.payload for letter in read_letters(str(snapshot)))


@pytest.mark.slow
def test_a_letter_that_is_refused_again_and_again_is_parked_until_it_is_reset(refused: obs.RunRecord) -> None:
    replay("latest", "--stage=enrich")
    replay("latest", "--max-attempts=3")
    (letter,) = letters()
    assert letter.attempt == 3
    show = ["-m", "beam_obs.cli", "dead-letters", "show"]
    told = programs.run([*show, letter.root_id])
    assert [line[23:].partition("  ")[0] for line in told.stdout.partition("life\n")[2].splitlines()[:5]] == [
        "refused by enrich/Enrich/riders",
        "replayed by a run that is done",
        "refused again by enrich/Enrich/riders",
        "replayed by a run that is done",
        "refused again by enrich/Enrich/riders",
    ]
    assert json.loads(programs.run([*show, letter.id, "--json"]).stdout)["state"] == "parked"
    done = replay("latest", code=1)
    assert "1 letter not replayed: parked: 3 runs have tried it, of 3" in done.stderr
    reset = programs.run(["-m", "beam_obs.cli", "dead-letters", "reset", letter.id])
    assert (reset.returncode, "is new again" in reset.stdout) == (0, True)
    replay("latest", arguments=("--knows=zero", "--output=again"))
    assert [one["city"] for one in records("again")] == ["oslo"]


def test_a_dry_run_does_nothing_and_says_what_would_be_done(refused: obs.RunRecord) -> None:
    done = replay("latest", "--dry-run", "--json", "--error=ValueError")
    assert json.loads(done.stdout) == {
        "run": refused.id,
        "pipeline": "fares",
        "stages": {"parse": 2},
        "not_replayed": {},
        "aggregates": ["sum"],
        "side_inputs": [],
        "merges": ["Flatten"],
        "left_out": [],
    }
    assert [one.id for one in obs.Store().runs()] == [refused.id]
    assert not pathlib.Path(".beam_obs/dead_letters").exists()


@pytest.mark.slow
def test_what_is_asked_for_is_replayed_and_no_more(refused: obs.RunRecord) -> None:
    replay("latest", "--text=paris", arguments=("--knows=cheap", "--output=again"))
    assert [one["city"] for one in records("again")] == ["paris"]
    replay(refused.id, "--stage=parse", "--limit=1")
    assert [letter.payload_text for letter in letters()] == ['{"city": "bern", "fare": "dear"}']
    oslo = next(letter for letter in letters(refused.id) if "oslo" in letter.payload_text)
    done = replay(refused.id, f"--fingerprint={oslo.fingerprint[:8]}", "--dry-run", "--json")
    assert json.loads(done.stdout)["stages"] == {oslo.stage: 1}


def test_a_replay_that_is_killed_is_started_again(
    refused: obs.RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILLED_AT", "dear")
    arguments = ("--knows=cheap,zero", "--output=again")
    replay(refused.id, arguments=arguments, code=-9)
    assert obs.Store().find("latest").status == "lost"
    assert records("again") == []
    monkeypatch.delenv("KILLED_AT")
    replay(refused.id, arguments=arguments)
    assert sorted(str(one["city"]) for one in records("again")) == ["oslo", "paris"]
    assert [letter.attempt for letter in letters()] == [2]


@pytest.mark.slow
def test_of_replays_at_once_one_has_each_letter(refused: obs.RunRecord) -> None:
    command = [
        "-m",
        "beam_obs.cli",
        "dead-letters",
        "replay",
        refused.id,
        "--program",
        "program.py",
        "--json",
    ]
    both = [
        programs.Program(
            [*command, "--", "--obs_report=off", "--knows=cheap,zero", f"--output=again{number}"]
        )
        for number in range(2)
    ]
    outputs = [(*one.communicate(120), one.wait()) for one in both]
    taken = sum(json.loads(output)["letters"] for output, _, code in outputs if code == 0)
    assert taken == 3, outputs
    assert sorted(str(one["city"]) for one in (*records("again0"), *records("again1"))) == ["oslo", "paris"]


def test_bytes_of_another_coder_are_not_read(refused: obs.RunRecord) -> None:
    other = textwrap.dedent(PROGRAM).replace('obs.ReadFromCsv("fares.csv")', 'beam.Create(["rome"])')
    pathlib.Path("other.py").write_text(
        other.replace('"copy" >> obs.WriteToJson', '"copy" >> obs.WriteToText')
    )
    done = replay("latest", program="other.py", code=1)
    assert "stage 'parse': the run encoded by python:MapCoder(" in done.stderr
    assert "the program has beam:coder:string_utf8:v1. Nothing is replayed" in done.stderr
    assert obs.Store().count() == 1


@pytest.mark.slow
def test_what_is_not_whole_is_counted_and_said() -> None:
    pathlib.Path("fares.csv").write_text(FARES)
    pathlib.Path("program.py").write_text(textwrap.dedent(PROGRAM))
    assert programs.run(["program.py", "--obs_report=off", "--obs_redact=fare"]).returncode == 0
    done = replay("latest", code=1)
    assert "4 letters not replayed: redacted: they hold not the whole record" in done.stderr


def test_a_program_without_the_stage_replays_nothing(refused: obs.RunRecord) -> None:
    other = (
        textwrap.dedent(PROGRAM).replace('"parse" >>', '"parsed" >>').replace('"enrich" >>', '"enriched" >>')
    )
    pathlib.Path("other.py").write_text(other)
    done = replay("latest", "--stage=parse", program="other.py", code=1)
    assert "other.py has run no pipeline with 'parse': nothing was replayed" in done.stderr
    assert obs.Store().count() == 1


@pytest.mark.slow
def test_files_of_the_run_are_replaced_only_where_it_is_said(refused: obs.RunRecord) -> None:
    done = replay("latest", arguments=("--output=out",), code=1)
    assert f"'write' would write to out, where run {refused.id} has written" in done.stderr
    assert obs.Store().count() == 1
    assert "would be replayed" in replay("latest", "--replace-files", "--dry-run").stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--program=nowhere.py",), "no program 'nowhere.py'"),
        ((), "Missing option '--program'"),
        (("--program=program.py", "--max-attempts=1"), "Invalid value for '--max-attempts'"),
    ],
)
def test_wrong_usage_is_refused(options: tuple[str, ...], message: str) -> None:
    pathlib.Path(".beam_obs/runs").mkdir(parents=True)
    done = programs.run(["-m", "beam_obs.cli", "dead-letters", "replay", "latest", *options])
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


PICKLED = """
    import os
    import apache_beam as beam
    import beam_obs as obs

    class Fare:
        def __init__(self, amount):
            self.amount = amount

    def parse(fare):
        return float(fare.amount if "FIXED" not in os.environ else 1)

    with obs.Pipeline(argv=["--runner=FnApiRunner", "--obs_report=off"], name="pickled") as p:
        fares = p | beam.Create(["x"]) | beam.Map(Fare)
        fares | "parse" >> obs.Stage(beam.Map(parse)) | beam.Map(str) | beam.io.WriteToText("parsed")
"""


@pytest.mark.slow
def test_pickles_are_read_only_where_a_person_trusts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    pathlib.Path("program.py").write_text(textwrap.dedent(PICKLED))
    assert programs.run(["program.py"]).returncode == 0
    monkeypatch.setenv("FIXED", "1")
    done = replay("latest", code=1)
    assert "1 letter not replayed: " in done.stderr
    assert "--trust-pickles lets it" in done.stderr
    replay("latest", "--trust-pickles")
    assert pathlib.Path("parsed-00000-of-00001").read_text() == "1.0\n"


@pytest.mark.slow
def test_a_replay_that_fails_says_so_and_its_letters_are_new(refused: obs.RunRecord) -> None:
    text = pathlib.Path("program.py").read_text()
    pathlib.Path("other.py").write_text(text.replace('beam.Map(str) | "sums"', 'beam.Map(int) | "sums"'))
    done = replay("latest", program="other.py", arguments=("--knows=cheap",), code=1)
    failed = obs.Store().find("latest")
    assert failed.status.startswith("failed")
    assert (
        f"run {failed.id[:13]} (failed, 2 dead) was to replay 3 dead letters of run {refused.id[:13]}"
        in done.stdout
    )
    # What it refused is what it took, which would come twice.
    assert f"Replay those of run {refused.id}" in replay("latest", code=1).stderr
    replay(refused.id, "--stage=parse", arguments=("--knows=cheap", "--output=again"))
    assert [one["city"] for one in records("again")] == ["paris"]


WINDOWED = """
    import os
    import apache_beam as beam
    import beam_obs as obs

    def parse(text):
        return int(text if "FIXED" not in os.environ else text.strip("?"))

    class Tell(beam.DoFn):
        def process(self, number, time=beam.DoFn.TimestampParam, window=beam.DoFn.WindowParam):
            yield f"{number} at {int(time)} in {int(window.start)} to {int(window.end)}"

    with obs.Pipeline(os.environ["RUNNER"], argv=["--obs_report=off"], name="windowed") as p:
        (
            p
            | beam.Create([("1", 5), ("2?", 65), ("3?", 125)])
            | beam.MapTuple(lambda text, time: beam.window.TimestampedValue(text, time))
            | beam.WindowInto(beam.window.SlidingWindows(60, 30))
            | "parse" >> obs.Stage(beam.Map(parse))
            | beam.ParDo(Tell())
            | beam.io.WriteToText("told", num_shards=1)
        )
"""


@pytest.mark.parametrize("runner", ["FnApiRunner", "BundleBasedDirectRunner"])
@pytest.mark.slow
def test_records_come_at_their_time_and_in_their_windows(
    runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNER", runner)
    pathlib.Path("program.py").write_text(textwrap.dedent(WINDOWED))
    assert programs.run(["program.py"]).returncode == 0
    assert len(letters()) == 4
    monkeypatch.setenv("FIXED", "1")
    command = ["-m", "beam_obs.cli", "dead-letters", "replay", "latest", "--program", "program"]
    done = programs.run(command)
    assert done.returncode == 0, done.stderr
    assert sorted(pathlib.Path("told-00000-of-00001").read_text().splitlines()) == [
        "2 at 65 in 30 to 90",
        "2 at 65 in 60 to 120",
        "3 at 125 in 120 to 180",
        "3 at 125 in 90 to 150",
    ]


LATE = """
    import sys
    import apache_beam as beam
    import beam_obs as obs
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.transforms.window import FixedWindows
    from tests.stages.late_stream import stream

    with obs.Pipeline(options=PipelineOptions(sys.argv[1:]), name="late") as p:
        sums = p | stream() | "windows" >> obs.WindowInto(FixedWindows(10)) | beam.CombinePerKey(sum)
        sums | beam.Map(lambda pair, window=beam.DoFn.WindowParam: print(pair, window))
"""


@pytest.mark.slow
def test_late_records_are_replayed_into_their_windows() -> None:
    pathlib.Path("late.py").write_text(textwrap.dedent(LATE))
    arguments = ("--streaming", "--runner=BundleBasedDirectRunner", "--obs_report=off")
    assert programs.run(["late.py", *arguments]).returncode == 0

    done = replay("latest", arguments=("--runner=FnApiRunner",), program="late.py")

    lines = done.stdout.splitlines()
    assert sorted(lines)[:3] == ["('a', 1) [0.0, 10.0)", "('a', 4) [20.0, 30.0)", "('b', 6) [30.0, 40.0)"]
    assert obs.Store().find("latest").status_text == "done"
