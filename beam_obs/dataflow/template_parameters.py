"""Parameters of a template, from the options of its program as argparse has them."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from beam_obs.dataflow.program_imports import imports_beam_obs
from beam_obs.dataflow.template_regex import regex_problem
from beam_obs.dataflow.template_settings import TemplateSettings
from beam_obs.records.errors import UsageError

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")
_NOT_OWN = ("apache_beam", "beam_obs")
_TRUTHS = ("true", "false")
_OF_TYPES = {int: "-?[0-9]+", float: r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"}
"""What is a number of either type, in a form that all engines of regular expressions take."""


class Parameter(NamedTuple):
    """One parameter of a template.

    Args:
      name: of the option, without its hyphens.
      label: for people.
      help: what it is for.
      required: whether a launch must give it.
      kind: one of Dataflow's ``ParameterType``.
      regexes: each of which a value must match, all of it.
      choices: the values that it may have; any where there are none.
      default: what holds where it is not given; None where nothing does.
      group: of options that it belongs to.
      hidden: whether the console shows it only to who asks for more.
    """

    name: str
    label: str
    help: str
    required: bool = False
    kind: str = "TEXT"
    regexes: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    default: str | None = None
    group: str = ""
    hidden: bool = False


class _Parser(argparse.ArgumentParser):
    """Takes what Beam's own parser does."""

    def add_value_provider_argument(self, *names: str, **keywords: Any) -> argparse.Action:
        return self.add_argument(*names, **keywords)


def template_parameters(settings: TemplateSettings) -> list[Parameter]:
    """Returns the parameters of a template: those of its program's own options, then, where it is observed,
    those of ours.

    The program's own options are those of the subclasses of ``PipelineOptions`` that its module has or
    imports.

    Args:
      settings: of the template.

    Raises:
      UsageError: the module cannot be imported or has no options of its own; an option has a name that
        is taken, cannot be given as ``--name=value``, has no help, or a default that it does not take; or
        something is said of an option that there is not.
    """
    from beam_obs.runs.option_names import OPTION_CLASSES

    check_options(settings.module)
    own = _own_classes(program_module(settings.module))
    if not own:
        raise UsageError(
            f"{settings.module} has no options of its own: declare them in a subclass of PipelineOptions, "
            "which the module has or imports"
        )
    ours = OPTION_CLASSES if imports_beam_obs(settings.module) else ()
    by_name = {_name(action): (action, group) for action, group in _actions([*own, *ours])}
    unknown = settings.parameters.keys() - by_name.keys()
    if unknown:
        plain = "" if ours else "; those of beam_obs do nothing, as it does not import beam_obs"
        raise UsageError(
            f"the template's settings have parameters.{min(unknown)}, and the program has no such option; "
            f"it has {', '.join(by_name)}{plain}"
        )
    told = {name: settings.parameters.get(name, {}) for name in by_name}
    return [
        _parameter(name, action, group, told[name])
        for name, (action, group) in by_name.items()
        if not told[name].get("leave_out")
    ]


def own_option_names(module: str) -> set[str]:
    """Returns the options that a program declares itself, as they are written: ``--input``.

    Raises:
      UsageError: there is no such module.
    """
    actions = _actions(_own_classes(program_module(module)))
    return {name for action, _ in actions for name in action.option_strings}


def check_options(module: str) -> None:
    """Holds the options that a program declares against those of Beam and ours, with which they are parsed.

    Raises:
      UsageError: there is no such module, or an option has a name that is taken.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    from beam_obs.runs.option_names import OPTION_CLASSES

    theirs = [cls for cls in PipelineOptions.__subclasses__() if cls.__module__.startswith("apache_beam.")]
    taken = {name: cls for cls in (*theirs, *OPTION_CLASSES) for name in _option_strings(cls)}
    for own in _own_classes(program_module(module)):
        for name in _option_strings(own):
            if name in taken:
                owner = taken[name].__name__
                raise UsageError(
                    f"option {name} of {own.__name__} is one of {owner} already, with which it is parsed: "
                    f"give it another name, or read that one by options.view_as({owner})"
                )


def program_module(name: str) -> Any:
    """Imports the module of a program.

    Raises:
      UsageError: there is no such module, or it ends the process.
    """
    try:
        return importlib.import_module(name)
    except SystemExit as error:
        raise UsageError(
            f"{name} ended with {error.code!r} while it was imported: what runs it belongs into its function "
            'main, called under `if __name__ == "__main__":`'
        ) from None
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise UsageError(
            f"no module {name!r}: it is looked for from the working folder, and where Python looks"
        ) from None


def _own_classes(module: Any) -> list[type]:
    """Returns the classes that declare a program's own options, the most basic first."""
    from apache_beam.options.pipeline_options import PipelineOptions

    found: dict[type, None] = {}
    for value in vars(module).values():
        if inspect.isclass(value) and issubclass(value, PipelineOptions):
            for cls in reversed(value.__mro__):
                if "_add_argparse_args" in vars(cls) and cls.__module__.partition(".")[0] not in _NOT_OWN:
                    found[cls] = None
    return list(found)


def _actions(classes: Iterable[Any]) -> Iterator[tuple[argparse.Action, str]]:
    for cls in classes:
        parser = _parser_of(cls)
        groups = {
            action.dest: group.title or ""
            for group in parser._action_groups[2:]
            for action in group._group_actions
        }
        for action in parser._actions:
            if action.help != argparse.SUPPRESS:
                yield action, groups.get(action.dest, "")


def _option_strings(cls: Any) -> list[str]:
    return [name for action in _parser_of(cls)._actions for name in action.option_strings]


def _parser_of(cls: Any) -> _Parser:
    parser = _Parser(add_help=False)
    cls._add_argparse_args(parser)
    return parser


def _name(action: argparse.Action) -> str:
    for one in action.option_strings:
        if one.startswith("--") and _NAME.fullmatch(one[2:]):
            return one[2:]
    shown = "/".join(action.option_strings) or action.dest
    raise UsageError(f"option {shown} cannot be a template's: it needs a name such as --{action.dest}")


def _parameter(name: str, action: argparse.Action, group: str, told: Mapping[str, Any]) -> Parameter:
    if action.nargs == 0:
        raise UsageError(
            f"option --{name} takes no value, and a template gives each as --{name}=VALUE. Declare it with "
            "choices=('true', 'false'), or leave it out: "
            f"[parameters.{name}] leave_out = true"
        )
    if isinstance(action.nargs, int) and action.nargs > 1:
        raise UsageError(
            f"option --{name} takes {action.nargs} values, and a template gives each option one: take them "
            f"from one text, or leave it out: [parameters.{name}] leave_out = true"
        )
    choices = tuple(map(str, action.choices or getattr(action.type, "choices", None) or ()))
    kind, patterns = _kind(action, choices)
    required = told.get("required", action.required)
    parameter = Parameter(
        name=name,
        label=told.get("label") or name.removeprefix("obs_").replace("_", " ").replace("-", " ").capitalize(),
        help=told.get("help") or _help(name, action),
        required=required,
        kind=told.get("type", kind),
        regexes=(*patterns, *told.get("regexes", ())),
        choices=choices,
        default=None if required else _default(action),  # with one, a launch need not give it
        group=told.get("group", group),
        hidden=told.get("hidden", False),
    )
    _check(parameter)
    return parameter


def _kind(action: argparse.Action, choices: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Returns the type of a parameter, and what its values look like."""
    if sorted(choices) == sorted(_TRUTHS):
        return "BOOLEAN", ()
    if choices:
        return "ENUM", ()
    if isinstance(action.type, type) and action.type in _OF_TYPES:
        return "NUMBER", (_OF_TYPES[action.type],)
    pattern = getattr(action.type, "pattern", "")
    return "TEXT", (pattern,) if pattern else ()


def _help(name: str, action: argparse.Action) -> str:
    """Returns what a parser's ``--help`` would say of an option."""
    values = {**vars(action), "prog": "", "type": getattr(action.type, "__name__", "")}
    try:
        return " ".join(((action.help or "") % values).split())
    except (KeyError, TypeError, ValueError):
        raise UsageError(
            f"option --{name}: its help {action.help!r} is filled in by argparse, as %(default)s: "
            "write %% for a per cent sign"
        ) from None


def _default(action: argparse.Action) -> str | None:
    value = action.default
    if isinstance(value, (list, tuple)):  # of an option that takes several: a parameter is one of them
        value = value[0] if len(value) == 1 else None
    if value is None or value is argparse.SUPPRESS:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check(parameter: Parameter) -> None:
    where = f"option --{parameter.name}"
    if not parameter.help:
        raise UsageError(
            f"{where} has no help, which a template must have: add help=... where it is declared"
        )
    if parameter.kind == "ENUM" and not parameter.choices:
        raise UsageError(f"{where} is of type ENUM, and declares no choices: add choices=(...) where it is")
    for regex in parameter.regexes:
        if problem := regex_problem(regex):
            raise UsageError(f"{where}: {regex!r}: {problem}")
        if parameter.default is not None and re.fullmatch(regex, parameter.default) is None:
            raise UsageError(f"{where}: its default {parameter.default!r} does not match {regex!r}")
    if parameter.choices and parameter.default is not None and parameter.default not in parameter.choices:
        raise UsageError(
            f"{where}: its default {parameter.default!r} is none of {', '.join(parameter.choices)}"
        )
