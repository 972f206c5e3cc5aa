"""`beam-obs`: runs a program observed, and reads what its runs left in a store.

Exit codes: 0, 1 where something failed, 2 for wrong usage; `beam-obs run` passes on the program's own.
Commands that read a local store do not import Apache Beam.
"""

from __future__ import annotations

import contextlib
import difflib
import gc
import importlib
import io
import os
import sys
from collections.abc import Iterator

import click

from beam_obs.cli.clean_output import clean_output
from beam_obs.cli.shared_options import take_filesystem_options
from beam_obs.records.errors import BeamObsError
from beam_obs.records.wording import clean_lines
from beam_obs.store.filesystems import reach_filesystems_by

_COMMANDS = {
    "run": "run",
    "runs": "runs",
    "show": "runs",
    "graph": "graph",
    "launch": "launch",
    "watch": "watch",
    "check": "check",
    "probe": "probe",
    "diff": "diff",
    "balance": "balance",
    "dead-letters": "dead_letters",
    "replay": "replay",
    "why": "why",
    "fate": "fate",
    "trace": "trace",
    "sources": "sources",
    "affected": "affected",
    "serve": "serve",
    "site": "site",
    "alerts": "alerts",
    "dashboards": "dashboards",
    "template": "template",
    "exporter": "exporter",
    "prune": "prune",
    "config": "config",
}
"""Name of a command -> the module of this room that has it."""

_SAY_BY_CODE = frozenset({"check", "balance", "probe"})
"""Commands whose exit code is what they say: it is never 0 where they could not end."""

_MADE_BETWEEN_COLLECTIONS = 100_000


class _Commands(click.Group):
    """Imports a command's module when it is asked for: each waits for what it needs alone."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        nearest = difflib.get_close_matches(args[0], _COMMANDS, 1)
        if args[0] not in _COMMANDS and nearest:
            ctx.fail(f"no command {args[0]!r}; did you mean {nearest[0]!r}?")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"beam_obs.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="beam-obs", prog_name="beam-obs")
@click.pass_context
def beam_obs(context: click.Context) -> None:
    """Runs of Apache Beam pipelines: start them observed, and read what they left."""
    if context.invoked_subcommand != "run":  # what a program prints is its own
        context.with_resource(clean_output())
        context.with_resource(_collecting_seldom())


@contextlib.contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Looks for cycles of garbage after more has been made: going through what a store has, again and again,
    takes longer than reading it."""
    before = gc.get_threshold()
    gc.set_threshold(_MADE_BETWEEN_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _without_program(given: list[str]) -> tuple[list[str], list[str]]:
    """Takes the options of filesystems from arguments; behind ``--`` they are a program's."""
    end = given.index("--") if "--" in given else len(given)
    rest, of_filesystems = take_filesystem_options(given[:end])
    return [*rest, *given[end:]], of_filesystems


def main(arguments: list[str] | None = None) -> None:
    """Runs a command and ends the process with its exit code."""
    sys.exit(exit_code(arguments))


def _write_nothing_more() -> None:
    """Lets what is still to be written when Python ends go nowhere: the reader has what it wanted."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_code(arguments: list[str] | None = None) -> int:
    """Runs a command; returns its exit code. An error on purpose is one message, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        # What a narrow encoding does not have is shown by its code; an output must not fail by a name.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        # As click's own `main` does, but for a closed pipe, which it makes a failure.
        # What `run` is given is the program's.
        given, of_filesystems = (given, []) if given[:1] == ["run"] else _without_program(given)
        reach_filesystems_by(of_filesystems)
        with beam_obs.make_context("beam-obs", given) as context:
            beam_obs.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
            return error.exit_code
        _write_nothing_more()
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        with clean_output():
            error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        if given[:1] == ["run"] and isinstance(error, KeyboardInterrupt):
            raise  # what the program would end with
        click.echo("beam-obs: interrupted", err=True)
        return 130
    except BrokenPipeError:
        _write_nothing_more()
        return 1 if given[:1] and given[0] in _SAY_BY_CODE else 0
    except BeamObsError as error:
        click.echo(f"beam-obs: {clean_lines(error)}", err=True)
        return 1
    except OSError as error:
        click.echo(f"beam-obs: {type(error).__name__}: {clean_lines(error)}", err=True)
        return 1
    return 0
