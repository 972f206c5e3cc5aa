"""Options of an observed pipeline, as Beam's own: on the command line, or as keywords of PipelineOptions."""

from __future__ import annotations

import argparse
import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from apache_beam.options.pipeline_options import PipelineOptions

from beam_obs.exporters.targets import OFF, ON, TARGETS, Target, chosen_targets
from beam_obs.files.patience import PATIENCE_SECONDS
from beam_obs.records.errors import UsageError
from beam_obs.records.log_settings import ATTRIBUTES, FORMS, OTLP
from beam_obs.runs.otel_variables import LOGS, NUMBERS, asks_for
from beam_obs.store.configuration import FILE as CONFIGURATION_FILE
from beam_obs.store.configuration import find_configuration
from beam_obs.store.store import DEFAULT_STORE, STORE_VARIABLE, default_store
from beam_obs.wrapper.redaction import PAYLOADS, WHOLE

PIPELINE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Names of pipelines are names of folders in the store."""

SHARE = r"(0+\.?[0-9]*|\.[0-9]+)(e-[0-9]+)?|0*1\.?0*"
"""What shares between 0 and 1 look like, in a form that all engines of regular expressions know."""

_FIELD = r"[^,]*[^,\s][^,]*"


@dataclasses.dataclass(frozen=True)
class Argument:
    """The type of an option, as argparse wants it: with the message of its error kept.

    Args:
      check: returns what a text stands for; raises ValueError with what is expected.
      pattern: what texts look like that it takes; nothing where that is not said.
      choices: all texts that it takes, where they are few.
    """

    check: Callable[[str], Any]
    pattern: str = ""
    choices: tuple[str, ...] = ()

    def __call__(self, text: str) -> Any:
        try:
            return self.check(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None


class RunSettings(NamedTuple):
    """The options of one pipeline, checked.

    Args:
      store: root of the store.
      pipeline: name of the pipeline, or None for the program's own.
      sample_rate: one element in this many is timed; 0 times none.
      output_cap: outputs of one element that a stage holds back until its function has ended.
      max_dead_rate: share of its records that a stage may refuse.
      max_dead_minimum: fewest records taken for a stage's share to be judged.
      payload: what is kept of refused records: ``whole``, ``redacted`` or ``none``.
      redact: names of fields whose values are left out of what is kept of refused records.
      progress: ``auto`` (on a terminal), ``on`` or ``off``.
      report: ``text``, ``json`` or ``off``.
      logs: what is done with log records of user code: one of `FORMS`.
      logs_per_line: records that one line of code may log in a minute; 0 for any number.
      store_patience: seconds that a write waits for a store that is away.
      store_shared: whether all workers see the store, though it is a folder of this machine.
      exporters: where the numbers of runs are sent, by name of the target.
    """

    store: str
    pipeline: str | None
    sample_rate: int
    output_cap: int
    max_dead_rate: float
    max_dead_minimum: int
    payload: str
    redact: tuple[str, ...]
    progress: str
    report: str
    logs: str
    logs_per_line: int
    store_patience: int = PATIENCE_SECONDS
    store_shared: bool = False
    exporters: Mapping[str, str] = {}


class ObservabilityOptions(PipelineOptions):
    """Where a run is kept, how closely it is watched, and when refusals make it fail.

    Args:
      flags: arguments as on a command line, ``--obs_...``; those of the program by default.
      kwargs: the same as keywords, e.g. ``obs_sample_rate=1000``.

    Raises:
      SystemExit: an argument cannot be understood; argparse has said why.

    >>> ObservabilityOptions(["--obs_sample_rate=1000"]).obs_sample_rate
    1000
    """

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("observability (beam_obs)")
        group.add_argument(
            "--obs_store",
            type=_store,
            default=None,
            metavar="FOLDER",
            help="Folder that runs are written to, on any filesystem Beam knows "
            f"(default: the variable {STORE_VARIABLE}, else {CONFIGURATION_FILE}, else {DEFAULT_STORE}).",
        )
        group.add_argument(
            "--obs_store_shared",
            # With a value too: a launch of a template gives each option one.
            nargs="?",
            const=True,
            type=_store_shared,
            default=False,
            metavar="true|false",
            help="The store is a folder that all workers see, as a network share is (default: "
            f"what {CONFIGURATION_FILE} says, else no).",
        )
        group.add_argument(
            "--obs_store_patience",
            type=_store_patience,
            default=PATIENCE_SECONDS,
            metavar="SECONDS",
            help="How long what is kept waits for a store that is away, on a server, before the bundle fails "
            f"(default: {PATIENCE_SECONDS}).",
        )
        group.add_argument(
            "--obs_pipeline",
            type=_pipeline,
            default=None,
            metavar="NAME",
            help="Name of the pipeline in the store (default: that of the program).",
        )
        group.add_argument(
            "--obs_sample_rate",
            type=_sample_rate,
            default=128,
            metavar="N",
            help="Time one element in N; 0 times none (default: 128).",
        )
        group.add_argument(
            "--obs_output_cap",
            type=_output_cap,
            default=10_000,
            metavar="N",
            help="Outputs of one element that a stage holds back until its function has ended, so that a "
            "late failure keeps nothing of them (default: 10000).",
        )
        group.add_argument(
            "--obs_max_dead_rate",
            type=_max_dead_rate,
            default=0.5,
            metavar="SHARE",
            help="A stage that refuses more than this share of its records fails the run; "
            "1 allows everything (default: 0.5).",
        )
        group.add_argument(
            "--obs_max_dead_minimum",
            type=_max_dead_minimum,
            default=100,
            metavar="N",
            help="Fewest records a stage must have taken for its share to be judged (default: 100).",
        )
        group.add_argument(
            "--obs_payload",
            type=_payload,
            default=WHOLE,
            metavar="|".join(PAYLOADS),
            help="What is kept of refused records: all of them, their structure without values, or nothing. "
            "Only from whole ones can a record be had back (default: whole).",
        )
        group.add_argument(
            "--obs_redact",
            type=_redact,
            default=None,
            metavar="FIELD,FIELD",
            help="Names of fields, at any depth, whose values are left out of what is kept of refused "
            "records, besides those that the program names (default: none).",
        )
        group.add_argument(
            "--obs_progress",
            type=_progress,
            default="auto",
            metavar="auto|on|off",
            help="Show records per second while the pipeline runs (default: auto, on a terminal only).",
        )
        group.add_argument(
            "--obs_report",
            type=_report,
            default="text",
            metavar="text|json|off",
            help="What is printed when the run has ended: a report on standard error, one line of JSON on "
            "standard output, or nothing (default: text).",
        )
        group.add_argument(
            "--obs_logs",
            type=_logs,
            default=None,
            metavar="|".join(FORMS),
            help="What log records of user code say of the element they are about: attributes of the record; "
            "also a text behind the message, lines of JSON for Cloud Logging, or records sent by OTLP; or "
            "nothing (default: what OTEL_LOGS_EXPORTER says, else attributes).",
        )
        group.add_argument(
            "--obs_logs_per_line",
            type=_logs_per_line,
            default=0,
            metavar="N",
            help="Records that one line of code may log in a minute, in each process; the number that is "
            "left out is said; 0 for any number (default: 0).",
        )
        for name, target in TARGETS.items():
            group.add_argument(
                f"--obs_{name}",
                type=Argument(_target(target), pattern=f"{OFF}|{target.pattern}"),
                default=None,
                metavar=target.metavar,
                help=f"{target.help} (default: what {CONFIGURATION_FILE} says, else none; {OFF}: none).",
            )


def run_settings(options: PipelineOptions) -> RunSettings:
    """Returns the observability options of a pipeline, checked once more since keywords skip the parser.

    Raises:
      UsageError: a value is wrong; names the option and what it may be.
    """
    view = options.view_as(ObservabilityOptions)
    values: dict[str, Any] = {}
    for field, argument in _CHECKS.items():
        value = getattr(view, f"obs_{field}")
        try:
            values[field] = value if value is None else argument.check(_text(value))
        except ValueError as error:
            raise UsageError(f"--obs_{field}: {error}") from None
    values["redact"] = values["redact"] or ()
    values["logs"] = values["logs"] or (OTLP if asks_for(LOGS) else ATTRIBUTES)
    configuration = find_configuration()
    values["store"] = values["store"] or default_store(configuration)
    given = {name: getattr(view, f"obs_{name}") for name in TARGETS}
    exporters = chosen_targets(given, configuration, "--obs_{}")
    if given["otlp"] is None and "otlp" not in configuration.exporters and asks_for(NUMBERS):
        exporters = {**exporters, "otlp": ON}
    return RunSettings(
        **values,
        store_shared=bool(view.obs_store_shared) or configuration.shared,
        exporters=exporters,
    )


def _target(target: Target) -> Callable[[str], str]:
    return lambda text: text if text == OFF else target.check(text)


def _some_store(text: str) -> str:
    if not text.strip():
        raise ValueError("a folder is expected, found nothing")
    return text


def _name(text: str) -> str:
    if PIPELINE_NAME.fullmatch(text) is None:
        raise ValueError(f"found {text!r}, expected letters, digits, '.', '_' and '-', at most 128 of them")
    return text


def _whole_number(lowest: int) -> Argument:
    def check(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = lowest - 1
        if number < lowest:
            raise ValueError(f"found {text!r}, expected a whole number of at least {lowest}")
        return number

    return Argument(check, pattern="[0-9]+" if lowest == 0 else "0*[1-9][0-9]*")


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise ValueError(f"found {text!r}, expected a share between 0 and 1, e.g. 0.05")
    return share


def _fields(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise ValueError(f"found {text!r}, expected names of fields with commas between, e.g. email,name")
    return names


def _text(value: Any) -> str:
    """Returns an option's value as on a command line; keywords of ``PipelineOptions`` may be lists."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple, set, frozenset)) else str(value)


def _one_of(*choices: str) -> Argument:
    def check(text: str) -> str:
        if text not in choices:
            raise ValueError(f"found {text!r}, expected one of {', '.join(choices)}")
        return text

    return Argument(check, choices=choices)


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"found {text!r}, expected true or false")
    return text.lower() == "true"


_store = Argument(_some_store, pattern=r".*\S.*")
_store_shared = Argument(_truth, choices=("true", "false"))
_store_patience = _whole_number(0)
_pipeline = Argument(_name, pattern=PIPELINE_NAME.pattern)
_max_dead_rate = Argument(_share, pattern=SHARE)
_redact = Argument(_fields, pattern=f"{_FIELD}(,{_FIELD})*")
_sample_rate = _whole_number(0)
_output_cap = _whole_number(1)
_max_dead_minimum = _whole_number(1)
_payload = _one_of(*PAYLOADS)
_progress = _one_of("auto", "on", "off")
_report = _one_of("text", "json", "off")
_logs = _one_of(*FORMS)
_logs_per_line = _whole_number(0)

_CHECKS: dict[str, Argument] = {
    "store": _store,
    "store_patience": _store_patience,
    "pipeline": _pipeline,
    "sample_rate": _sample_rate,
    "output_cap": _output_cap,
    "max_dead_rate": _max_dead_rate,
    "max_dead_minimum": _max_dead_minimum,
    "payload": _payload,
    "redact": _redact,
    "progress": _progress,
    "report": _report,
    "logs": _logs,
    "logs_per_line": _logs_per_line,
}
