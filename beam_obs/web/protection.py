"""What stands between pages and a hostile network: headers, names of hosts, and a token beyond loopback.

A store may be written by someone else, so that a browser is told to run nothing but our own files. The name
of the host is looked at since a page elsewhere may make its own name lead to this machine (DNS rebinding).
"""

from __future__ import annotations

import hmac
import http.cookies
import urllib.parse
from collections.abc import Collection

from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "beam_obs_token"

_LARGEST_FORM = 4_096
_TOKEN_NEEDED = "a token is needed: the command that started this server printed it"

_FORM = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Token · beam_obs</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"></head><body><main><h1>beam_obs</h1><p>{told}</p>
<form action="{action}" method="post"><label>Token <input type="password" name="token" required autofocus
autocomplete="current-password"></label> <button>Show the pages</button></form></main></body></html>
"""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Protection:
    """Passes on the requests that may be answered, and puts the headers on each answer.

    Args:
      app: what answers.
      hosts: names that this server may be called by, without ports.
      token: that a request must bear, as ``Authorization: Bearer`` or cookie; None where none is needed.
      base: path that all pages are below, without a slash at its end.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], token: str | None, base: str = "") -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}
        self._token = token
        self._base = base

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is None and scope["method"] == "POST":
            refusal = await self._taken_token(receive)
        await (refusal or self._app)(scope, receive, send_protected)

    async def _taken_token(self, receive: Receive) -> Response:
        """Returns the answer to the form that asks for the token: where it fits, a browser is to bear it."""
        form = b""
        more = True
        while more and len(form) <= _LARGEST_FORM:
            message = await receive()
            form += message.get("body", b"")
            more = message.get("more_body", False)
        fields = urllib.parse.parse_qs(form[:_LARGEST_FORM].decode("latin-1"))
        given = fields.get("token", [""])[0]
        if len(form) > _LARGEST_FORM or not self._is_token(given):
            return self._form("That is another token.")
        answer = RedirectResponse(f"{self._base}/", 303)
        # In letters that a cookie may have.
        borne = urllib.parse.quote(given.strip(), safe="")
        answer.set_cookie(COOKIE, borne, path=f"{self._base}/", httponly=True, samesite="strict")
        return answer

    def _form(self, told: str) -> Response:
        page = _FORM.format(told=told, action=f"{self._base}/token")
        return HTMLResponse(page, 401, {"www-authenticate": "Bearer", "cache-control": "no-store"})

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        is_token = self._token is not None and scope["path"] == f"{self._base}/token"
        if scope["method"] not in ("GET", "HEAD") and not (is_token and scope["method"] == "POST"):
            return PlainTextResponse("these pages are read only\n", 405)
        if _name_of(headers.get("host", "")) not in self._hosts:
            return PlainTextResponse(
                "this server is not known by that name: --allowed-host NAME adds it\n", 421
            )
        if scope["method"] != "POST" and self._token is not None and not self._bears_token(headers):
            if "text/html" in headers.get("accept", ""):
                return self._form(f"{_TOKEN_NEEDED[0].upper()}{_TOKEN_NEEDED[1:]}.")
            return PlainTextResponse(f"{_TOKEN_NEEDED}\n", 401, {"www-authenticate": "Bearer"})
        return None

    def _bears_token(self, headers: dict[str, str]) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            cookies: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
            try:
                cookies.load(headers.get("cookie", ""))
            except http.cookies.CookieError:
                return False
            borne = cookies[COOKIE].value if COOKIE in cookies else ""
            return self._is_token(borne) or self._is_token(urllib.parse.unquote(borne))
        return self._is_token(given)

    def _is_token(self, given: str) -> bool:
        return self._token is not None and hmac.compare_digest(given.strip().encode(), self._token.encode())


def _name_of(host: str) -> str:
    """Returns the name in a Host header, without its port.

    >>> _name_of("localhost:8080"), _name_of("[::1]:80"), _name_of("Example.org")
    ('localhost', '::1', 'example.org')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
