"""`beam-obs site`: the pages of a store, as files."""

from __future__ import annotations

import click

from beam_obs.cli.shared_options import sources_option, store_option
from beam_obs.records.number_text import counted
from beam_obs.reports.telling import tell
from beam_obs.store.store import Store
from beam_obs.web.web_extra import web_extra


@click.command()
@click.option(
    "--output",
    required=True,
    metavar="FOLDER",
    help="The folder to write, on any filesystem of Beam: new, empty, or a site that is replaced.",
)
@store_option
@click.option("--pipeline", metavar="NAME", help="Only this pipeline.")
@click.option(
    "--last",
    type=click.IntRange(min=0),
    default=30,
    show_default=True,
    help="So many runs of each pipeline, the newest; 0: all.",
)
@click.option(
    "--letters",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="So many dead letters of each kind of refusal in a run have a page.",
)
@sources_option("none")
def site(
    output: str, store: Store, pipeline: str | None, last: int, letters: int, sources: tuple[str, ...]
) -> None:
    """Write the pages of a store as files: for a bucket, or what a build keeps.

    They lead to each other by relative links, and open from a disk. What takes a server is left out:
    paging, and the pages of other records.
    """
    with web_extra():
        from beam_obs.web.static_site import write_site
    count = write_site(store, output, pipeline, last or None, letters, sources)
    tell(f"wrote {counted(count, 'file')}: {output.rstrip('/')}/index.html")
