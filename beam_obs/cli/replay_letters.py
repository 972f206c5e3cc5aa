"""`beam-obs dead-letters replay` and `beam-obs dead-letters reset`."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import click

from beam_obs.cli.shared_options import (
    end_if_lost,
    json_option,
    store_argument,
    store_option,
    tell_problems,
)
from beam_obs.cli.users_program import run_program, show_error
from beam_obs.records.errors import BeamObsError, UsageError
from beam_obs.records.number_text import counted
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import clean
from beam_obs.reports.telling import tell
from beam_obs.store.found_letter import find_letter, short_letter_id
from beam_obs.store.letter_states import (
    MAX_ATTEMPTS,
    NEW,
    NO_SUCCESS,
    PARKED,
    REPLAYED,
    RESET,
    LetterStates,
)
from beam_obs.store.store import Store
from beam_obs.store.unknown_name import beginning_of

if TYPE_CHECKING:
    from beam_obs.replay.replay import Replay, ReplayPlan


@click.command(name="replay")
@click.argument("run", metavar="RUN")
@click.argument("arguments", metavar="[-- ARGS...]", nargs=-1, type=click.UNPROCESSED)
@store_option
@click.option(
    "--program",
    required=True,
    metavar="FILE|MODULE",
    help="The program of the pipeline: a file, or a module as with `python -m`.",
)
@click.option("--stage", metavar="LABEL", help="Only what this stage, or a part of it, refused.")
@click.option("--fingerprint", default="", metavar="HEX", help="Only kinds whose fingerprint begins so.")
@click.option("--error", "error_type", metavar="TYPE", help="Only errors of this class, as ValueError.")
@click.option("--text", default="", metavar="TEXT", help="Only records that have this text in them.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many, those refused first.")
@click.option(
    "--max-attempts",
    type=click.IntRange(min=2),
    default=MAX_ATTEMPTS,
    show_default=True,
    help="Letters whose record was tried so often are parked.",
)
@click.option(
    "--replace-files", is_flag=True, help="Let writes have the outputs of the run, whose files they replace."
)
@click.option(
    "--trust-pickles",
    is_flag=True,
    help="Decode records by any coder of the program, also one that unpickles or is not known: whoever can "
    "write to the store may have chosen what code that runs.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@json_option
def replay(
    run: str,
    arguments: tuple[str, ...],
    store: Store,
    program: str,
    stage: str | None,
    fingerprint: str,
    error_type: str | None,
    text: str,
    limit: int | None,
    max_attempts: int,
    replace_files: bool,
    trust_pickles: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Give what a run refused to the same stages again, and what comes of it to all behind them.

    The program is run with ARGS; its pipeline is cut at the stages, which take the dead letters in place of
    their input, with their origins, event times and windows. It is a run of its own. A letter is replayed
    once; one that is refused again is a new letter, of the next attempt.
    """
    is_file = os.path.isfile(program)
    if not is_file and (os.sep in program or program.endswith(".py")):
        raise click.UsageError(f"no program {program!r}: give a file, or the name of a module")
    from beam_obs.replay.letter_choice import AskedReplay, choose_letters
    from beam_obs.replay.replay import Replay

    record = store.find(run)
    states = LetterStates(store, record)
    asked = AskedReplay(
        stage,
        beginning_of(fingerprint).lower(),
        error_type,
        text,
        limit,
        max_attempts,
        replace_files,
        trust_pickles,
    )
    chosen = choose_letters(store, record, asked, states)
    tell_problems(chosen.problems)
    if not chosen.letters:
        _tell_left(chosen.left)
        raise BeamObsError(f"run {record.id} has no dead letter that can be replayed and is asked for")
    under_way = Replay(store, chosen, asked, states, dry_run)
    plan = _run(under_way, program, not is_file, arguments)
    if plan is not None:
        _tell_plan(under_way, plan, as_json)
    elif under_way.run is None:
        _tell_left(chosen.left)
        raise BeamObsError(
            f"{program} has run no pipeline with {_stages(chosen.by_stage)}: nothing was replayed"
        )
    else:
        _tell_outcome(under_way, as_json)
        end_if_lost(store.find(under_way.run).status in NO_SUCCESS)


def _run(under_way: Replay, program: str, as_module: bool, arguments: tuple[str, ...]) -> ReplayPlan | None:
    """Runs a program whose pipeline is cut; returns the plan, where no more is wanted."""
    from beam_obs.replay.replay import Planned, replaying
    from beam_obs.runs.instrument import instrument

    sys.argv = [program, *arguments]
    try:
        with instrument(under_way.pipeline, under_way.store), replaying(under_way):
            run_program(program, as_module)
    except Planned as planned:
        return planned.plan
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
    except (KeyboardInterrupt, BeamObsError, UsageError):
        if under_way.run is None:
            _tell_left(under_way.chosen.left)
        raise
    except BaseException as error:
        show_error(error, __file__)
        if under_way.run is not None:
            _tell_outcome(under_way, False)
        sys.exit(1)
    return None


def _stages(by_stage: object) -> str:
    return ", ".join(repr(label) for label in by_stage) if isinstance(by_stage, dict) else ""


def _tell_left(left: object) -> None:
    from beam_obs.replay.letter_choice import left_text

    for line in left_text(left) if isinstance(left, dict) else ():
        click.echo(f"beam-obs: {clean(line)}", err=True)


def _tell_plan(under_way: Replay, plan: ReplayPlan, as_json: bool) -> None:
    chosen = under_way.chosen
    steps = {"aggregates": plan.cut.aggregates, "merges": plan.cut.merges, "left_out": plan.cut.left_out}
    if as_json:
        told = {"run": under_way.parent, "pipeline": under_way.pipeline, "stages": dict(chosen.by_stage)}
        left = {reason: count for reason, count in chosen.left.items() if count}
        click.echo(json.dumps({**told, "not_replayed": left, **steps}))
        return
    for label, count in chosen.by_stage.items():
        tell(f"{count:>9,}  {clean(label)}")
    _tell_left(chosen.left)
    for heading, labels in (
        ("results of the replayed records alone", plan.cut.aggregates),
        ("takes nothing else any more", plan.cut.merges),
        ("does not run, for its own records are not replayed", plan.cut.left_out),
    ):
        for label in labels:
            tell(f"{clean(label)}: {heading}")
    tell(f"nothing was done: without --dry-run {counted(len(chosen.letters), 'letter')} would be replayed")


def _tell_outcome(under_way: Replay, as_json: bool) -> None:
    record = under_way.store.find(str(under_way.run))
    left = {reason: count for reason, count in under_way.chosen.left.items() if count}
    if as_json:
        told = {"run": record.id, "parent_run": under_way.parent, "status": record.status}
        counts = {"letters": under_way.taken, "refused_again": record.refused, "not_replayed": left}
        click.echo(json.dumps({**told, **counts}))
        return
    _tell_left(left)
    of = f"{counted(under_way.taken, 'dead letter')} of run {under_way.parent[:SHORT_ID]}"
    did = "was to replay" if record.status in NO_SUCCESS else "replayed"
    tell(f"run {record.id[:SHORT_ID]} ({record.status_text}) {did} {of}")
    if record.refused:
        where = store_argument(under_way.store)
        tell(f"beam-obs dead-letters list {record.id[:SHORT_ID]} --letters{where}")


@click.command(name="reset")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@store_option
@click.option(
    "--even-replayed",
    is_flag=True,
    help="Also letters that were replayed, or of whose replay nothing is known: what they made comes twice.",
)
def reset(ids: tuple[str, ...], store: Store, even_replayed: bool) -> None:
    """Let parked dead letters be replayed again, as if they had been tried once."""
    for id in ids:
        record, letter, _ = find_letter(store, id)
        states = LetterStates(store, record)
        found = states.state(letter)
        name = short_letter_id(letter.id)
        if found.state == NEW:
            tell(f"{name} is new: there is nothing to reset")
            continue
        if found.state != PARKED and not (even_replayed and not states.is_under_way(letter)):
            more = "; --even-replayed resets it all the same" if found.state == REPLAYED else ""
            raise BeamObsError(f"{name} is {found.state}: {found.reason}{more}")
        if not states.write(letter, RESET):
            raise BeamObsError(f"{name} was marked by somebody else meanwhile; look at it again")
        tell(f"{name} is new again")
