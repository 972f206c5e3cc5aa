"""`beam-obs run`: runs a program as `python PROGRAM` would, with every pipeline it makes observed."""

from __future__ import annotations

import os
import sys

import click

from beam_obs.cli.users_program import run_program, show_error
from beam_obs.records.wording import clean_lines
from beam_obs.store.store import DEFAULT_STORE, STORE_VARIABLE

_PREFIXES = ("--obs_", "--obs-")
"""How options of ours begin; those with hyphens are refused where the others are looked at."""

_MAY_HAVE_NO_VALUE = {"--obs_store_shared": ("true", "false")}
"""Options of ours that need no value -> values that the next argument may be."""


class _TakesObsOptions(click.Command):
    """A command that takes ``--obs_...`` options before its first argument; their names are checked later."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest: list[str] = []
        obs: list[str] = []
        waiting = list(args)
        while waiting and waiting[0].startswith("-"):
            argument = waiting.pop(0)
            taken = [argument]
            if _takes_next(argument, waiting):
                taken.append(waiting.pop(0))
            (obs if argument.startswith(_PREFIXES) else rest).extend(taken)
        ctx.obj = obs
        return super().parse_args(ctx, rest + waiting)


def _takes_next(argument: str, waiting: list[str]) -> bool:
    """Whether the next argument is the value of an option."""
    if not waiting or "=" in argument or not argument.startswith(("--store", "--name", *_PREFIXES)):
        return False
    values = _MAY_HAVE_NO_VALUE.get(argument)
    return values is None or waiting[0].lower() in values


@click.command(
    cls=_TakesObsOptions,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="[--store FOLDER] [--name NAME] [--obs_...]",
)
@click.option(
    "--store",
    metavar="FOLDER",
    help=f"Folder of the store (default: {STORE_VARIABLE}, else {DEFAULT_STORE}).",
)
@click.option(
    "--name", metavar="NAME", help="Name of its pipelines in the store (default: that of the program)."
)
@click.option("-m", "as_module", is_flag=True, help="PROGRAM is a module, as with `python -m`.")
@click.argument("program", metavar="PROGRAM")
@click.argument("arguments", metavar="ARGS...", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def run(
    options: list[str],
    store: str | None,
    name: str | None,
    as_module: bool,
    program: str,
    arguments: tuple[str, ...],
) -> None:
    """Run a Beam program with every pipeline it makes observed.

    Like `python PROGRAM ARGS...`, with the program's own exit code; 2 where a pipeline of it is given what it
    cannot take. Options for beam-obs come before PROGRAM, and so may those of a pipeline (`--obs_report=off`)
    where the program does not hand them on.
    """
    if not as_module and not os.path.isfile(program):
        raise click.UsageError(f"no program {program!r}; for a module write: beam-obs run -m {program}")
    from beam_obs.records.errors import UsageError
    from beam_obs.runs.instrument import instrument
    from beam_obs.runs.option_names import give_every_pipeline
    from beam_obs.runs.reach import StoreOutOfReach

    try:
        observing = instrument(name, store)
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    sys.argv = [program, *arguments]
    give_every_pipeline(options)
    with observing:
        # What follows is the program's: its exceptions, its SystemExit and so its exit code.
        try:
            run_program(program, as_module)
        except (KeyboardInterrupt, SystemExit):
            raise
        except (UsageError, StoreOutOfReach) as error:  # of what a pipeline was given, as a wrong option
            click.echo(f"{program}: error: {clean_lines(error)}", err=True)
            sys.exit(2)
        except BaseException as error:
            show_error(error, __file__)
            sys.exit(1)
