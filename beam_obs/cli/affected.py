"""`beam-obs affected`: the runs and outputs that a bad file, or a bad version of the code, has touched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from beam_obs.cli.shared_options import end_if_lost, store_option
from beam_obs.records.errors import BeamObsError
from beam_obs.records.number_text import counted
from beam_obs.records.wording import clean
from beam_obs.reports.telling import tell
from beam_obs.store.store import Store
from beam_obs.store.unknown_name import UnknownName, beginning_of

if TYPE_CHECKING:
    from beam_obs.lineage.blast_radius import Affected, TouchedRun

_FILES_SHOWN = 10


@click.command()
@click.option("--source", metavar="FILE", help="A file that runs have read, in any version.")
@click.option(
    "--code",
    metavar="VERSION",
    help="A version of the pipeline's code, or its beginning; a commit also with changed files (+dirty).",
)
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON object.")
def affected(source: str | None, code: str | None, store: Store, as_json: bool) -> None:
    """Show what a bad file, or a bad version of the code, has touched: what a backfill has to make again.

    Lists the runs, how many records of each sink were touched, also through aggregates, and the files that
    those sinks wrote.
    """
    from beam_obs.lineage.blast_radius import affected as find_affected
    from beam_obs.lineage.run_choice import known_codes, known_sources

    if (source is None) == (code is None) or "" in (source, code):
        raise click.UsageError("give --source FILE or --code VERSION")
    if code is not None:
        code = _version(code, known_codes(store))
    answer = find_affected(source=source, code=code, store=store)
    if as_json:
        click.echo(json.dumps(answer.to_json(), indent=1))
    else:
        tell(*_lines(answer))
    if not answer.runs and not answer.overlooked:
        name = str(code if source is None else source)
        what = f"has code {name}" if source is None else f"read {name}"
        known = known_codes(store) if source is None else known_sources(store)
        raise UnknownName(f"no run in the store {store.shown_uri} {what}", name, known)
    end_if_lost(answer.is_lost)


def _version(given: str, known: list[str]) -> str:
    """Returns the version of code that is meant: one that there is, or the only one that begins so.

    Raises:
      BeamObsError: several begin so.
    """
    begins = beginning_of(given)
    if given in known or not begins:
        return given
    # A hash is often copied without what it is of.
    found = [one for one in known if one.startswith(begins) or one.partition(":")[2].startswith(begins)]
    if len(found) > 1:
        listed = "".join(f"\n  {clean(one)}" for one in found)
        raise BeamObsError(f"{given!r} may be any of {len(found)} versions of the code:{listed}")
    return found[0] if found else given


def _lines(answer: Affected) -> Iterator[str]:
    for number, run in enumerate(answer.runs):
        if number:
            yield ""
        yield from _run(run)
    if answer.overlooked:
        yield ""
    for told in answer.overlooked:
        yield f"not looked at: {clean(told)}"


def _run(touched: TouchedRun) -> Iterator[str]:
    from beam_obs.reports.lineage_text import certainty_text, run_text
    from beam_obs.reports.lineage_words import shown_uri

    yield click.style(run_text(touched.run), bold=True)
    yield f"  answer  {certainty_text(touched.certainty)}"
    for version in touched.versions:
        yield f"  version {clean(version)}"
    if touched.read is not None:
        dead = f", and refused {touched.dead:,}" if touched.dead else ""
        yield f"  read    {counted(touched.read, 'record')} of it{dead}"
    if not touched.sinks:
        yield "  nothing that was written is known to come from it"
    for sink in touched.sinks:
        where = f"  {clean(shown_uri(sink.uri))}" if sink.uri else ""
        of = " of the records" if sink.of is None else f" of {counted(sink.of, 'record')}"
        if sink.records is None and touched.side_readers:
            records = "records" if sink.of is None else counted(sink.of, "record")
            yield f"  may have influenced the {records} of {clean(sink.label)}{where}"
            continue
        count = "all" if sink.records is None else f"{sink.records:,}"
        through = f", {sink.by_aggregates:,} through aggregates" if sink.by_aggregates else ""
        yield f"  touched {count}{of} of {clean(sink.label)}{through}{where}"
        yield from (f"            {clean(shown_uri(file))}" for file in sink.files[:_FILES_SHOWN])
        if len(sink.files) > _FILES_SHOWN:
            yield f"            and {counted(len(sink.files) - _FILES_SHOWN, 'more file')}"
    if touched.also_needed:
        yield "  the aggregates among them were made of these too:"
        yield from (f"            {clean(shown_uri(file))}" for file in touched.also_needed[:_FILES_SHOWN])
        if len(touched.also_needed) > _FILES_SHOWN:
            yield f"            and {len(touched.also_needed) - _FILES_SHOWN:,} more (--json lists them)"
