"""`beam-obs diff`: two runs side by side."""

from __future__ import annotations

import json
import sys

import click

from beam_obs.cli.shared_options import store_option, tell_problems_of
from beam_obs.reports.console import console_for, print_plainly, writes_unicode
from beam_obs.reports.difference_text import render_difference
from beam_obs.reports.fitting import MOST_TEXT
from beam_obs.store.difference import compare_runs
from beam_obs.store.store import Store


@click.command()
@click.argument("before", metavar="RUN")
@click.argument("after", metavar="RUN")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print the difference as one JSON object.")
def diff(before: str, after: str, store: Store, as_json: bool) -> None:
    """Show how two runs differ, and where the difference begins.

    Each RUN is an id, the beginning of one, `latest`, `latest~1` for the one before it, or any of these for
    one pipeline: `beam-obs diff PIPELINE@latest~1 PIPELINE@latest`. The first is taken as the earlier run.
    """
    earlier, later = store.find(before), store.find(after)
    tell_problems_of(earlier, later)
    difference = compare_runs(store, earlier, later)
    if as_json:
        click.echo(json.dumps(difference.to_json(), indent=1))
        return
    console = console_for(sys.stdout)
    most_text = MOST_TEXT if console.is_terminal else None
    print_plainly(console, render_difference(difference, not writes_unicode(console), most_text))
