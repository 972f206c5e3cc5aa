"""A digest of the user's code in each step: a comparison of two runs names the step whose code changed.

Of a function it is the instructions, constants and names, of the functions that it calls and the classes
that it uses likewise, as far as they are the user's; of a DoFn or CombineFn its class. Comments,
docstrings, line numbers, file names and the hash seed make no difference, another Python does. By a
digest of its own goes what the code was given: arguments, closures, defaults, attributes, globals, and
the values of a Create.

Of a class of ours there is only what it holds of the user's, as its method `users_parts` says: neither where
it is defined nor how it is made may tell two runs apart.
"""

from __future__ import annotations

import datetime
import decimal
import dis
import enum
import fractions
import functools
import hashlib
import pathlib
import re
import sys
import types
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.transforms.core import PartitionFn
from apache_beam.transforms.trigger import TriggerFn
from apache_beam.transforms.window import WindowFn

from beam_obs.wrapper.failure import is_library

_VERSION = 2
"""Of the digests; those of two versions are not compared."""
_MOST_OBJECTS = 10_000
_DEEPEST = 60
_LONGEST = 100_000
"""Most items of a container that is looked at."""

_PLAIN = (int, float, complex, bool, str, bytes, bytearray, type(None), type(...), type(NotImplemented))
_BY_THEIR_TEXT = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    datetime.tzinfo,
    decimal.Decimal,
    fractions.Fraction,
    pathlib.PurePath,
    range,
    slice,
    uuid.UUID,
)
_OURS = "beam_obs"
_NAMES_OF_VALUES = ("LOAD_CONST", "RETURN_CONST", "KW_NAMES")
_PASSED_OVER = ("CACHE", "EXTENDED_ARG", "NOP", "RESUME")
_OF_THE_TEXT = frozenset(
    {"__doc__", "__qualname__", "__firstlineno__", "__module__", "__static_attributes__"}
)
_OF_EVERY_CLASS = _OF_THE_TEXT | {
    "__abstractmethods__",
    "__annotate__",
    "__annotate_func__",
    "__annotations__",
    "__annotations_cache__",
    "__dataclass_fields__",
    "__dataclass_params__",
    "__dict__",
    "__orig_bases__",
    "__parameters__",
    "__weakref__",
    "_abc_impl",
}
_LOOKED_INTO: tuple[type, ...] = (beam.DoFn, beam.CombineFn, PartitionFn, WindowFn, TriggerFn)


def step_code(pipeline: beam.Pipeline) -> dict[str, Any]:
    """Returns ``step_code`` of ``start.json``.

    Returns:
      ``made_by``, what the digests depend on besides the code, and ``steps``: full label of each step that
      has code of the user's -> its digests, of the code and of what it was given; none where it is too
      much, or cannot be told.
    """
    steps: dict[str, list[str]] = {}
    for node in _nodes(pipeline._root_transform()):
        walk = _Walk()
        try:
            walk.transform(node.transform)
        except Exception:  # what a user's objects do when they are looked at, nobody knows
            steps[node.full_label] = []
            continue
        if walk.has_found:
            steps[node.full_label] = [walk.code.hexdigest(), walk.given.hexdigest()]
    made_by = f"{_VERSION}, Python {sys.version_info[0]}.{sys.version_info[1]}"
    return {"made_by": made_by, "steps": steps}


class _TooMuch(Exception):
    """A step holds more than is looked at."""


def _nodes(node: Any) -> Iterator[Any]:
    for part in node.parts:
        yield part
        yield from _nodes(part)


class _Walk:
    """Goes through all that the code of one step is made of."""

    def __init__(self) -> None:
        self.code = hashlib.blake2b(digest_size=8)
        self.given = hashlib.blake2b(digest_size=8)
        self.has_found = False
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []
        self._depth = 0
        self._home: str | None = None
        self._is_users = False

    def transform(self, transform: Any) -> None:
        """Goes through what a transform runs, and what it was given for it."""
        if isinstance(transform, beam.Create):
            self.has_found = self._is_users = True
            self.value(list(transform.values))
            return
        function = getattr(transform, "fn", None)
        if not isinstance(function, (beam.DoFn, beam.CombineFn)):
            return
        if isinstance(transform, beam.WindowInto):
            windowing = transform.windowing
            self.has_found = self._is_users = True
            self.value([windowing.windowfn, windowing.triggerfn, str(windowing.accumulation_mode)])
            return
        self.value(function)
        self._is_users = True
        for arguments in ("args", "kwargs"):
            self.value(getattr(transform, arguments, None))

    def value(self, value: Any) -> None:
        """Goes through one object: to `code` what it does, to `given` what it holds."""
        if isinstance(value, _PLAIN) and not isinstance(value, enum.Enum):
            self._give(f"{type(value).__name__} {value!r}" if not isinstance(value, str) else f"str {value}")
            return
        is_ours = _is_ours(type(value))
        if id(value) in self._seen and not is_ours:
            self._give(f"again {self._seen[id(value)]}")
            return
        if len(self._seen) >= _MOST_OBJECTS or self._depth >= _DEEPEST:
            raise _TooMuch
        if not is_ours:
            self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        self._depth += 1
        before = self._is_users
        if is_ours:
            self._ours(value)
        else:
            self._look_at(value)
        self._is_users = before
        self._depth -= 1

    def _look_at(self, value: Any) -> None:
        if isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, (types.MethodType, functools.partial, property, staticmethod, classmethod)):
            self._give(str(type(value).__name__))
            for name in ("__func__", "__self__", "fget", "fset", "fdel", "func", "args", "keywords"):
                self.value(getattr(value, name, None))
                self._is_users = self._is_users or self.has_found
        elif isinstance(value, functools.cached_property):
            self.value(value.func)
        elif isinstance(value, (types.BuiltinFunctionType, types.ModuleType)):
            self._do(str(value.__name__))
        elif isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
            self._items(type(value).__name__, value)
        elif isinstance(value, (dict, types.MappingProxyType)):
            self._items("dict", sorted(value.items(), key=lambda item: _sorted_by(item[0])))
        elif isinstance(value, (set, frozenset)):
            self._items("set", sorted(value, key=_sorted_by))
        elif isinstance(value, re.Pattern):
            self._give(f"{value.pattern!r} {value.flags}")
        elif isinstance(value, _BY_THEIR_TEXT):
            self._give(repr(value))
        else:
            self._object(value)

    def _ours(self, value: Any) -> None:
        """Goes through what an object of ours holds of the user's."""
        parts = getattr(type(value), "users_parts", None)
        for part in parts(value) if parts is not None else ():
            self.has_found = self._is_users = True
            self.value(part)

    def _items(self, kind: str, items: Any) -> None:
        if len(items) > _LONGEST:
            raise _TooMuch
        self._give(f"{kind} {len(items)}")
        for item in items:
            self.value(item)

    def _function(self, function: types.FunctionType) -> None:
        is_users = self._follows(function.__module__, function.__code__.co_filename)
        if is_users:
            self.has_found = self._is_users = True
            self._instructions(function)
        else:
            self._is_users = False
            self._do(_OURS if _is_ours(function) else f"{function.__module__}.{function.__qualname__}")
        self.value(function.__defaults__)
        self.value(function.__kwdefaults__)
        for cell in function.__closure__ or ():
            self.value(_content(cell))

    def _instructions(self, function: types.FunctionType) -> None:
        text = _text_of(function.__code__)
        self._do(text.digest)
        spaces = function.__globals__
        for name in text.names:
            if name not in spaces:
                continue
            found = spaces[name]
            self._give(name)
            if isinstance(found, types.ModuleType) and self._follows(found.__name__, _file_of(found)):
                for attribute in text.attributes:
                    if attribute in vars(found):
                        self._give(attribute)
                        self.value(vars(found)[attribute])
            else:
                self.value(found)

    def _class(self, kind: type) -> None:
        file = _file_of(sys.modules.get(kind.__module__))
        if not self._follows(kind.__module__, file):
            self._do(_OURS if _is_ours(kind) else f"{kind.__module__}.{kind.__qualname__}")
            return
        self.has_found = self._is_users = True
        for base in kind.__bases__:
            self.value(base)
        for name, member in sorted(vars(kind).items()):
            if name not in _OF_EVERY_CLASS:
                self._do(name)
                self.value(member)

    def _object(self, value: Any) -> None:
        kind = type(value)
        self.value(kind)
        if isinstance(value, enum.Enum):
            self._give(value.name)
            return
        is_users = self._follows(kind.__module__, _file_of(sys.modules.get(kind.__module__)))
        if isinstance(value, (WindowFn, TriggerFn)):
            is_users = self._is_users
        elif not is_users and not isinstance(value, _LOOKED_INTO):
            return
        self._is_users = is_users
        held = value if isinstance(value, tuple) else getattr(value, "__dict__", None)
        self.value(list(held) if isinstance(held, tuple) else held)

    def _follows(self, module: str | None, file: str) -> bool:
        """Returns whether code is the user's: of the program, or of the package of the step's own code."""
        package = (module or "").partition(".")[0]
        if package in ("apache_beam", _OURS, "builtins"):
            return False
        if not is_library(file):
            return True
        if "-packages" not in file:  # Python's own
            return False
        self._home = self._home or package
        return package == self._home

    def _do(self, text: str) -> None:
        self.code.update(text.encode("utf-8", "backslashreplace") + b"\0")

    def _give(self, text: str) -> None:
        """Notes what the user's code was given; what Beam's own holds may be new for each run."""
        if self._is_users:
            self.given.update(text.encode("utf-8", "backslashreplace") + b"\0")


class _Text(NamedTuple):
    """A function's instructions: their digest, the globals that they name, and the attributes."""

    digest: str
    names: tuple[str, ...]
    attributes: tuple[str, ...]


@functools.lru_cache(maxsize=4096)
def _text_of(code: types.CodeType) -> _Text:
    digest = hashlib.blake2b(digest_size=8)
    names: set[str] = set()
    attributes: set[str] = set()
    head = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    digest.update(repr(head).encode() + getattr(code, "co_exceptiontable", b""))
    found = [one for one in dis.get_instructions(code) if one.opname not in _PASSED_OVER]
    for number, one in enumerate(found):
        following = found[number + 1] if number + 1 < len(found) else None
        if (
            one.opname == "LOAD_CONST"
            and following is not None
            and following.opname == "STORE_NAME"
            and (following.argval in _OF_THE_TEXT)
        ):
            continue
        told = repr(one.arg)
        if one.opname in _NAMES_OF_VALUES:
            told = _constant(one.argval, names, attributes)
        elif isinstance(one.argval, str):
            told = one.argval
            if one.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                names.add(told)
            elif one.opname in ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"):
                attributes.add(told)
        digest.update(f"{one.opname} {told}\0".encode("utf-8", "backslashreplace"))
    return _Text(digest.hexdigest(), tuple(sorted(names)), tuple(sorted(attributes)))


def _constant(value: Any, names: set[str], attributes: set[str]) -> str:
    """Returns a constant as text, with what a function within names of globals."""
    if isinstance(value, types.CodeType):
        inner = _text_of(value)
        names.update(inner.names)
        attributes.update(inner.attributes)
        return inner.digest
    if isinstance(value, tuple):
        return f"({', '.join(_constant(item, names, attributes) for item in value)})"
    if isinstance(value, frozenset):
        return f"{{{', '.join(sorted(_constant(item, names, attributes) for item in value))}}}"
    return repr(value)


def _is_ours(value: Any) -> bool:
    """Returns whether a class or function is of beam_obs."""
    return str(getattr(value, "__module__", None) or "").partition(".")[0] == _OURS


def _sorted_by(value: Any) -> tuple[str, str]:
    """Returns what sets and keys are put in order by: their own may change with the hash seed."""
    return type(value).__qualname__, repr(value) if isinstance(value, (*_PLAIN, tuple)) else str(type(value))


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _file_of(module: Any) -> str:
    return str(getattr(module, "__file__", None) or "")
