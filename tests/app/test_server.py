"""What the server answers, and what it does not."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import pytest


def asked(
    app: Any, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of a request."""
    place = urlsplit(app.address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    body = answer.read().decode("utf-8", "replace")
    connection.close()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, body


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", ""])
def test_a_foreign_host_is_refused(app: Any, host: str) -> None:
    status, _, body = asked(app, "/library/drugs", Host=host)
    assert status == 403
    assert "only to 127.0.0.1" in body


def test_a_foreign_origin_is_refused(app: Any) -> None:
    assert asked(app, "/library/drugs", Origin="http://evil.example")[0] == 403
    assert asked(app, "/library/drugs", Origin=app.address)[0] == 200


def test_a_foreign_page_cannot_open_a_session(app: Any) -> None:
    status, _, _ = asked(
        app,
        "/explore/websocket/",
        Origin="http://evil.example",
        Connection="Upgrade",
        Upgrade="websocket",
        Sec_WebSocket_Version="13",
        Sec_WebSocket_Key="MTIzNDU2Nzg5MDEyMzQ1Ng==",
    )
    assert status == 403


def test_a_large_body_is_refused(app: Any) -> None:
    assert asked(app, "/trial/", "POST", Content_Length=str(10**9))[0] == 413


def test_every_answer_forbids_other_places(app: Any) -> None:
    for path in ("/library/drugs", "/explore/", "/static/app.js"):
        status, headers, _ = asked(app, path)
        assert status == 200
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/results/open/..%2f..",
        "/results/file/..%2f../run.json",
        "/results/file/x/..%2f..%2fetc%2fpasswd",
        "/results/pack/%2e%2e",
        "/library/drugs/..%2f..%2fsources",
        "/static/..%2fserver.py",
    ],
)
def test_no_path_leads_out(app: Any, path: str) -> None:
    assert asked(app, path)[0] in (400, 404)


def test_a_page_of_the_library_names_sources_and_evidence(app: Any) -> None:
    _, _, body = asked(app, "/library/trials/DE019")
    assert "held-back" in body or "training" in body
    _, _, body = asked(app, "/library/targets/TNF")
    assert "/library/drugs/adalimumab" in body


def test_what_stands_in_an_address_is_not_run(app: Any) -> None:
    _, _, body = asked(
        app, "/explore/?a=%3Cscript%3Ealert(1)%3C/script%3E&situation=rheumatoid-arthritis"
    )
    assert "<script>alert" not in body
    _, _, body = asked(app, "/results/?compare=%3Cb%3E&compare=%3Ci%3E")
    assert "<b>" not in body.split("<main")[1]
