"""Whatever ends a program: its run is told apart, and its dead letters are kept."""

from __future__ import annotations

import pathlib
import signal
import time
from collections.abc import Callable

import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.store.evidence import Standing, dead_letters, read_evidence
from beam_obs.store.run_record import RunRecord
from tests.programs import Program

Start = Callable[..., Program]
Run = Callable[..., tuple[int, str, str]]

SLOW = """
    import pathlib, sys, time
    import apache_beam as beam
    import beam_obs as obs

    def linger(number):
        pathlib.Path("lingering").touch()
        time.sleep(60)
        return number

    if __name__ == "__main__":
        with obs.Pipeline("FnApiRunner", argv=sys.argv[1:], name="slow") as p:
            numbers = p | beam.Create(["1", "x", "y"]) | "parse" >> obs.Stage(beam.Map(int))
            numbers | beam.Reshuffle() | "linger" >> beam.Map(linger)
"""


def run_of(name: str) -> RunRecord:
    (record,) = obs.Store().runs(name)
    return record


def lingering(start_program: Start, source: str) -> Program:
    """Starts a program and waits until its pipeline lingers."""
    process = start_program(source)
    while not pathlib.Path("lingering").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    return process


def interrupted(start_program: Start, number: signal.Signals) -> tuple[int, str]:
    process = lingering(start_program, SLOW)
    assert run_of("slow").status == "running"
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors


def test_a_killed_run_is_lost_and_keeps_the_dead_letters_of_its_finished_bundles(
    start_program: Start,
) -> None:
    code, _ = interrupted(start_program, signal.SIGKILL)
    assert code == -signal.SIGKILL
    record = run_of("slow")
    assert record.status_text == "lost, 2 dead"
    evidence = read_evidence(obs.Store(), record.folder)
    assert evidence.committed == ()
    letters = [(letter.payload_text, standing) for letter, standing in dead_letters(obs.Store(), record)]
    assert letters == [("x", Standing.UNCOMMITTED), ("y", Standing.UNCOMMITTED)]


def test_a_terminated_run_is_cancelled_and_ends_by_the_signal(start_program: Start) -> None:
    code, errors = interrupted(start_program, signal.SIGTERM)
    assert code == -signal.SIGTERM
    record = run_of("slow")
    assert record.status_text == "cancelled, 2 dead"
    assert "slow  cancelled, 2 dead" in errors
    assert record.end is not None
    assert "SIGTERM" in record.end["error"]["message"]


def test_an_interrupted_run_is_cancelled(start_program: Start) -> None:
    code, errors = interrupted(start_program, signal.SIGINT)
    assert code != 0
    assert "KeyboardInterrupt" in errors
    assert run_of("slow").status_text == "cancelled, 2 dead"


def test_a_program_that_does_not_wait_cancels_a_job_that_lives_in_it(run_program: Run) -> None:
    source = """
        import time
        import apache_beam as beam
        import beam_obs as obs

        p = obs.Pipeline("BundleBasedDirectRunner", name="left")
        p | beam.Create([1]) | beam.Map(lambda _: time.sleep(60))
        p.run()
    """
    code, _, errors = run_program(source)
    assert code == 0, errors
    record = run_of("left")
    assert record.status == "cancelled"
    assert record.end is not None
    assert "without waiting" in record.end["error"]["message"]


def test_a_program_that_handles_sigterm_itself_is_left_alone(run_program: Run) -> None:
    source = """
        import os, signal
        import apache_beam as beam
        import beam_obs as obs

        handled = []
        signal.signal(signal.SIGTERM, lambda *_: handled.append(1))
        with obs.Pipeline("FnApiRunner", name="own") as p:
            p | beam.Create([1]) | beam.Map(lambda _: os.kill(os.getpid(), signal.SIGTERM))
        print(handled)
    """
    code, output, errors = run_program(source)
    assert (code, output) == (0, "[1]\n"), errors
    assert run_of("own").status == "done"


def test_a_forked_child_does_not_end_its_parents_run(run_program: Run) -> None:
    source = """
        import os
        import apache_beam as beam
        import beam_obs as obs

        def fork(number):
            child = os.fork()
            if child == 0:
                raise SystemExit(0)
            os.waitpid(child, 0)
            return number

        p = obs.Pipeline("BundleBasedDirectRunner", name="forked")
        p | beam.Create([1])
        result = p.run()
        if os.fork() == 0:
            raise SystemExit(0)
        os.wait()
        result.wait_until_finish()
    """
    code, _, errors = run_program(source)
    assert code == 0, errors
    assert run_of("forked").status == "done"


@pytest.mark.parametrize("report", ["text", "json", "off"])
def test_the_report_goes_where_it_is_asked_to(run_program: Run, report: str) -> None:
    source = """
        import sys
        import apache_beam as beam
        import beam_obs as obs

        with obs.Pipeline("FnApiRunner", argv=sys.argv[1:], name="printed") as p:
            p | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int))
    """
    code, output, errors = run_program(source, f"--obs_report={report}")
    assert code == 0
    assert ("printed  done, 1 dead" in errors) == (report == "text")
    assert ('"status": "done"' in output) == (report == "json")
    assert len(output.splitlines()) == (report == "json")


def test_a_job_that_is_waited_for_is_cancelled_by_sigterm_too(start_program: Start) -> None:
    process = lingering(start_program, SLOW.replace("FnApiRunner", "BundleBasedDirectRunner"))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    assert run_of("slow").status == "cancelled"


def test_an_error_of_our_own_leaves_the_job_and_its_status_alone(run_program: Run) -> None:
    source = """
        import apache_beam as beam
        import beam_obs as obs
        from beam_obs.runs import launched

        def broken(*arguments, **keywords):
            raise AttributeError("ours")

        launched.whole_end = launched.print_report = broken
        with obs.Pipeline("FnApiRunner", name="own") as p:
            p | beam.Create([1]) | beam.Map(print)
    """
    code, output, errors = run_program(source)
    assert (code, output) == (0, "1\n")
    assert "could not describe the end" in errors
    assert run_of("own").status == "done"
    assert exit_code(["show", "latest"]) == 0


def test_waiting_wrongly_does_not_end_a_run(run_program: Run) -> None:
    source = """
        import apache_beam as beam
        import beam_obs as obs

        p = obs.Pipeline("BundleBasedDirectRunner", name="wrongly")
        p | beam.Create([1])
        result = p.run()
        try:
            result.wait_until_finish(duration=1)
        except NotImplementedError:
            print(obs.Store().find("latest").status)
        result.wait_until_finish()
    """
    code, output, errors = run_program(source)
    assert code == 0, errors
    assert output in ("running\n", "")
    assert run_of("wrongly").status == "done"
