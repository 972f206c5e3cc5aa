"""`template.toml`: what Dataflow is told of a template that its program does not say.

It stands in the template's folder, beside the metadata and the image's Dockerfile.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from beam_obs.dataflow.template_regex import regex_problem
from beam_obs.records.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "template.toml"

_PARAMETER = {
    "label": str,
    "help": str,
    "required": bool,
    "type": str,
    "regexes": list,
    "group": str,
    "hidden": bool,
    "leave_out": bool,
}
_STREAMING = ("exactly_once", "at_least_once")


class TemplateSettings(NamedTuple):
    """What a template is, besides the options of its program.

    Args:
      module: the program, which has a function ``main`` without arguments that must be given.
      name: of the template, for people.
      description: of the template, for people.
      streaming: whether its jobs go on until they are ended.
      exactly_once: whether a streaming job of it may take each message once.
      at_least_once: whether one may take a message more than once.
      default_streaming_mode: ``EXACTLY_ONCE`` or ``AT_LEAST_ONCE``, where a job may be either.
      parameters: what is said of single options, by name: ``label``, ``help``, ``required``, ``type``,
        ``regexes``, ``group``, ``hidden``, ``leave_out``.
      environment: what jobs have where their launch says nothing else, by the names of Dataflow's
        ``FlexTemplateRuntimeEnvironment``.
      example: options with which the program builds its pipeline on a machine without Google Cloud.
    """

    module: str
    name: str
    description: str = ""
    streaming: bool = False
    exactly_once: bool = False
    at_least_once: bool = False
    default_streaming_mode: str = ""
    parameters: Mapping[str, Mapping[str, Any]] = {}
    environment: Mapping[str, Any] = {}
    example: Mapping[str, str] = {}

    @property
    def example_arguments(self) -> list[str]:
        """The options of the example, as on a command line."""
        return [f"--{name}={value}" for name, value in self.example.items()]


def template_settings(program: str) -> TemplateSettings:
    """Returns the settings of a template.

    Args:
      program: its folder, which has a ``template.toml``; or the name of a module, of which nothing is said.

    Raises:
      UsageError: there is no such file, or it has something wrong.

    >>> template_settings("pipelines.flights.batch").name
    'batch'
    """
    if not pathlib.Path(program).is_dir():
        if not _is_module_name(program):
            raise UsageError(
                f"{program}: neither a folder with a {FILE} nor the name of a module; "
                "e.g. templates/flights-batch or pipelines.flights.batch"
            )
        return TemplateSettings(program, program.rpartition(".")[2])
    path = pathlib.Path(program) / FILE
    try:
        return _checked(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except FileNotFoundError:
        raise UsageError(f"{program} has no {FILE}; `beam-obs template new` writes one") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None


def _checked(settings: dict[str, Any], path: str) -> TemplateSettings:
    kinds: dict[str, type] = {
        name: type(default) for name, default in TemplateSettings._field_defaults.items()
    } | {"module": str, "name": str}
    _check_names(settings, kinds, path)
    for name in ("module", "name"):
        if not settings.get(name):
            raise UsageError(f"{path}: {name} is not given")
    if not _is_module_name(settings["module"]):
        raise UsageError(
            f"{path}: module is {settings['module']!r}; it is the name of a module, as orders.pipeline"
        )
    for name, said in settings.get("parameters", {}).items():
        where = f"{path}: parameters.{name}"
        if not isinstance(said, dict):
            raise UsageError(f"{where} is {said!r}; write a table: [parameters.{name}]")
        _check_names(said, _PARAMETER, where)
        if any(not isinstance(one, str) for one in said.get("regexes", ())):
            raise UsageError(f"{where}: regexes are texts")
        for regex in said.get("regexes", ()):
            if problem := regex_problem(regex):
                raise UsageError(f"{where}: regexes: {regex!r}: {problem}")
    example = {name: str(value) for name, value in settings.pop("example", {}).items()}
    found = TemplateSettings(**settings, example=example)
    _check_modes(found, path)
    return found


def _is_module_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _check_names(settings: Mapping[str, Any], kinds: Mapping[str, type], where: str) -> None:
    for name, value in settings.items():
        if name not in kinds:
            raise UsageError(f"{where}: there is no setting {name}; there are {', '.join(kinds)}")
        if type(value) is not kinds[name]:
            raise UsageError(f"{where}: {name} is {value!r}; it must be a {_WORDS[kinds[name]]}")


_WORDS: dict[type, str] = {str: "text", bool: "true or false", list: "list", dict: "table"}


def _check_modes(settings: TemplateSettings, path: str) -> None:
    modes = [name.upper() for name in _STREAMING if getattr(settings, name)]
    if modes and not settings.streaming:
        raise UsageError(f"{path}: {modes[0].lower()} is of streaming templates; write streaming = true")
    if settings.streaming and not modes:
        raise UsageError(
            f"{path}: a streaming template says exactly_once = true, at_least_once = true or both"
        )
    default = settings.default_streaming_mode
    if default and (len(modes) < 2 or default not in modes):
        raise UsageError(
            f"{path}: default_streaming_mode is {default!r}; it chooses between EXACTLY_ONCE and "
            "AT_LEAST_ONCE where both are true"
        )
