"""Who may talk to the app: this machine alone, by its own name, from the app's own pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

Scope = dict[str, Any]

#: Names under which a browser on this machine reaches the app.
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")

#: Largest body of a request, bytes: a study file, with room.
LARGEST_BODY = 512 * 1024

#: Hash of the one script that Shiny 1.8 writes into a page, for its busy indicator. Where another
#: version writes another, it is not run, and nothing is lost but the indicator.
_BUSY = b"'sha256-erP5hScmId9gRru9k52QQl/lSJmUl8NfFAiLNMbPtcg='"

#: Sent with every answer: the page may load nothing from elsewhere, and stands in no other page.
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' " + _BUSY + b"; style-src 'self' 'unsafe-inline'; "
        b"img-src 'self' data:; connect-src 'self'; frame-ancestors 'self'; form-action 'self'; "
        b"base-uri 'none'; object-src 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)


def is_local(host: str, names: Sequence[str] = LOCAL_NAMES) -> bool:
    """Whether a Host header names this machine; a page of elsewhere that was led here does not.

    Examples
    --------
    >>> is_local("127.0.0.1:8321"), is_local("evil.example:8321"), is_local("localhost")
    (True, False, True)
    """
    name, _, port = host.strip().lower().rpartition(":")
    if not name or not port.isdigit():
        name = host.strip().lower()
    return name in names


class Guard:
    """Refuses foreign hosts and origins and large bodies, and adds headers to answers.

    Parameters
    ----------
    app
        The ASGI application behind.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Handle one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = _refusal(headers)
        if refusal is not None:
            await _refuse(scope, receive, send, *refusal)
            return

        async def with_headers(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                added = [pair for pair in HEADERS if pair[0] not in own]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._app(scope, receive, with_headers)


def _refusal(headers: dict[bytes, str]) -> tuple[int, str] | None:
    """Status and words for a request that is not answered."""
    host = headers.get(b"host", "")
    if not is_local(host):
        return 403, "This app answers only to 127.0.0.1 and localhost."
    origin = headers.get(b"origin", "")
    if origin and urlsplit(origin).netloc.lower() != host.lower():
        return 403, "This request comes from another site."
    length = headers.get(b"content-length", "0")
    if not length.isdigit() or int(length) > LARGEST_BODY:
        return 413, f"Too large: at most {LARGEST_BODY // 1024} KB."
    return None


async def _refuse(scope: Scope, receive: Any, send: Any, status: int, words: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    body = words.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
