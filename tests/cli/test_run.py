"""`beam-obs run` runs a program as Python would, with its pipelines observed."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable

import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.cli.run import _MAY_HAVE_NO_VALUE
from beam_obs.runs.option_names import OPTION_CLASSES

Run = Callable[..., tuple[int, str, str]]

OBSERVED = ("-m", "beam_obs.cli", "run")

PROGRAM = """
    import sys
    import apache_beam as beam
    import beside

    OFFSET = 3

    def shift(number):
        return number + OFFSET + beside.NOTHING

    def main(argv):
        with beam.Pipeline(argv=["--runner=FnApiRunner", *argv]) as p:
            p | beam.Create([1, 2]) | "shift" >> beam.Map(shift) | beam.Map(print)

    if __name__ == "__main__":
        print(sys.argv)
        main([])
        sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.slow
def test_a_program_runs_as_by_python_and_is_observed(run_program: Run, code: int) -> None:
    pathlib.Path("beside.py").write_text("NOTHING = 0")
    plain = run_program(PROGRAM, str(code))
    observed = run_program(PROGRAM, str(code), "--flag", command=OBSERVED, fresh=code == 0)
    assert plain[0] == observed[0] == code, observed[2]
    assert sorted(plain[1].splitlines()[1:]) == sorted(observed[1].splitlines()[1:]) == ["4", "5"]
    assert f"'{code}', '--flag']" in observed[1]
    (record,) = obs.Store().runs()
    assert (record.pipeline, record.status) == ("program", "done")
    assert record.start["code"]["program"].endswith("program.py")
    assert "program  done" in observed[2]


def test_store_and_name_are_for_beam_obs_and_the_rest_for_the_program(run_program: Run) -> None:
    pathlib.Path("beside.py").write_text("NOTHING = 0")
    command = (*OBSERVED, "--store", "there", "--name", "nightly")
    code, output, errors = run_program(PROGRAM, "0", "--store=mine", command=command)
    assert code == 0, errors
    assert "'--store=mine'" in output
    assert obs.Store("there").find("latest").pipeline == "nightly"


def test_options_of_ours_before_the_program_hold_where_the_program_has_none(run_program: Run) -> None:
    program = """
        import sys
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions

        with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner", *sys.argv[1:]])) as p:
            p | beam.Create([1]) | beam.Map(print)
    """
    command = (*OBSERVED, "--obs_report=off", "--obs_store", "there", "--name", "n", "--obs_pipeline=mine")
    code, output, errors = run_program(program, "--obs_pipeline=theirs", command=command)
    assert (code, output) == (0, "1\n"), errors
    assert "balanced" not in errors
    assert obs.Store("there").find("latest").pipeline == "theirs"


@pytest.mark.parametrize("given", [("--obs_store_shared",), ("--obs_store_shared", "false")])
def test_an_option_without_a_value_leaves_the_program_alone(
    given: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [])
    assert exit_code(["run", *given, "nowhere.py"]) == 2
    assert "no program 'nowhere.py'" in capsys.readouterr().err


def test_options_that_need_no_value_are_known() -> None:
    parser = argparse.ArgumentParser()
    for cls in OPTION_CLASSES:
        cls._add_argparse_args(parser)
    without = {one.option_strings[0] for one in parser._actions if one.nargs in ("?", 0)} - {"-h"}
    assert without == _MAY_HAVE_NO_VALUE.keys()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--obs_redacted=email", "unknown option --obs_redacted; did you mean --obs_redact?"),
        ("--obs-report=off", "unknown option --obs-report; did you mean --obs_report?"),
        ("--obs_report=html", "one of text, json, off"),
    ],
)
def test_wrong_options_of_ours_before_the_program_are_wrong_usage(
    run_program: Run, option: str, said: str
) -> None:
    program = "import apache_beam as beam\nbeam.Pipeline('FnApiRunner')"
    code, _, errors = run_program(program, command=(*OBSERVED, option))
    assert code == 2
    assert said in errors


def test_a_module_runs_as_by_python_m(run_program: Run) -> None:
    folder = pathlib.Path("package")
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "job.py").write_text(
        "import apache_beam as beam, sys\n"
        "if __name__ == '__main__':\n"
        "    with beam.Pipeline('FnApiRunner') as p:\n"
        "        p | beam.Create([1])\n"
        "    print(sys.argv[1:], __package__)\n"
    )
    code, output, errors = run_program(
        "import beam_obs.cli.main as m; m.main(['run', '-m', 'package.job', 'a'])"
    )
    assert code == 0, errors
    assert output == "['a'] package\n"
    assert obs.Store().find("latest").pipeline == "package.job"


ON_DATAFLOW = """
    import sys
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    place = ["--project=sky", "--dataflow_endpoint=http://localhost:1", "--no_auth", "--temp_location=temp"]
    options = PipelineOptions(["--runner=DataflowRunner", *place, *sys.argv[1:]])
    with beam.Pipeline(options=options) as p:
        p | beam.Create([1])
"""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--region=us-central1-a"], "--region: found 'us-central1-a', expected a region"),
        (["--region=us-central1"], "write --obs_store=gs://BUCKET/FOLDER"),
    ],
    ids=["an option", "a store"],
)
def test_what_a_pipeline_cannot_take_is_wrong_usage_without_a_traceback(
    run_program: Run, options: list[str], said: str
) -> None:
    code, _, errors = run_program(ON_DATAFLOW, *options, command=OBSERVED)
    assert code == 2
    assert "program.py: error: " in errors
    assert said in errors
    assert "Traceback" not in errors


def test_a_failing_program_shows_its_own_traceback_only(run_program: Run) -> None:
    code, _, errors = run_program("def fail():\n    raise KeyError('mine')\nfail()\n", command=OBSERVED)
    assert code == 1
    assert "KeyError: 'mine'" in errors
    assert "in fail" in errors
    assert "beam_obs/cli" not in errors


def test_a_syntax_error_is_shown_as_python_shows_it(run_program: Run) -> None:
    code, _, errors = run_program("def :\n", command=OBSERVED)
    assert code == 1
    assert "SyntaxError" in errors
    assert "beam_obs/cli" not in errors


def test_a_wrong_option_of_ours_is_refused_with_its_message(run_program: Run) -> None:
    source = """
        import apache_beam as beam, sys
        with beam.Pipeline("FnApiRunner", argv=sys.argv[1:]) as p:
            p | beam.Create([1])
    """
    code, _, errors = run_program(source, "--obs_sample_rate=often", command=OBSERVED)
    assert code == 2
    assert "argument --obs_sample_rate: found 'often'" in errors
