"""`beam-obs run`: runs a program as `python PROGRAM` would, with every pipeline it makes observed."""

from __future__ import annotations

import os
import runpy
import sys
from typing import Any

import click

from beam_obs.store.store import DEFAULT_STORE, STORE_VARIABLE

_PREFIXES = ("--obs_", "--obs-")
"""How options of ours begin; those with hyphens are refused where the others are looked at."""


class _TakesObsOptions(click.Command):
    """A command that takes ``--obs_...`` options before its first argument; their names are checked later."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest: list[str] = []
        obs: list[str] = []
        waiting = list(args)
        while waiting and waiting[0].startswith("-"):
            argument = waiting.pop(0)
            taken = [argument]
            if ("=" not in argument and argument in ("--store", "--name")) or argument.startswith(_PREFIXES):
                taken += waiting[:1] if "=" not in argument else []
                del waiting[: len(taken) - 1]
            (obs if argument.startswith(_PREFIXES) else rest).extend(taken)
        ctx.obj = obs
        return super().parse_args(ctx, rest + waiting)


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

    Like `python PROGRAM ARGS...`, with the program's own exit code. Options for beam-obs come before PROGRAM,
    and so may those of a pipeline (`--obs_report=off`) where the program does not hand them on.
    """
    if not as_module and not os.path.isfile(program):
        raise click.UsageError(f"no program {program!r}; for a module write: beam-obs run -m {program}")
    from beam_obs.records.errors import UsageError
    from beam_obs.runs.instrument import instrument
    from beam_obs.runs.option_names import give_every_pipeline

    try:
        observing = instrument(name, store)
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    sys.argv = [program, *arguments]
    give_every_pipeline(options)
    with observing:
        # What follows is the program's: its exceptions, its SystemExit and so its exit code.
        try:
            _run_module(program) if as_module else _run_file(program)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            _show(error)
            sys.exit(1)


def _run_module(name: str) -> None:
    sys.path[0] = os.getcwd()
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _run_file(path: str) -> None:
    """Runs a file in the real `__main__` module, so that functions defined there can be pickled."""
    sys.path[0] = os.path.dirname(os.path.abspath(path))
    main = sys.modules["__main__"]
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    main.__dict__.update(__file__=path, __spec__=None, __package__=None, __doc__=None, __loader__=None)
    exec(code, main.__dict__)


def _show(error: BaseException) -> None:
    """Prints a program's traceback from the program's first frame on."""
    frames: Any = error.__traceback__
    ours = {__file__, runpy.__file__}
    while frames is not None and (
        frames.tb_frame.f_code.co_filename in ours
        or frames.tb_frame.f_code.co_filename.startswith("<frozen runpy")
    ):
        frames = frames.tb_next
    sys.excepthook(type(error), error.with_traceback(frames), frames)
