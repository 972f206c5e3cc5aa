"""What commands that replay records have in common: the user's program is run, and its pipeline is cut."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from beam_obs.cli.users_program import run_program, show_error
from beam_obs.records.errors import BeamObsError, UsageError
from beam_obs.records.wording import clean
from beam_obs.reports.telling import tell

if TYPE_CHECKING:
    from beam_obs.replay.pipeline_cut import Cut
    from beam_obs.replay.replay import Replay, ReplayPlan

program_option = click.option(
    "--program",
    required=True,
    metavar="FILE|MODULE",
    help="The program of the pipeline: a file, or a module as with `python -m`.",
)
replace_files_option = click.option(
    "--replace-files", is_flag=True, help="Let writes have the outputs of the run, whose files they replace."
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
program_arguments = click.argument("arguments", metavar="[-- ARGS...]", nargs=-1, type=click.UNPROCESSED)


def check_program(program: str) -> None:
    """Looks whether a program may be there.

    Raises:
      click.UsageError: it is a file that there is not.
    """
    if not os.path.isfile(program) and (os.sep in program or program.endswith(".py")):
        raise click.UsageError(f"no program {program!r}: give a file, or the name of a module")


def run_replaying(
    under_way: Replay,
    program: str,
    arguments: tuple[str, ...],
    tell_first: Callable[[], None],
    tell_failed: Callable[[], None],
) -> ReplayPlan | None:
    """Runs a program whose pipeline is cut; returns the plan, where no more is wanted.

    Args:
      under_way: the replay.
      program: a file, or the name of a module.
      arguments: of the program.
      tell_first: called where the replay is not begun.
      tell_failed: called where it was begun, and the program has failed.
    """
    from beam_obs.replay.replay import Planned
    from beam_obs.replay.under_way import replaying
    from beam_obs.runs.instrument import instrument

    sys.argv = [program, *arguments]
    try:
        with instrument(under_way.pipeline, under_way.store), replaying(under_way):
            run_program(program, not os.path.isfile(program))
    except Planned as planned:
        return planned.plan
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
    except (KeyboardInterrupt, BeamObsError, UsageError):
        if under_way.run is None:
            tell_first()
        raise
    except BaseException as error:
        show_error(error, __file__)
        if under_way.run is not None:
            tell_failed()
        sys.exit(1)
    return None


def told_cut(cut: Cut) -> dict[str, tuple[str, ...]]:
    """Returns what is to be known of a pipeline that was cut, as JSON-able values."""
    return {
        "aggregates": cut.aggregates,
        "side_inputs": cut.side_readers,
        "merges": cut.merges,
        "left_out": cut.left_out,
    }


def tell_cut(cut: Cut) -> None:
    """Prints what is to be known of a pipeline that was cut."""
    for heading, labels in (
        ("results of the replayed records alone", cut.aggregates),
        ("its side input is of the replayed records alone", cut.side_readers),
        ("takes nothing else any more", cut.merges),
        ("does not run, for its own records are not replayed", cut.left_out),
    ):
        for label in labels:
            tell(f"{clean(label)}: {heading}")
