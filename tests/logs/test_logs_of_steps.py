"""What user code logs while a step works says which record it is about."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.transforms.userstate import BagStateSpec

import beam_obs as obs
from beam_obs.logs.told import PREFIX, Told, told_by
from tests.io.pipelines import Keeper
from tests.logs.kept_records import Kept

LOGGER = logging.getLogger("trips")


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    yield handler
    LOGGER.removeHandler(handler)


def log(element: Any) -> tuple[Any, str]:
    LOGGER.info("at %s", element)
    return element, (obs.current_origin() or b"").hex()


def log_each(element: Any) -> Iterator[Any]:
    LOGGER.info("at %s", element)
    yield element


class LogInState(beam.DoFn):
    SEEN = BagStateSpec("seen", VarIntCoder())

    def process(self, pair: Any, state: Any = beam.DoFn.StateParam(SEEN)) -> Any:  # noqa: B008
        LOGGER.info("at %s", pair)
        state.add(1)
        yield pair


class LogBatches(beam.DoFn):
    def process_batch(self, batch: list[int], *_: Any) -> Iterator[list[int]]:
        LOGGER.info("at %s", batch)
        yield batch

    def infer_output_type(self, input_type: Any) -> Any:
        return input_type

    def get_input_batch_type(self, input_element_type: Any) -> Any:
        return beam.typehints.List[int]

    def get_output_batch_type(self, input_element_type: Any) -> Any:
        return beam.typehints.List[int]


def told_in(kept: Kept, *steps: Any, options: tuple[str, ...] = ()) -> tuple[list[Told | None], str]:
    """Returns what log records told, and the id of the run, of a pipeline of some steps."""
    with obs.Pipeline("FnApiRunner", name="logs", argv=[*options, "--obs_report=off"]) as p:
        pcoll = p | "make" >> beam.Create(["7"], reshuffle=False)
        for number, step in enumerate(steps):
            pcoll = pcoll | f"step {number}" >> step
    return [told_by(record) for record in kept.records], obs.Store().find("logs@latest").id


KINDS: dict[str, tuple[Any, ...]] = {
    "Map": (beam.Map(log),),
    "FlatMap": (beam.FlatMap(log_each),),
    "Filter": (beam.Filter(log),),
    "Stage": (obs.Stage(beam.Map(log)),),
    "Stage of a FlatMap": (obs.Stage(beam.FlatMap(log_each)),),
    "DoFn of batches": (beam.Map(int).with_output_types(int), beam.ParDo(LogBatches())),
    "DoFn with state": (beam.Map(lambda one: (one, one)), beam.ParDo(LogInState())),
}


@pytest.mark.parametrize("kind", KINDS)
def test_run_step_and_origin_are_on_each_log_record(kept: Kept, kind: str) -> None:
    steps = KINDS[kind]

    (told,), run = told_in(kept, *steps)

    assert told is not None
    assert (told.run, told.step) == (run, f"step {len(steps) - 1}")
    assert (len(told.origin), told.trace_id) == (32, told.origin)
    assert (told.span_id, told.is_sampled) == ("", False)
    assert kept.records[0].getMessage().startswith("at ")


def test_the_origin_is_that_which_user_code_is_told(kept: Kept) -> None:
    found = Keeper()
    (told,), _ = told_in(kept, beam.Map(log), beam.Map(found))
    assert told is not None
    assert found.elements == [("7", told.origin)]


def test_the_span_of_a_sampled_record_is_on_it(kept: Kept) -> None:
    (told,), _ = told_in(kept, beam.Map(log), options=("--obs_traces=store", "--obs_trace_share=1"))
    assert told is not None
    assert (told.trace_id, len(told.span_id), told.is_sampled) == (told.origin, 16, True)


def test_without_lineage_a_stage_tells_run_and_step(kept: Kept) -> None:
    (told,), run = told_in(kept, obs.Stage(beam.Map(log)), options=("--obs_lineage=off",))
    assert told == Told(run, "step 0")


def test_outside_of_steps_log_records_are_as_ever(kept: Kept) -> None:
    before = logging.getLogRecordFactory()
    told_in(kept, beam.Map(log))
    LOGGER.info("after")

    assert told_by(kept.records[-1]) is None
    assert not any(name.startswith(PREFIX) for name in vars(kept.records[-1]))
    assert logging.getLogRecordFactory() is before


def test_switched_off_nothing_is_on_them(kept: Kept) -> None:
    told, _ = told_in(kept, beam.Map(log), options=("--obs_logs=off",))
    assert told == [None]


def test_by_default_lines_look_as_ever(kept: Kept) -> None:
    kept.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    told_in(kept, beam.Map(log))
    assert [kept.format(record) for record in kept.records] == ["INFO at 7"]


class ToText(logging.StreamHandler):  # type: ignore[type-arg]
    """A handler of the root logger, as a program sets it up."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def root() -> Iterator[ToText]:
    handler = ToText()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def test_text_has_step_and_origin_behind_the_message(kept: Kept, root: ToText) -> None:
    (told,), _ = told_in(kept, beam.Map(log), options=("--obs_logs=text",))

    assert told is not None
    assert f"INFO at 7 [step 0, origin {told.origin}]" in root.lines
    LOGGER.info("after")
    assert root.lines[-1] == "INFO after"


def test_json_is_as_cloud_logging_takes_it(kept: Kept, root: ToText) -> None:
    options = ("--obs_logs=json", "--project=city-project")
    (told,), run = told_in(kept, beam.Map(log), options=options)

    assert told is not None
    entry = next(entry for line in root.lines if (entry := as_json(line)).get("message") == "at 7")
    assert entry["severity"] == "INFO"
    assert entry["logging.googleapis.com/trace"] == f"projects/city-project/traces/{told.origin}"
    assert entry["logging.googleapis.com/trace_sampled"] is False
    assert entry["logging.googleapis.com/labels"] == {
        "beam_obs_run": run,
        "beam_obs_step": "step 0",
        "beam_obs_origin": told.origin,
    }
    assert entry["logging.googleapis.com/sourceLocation"]["function"] == "log"
    assert entry["time"].endswith("Z")
    LOGGER.info("after")
    assert root.lines[-1] == "INFO after"


def test_json_says_nothing_of_a_function_that_a_record_does_not_name() -> None:
    record = logging.makeLogRecord({"msg": "by hand", "levelno": 20, "pathname": "a.py", "lineno": 3})
    entry = json.loads(obs.JsonLogFormatter().format(record))
    assert entry["logging.googleapis.com/sourceLocation"] == {"file": "a.py", "line": "3"}


def as_json(line: str) -> dict[str, Any]:
    return json.loads(line) if line.startswith("{") else {}


def test_a_line_that_logs_too_often_is_cut_short_and_it_is_said(kept: Kept, root: ToText) -> None:
    def log_often(element: Any) -> None:
        for number in range(5):
            LOGGER.warning("round %d", number)

    limited = log_often.__code__.co_firstlineno + 2

    told_in(kept, beam.Map(log_often), options=("--obs_logs_per_line=2",))

    lines = [line for line in root.lines if "round" in line or "left out" in line]
    assert lines == [
        "WARNING round 0",
        "WARNING round 1",
        f"WARNING 3 more from test_logs_of_steps.py:{limited} were left out: it may log 2 in a minute",
    ]


def test_where_records_cannot_be_sent_the_job_goes_on(
    kept: Kept, root: ToText, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a worker that lacks what the launcher has."""
    p = obs.Pipeline("FnApiRunner", name="logs", argv=["--obs_logs=otlp", "--obs_report=off"])
    _ = p | beam.Create(["7"], reshuffle=False) | "log" >> beam.Map(log)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http._log_exporter", None)

    p.run().wait_until_finish()

    assert [one.step for record in kept.records if (one := told_by(record))] == ["log"]
    assert any("log records get their attributes only, not --obs_logs=otlp" in line for line in root.lines)


def test_a_factory_of_the_users_is_kept(kept: Kept) -> None:
    before = logging.getLogRecordFactory()

    def users(*arguments: Any, **keywords: Any) -> logging.LogRecord:
        record = before(*arguments, **keywords)
        record.users = True
        return record

    logging.setLogRecordFactory(users)
    try:
        for _ in range(2):
            told_in(kept, beam.Map(log))
            assert logging.getLogRecordFactory() is users
        assert [(told_by(one) is not None, hasattr(one, "users")) for one in kept.records] == [
            (True, True)
        ] * 2
    finally:
        logging.setLogRecordFactory(before)


def test_stamped_records_tell_their_origin_without_lineage(kept: Kept) -> None:
    carried, torn = ({"_lineage": {"origin": text}} for text in ("0f" * 16, "no origin"))
    with obs.Pipeline("FnApiRunner", name="logs", argv=["--obs_lineage=off", "--obs_report=off"]) as p:
        made = p | beam.Create([carried, torn], reshuffle=False)
        _ = made | "log" >> obs.Stage(beam.Map(log))
    told = [told_by(record) for record in kept.records]
    assert [(one.step, one.origin) for one in told if one] == [("log", "0f" * 16), ("log", "")]


def test_a_line_of_json_is_one_whatever_is_logged() -> None:
    record = logging.makeLogRecord({"msg": "a\nb \ud800 %s", "args": (object(),), "levelno": 45})
    line = obs.JsonLogFormatter().format(record)
    assert "\n" not in line
    assert as_json(line.encode().decode())["severity"] == "ERROR"


def test_json_has_the_stack_that_is_asked_for() -> None:
    record = logging.makeLogRecord(
        {"msg": "here", "levelno": 20, "stack_info": "Stack (most recent call last):"}
    )
    assert as_json(obs.JsonLogFormatter().format(record))["message"] == "here\nStack (most recent call last):"
