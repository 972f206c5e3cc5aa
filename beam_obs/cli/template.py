"""`beam-obs template`: what Dataflow wants to know of a program that it is to launch."""

from __future__ import annotations

import contextlib
import importlib
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from beam_obs.cli.users_program import show_error
from beam_obs.records.errors import BeamObsError, UsageError
from beam_obs.reports.telling import tell

if TYPE_CHECKING:
    from beam_obs.dataflow.template_graph import TemplateGraph
    from beam_obs.dataflow.template_settings import TemplateSettings

_output_option = click.option(
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=pathlib.Path),
    default="-",
    metavar="FILE",
    help="The file to write (default: standard output).",
)


@click.group()
def template() -> None:
    """Make templates of Dataflow: metadata, container spec, what they launch.

    PROGRAM is a template's folder, which has a template.toml, or a module: pipelines.flights.batch.
    """


@template.command()
@click.argument("program", metavar="PROGRAM")
@_output_option
def metadata(program: str, output: pathlib.Path) -> None:
    """Print the metadata of a Flex template: its parameters, from the options of the program and of ours."""
    from beam_obs.dataflow.template_settings import template_settings

    _import_from_here(program)
    with _usage():
        text = _metadata_text(template_settings(program))
    _write(text, output)


@template.command()
@click.argument("program", metavar="PROGRAM")
@click.option(
    "--image",
    metavar="IMAGE@sha256:...",
    help="Image of launcher and workers, by its digest (default: left out, as in a spec kept with the code).",
)
@_output_option
def spec(program: str, image: str | None, output: pathlib.Path) -> None:
    """Print the container spec of a Flex template, the file that a launch names."""
    from beam_obs.dataflow.template_parameters import template_parameters
    from beam_obs.dataflow.template_settings import template_settings
    from beam_obs.dataflow.template_spec import as_json, container_spec, template_metadata

    _import_from_here(program)
    with _usage():
        settings = template_settings(program)
        told = template_metadata(settings, template_parameters(settings))
        rendered = container_spec(settings, told, image)
    _write(as_json(rendered), output)


@template.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("program", metavar="PROGRAM")
@click.argument("arguments", metavar="[ARGUMENTS...]", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--pipeline",
    type=click.Path(dir_okay=False, path_type=pathlib.Path),
    metavar="FILE",
    help="Write the portable pipeline too, which `beam-obs launch --update` takes as --graph.",
)
@click.option("--steps", is_flag=True, help="Print each step with its kind and its coders, and no sizes.")
@_output_option
def graph(
    program: str, arguments: tuple[str, ...], pipeline: pathlib.Path | None, steps: bool, output: pathlib.Path
) -> None:
    """Print what Dataflow would get of a program: its steps, and how large its graph is.

    Its own runner builds it, on this machine alone. ARGUMENTS are the program's; those of a template's
    [example] go before them.
    """
    from beam_obs.dataflow.template_graph import template_graph
    from beam_obs.dataflow.template_settings import template_settings

    _import_from_here(program)
    with _usage():
        settings = template_settings(program)
        _check_arguments(arguments, settings.module)
        # The end of our options; a program takes it for the end of its own, with the runner's behind it.
        if arguments[:1] == ("--",):
            arguments = arguments[1:]
        given = [*settings.example_arguments, *arguments]
        made = template_graph(settings.module, given)
        if pipeline is not None:
            pipeline.write_bytes(made.pipeline)
        if steps:
            _write(_steps_text(made), output)
            return
        bare = template_graph(settings.module, [*given, "--obs_lineage=off"])
        is_woven = bare.steps != made.steps
        _write(made.sizes() + f"; without lineage {bare.sizes()}" * is_woven + "\n", output)


@template.command()
@click.argument("name", metavar="NAME")
def new(name: str) -> None:
    """Write a folder to begin with: a pipeline, its template, image, build, and tests that pass.

    NAME is the pipeline's, the folder's, and that of the image.
    """
    from beam_obs.dataflow.template_graph import template_graph
    from beam_obs.dataflow.template_settings import template_settings
    from beam_obs.dataflow.template_starter import start_template, whole_or_none

    with _usage():
        written = start_template(name, pathlib.Path())
        with whole_or_none(pathlib.Path(name).absolute()):
            os.chdir(name)
            _import_from_here(".")
            settings = template_settings(".")
            made = template_graph(settings.module, settings.example_arguments)
            for file, text in (("metadata.json", _metadata_text(settings)), ("steps.txt", _steps_text(made))):
                pathlib.Path(file).write_text(text, encoding="utf-8")
    tell(f"wrote {len(written) + 2} files to {name}: see {name}/README.md")


def _check_arguments(arguments: tuple[str, ...], module: str) -> None:
    """Refuses an option of the command behind PROGRAM, where the program has none of that name."""
    from beam_obs.dataflow.template_parameters import own_option_names

    named = {one.partition("=")[0] for one in arguments if one.startswith("--")}
    ours = named & {"--steps", "--pipeline", "--output"}
    if not ours or arguments[:1] == ("--",):
        return
    for name in sorted(ours - own_option_names(module)):
        raise UsageError(
            f"{name} stands behind PROGRAM, and the program has no such option: write it before, as in "
            f"beam-obs template graph {name} ... PROGRAM"
        )


def _metadata_text(settings: TemplateSettings) -> str:
    from beam_obs.dataflow.template_parameters import template_parameters
    from beam_obs.dataflow.template_spec import as_json, template_metadata

    return as_json(template_metadata(settings, template_parameters(settings)))


def _steps_text(graph: TemplateGraph) -> str:
    return "".join(f"{step}\n" for step in graph.steps)


@contextlib.contextmanager
def _usage() -> Iterator[None]:
    """Tells wrong usage as such, and what the program raises from the program's first line on."""
    try:
        yield
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    except (BeamObsError, click.ClickException, OSError):
        raise
    except Exception as error:
        ours = pathlib.Path(__file__).parents[1].glob("dataflow/*.py")
        show_error(error, __file__, importlib.__file__, *map(str, ours))
        raise click.exceptions.Exit(1) from None


def _import_from_here(program: str) -> None:
    """Lets modules be imported from the working folder, as `python -m` does, and from a template's own."""
    sys.path[0] = os.getcwd()
    if os.path.isdir(program):
        sys.path.insert(1, os.path.abspath(program))


def _write(text: str, output: pathlib.Path) -> None:
    if str(output) == "-":
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        tell(f"wrote {output}")
