"""Options that several commands share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from beam_obs.records.duration import parse_duration
from beam_obs.records.number_text import counted
from beam_obs.records.wording import clean
from beam_obs.reports.store_argument import store_argument as store_argument
from beam_obs.store.configuration import FILE
from beam_obs.store.folder import is_local, local_path
from beam_obs.store.run_record import RunRecord
from beam_obs.store.run_record_forms import ERASED_AT_END
from beam_obs.store.store import DEFAULT_STORE, STORE_VARIABLE, Store

_OF_FILESYSTEMS = re.compile(
    r"--(?:(?:s3|hdfs|azure|blob_service|gcs)_\w+|no_auth|impersonate_service_account)(=.*)?", re.DOTALL
)
_Command = TypeVar("_Command", bound=Callable[..., object])
_FLAGS = ("--no_auth", "--s3_disable_ssl", "--hdfs_full_urls")


def take_filesystem_options(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Returns arguments without the options of filesystems, and those options.

    Args:
      arguments: of a command.

    >>> take_filesystem_options(["runs", "--s3_endpoint_url", "http://localhost", "--no_auth", "--limit=3"])
    (['runs', '--limit=3'], ['--s3_endpoint_url', 'http://localhost', '--no_auth'])
    """
    rest: list[str] = []
    taken: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        found = _OF_FILESYSTEMS.fullmatch(argument)
        (taken if found else rest).append(argument)
        if found and found[1] is None and argument not in _FLAGS:
            taken += waiting[:1]
            del waiting[:1]
    return rest, taken


def _store(context: click.Context, parameter: click.Parameter, value: str | None) -> Store:
    return Store(value, must_exist=True)


def parsed_by(parse: Callable[[str], object]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Returns what makes values of an option, whose errors tell how it is used.

    Args:
      parse: makes one of its text; raises UsageError or ValueError with what was found and expected.
    """

    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        try:
            if isinstance(value, tuple):
                return tuple(parse(one) for one in value)
            return None if value is None else parse(value)
        except ValueError as error:  # as UsageError is
            raise click.BadParameter(str(error)) from None

    return callback


in_seconds = parsed_by(parse_duration)
"""Makes seconds of a duration as people write it."""

STORE_HELP = (
    f"Folder of the store, on any filesystem of Beam (default: {STORE_VARIABLE}, else {FILE}, else "
    f"{DEFAULT_STORE}). Options of the filesystem are those of a pipeline: --s3_endpoint_url=..."
)

store_option = click.option("--store", callback=_store, metavar="FOLDER", help=STORE_HELP)

all_steps_option = click.option(
    "--all-steps",
    is_flag=True,
    help="Tell apart the steps in a composite of Beam's own, as a write or RunInference; by default one.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")


def sources_option(otherwise: str) -> Callable[[_Command], _Command]:
    """Returns the option that names what files pages show lines of.

    Args:
      otherwise: what they are of by default, for people.
    """
    return click.option(
        "--sources",
        multiple=True,
        metavar="ROOT",
        callback=_roots,
        help="Show lines of sources and outputs that are below this folder, or prefix of objects as "
        f"gs://BUCKET/DATA; may be given several times (default: {otherwise}).",
    )


def _roots(context: click.Context, parameter: click.Parameter, roots: tuple[str, ...]) -> tuple[str, ...]:
    for root in roots:
        if is_local(root) and not os.path.isdir(local_path(root)):
            raise click.UsageError(f"--sources {root}: there is no such folder")
    return roots


def end_if_lost(is_lost: bool) -> None:
    """Ends a command with exit code 1 where the store has lost what it was asked for."""
    if is_lost:
        raise click.exceptions.Exit(1)


def tell_problems(problems: Iterable[str]) -> None:
    """Says on standard error what of a store is missing or damaged."""
    for problem in dict.fromkeys(problems):
        click.echo(f"beam-obs: {clean(problem)}", err=True)


def tell_problems_of(*records: RunRecord) -> None:
    """Says on standard error what of the files of runs is missing or damaged."""
    tell_problems(f"run {record.id}: {problem}" for record in records for problem in record.problems)
    for record in records:
        if erased := (record.end or {}).get(ERASED_AT_END):
            click.echo(
                f"beam-obs: run {record.id}: {counted(erased, 'row')} of evidence "
                f"{'was' if erased == 1 else 'were'} erased from it",
                err=True,
            )
