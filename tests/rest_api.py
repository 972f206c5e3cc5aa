"""Requests of a Google API held against its official discovery document, as strictly as the service does.

The documents are those that google-api-python-client brings along, in ``googleapiclient/discovery_cache``.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import pathlib
import re
import urllib.parse
from typing import Any, NamedTuple

import googleapiclient

_DOCUMENTS = pathlib.Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
_SYSTEM = re.compile(r"\$.+")
"""Parameters that any of Google's APIs takes, as ``$alt``, by which its clients ask for enums as numbers."""
_WHOLE = {"int32": 31, "uint32": 32, "int64": 63, "uint64": 64}
_TEXTS = {
    "google-datetime": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"),
    "google-duration": re.compile(r"-?\d+(\.\d{1,9})?s"),
    "google-fieldmask": re.compile(r"(\w+(\.\w+)*(,\w+(\.\w+)*)*)?"),
}


class Refused(Exception):
    """An error that an API answers.

    Args:
      code: of HTTP.
      status: its name in Google's APIs.
      message: what it says.
    """

    def __init__(self, code: int, status: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    def to_json(self) -> dict[str, Any]:
        """Returns the body of the answer."""
        return {"error": {"code": self.code, "message": str(self), "status": self.status}}


class Request(NamedTuple):
    """A request that is right.

    Args:
      method: id of the API's method.
      path: its parameters in the path.
      query: those behind it.
      body: the message that it sends; None where it sends none.
    """

    method: str
    path: dict[str, str]
    query: dict[str, str]
    body: dict[str, Any] | None


class RestApi:
    """One API.

    Args:
      document: name and version, as ``dataflow.v1b3``.
    """

    def __init__(self, document: str) -> None:
        self._document = json.loads((_DOCUMENTS / f"{document}.json").read_text())
        self._methods = [
            (method["httpMethod"], _pattern(method.get("flatPath", method["path"])), method)
            for method in _methods(self._document)
        ]

    def read(self, verb: str, target: str, content: bytes) -> Request:
        """Returns what a request asks for.

        Args:
          verb: of HTTP.
          target: path and query.
          content: its body.

        Raises:
          Refused: there is no such method, or it is not called like this.
        """
        address = urllib.parse.urlsplit(target)
        for expected, pattern, method in self._methods:
            match = pattern.fullmatch(address.path.lstrip("/"))
            if expected == verb and match is not None:
                path = {name: urllib.parse.unquote(value) for name, value in match.groupdict().items()}
                query = self._query(method, address.query)
                return Request(method["id"], path, query, self._body(method, content))
        raise Refused(404, "NOT_FOUND", f"there is no method {verb} {address.path}")

    def check(self, schema: str, value: Any) -> None:
        """Makes sure that a message has the form of a schema.

        Raises:
          Refused: it has not.
        """
        self._check(value, self._document["schemas"][schema], schema)

    def _query(self, method: dict[str, Any], text: str) -> dict[str, str]:
        known = {**self._document["parameters"], **method.get("parameters", {})}
        found = {}
        for name, value in urllib.parse.parse_qsl(text, keep_blank_values=True):
            if _SYSTEM.fullmatch(name):
                continue
            if known.get(name, {}).get("location") != "query":
                raise _invalid(f"Unknown name {name!r}: cannot bind query parameter")
            self._check_text(value, known[name], name)
            found[name] = value
        return found

    def _body(self, method: dict[str, Any], content: bytes) -> dict[str, Any] | None:
        if "request" not in method:
            if content:
                raise _invalid("a body was sent where none is expected")
            return None
        try:
            body = json.loads(content or b"{}")
        except ValueError as error:
            raise _invalid(f"the body is no JSON: {error}") from None
        self.check(method["request"]["$ref"], body)
        return dict(body)

    def _check_text(self, value: str, schema: dict[str, Any], at: str) -> None:
        """Checks a value that is text, as in a query."""
        if schema["type"] in ("integer", "boolean") or ("enum" in schema and value.isdigit()):
            try:
                value = json.loads(value)
            except ValueError:
                raise _invalid(f"{at}: {value!r} is no {schema['type']}") from None
        self._check(value, schema, at)

    def _check(self, value: Any, schema: dict[str, Any], at: str) -> None:
        if "$ref" in schema:
            schema = self._document["schemas"][schema["$ref"]]
        kind = schema["type"]
        if value is None or kind == "any":
            return
        if kind == "object":
            self._check_object(value, schema, at)
        elif kind == "array":
            if not isinstance(value, list):
                raise _invalid(f"{at}: a list is expected, found {value!r}")
            for number, one in enumerate(value):
                self._check(one, schema["items"], f"{at}[{number}]")
        elif "enum" in schema:
            names = schema["enum"]
            is_number = type(value) is int and 0 <= value < len(names)
            if not is_number and value not in names:
                raise _invalid(f"Invalid value at {at!r}: {value!r} is none of {', '.join(names)}")
        elif not _is(kind, schema.get("format"), value):
            raise _invalid(f"Invalid value at {at!r} ({schema.get('format', kind)}): {value!r}")

    def _check_object(self, value: Any, schema: dict[str, Any], at: str) -> None:
        if not isinstance(value, dict):
            raise _invalid(f"{at}: an object is expected, found {value!r}")
        known = schema.get("properties", {})
        for name, one in value.items():
            inner = known.get(name, schema.get("additionalProperties"))
            if inner is None:
                raise _invalid(
                    f"Invalid JSON payload received. Unknown name {name!r} at {at!r}: cannot find field."
                )
            self._check(one, inner, f"{at}.{name}")


@functools.cache
def api(document: str) -> RestApi:
    """Returns an API; its document is read once."""
    return RestApi(document)


def _invalid(message: str) -> Refused:
    return Refused(400, "INVALID_ARGUMENT", message)


def _is(kind: str, form: str | None, value: Any) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if form in _WHOLE:
        if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
            value = int(value)
        return type(value) is int and abs(value) < 1 << _WHOLE[form] and not (form[0] == "u" and value < 0)
    if kind == "number":
        return type(value) in (int, float)
    if not isinstance(value, str):
        return False
    if form == "byte":
        try:
            return base64.b64decode(value, altchars=b"-_", validate=True) is not None
        except binascii.Error:
            return False
    return form not in _TEXTS or _TEXTS[form].fullmatch(value) is not None


def _pattern(path: str) -> re.Pattern[str]:
    literals = re.split(r"\{\+?(\w+)\}", path)
    parts = [
        re.escape(one) if number % 2 == 0 else f"(?P<{one}>[^/:]+)" for number, one in enumerate(literals)
    ]
    return re.compile("".join(parts))


def _methods(resource: dict[str, Any]) -> list[dict[str, Any]]:
    found = list(resource.get("methods", {}).values())
    for inner in resource.get("resources", {}).values():
        found += _methods(inner)
    return found
