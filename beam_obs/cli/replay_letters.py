"""`beam-obs dead-letters replay` and `beam-obs dead-letters reset`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from beam_obs.cli.replaying import (
    check_program,
    dry_run_option,
    program_arguments,
    program_option,
    replace_files_option,
    run_replaying,
    tell_cut,
    told_cut,
)
from beam_obs.cli.shared_options import (
    end_if_lost,
    json_option,
    store_argument,
    store_option,
    tell_problems,
)
from beam_obs.records.errors import BeamObsError
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
    from beam_obs.replay.letter_replay import LetterReplay
    from beam_obs.replay.replay import ReplayPlan


@click.command(name="replay")
@click.argument("run", metavar="RUN")
@program_arguments
@store_option
@program_option
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
@replace_files_option
@click.option(
    "--trust-pickles",
    is_flag=True,
    help="Decode records by any coder of the program, also one that unpickles or is not known: whoever can "
    "write to the store may have chosen what code that runs.",
)
@dry_run_option
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
    check_program(program)
    from beam_obs.replay.letter_choice import AskedReplay, choose_letters
    from beam_obs.replay.letter_replay import LetterReplay

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
    under_way = LetterReplay(store, chosen, asked, states, dry_run)
    plan = run_replaying(
        under_way,
        program,
        arguments,
        lambda: _tell_left(chosen.left),
        lambda: _tell_outcome(under_way, False),
    )
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


def _stages(by_stage: object) -> str:
    return ", ".join(repr(label) for label in by_stage) if isinstance(by_stage, dict) else ""


def _tell_left(left: object) -> None:
    from beam_obs.replay.letter_choice import left_text

    for line in left_text(left) if isinstance(left, dict) else ():
        click.echo(f"beam-obs: {clean(line)}", err=True)


def _tell_plan(under_way: LetterReplay, plan: ReplayPlan, as_json: bool) -> None:
    chosen = under_way.chosen
    if as_json:
        told = {"run": under_way.parent, "pipeline": under_way.pipeline, "stages": dict(chosen.by_stage)}
        left = {reason: count for reason, count in chosen.left.items() if count}
        click.echo(json.dumps({**told, "not_replayed": left, **told_cut(plan.cut)}))
        return
    for label, count in chosen.by_stage.items():
        tell(f"{count:>9,}  {clean(label)}")
    _tell_left(chosen.left)
    tell_cut(plan.cut)
    tell(f"nothing was done: without --dry-run {counted(len(chosen.letters), 'letter')} would be replayed")


def _tell_outcome(under_way: LetterReplay, as_json: bool) -> None:
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
