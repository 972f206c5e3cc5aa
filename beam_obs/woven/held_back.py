"""Whether a DoFn holds elements back in itself: read from its code, on the safe side."""

from __future__ import annotations

import dis
import inspect
from types import CodeType
from typing import Any

from apache_beam.transforms.core import DoFn
from apache_beam.typehints.typecheck import AbstractDoFnWrapper


def emits_at_the_end(dofn: DoFn) -> bool:
    """Returns whether `finish_bundle` may give outputs; a DoFn that does holds elements back, unless it says
    by an attribute ``holds_back`` that it does not: what it gives then is no record.

    >>> emits_at_the_end(DoFn())
    False
    """
    dofn = unchecked(dofn)
    if getattr(dofn, "holds_back", True) is False:
        return False
    method: Any = getattr(dofn, "finish_bundle", None)
    return getattr(method, "__func__", method) is not DoFn.finish_bundle and may_give(method)


def may_give(method: Any) -> bool:
    """Returns whether a function may give anything, or return anything but None.

    >>> may_give(lambda: None), may_give(lambda: [1])
    (False, True)
    """
    function = getattr(method, "__func__", method)
    code = getattr(function, "__code__", None)
    if code is None or inspect.isgeneratorfunction(function) or hasattr(function, "__wrapped__"):
        return True
    return not _returns_nothing(code)


def unchecked(dofn: Any) -> Any:
    """Returns the DoFn inside of Beam's checks of types as a pipeline runs."""
    while isinstance(dofn, AbstractDoFnWrapper):
        dofn = dofn.dofn
    return dofn


def looks_at_itself(dofn: DoFn) -> bool:
    """Returns whether `process` uses anything of the DoFn's own, which may be what it holds back."""
    method: Any = dofn.process
    function = getattr(method, "__func__", None)
    code = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__wrapped__") or not code.co_varnames:
        return True
    own = code.co_varnames[0]
    return own in code.co_cellvars or any(
        instruction.argval == own or (isinstance(instruction.argval, tuple) and own in instruction.argval)
        for instruction in dis.get_instructions(code)
    )


def _returns_nothing(code: CodeType) -> bool:
    before = None
    for instruction in dis.get_instructions(code):
        if instruction.opname == "RETURN_CONST" and instruction.argval is not None:
            return False
        if instruction.opname == "RETURN_VALUE" and not (
            before is not None and before.opname == "LOAD_CONST" and before.argval is None
        ):
            return False
        before = instruction
    return True
