"""`beam-obs prune --match` and `--origin`: one person's evidence erased from all runs of a store."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from beam_obs.cli.shared_options import tell_problems
from beam_obs.records.number_text import counted
from beam_obs.records.origin import parse_origin
from beam_obs.reports.telling import tell
from beam_obs.store.erasure import erase
from beam_obs.store.person import Person
from beam_obs.store.store import Store


def erase_person(
    store: Store,
    match: str | None,
    origins: Sequence[str],
    pipeline: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Erases a person's evidence, and prints how much it was.

    Args:
      store: the store.
      match: ``FIELD=VALUE``, of the person's records.
      origins: of the person's records, as hex digits.
      pipeline: name of the pipeline; None for all.
      dry_run: whether it is only counted.
      as_json: whether to print one JSON object.
    """
    field, sign, value = (match or "").partition("=")
    if match is not None and not (field and sign and value):
        raise click.UsageError(f"--match {match}: give FIELD=VALUE")
    try:
        person = Person(field, value, frozenset(map(parse_origin, origins)))
    except ValueError as error:
        raise click.UsageError(f"--origin: {error}") from None
    found = erase(store, person, pipeline=pipeline, dry_run=dry_run)
    if as_json:
        told = {"dry_run": dry_run, "runs": found.runs, "erased": found.counts, "left": found.left}
        click.echo(json.dumps(told))
    else:
        verb = "would erase" if dry_run else "erased"
        what = ", ".join(f"{count:,} {name}" for name, count in found.counts.items())
        of = f" from {counted(len(found.runs), 'run')}: {what}" if what else " nothing"
        tell(f"{verb}{of}")
    if found.left:
        tell_problems(found.left)
        raise click.exceptions.Exit(1)
