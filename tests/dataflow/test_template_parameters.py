"""Parameters of a template come from the options of its program."""

from __future__ import annotations

import argparse
import pathlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs.dataflow.template_parameters import Parameter, template_parameters
from beam_obs.dataflow.template_settings import TemplateSettings
from beam_obs.runs.options import run_settings

PROGRAM = "a_program_of_a_template"
Declare = Callable[[Any], None]


def parameters_of(declare: Declare, **told: dict[str, Any]) -> dict[str, Parameter]:
    """Returns the parameters of a program that declares options, by name."""

    class Options(PipelineOptions):
        @classmethod
        def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
            declare(parser)

    Options.__module__ = PROGRAM
    sys.modules[PROGRAM] = types.ModuleType(PROGRAM)
    vars(sys.modules[PROGRAM]).update(Options=Options)
    settings = TemplateSettings(PROGRAM, "program", parameters=told)
    return {one.name: one for one in template_parameters(settings)}


@pytest.fixture(autouse=True)
def no_options_stay() -> Iterator[None]:
    """Beam asks each class of options that there is for its arguments: none of a test's may outlive it."""
    yield
    sys.modules.pop(PROGRAM, None)
    import gc

    gc.collect()


@pytest.mark.parametrize(
    ("name", "owner"), [("region", "GoogleCloudOptions"), ("obs_store", "Observability")]
)
def test_an_option_whose_name_is_taken_is_refused(name: str, owner: str) -> None:
    with pytest.raises(obs.UsageError, match=f"--{name} of Options is one of {owner}"):
        parameters_of(lambda parser: parser.add_argument(f"--{name}", help="What."))


def test_an_option_is_a_parameter_with_what_argparse_knows_of_it() -> None:
    def declare(parser: Any) -> None:
        group = parser.add_argument_group("files")
        group.add_argument("--input_files", required=True, help="What to\n  read.")
        parser.add_argument("--rate", type=float, default=0.5, help="A share (default: %(default)s).")
        parser.add_argument("--mode", choices=("fast", "safe"), default="safe", help="How.")
        parser.add_argument("--strict", choices=("true", "false"), default="false", help="Whether.")
        parser.add_value_provider_argument("--topic", help="Where to.")
        parser.add_argument("--secret_knob", help=argparse.SUPPRESS)

    found = parameters_of(declare)
    assert found["input_files"] == Parameter(
        "input_files", "Input files", "What to read.", required=True, group="files"
    )
    assert (found["rate"].kind, found["rate"].default, found["rate"].help) == (
        "NUMBER",
        "0.5",
        "A share (default: 0.5).",
    )
    assert (found["mode"].kind, found["mode"].choices) == ("ENUM", ("fast", "safe"))
    assert found["strict"].kind == "BOOLEAN"
    assert found["topic"].kind == "TEXT"
    assert "secret_knob" not in found


PLAIN = """
import argparse
from apache_beam.options.pipeline_options import PipelineOptions

class PlainOptions(PipelineOptions):
    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--input", help="Files.")
"""


@pytest.mark.parametrize(
    ("program", "helper", "has_ours"),
    [
        ("", "", False),
        ("import beam_obs as obs", "", True),
        ("def main():\n    from beam_obs import Pipeline", "", True),
        ("from . import steps", "import beam_obs.stages", True),
        ("from plain_package.steps import step", "step = 1  # import beam_obs", False),
        # Never imported here: what it does then is not done.
        (
            "def main():\n    from plain_package.steps import step",
            "import beam_obs\nraise SystemExit(1)",
            True,
        ),
    ],
)
def test_options_of_ours_are_parameters_of_a_program_that_imports_beam_obs(
    program: str, helper: str, has_ours: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "plain_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "steps.py").write_text(helper)
    (package / "program.py").write_text(PLAIN + program)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        found = {one.name for one in template_parameters(TemplateSettings("plain_package.program", "plain"))}
    finally:
        for name in [one for one in sys.modules if one.startswith("plain_package")]:
            del sys.modules[name]
    assert ("obs_store" in found) is has_ours
    assert "input" in found


def test_a_module_beside_a_program_that_is_in_no_package_is_its_own(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain_program.py").write_text(PLAIN + "import plain_steps")
    (tmp_path / "plain_steps.py").write_text("import beam_obs")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        found = template_parameters(TemplateSettings("plain_program", "plain"))
    finally:
        for name in ("plain_program", "plain_steps"):
            sys.modules.pop(name, None)
    assert "obs_store" in {one.name for one in found}


def test_an_option_of_several_values_is_a_parameter_of_one() -> None:
    def declare(parser: Any) -> None:
        parser.add_argument("--days", nargs="+", type=int, default=[1, 2], help="Days.")
        parser.add_argument("--tags", action="append", default=["a"], help="Tags.")

    found = parameters_of(declare)
    assert (found["days"].kind, found["days"].default) == ("NUMBER", None)
    assert found["tags"].default == "a"


def test_settings_say_what_argparse_does_not_know() -> None:
    def declare(parser: Any) -> None:
        parser.add_argument("--input", help="Files.")
        parser.add_argument("--dry", action="store_true", help="Write nothing.")

    found = parameters_of(
        declare,
        input={"type": "GCS_READ_FILE", "regexes": ["gs://.+"], "required": True, "label": "Flights"},
        dry={"leave_out": True},
    )
    assert "dry" not in found
    assert found["input"] == Parameter("input", "Flights", "Files.", True, "GCS_READ_FILE", ("gs://.+",))


def test_what_a_launch_must_give_has_no_default() -> None:
    def declare(parser: Any) -> None:
        parser.add_argument("--input", default="in.csv", help="Files.")

    assert parameters_of(declare)["input"].default == "in.csv"
    assert parameters_of(declare, input={"required": True})["input"].default is None


def test_options_of_ours_are_parameters_too_and_take_what_their_regexes_do() -> None:
    found = parameters_of(lambda parser: parser.add_argument("--input", help="Files."))
    assert {"obs_store", "obs_lineage", "obs_trace_share"} <= found.keys()
    assert found["obs_payload"].choices == ("whole", "redacted", "none")
    assert found["obs_sample_rate"].regexes == ("[0-9]+",)
    assert {found[name].group for name in ("obs_store", "obs_lineage")} == {
        "observability (beam_obs)",
        "lineage (beam_obs)",
    }


@pytest.mark.parametrize(("value", "shared"), [("=true", True), ("=False", False), ("", True)])
def test_a_launch_gives_each_option_of_ours_a_value(value: str, shared: bool) -> None:
    # The launcher of a template writes --name=value, for flags too.
    assert run_settings(PipelineOptions([f"--obs_store_shared{value}"])).store_shared is shared


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((["--fast"], {"action": "store_true", "help": "h"}), "--fast takes no value.*leave_out = true"),
        ((["--range"], {"nargs": 2, "help": "h"}), "--range takes 2 values.*leave_out = true"),
        ((["input"], {"help": "h"}), "option input cannot be a template's: it needs a name such as --input"),
        ((["-i"], {"help": "h"}), "option -i cannot be a template's"),
        ((["--input"], {}), "--input has no help"),
        (
            (["--mode"], {"choices": ("a", "b"), "default": "c", "help": "h"}),
            "its default 'c' is none of a, b",
        ),
        ((["--n"], {"type": int, "default": "many", "help": "h"}), "its default 'many' does not match"),
    ],
)
def test_an_option_that_a_template_cannot_give_is_refused(
    arguments: tuple[list[str], dict[str, Any]], said: str
) -> None:
    names, keywords = arguments
    with pytest.raises(obs.UsageError, match=said):
        parameters_of(lambda parser: parser.add_argument(*names, **keywords))


def test_what_is_said_of_an_option_that_there_is_not_is_refused() -> None:
    with pytest.raises(obs.UsageError, match=r"parameters\.inptu.*it has input, obs_store"):
        parameters_of(lambda parser: parser.add_argument("--input", help="h"), inptu={"required": True})


def test_a_type_with_values_of_an_option_without_any_is_refused() -> None:
    with pytest.raises(obs.UsageError, match="--mode is of type ENUM, and declares no choices"):
        parameters_of(lambda parser: parser.add_argument("--mode", help="h"), mode={"type": "ENUM"})


def test_a_help_that_argparse_cannot_print_is_told_with_its_option() -> None:
    with pytest.raises(obs.UsageError, match=r"--share: its help.*write %% for a per cent"):
        parameters_of(lambda parser: parser.add_argument("--share", help="100% of it"))


def test_a_program_without_options_of_its_own_is_refused() -> None:
    with pytest.raises(obs.UsageError, match="json has no options of its own: declare them in a subclass"):
        template_parameters(TemplateSettings("json", "json"))


def test_a_module_that_there_is_not_is_refused() -> None:
    with pytest.raises(obs.UsageError, match=r"no module 'nowhere\.at_all'"):
        template_parameters(TemplateSettings("nowhere.at_all", "nowhere"))
