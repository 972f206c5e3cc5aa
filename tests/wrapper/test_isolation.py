"""The code of a stage in a process of its own: what hangs or ends the interpreter is one dead letter."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.pvalue import AsList, TaggedOutput
from apache_beam.transforms.window import TimestampedValue

import beam_obs as obs
from beam_obs.wrapper import isolation
from tests import programs
from tests.patience import wait_until
from tests.running import Outcome, observed, run, through
from tests.wrapper.test_retrying import Batched, Finalizing, Stateful

SEEN = obs.counter("isolated_seen")
SIZES = obs.histogram("isolated_sizes", buckets=[1, 10])


class OwnError(Exception):
    """Takes two arguments, so that it cannot be unpickled."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)
        self.two = two


def dangerous(element: str) -> str:
    """Does what its element says."""
    SEEN.inc()
    SIZES.observe(len(element))
    Metrics.counter("test", "seen").inc()
    Metrics.distribution("test", "sizes").update(len(element))
    if element == "hang":
        time.sleep(600)
    elif element == "regex":
        re.match(r"(a+)+$", "a" * 40 + "b")  # holds the interpreter
    elif element == "abort":
        os.abort()
    elif element == "exit":
        os._exit(3)
    elif element == "sys.exit":
        sys.exit("enough")
    elif element == "segfault":
        ctypes.string_at(0)
    elif element == "memory":
        held = []
        while True:
            held.append(bytearray(100_000_000))
    elif element == "value error":
        raise ValueError("as usual")
    elif element == "own error":
        raise OwnError("mine", "more")
    elif element == "log":
        logging.getLogger("tests.isolated").warning("logged of %s", element)
    return element.upper()


@pytest.fixture(autouse=True)
def processes(monkeypatch: pytest.MonkeyPatch) -> list[programs.Program]:
    """Forks the processes of stages that run in this one, as all programs of tests are, and gives them.

    Those of programs below are Pythons of their own.
    """
    started: list[programs.Program] = []

    def start(*command: Any, **given: Any) -> programs.Program:
        started.append(programs.forked(*command, **given))
        return started[-1]

    stand_in = types.SimpleNamespace(Popen=start, DEVNULL=None, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(isolation, "subprocess", stand_in)
    return started


def isolated(elements: list[Any], transform: Any, **arguments: Any) -> Outcome:
    return through(elements, transform, isolate=True, **arguments)


def _serves(process: int) -> bool:
    try:
        return b"isolated_process" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.slow
def test_elements_that_hang_kill_or_fill_are_a_dead_letter_each_and_the_rest_goes_on(
    processes: list[programs.Program],
) -> None:
    bad = ["hang", "regex", "abort", "exit", "sys.exit", "segfault", "memory", "value error"]
    mixed = [word for number, one in enumerate(bad) for word in (f"good{number}", one)] + ["last"]

    outcome = isolated(mixed, beam.Map(dangerous), timeout=4, memory=300_000_000)

    assert outcome.values() == sorted([*(f"GOOD{number}" for number in range(len(bad))), "LAST"])
    assert {letter.payload_text: letter.error_type for letter in outcome.letters} == {
        "hang": "beam_obs.ElementTimeout",
        "regex": "beam_obs.ElementTimeout",
        "abort": "beam_obs.ElementKilledProcess",
        "exit": "beam_obs.ElementKilledProcess",
        "sys.exit": "beam_obs.ElementKilledProcess",
        "segfault": "beam_obs.ElementKilledProcess",
        "memory": "beam_obs.ElementOutOfMemory",
        "value error": "ValueError",
    }
    said = {letter.payload_text: letter.error_message for letter in outcome.letters}
    assert said["hang"] == "stage 'step': an element was not done within the 4 s of timeout="
    assert said["abort"] == "stage 'step': the process of an element was ended by SIGABRT"
    assert said["exit"] == "stage 'step': the process of an element ended with exit code 3"
    assert said["sys.exit"] == "stage 'step': the process of an element raised SystemExit: enough"
    stacks = {letter.payload_text: letter.traceback for letter in outcome.letters}
    assert "in dangerous\n    time.sleep(600)\nbeam_obs.ElementTimeout: stage" in stacks["hang"]
    assert 'in dangerous\n    re.match(r"(a+)+$"' in stacks["regex"]
    counts = outcome.counts()
    assert (counts.in_, counts.out, counts.dead) == (17, 9, 8)
    assert len(processes) > 7
    assert all(process.returncode is not None for process in processes)


def test_errors_are_those_of_the_same_code_without_a_process() -> None:
    elements = ["value error", "own error"]
    there = isolated(elements, beam.Map(dangerous))
    here = through(elements, beam.Map(dangerous))

    told = [
        [(one.error_type, one.error_message, one.fingerprint, one.traceback) for one in outcome.letters]
        for outcome in (there, here)
    ]
    assert told[0] == told[1]


def counters(outcome: Outcome, name: str) -> Any:
    (found,) = outcome.result.metrics().query(MetricsFilter().with_name(name))["counters"]
    return found.committed


def test_counts_and_instruments_of_the_process_count_in_the_step() -> None:
    elements = ["a", "value error", "bb", "abort", "ccc"]

    outcome = isolated(elements, beam.Map(dangerous))

    assert counters(outcome, "seen") == 4, "all but that of the element that ended the process"
    assert counters(outcome, "isolated_seen_total") == 4
    (sizes,) = outcome.result.metrics().query(MetricsFilter().with_name("sizes"))["distributions"]
    assert (sizes.committed.count, sizes.committed.max) == (4, len("value error"))
    buckets = outcome.result.metrics().query(MetricsFilter().with_namespace("instruments"))["counters"]
    found = {one.key.metric.name: one.committed for one in buckets}
    assert {name: count for name, count in found.items() if "bucket" in name and "+Inf" in name} == {
        next(name for name in found if "+Inf" in name): 4
    }


def test_log_records_of_the_process_are_those_of_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    isolated(["log"], beam.Map(dangerous))

    (record,) = [one for one in caplog.records if one.name == "tests.isolated"]
    assert (record.getMessage(), record.levelname) == ("logged of log", "WARNING")
    assert record.process != os.getpid()


class Everything(beam.DoFn):
    """Uses what a DoFn may use, within a process."""

    def setup(self) -> None:
        self.bundles = 0
        self.started_in = os.getpid()

    def start_bundle(self) -> None:
        self.bundles += 1

    def process(
        self,
        element: Any,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
        more: int = 0,
        words: Any = (),
    ) -> Iterator[Any]:
        assert self.started_in == os.getpid()
        assert self.bundles >= 1
        yield TimestampedValue((element, more, sorted(words), str(window)), 5)
        yield TaggedOutput("micros", timestamp.micros)


def everything(**arguments: Any) -> Callable[[Any], Any]:
    def build(p: Any) -> Any:
        words = p | "words" >> beam.Create(["x", "y"])
        pardo = beam.ParDo(Everything(), more=7, words=AsList(words)).with_outputs("micros", main="main")
        return p | beam.Create([1, 2]) | observed(pardo, **arguments)

    return build


def test_what_a_dofn_may_use_it_may_use_in_a_process_too() -> None:
    assert run(everything(isolate=True)).emitted == run(everything()).emitted


@pytest.mark.parametrize(
    "transform",
    [
        lambda: beam.Filter(lambda word: len(word) > 1),
        lambda: beam.FlatMap(lambda word: iter(word)),
        lambda: beam.ParDo(_Yields()),
    ],
)
def test_kinds_of_steps_give_what_they_give_without(transform: Callable[[], Any]) -> None:
    elements = ["a", "bb", "ccc"]
    assert isolated(elements, transform()).emitted == through(elements, transform()).emitted


class _Yields(beam.DoFn):
    def process(self, word: str) -> Iterator[str]:
        yield from word


def test_pairs_are_taken_apart() -> None:
    assert isolated(
        [(1, 2)], beam.MapTuple(lambda one, two, three=0: one + two + three, three=3)
    ).values() == [6]


def test_the_origin_of_the_element_is_known_in_the_process(tmp_path: Path) -> None:
    with obs.Pipeline("FnApiRunner", name="isolated", store=str(tmp_path)) as p:
        stage = obs.Stage(beam.Map(_with_origin), isolate=True)
        pairs = p | beam.Create(["a", "b"]) | "step" >> stage
        _ = pairs | "here" >> beam.Map(_same_origin)
    assert obs.Store(str(tmp_path)).find("latest").end["status"] == "done"


def _with_origin(element: str) -> tuple[str, bytes | None]:
    return element, obs.current_origin()


def _same_origin(pair: tuple[str, bytes | None]) -> None:
    assert pair[1] is not None
    assert pair[1] == obs.current_origin()


def hangs_once(element: Path) -> str:
    if not element.exists():
        element.touch()
        time.sleep(600)
    return "done"


@pytest.mark.slow
def test_an_isolated_step_may_be_tried_again(tmp_path: Path) -> None:
    retry = obs.Retry(on=[ConnectionError, obs.ElementTimeout], attempts=2, backoff=0.01)
    outcome = isolated([tmp_path / "a"], beam.Map(hangs_once), retry=retry, timeout=2)

    assert outcome.values() == ["done"]
    assert outcome.counts().retried == 1


class FailsInSetup(beam.DoFn):
    def setup(self) -> None:
        raise ValueError("no model")

    def process(self, element: Any) -> Iterator[Any]:
        yield element


class EndsInSetup(FailsInSetup):
    def setup(self) -> None:
        os._exit(9)


@pytest.mark.parametrize(
    ("dofn", "said"),
    [(FailsInSetup(), "ValueError: no model"), (EndsInSetup(), "its process ended with exit code 9")],
)
def test_a_process_that_cannot_be_set_up_fails_the_bundle(
    dofn: beam.DoFn, said: str, processes: list[programs.Program]
) -> None:
    with pytest.raises(Exception, match=f"stage 'step': its process cannot be started: {said}"):
        isolated([1], beam.ParDo(dofn))
    assert processes
    assert all(process.returncode is not None for process in processes)


PROGRAM = """
import time
import apache_beam as beam
import beam_obs as obs

class Row:
    def __init__(self, number):
        self.number = number

def work(row):
    assert isinstance(row, Row)
    if row.number == 3:
        print("hangs", flush=True)
        {hangs}
    return Row(row.number + 1)

with beam.Pipeline("FnApiRunner") as p:
    rows = p | beam.Create([1, 2, 3]) | beam.Map(Row)
    more = rows | "step" >> obs.Stage(beam.Map(work), isolate=True)
    _ = more | beam.Map(lambda row: print(type(row) is Row, row.number))
"""


@pytest.mark.slow
def test_records_of_classes_of_the_program_itself_go_there_and_back(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(hangs="pass"), encoding="utf-8")

    done = programs.run([str(program)], timeout=120)

    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["True 2", "True 3", "True 4", "hangs"]


@pytest.mark.parametrize("hangs", ["time.sleep(600)", 'import re; re.match("(a+)+$", "a" * 40 + "b")'])
@pytest.mark.slow
def test_a_process_ends_when_its_worker_is_killed(hangs: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(hangs=hangs), encoding="utf-8")
    read, write = os.pipe()
    with os.fdopen(read) as printed:
        worker = programs.Program([str(program)], output=write)
        os.close(write)
        assert "hangs\n" in iter(printed.readline, "")
        tasks = Path(f"/proc/{worker.pid}/task").glob("*/children")
        started = [int(number) for task in tasks for number in task.read_text().split()]
        serving = [one for one in started if _serves(one)]
        assert len(serving) == 1
        os.kill(worker.pid, signal.SIGKILL)
    wait_until("over", lambda: not _serves(serving[0]))


class Gathering(beam.DoFn):
    def process(self, element: Any) -> Iterator[Any]:
        yield element

    def finish_bundle(self) -> None:
        pass


CONTEXT = beam.DoFn.SetupContextParam(open)


class WithContext(beam.DoFn):
    def process(self, element: Any, context: Any = CONTEXT) -> Iterator[Any]:
        yield element


@pytest.mark.parametrize(
    ("dofn", "said"),
    [
        (Stateful(), "it has state or timers"),
        (Finalizing(), "it registers with the end of the bundle"),
        (Gathering(), "it has a finish_bundle"),
        (WithContext(), "it has a context"),
        (Batched(), "it takes batches"),
    ],
)
def test_what_cannot_be_isolated_is_refused_when_built(dofn: beam.DoFn, said: str) -> None:
    p = beam.Pipeline("FnApiRunner")
    pairs = p | beam.Create([(1, 2)])
    pardo = beam.ParDo(dofn)
    if isinstance(dofn, Batched):
        pairs = p | "ints" >> beam.Create([1]).with_output_types(int)
        pardo = pardo.with_input_types(int).with_output_types(int)
    with pytest.raises(obs.UsageError, match=f"obs.Stage 'step' .* cannot have isolate=True.*: {said}"):
        _ = pairs | "step" >> obs.Stage(pardo, isolate=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"timeout": 0}, "timeout=0: give the seconds"),
        ({"timeout": "5"}, "timeout='5': give seconds"),
        ({"memory": 1.5}, "a whole number"),
        ({"isolate": "yes"}, "give True or False"),
        ({"timeout": 5, "partial": True}, "as a whole"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(obs.UsageError, match=said):
        obs.Stage(beam.Map(int), **arguments)


def test_a_composite_is_refused() -> None:
    p = beam.Pipeline("FnApiRunner")
    composite = beam.Map(int) | beam.Map(str)
    with pytest.raises(obs.UsageError, match="it is a composite"):
        _ = p | beam.Create(["1"]) | "step" >> obs.Stage(composite, timeout=5)
