"""What a browser says when a page fails, in words for people. It decides nothing."""

from __future__ import annotations

import re

from aegis_lib.markdown import plain

_NET = re.compile(r"net::(ERR_[A-Z0-9_]+)")
_LONGEST = 200

_WORDS = {
    "ERR_ABORTED": "the address is a download, not a page, or the page was left before it was there",
    "ERR_CERT_AUTHORITY_INVALID": "its certificate is signed by nobody who is trusted",
    "ERR_CERT_COMMON_NAME_INVALID": "its certificate is for another name",
    "ERR_CERT_DATE_INVALID": "its certificate has expired or is not valid yet",
    "ERR_CERT_REVOKED": "its certificate was revoked",
    "ERR_CONNECTION_CLOSED": "it closed the connection without an answer",
    "ERR_CONNECTION_RESET": "it reset the connection",
    "ERR_EMPTY_RESPONSE": "it closed the connection without an answer",
    "ERR_HTTP_RESPONSE_CODE_FAILURE": "it answered with an error and no page",
    "ERR_INCOMPLETE_CHUNKED_ENCODING": "its answer broke off",
    "ERR_INSUFFICIENT_RESOURCES": "the page asks for more than the browser can give",
    "ERR_INVALID_HTTP_RESPONSE": "what it answers is not HTTP",
    "ERR_INVALID_REDIRECT": "it redirects to something that is no web address",
    "ERR_RESPONSE_HEADERS_TOO_BIG": "the headers of its answer are too large",
    "ERR_SSL_PROTOCOL_ERROR": "it does not speak TLS",
    "ERR_TOO_MANY_REDIRECTS": "it redirects without end",
    "ERR_UNSAFE_PORT": "browsers do not open that port",
    "ERR_UNSAFE_REDIRECT": "it redirects to something that is no web address",
}
GATE_UNREACHABLE = "ERR_PROXY_CONNECTION_FAILED"
_BY_THE_GATE = ("ERR_SOCKS_", "ERR_TUNNEL_")


def code(error: str) -> str | None:
    """The browser's own name for a network error, such as `ERR_CONNECTION_RESET`."""
    found = _NET.search(error)
    return found[1] if found else None


def in_words(error: str, at_the_gate: str | None = None) -> str:
    """One clause about why a page failed; `at_the_gate` is why a connection of it was not made."""
    name = code(error)
    if name is None:
        if "Download is starting" in error:
            return "the address is a download, not a page"
        if "crashed" in error.lower():
            return "the page crashed"
        first = error.strip().partition("\n")[0]
        return (
            plain(re.sub(r"^[A-Za-z]+\.[a-z_A-Z]+: ", "", first), _LONGEST) or "the browser does not say why"
        )
    if name.startswith(_BY_THE_GATE):
        return plain(at_the_gate or f"no connection ({name})", _LONGEST)
    return f"{_WORDS[name]} ({name})" if name in _WORDS else f"the browser says {name}"
