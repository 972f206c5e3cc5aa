"""`beam-obs check`: a gate for schedulers and continuous integration."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import click

from beam_obs.alerts.gate_rules import GateRules, gate
from beam_obs.alerts.gated_run import GatedRun
from beam_obs.alerts.junit_file import check_junit, write_junit
from beam_obs.alerts.limit import Bound, count, count_or_share, duration, parse_limit, share
from beam_obs.alerts.nagios_output import UNKNOWN, nagios_code, nagios_line, nagios_lines
from beam_obs.alerts.verdict import BROKEN, UNTOLD, Verdict, passes
from beam_obs.alerts.watched_pipeline import NEWEST
from beam_obs.cli.shared_options import parsed_by, store_option
from beam_obs.records.errors import BeamObsError, MissingExtra
from beam_obs.records.number_text import counted
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import clean
from beam_obs.reports.telling import tell
from beam_obs.store.configuration import usable_schedules
from beam_obs.store.store import Store


class _Gate(click.Command):
    """Ends with 3, unknown, where Nagios asks and the command itself goes wrong: to it, 2 is an alarm."""

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> click.Context:
        as_nagios = "--nagios" in args
        try:
            return super().make_context(info_name, args, *more, **extra)
        except (click.ClickException, BeamObsError) as error:
            if as_nagios:
                _end_unknown(error.format_message() if isinstance(error, click.ClickException) else error)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.UsageError, BeamObsError, OSError) as error:
            message = error.format_message() if isinstance(error, click.UsageError) else str(error)
            junit = ctx.params["junit"]
            if junit is not None and isinstance(error, BeamObsError) and not isinstance(error, MissingExtra):
                # A file that is there from the time before must not be taken for this one's.
                write_junit(str(junit), ctx.params["run"], [Verdict("run", UNTOLD, message)])
            if ctx.params["nagios"]:
                _end_unknown(message)
            raise


def _end_unknown(message: object) -> None:
    click.echo(nagios_line(UNKNOWN, str(message)))
    raise click.exceptions.Exit(UNKNOWN)


def _limit(parse: Callable[[str], Bound], is_least: bool = False) -> Callable[..., Any]:
    return parsed_by(lambda text: parse_limit(text, parse, is_least))


@click.command(cls=_Gate)
@click.argument("run", metavar="RUN")
@store_option
@click.option("--balanced", is_flag=True, help="Its balance holds.")
@click.option("--evidence", is_flag=True, help="No evidence is lost or damaged.")
@click.option(
    "--on-schedule",
    is_flag=True,
    help="Its pipeline misses no start of its schedule in beam_obs.toml, nor takes longer than that says.",
)
@click.option(
    "--no-new-kinds", is_flag=True, help="It refuses no kind of record that the run before did not."
)
@click.option(
    "--max-dead",
    metavar="SHARE|N",
    callback=_limit(count_or_share),
    help="At most so many records are refused: 1%, or a number.",
)
@click.option(
    "--max-age",
    metavar="AGE",
    callback=_limit(duration),
    help="The last run of its pipeline that is done ended so long ago, at most: 26h.",
)
@click.option(
    "--takes-at-most", metavar="DURATION", callback=_limit(duration), help="It takes so long, at most: 2h."
)
@click.option(
    "--min-records", metavar="N", callback=_limit(count, True), help="So many records come in, at least."
)
@click.option(
    "--min-written", metavar="N", callback=_limit(count, True), help="So many records are written, at least."
)
@click.option(
    "--within",
    metavar="SHARE",
    callback=_limit(share),
    help="What comes in and is written is as the median of the newest 30 runs before it, give or take: 30%.",
)
@click.option(
    "--may-run", is_flag=True, help="A run that is under way is as good as one that is done: a stream."
)
@click.option("--allow-untold", is_flag=True, help="A rule that cannot be told does not fail the gate.")
@click.option(
    "--junit",
    type=click.Path(dir_okay=False, path_type=pathlib.Path),
    metavar="FILE",
    help="Write JUnit XML, too, a test case for each rule.",
)
@click.option("--nagios", is_flag=True, help="Print and exit as a plugin of Nagios: 0, 1, 2 or 3.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as one JSON object.")
def check(
    run: str,
    store: Store,
    allow_untold: bool,
    junit: pathlib.Path | None,
    nagios: bool,
    as_json: bool,
    **rules: Any,
) -> None:
    """Hold a run against rules: exit code 0 where all hold, 1 where one is broken or cannot be told.

    RUN is an id, the beginning of one, `latest`, or `PIPELINE@latest`. It has to be done, whatever else is
    asked. Without any rule it has to be balanced, too, to have lost no evidence, and its pipeline to keep its
    schedule. A limit may be two, as --max-dead 1%,5%: what is beyond the first warns, beyond the second is
    broken.
    """
    if nagios and as_json:
        raise click.UsageError("--nagios and --json: give one of them")
    if junit is not None:
        check_junit()
    gated = _gated(store, run)
    verdicts = gate(gated, GateRules(**rules))
    subject = gated.pipeline if gated.record is None else f"{gated.pipeline} {gated.record.id[:SHORT_ID]}"
    if junit is not None:
        write_junit(str(junit), subject, verdicts, allow_untold)
    opens = passes(verdicts, allow_untold)
    if nagios:
        for line in nagios_lines(subject, verdicts, allow_untold):
            click.echo(line)
        raise click.exceptions.Exit(nagios_code(verdicts, allow_untold))
    if as_json:
        click.echo(
            json.dumps(
                {
                    "run": None if gated.record is None else gated.record.id,
                    "pipeline": gated.pipeline,
                    "status": None if gated.record is None else gated.record.status,
                    "passes": opens,
                    "rules": [verdict.to_json() for verdict in verdicts],
                }
            )
        )
    else:
        _tell(subject, gated, verdicts)
    if not opens:
        raise click.exceptions.Exit(1)


def _gated(store: Store, selector: str) -> GatedRun:
    """Returns the run that is meant, or a pipeline that has a schedule and never ran."""
    schedules = usable_schedules()
    name = selector.removesuffix(NEWEST) if selector.endswith(NEWEST) else ""
    if name in schedules and not store.ids(name):
        return GatedRun(store, name, None, schedules[name])
    record = store.find(selector)
    return GatedRun(store, record.pipeline, record, schedules.get(record.pipeline))


def _tell(subject: str, gated: GatedRun, verdicts: Sequence[Verdict]) -> None:
    status = "never ran" if gated.record is None else gated.record.status_text
    tell(f"{clean(subject)}  {clean(status)}")
    states = max(len(verdict.state) for verdict in verdicts)
    rules = max(len(verdict.rule) for verdict in verdicts)
    for verdict in verdicts:
        tell(f"{verdict.state:{states}}  {verdict.rule:{rules}}  {clean(verdict.text)}")
    failed = [verdict for verdict in verdicts if verdict.state in (BROKEN, UNTOLD)]
    if failed:
        tell(f"{len(failed):,} of {counted(len(verdicts), 'rule')} not held")
