"""Names of options of ours that were misspelt, or that a program did not hand on to its pipeline.

Beam passes over options that it does not know, so that ``--obs_redacted=email`` would redact nothing in
silence. Here it is an error, as any wrong argument is. The command line itself is looked at too: a program
may make its pipelines without it.
"""

from __future__ import annotations

import argparse
import difflib
import logging
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from beam_obs.records.errors import UsageError
from beam_obs.runs.options import ObservabilityOptions
from beam_obs.runs.trace_options import TraceOptions
from beam_obs.store.filesystems import configured_arguments
from beam_obs.weaving.lineage_options import LineageOptions

_PREFIX = "obs_"
OPTION_CLASSES = (ObservabilityOptions, LineageOptions, TraceOptions)
"""All that declare options of ours."""
_LOGGER = logging.getLogger(__name__)
_FOR_ALL: list[str] = []
_SAID: set[str] = set()


def give_every_pipeline(arguments: Sequence[str]) -> None:
    """Sets arguments that hold for every observed pipeline of this process that has no such option itself.

    Args:
      arguments: options of ours, as on a command line.
    """
    _FOR_ALL[:] = arguments


def settle_options(options: PipelineOptions) -> None:
    """Gives a pipeline what `give_every_pipeline` said, refuses options of ours that do not exist, and says
    which of the command line it did not get.

    Args:
      options: of the pipeline.

    Raises:
      SystemExit: with 2, as argparse does, where an argument is misspelt or wrong; says what is expected.
      UsageError: a keyword of `PipelineOptions` is misspelt.
    """
    command_line, for_all = _names(sys.argv[1:]), _names(_FOR_ALL)
    handed_on = command_line if options._flags is None else _names(options._flags)
    keywords = {name for name in options._all_options if name.startswith(_PREFIX)}
    known = {name.removeprefix("--") for name in _parser()._option_string_actions}
    unknown = (command_line | handed_on | for_all | keywords) - known
    if unknown:
        # Options of the user's own may begin like ours.
        of_the_user = options.get_all_options().keys() - known
        unknown = {name for name in unknown if _underscored(name) not in of_the_user}
    for name in sorted(unknown):
        near = _nearest(name, known)
        if name in keywords:
            raise UsageError(f"unknown option {name}= of PipelineOptions{_meant(near, '{}=')}")
        if near or name in handed_on | for_all:
            print(f"{sys.argv[0]}: error: unknown option --{name}{_meant(near, '--{}')}", file=sys.stderr)
            raise SystemExit(2)
    _give(options, [*_FOR_ALL, *configured_arguments()])
    _say_swallowed((command_line & known) - handed_on - for_all)


def _give(options: PipelineOptions, arguments: list[str]) -> None:
    """Sets options where the pipeline has none of that name."""
    if not arguments:
        return
    given = options.get_all_options(drop_default=True)
    wanted = PipelineOptions(arguments).get_all_options(drop_default=True).keys() - given.keys()
    for cls in PipelineOptions.__subclasses__():
        of_class = cls(arguments)
        for name in wanted & vars(of_class._visible_options).keys():
            setattr(options.view_as(cls), name, getattr(of_class, name))


def _nearest(name: str, known: Iterable[str]) -> str | None:
    names = [one.removeprefix(_PREFIX) for one in known if one.startswith(_PREFIX)]
    near = difflib.get_close_matches(_underscored(name).removeprefix(_PREFIX), names, 1)
    return f"{_PREFIX}{near[0]}" if near else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    for cls in OPTION_CLASSES:
        cls._add_argparse_args(parser)
    return parser


def _underscored(name: str) -> str:
    return name.replace("-", "_")


def _names(arguments: Iterable[Any]) -> set[str]:
    """Returns the names of options of ours, also of those that are written with hyphens."""
    return {
        argument.removeprefix("--").partition("=")[0]
        for argument in arguments
        if isinstance(argument, str) and argument.startswith((f"--{_PREFIX}", "--obs-"))
    }


def _meant(near: str | None, form: str) -> str:
    return f"; did you mean {form.format(near)}?" if near else ""


def _say_swallowed(names: set[str]) -> None:
    new = sorted(names - _SAID)
    _SAID.update(new)
    if new:
        options = ", ".join(f"--{name}" for name in new)
        _LOGGER.warning(
            "%s on the command line: the program does not hand its arguments on to this pipeline, which runs "
            "without. Write beam.Pipeline(options=PipelineOptions(sys.argv[1:])), or run it by: "
            "beam-obs run %s=... PROGRAM",
            options,
            options.partition(",")[0],
        )
