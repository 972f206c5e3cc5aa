"""`beam-obs launch`: starts a job of Dataflow from a template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from beam_obs.dataflow.dataflow_calls import JobPlace, place, sought_place
from beam_obs.dataflow.launch import Wanted, launch_request
from beam_obs.dataflow.launch_parameters import WrongParameters
from beam_obs.dataflow.launched_template import read_template
from beam_obs.records.errors import BeamObsError, UsageError
from beam_obs.records.wording import clean
from beam_obs.reports.telling import tell


def _pairs(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"found {text!r}, expected NAME=VALUE")
        if name in found:
            raise click.BadParameter(f"{name} is given twice")
        found[name] = value
    return found


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say where jobs of Dataflow are."""
    for option in (
        click.option("--endpoint", metavar="URL", help="Dataflow's API elsewhere than at Google."),
        click.option(
            "--region", metavar="REGION", help="Region of the job (default: CLOUDSDK_COMPUTE_REGION)."
        ),
        click.option(
            "--project", metavar="PROJECT", help="Project of the job (default: GOOGLE_CLOUD_PROJECT)."
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("template", metavar="TEMPLATE")
@click.option(
    "--param",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_pairs,
    help="A parameter of the template; may be given several times.",
)
@place_options
@click.option("--job-name", metavar="NAME", help="Name of the job (default: the template's, and the time).")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_pairs,
    help="A label of the job; may be given several times.",
)
@click.option(
    "--environment",
    multiple=True,
    metavar="FIELD=VALUE",
    callback=_pairs,
    help="A field of the API's FlexTemplateRuntimeEnvironment, as maxWorkers=10; may be given several times.",
)
@click.option("--update", is_flag=True, help="Replace the job of that name that runs.")
@click.option(
    "--graph",
    metavar="FILE",
    help="Of an update the new pipeline: pipeline.pb as Beam stages it, or a classic template.",
)
@click.option(
    "--even-incompatible",
    is_flag=True,
    help="Send an update although the running job cannot be taken over, as far as is seen here.",
)
@click.option(
    "--at-least-once", is_flag=True, help="Let a streaming job process records more than once: it costs less."
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print what would be posted, and post nothing; an update asks for the job that runs.",
)
@click.option("--validate-only", is_flag=True, help="Let Dataflow look at the request, and start nothing.")
@click.option(
    "--watch",
    "is_watched",
    is_flag=True,
    help="Follow the job to its end, as `beam-obs watch` does: its run in the store that obs_store names, "
    "its numbers sent where parameters such as obs_cloud_monitoring say.",
)
def launch(
    template: str,
    parameters: Mapping[str, str],
    project: str | None,
    region: str | None,
    endpoint: str | None,
    job_name: str | None,
    labels: Mapping[str, str],
    environment: Mapping[str, str],
    update: bool,
    graph: str | None,
    even_incompatible: bool,
    at_least_once: bool,
    dry_run: bool,
    validate_only: bool,
    is_watched: bool,
) -> None:
    """Start a job of Dataflow from a template, whose metadata tells which parameters it takes.

    TEMPLATE is the file of a flex template, on this machine or in gs://, or of a classic one in gs://. What
    it or Dataflow would refuse is named, and nothing is sent. The id of the job is printed, and the address
    of its page; `beam-obs watch` follows it to its end, and so does --watch here.
    """
    if dry_run and validate_only:
        raise click.UsageError("--dry-run sends nothing, and --validate-only asks Dataflow: give one of them")
    if is_watched and (dry_run or validate_only):
        raise click.UsageError("--watch follows a job, and none is started")
    where, missing = sought_place(project, region, endpoint)
    from beam_obs.cli.watch import watch_command, watch_job
    from beam_obs.store.store import Store

    targets = _targets(parameters) if is_watched else {}
    store = Store(parameters.get("obs_store")) if is_watched else None
    if graph is not None and not update:
        raise click.UsageError("--graph is of an update: give --update too")
    new_graph = None if graph is None else _given_graph(graph)
    wanted = Wanted(parameters, job_name, labels, environment, is_update=update, at_least_once=at_least_once)
    if missing:
        wrong = [*missing, *_others_wrong(template, where, wanted)]
        raise click.UsageError("nothing was sent:" + "".join(f"\n  {clean(one)}" for one in wrong))
    found = read_template(template)
    if found.metadata is None:
        click.echo(
            f"beam-obs: {clean(template)} has no metadata: its parameters were not looked at", err=True
        )
    request = launch_request(found, where, wanted)
    if update and job_name is not None:
        mapping = _mapping(where, job_name, new_graph, found.graph, even_incompatible, dry_run)
        request = launch_request(found, where, wanted._replace(mapping=mapping))
    if dry_run:
        click.echo(request.body())
        click.echo(f"beam-obs: to be posted to {request.address}", err=True)
        return
    try:
        job_id = request.send(validate_only)
    except KeyboardInterrupt:
        if not validate_only:
            click.echo(f"beam-obs: {where.may_have_started(request.job_name)}", err=True)
        raise click.Abort from None
    if validate_only or job_id is None:
        tell(f"Dataflow takes it: {request.job_name} would be launched")
        return
    tell(job_id)
    tell(where.console(job_id))
    if store is not None:
        watch_job(job_id, store, where, targets, is_new=True)
        return
    click.echo(f"beam-obs: {watch_command(job_id, where, parameters.get('obs_store'))} follows it", err=True)


def asked_place(project: str | None, region: str | None, endpoint: str | None) -> JobPlace:
    """Returns where jobs are, as options or variables say it.

    Raises:
      click.UsageError: neither does.
    """
    try:
        return place(project, region, endpoint)
    except UsageError as error:
        raise click.UsageError(str(error)) from None


def _others_wrong(template: str, where: JobPlace, wanted: Wanted) -> list[str]:
    """Returns what would be refused of a launch if it were known where to: it is said together with that."""
    try:
        launch_request(read_template(template), where, wanted)
    except WrongParameters as error:
        return error.problems
    except (BeamObsError, OSError) as error:
        return [str(error)]
    return []


def _targets(parameters: Mapping[str, str]) -> dict[str, str]:
    """Returns where the numbers of a job are sent while it is watched: its parameters or a file here say."""
    from beam_obs.exporters.targets import TARGETS, chosen_targets
    from beam_obs.store.configuration import find_configuration

    given = {name: parameters.get(f"obs_{name}") for name in TARGETS}
    return chosen_targets(given, find_configuration(), "--param obs_{}")


def _given_graph(location: str) -> Any:
    """Returns the pipeline of a file that was asked for by its name: without it nothing may be sent."""
    from beam_obs.dataflow.launched_template import NoTemplate
    from beam_obs.dataflow.running_job import read_pipeline

    try:
        pipeline = read_pipeline(location)
    except NoTemplate as error:
        raise click.UsageError(f"--graph {error}; nothing was sent") from None
    if pipeline is None:
        raise click.UsageError(f"--graph {location}: there is no such file, nothing was sent")
    return pipeline


def _mapping(
    where: JobPlace, job_name: str, given: Any, graph: str | None, even_incompatible: bool, dry_run: bool
) -> Mapping[str, str]:
    """Returns the new names of steps of the job that runs, and says what stands in the way of its update."""
    from beam_obs.dataflow.dataflow_calls import DataflowError
    from beam_obs.dataflow.running_job import is_batch, pipeline_of, read_pipeline, running_job
    from beam_obs.dataflow.transform_mapping import plan_update

    try:
        job = running_job(where, job_name)
    except DataflowError as error:
        if not dry_run:
            raise
        click.echo(f"beam-obs: new names of steps are left out: {clean(str(error))}", err=True)
        return {}
    if is_batch(job):
        raise click.ClickException(
            f"{job.id} is a batch job, nothing was sent: only streaming ones are updated; launch a new one"
        )
    old = pipeline_of(job)
    new = read_pipeline(graph) if given is None and graph is not None else given
    if old is None or new is None:
        which = "the new pipeline (--graph gives it)" if new is None else "that of the running job"
        click.echo(
            f"beam-obs: {which} is not known: whether {job.id} can be taken over, and under which names, "
            "is left to Dataflow",
            err=True,
        )
        return {}
    plan = plan_update(old, new)
    for line in plan.lines():
        click.echo(f"beam-obs: {line}", err=True)
    if plan.incompatibilities and not even_incompatible:
        raise click.ClickException(
            f"{job.id} cannot be taken over, nothing was sent (--even-incompatible sends it)"
        )
    return plan.mapping
