"""`beam-obs graph`: a picture of what a run did."""

from __future__ import annotations

import pathlib

import click

from beam_obs.cli.shared_options import all_steps_option, store_option, tell_problems_of
from beam_obs.reports.graph_picture import run_picture
from beam_obs.reports.telling import tell
from beam_obs.store.store import Store


@click.command()
@click.argument("run", metavar="RUN")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=pathlib.Path),
    required=True,
    metavar="FILE.svg",
    help="The file to write; - for standard output.",
)
@all_steps_option
@store_option
def graph(run: str, output: pathlib.Path, all_steps: bool, store: Store) -> None:
    """Draw the step graph of a run, in SVG.

    Counts are on the edges; dead letters, what was filtered and parts without lineage are marked.
    RUN is an id, the beginning of one, `latest`, or `PIPELINE@latest`.
    """
    if output.suffix.lower() not in ("", ".svg"):
        raise click.UsageError(
            f"the picture is SVG, no {output.suffix[1:]}: write --output {output.stem}.svg"
        )
    record = store.find(run)
    tell_problems_of(record)
    picture = run_picture(record, all_steps)
    if str(output) == "-":
        click.echo(picture.encode(), nl=False)
    else:
        output.write_text(picture, encoding="utf-8")
        tell(f"wrote {output}")
