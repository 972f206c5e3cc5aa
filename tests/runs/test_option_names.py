"""Options of ours that are misspelt are refused, and those that a program does not hand on are said."""

from __future__ import annotations

import argparse
import logging
import sys

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs.runs import option_names


@pytest.fixture(autouse=True)
def nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(option_names, "_SAID", set())


def make(argv: list[str] | None = None, **keywords: str) -> None:
    obs.Pipeline("FnApiRunner", options=PipelineOptions(argv or [], **keywords))


@pytest.mark.parametrize(
    ("argument", "nearest"),
    [
        ("--obs_redacted=email", "--obs_redact?"),
        ("--obs_stor", "--obs_store?"),
        ("--obs_linage=off", "--obs_lineage?"),
        ("--obs_zzz=1", "--obs_zzz\n"),
        ("--obs-report=off", "unknown option --obs-report; did you mean --obs_report?"),
        ("--obs-store-shared", "--obs_store_shared?"),
        ("--obs-lineag=off", "--obs_lineage?"),
    ],
)
def test_a_misspelt_argument_is_refused_with_the_nearest_name(
    argument: str, nearest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        make([argument])
    assert caught.value.code == 2
    assert nearest in capsys.readouterr().err


def test_a_misspelt_keyword_is_refused() -> None:
    with pytest.raises(obs.UsageError, match=r"obs_redacted=.*did you mean obs_redact="):
        make(obs_redacted="email")


def test_a_misspelt_argument_that_the_program_does_not_hand_on_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["job.py", "--obs_redacted=email"])
    with pytest.raises(SystemExit):
        make()
    assert (
        "job.py: error: unknown option --obs_redacted; did you mean --obs_redact?" in capsys.readouterr().err
    )


def test_an_option_that_the_program_does_not_hand_on_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["job.py", "--obs_redact=email", "--obs_days=3"])
    with caplog.at_level(logging.WARNING):
        make()
        make()
    said = [record.getMessage() for record in caplog.records if "command line" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("--obs_redact on the command line: the program does not hand its arguments on")
    assert "beam-obs run --obs_redact=... PROGRAM" in said[0]


def test_nothing_is_said_of_options_that_arrive(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["job.py", "--obs_redact=email", "--obs_lineage=off"])
    with caplog.at_level(logging.WARNING):
        make(sys.argv[1:])
        obs.Pipeline("FnApiRunner", options=PipelineOptions())
    assert "command line" not in caplog.text


def test_options_of_the_users_own_may_begin_like_ours() -> None:
    class DaysOptions(PipelineOptions):  # type: ignore[misc]
        @classmethod
        def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
            parser.add_argument("--obs_days", type=int, default=1)

    make(["--obs_days=3"])
    del DaysOptions
