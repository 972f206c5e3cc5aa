"""What stands between pages and a hostile network: headers, names of hosts, and a token beyond loopback.

A store may be written by someone else, so that a browser is told to run nothing but our own files. The name
of the host is looked at since a page elsewhere may make its own name lead to this machine (DNS rebinding).
"""

from __future__ import annotations

import hmac
import http.cookies
from collections.abc import Collection

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "beam_obs_token"

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
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], token: str | None) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}
        self._token = token

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
        await (refusal or self._app)(scope, receive, send_protected)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> PlainTextResponse | None:
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("these pages are read only\n", 405)
        if _name_of(headers.get("host", "")) not in self._hosts:
            return PlainTextResponse(
                "this server is not known by that name: --allowed-host NAME adds it\n", 421
            )
        if self._token is not None and not self._bears_token(headers):
            return PlainTextResponse(
                "a token is needed: the command that started this server printed it\n",
                401,
                {"www-authenticate": "Bearer"},
            )
        return None

    def _bears_token(self, headers: dict[str, str]) -> bool:
        assert self._token is not None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            cookies: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
            try:
                cookies.load(headers.get("cookie", ""))
            except http.cookies.CookieError:
                return False
            given = cookies[COOKIE].value if COOKIE in cookies else ""
        return hmac.compare_digest(given.strip().encode(), self._token.encode())


def _name_of(host: str) -> str:
    """Returns the name in a Host header, without its port.

    >>> _name_of("localhost:8080"), _name_of("[::1]:80"), _name_of("Example.org")
    ('localhost', '::1', 'example.org')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
