"""One look at one web address: the first request, its redirects, what was seen. Knows no event loop.

Redirects are followed here and not by libcurl, so that secrets and a body stay with the origin that they are
for, and every step's time counts.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import pycurl

from aegis_lib.adapters.site_prober import certificates, trouble
from aegis_lib.logs import get_logger
from aegis_lib.sites.model import Site, Watched
from aegis_lib.sites.seen import Certificate, Failure, FailureKind, Probe
from aegis_lib.web.addresses import inner

log = get_logger(__name__)

_REDIRECTS = {301, 302, 303, 307, 308}
_PRIVATE_HEADERS = {"authorization", "cookie", "proxy-authorization"}
_HTTP_WANTED = {
    "any": pycurl.CURL_HTTP_VERSION_2TLS,
    "1.1": pycurl.CURL_HTTP_VERSION_1_1,
    "2": pycurl.CURL_HTTP_VERSION_2TLS,
}
_HTTP_SPOKEN = {1: "1.0", 2: "1.1", 3: "2", 30: "3"}
_IP = {"any": pycurl.IPRESOLVE_WHATEVER, "4": pycurl.IPRESOLVE_V4, "6": pycurl.IPRESOLVE_V6}
_PORTS = {"http": 80, "https": 443}
_MOST_REDIRECT_WORDS = 120
_KEPT = "%/:=&?~+!$,;'@()*[]"


class _Lent(socket.socket):
    """A socket of which pycurl takes a copy: this one is closed as soon as nobody holds it."""

    def __del__(self) -> None:
        self.close()


class Exchange:
    """`begin()` gives the transfer to run, `end()` takes how it went and gives the next one, or None."""

    def __init__(self, watched: Watched, ca_file: str, user_agent: str, secrets: Mapping[str, str]) -> None:
        self.site: Site = watched.site
        self.terms = watched.terms
        self.probe: Probe | None = None
        self._ca_file, self._user_agent, self._secrets = ca_file, user_agent, secrets
        self._url = self.site.url or ""
        self._method = self.site.method
        self._origin = self._here = _origin(self._url)
        self._visited: list[str] = []
        self._refused: str | None = None
        self._size = 0
        self._too_large = False
        self._chunks: list[bytes] = []
        self._spent: dict[str, float] = {"dns": 0.0, "connect": 0.0, "tls": 0.0, "total": 0.0}
        self._first_byte: float | None = None
        self._certificate: Certificate | None = None
        self._curl: pycurl.Curl | None = None

    @property
    def home(self) -> str:
        """The host of the site, wherever its redirects lead."""
        return self._origin[1]

    @property
    def host(self) -> str:
        """The host that the next transfer goes to."""
        return self._here[1]

    @property
    def allows_inner_addresses(self) -> bool:
        """Connections of such sites are never shared with others."""
        return self.site.allow_private_addresses

    def begin(self) -> pycurl.Curl | None:
        """The transfer to run now; None when there is none, and `probe` says why."""
        left = self.terms.timeout_seconds - self._spent["total"]
        if left <= 0:
            self._end_with(FailureKind.TIMEOUT, f"{len(self._visited)} redirects took all of the time")
            return None
        self._chunks, self._size, self._too_large = [], 0, False
        curl = self._curl = self._curl or pycurl.Curl()  # one for all redirects: it keeps cookies
        self._ready(curl, left)
        curl.setopt(pycurl.HTTPGET, 1)  # forgets the method and the body of the request before
        curl.unsetopt(pycurl.CUSTOMREQUEST)
        if self._method == "HEAD":
            curl.setopt(pycurl.NOBODY, 1)
        elif self._method != "GET":
            if self.site.body is not None:
                curl.setopt(pycurl.POSTFIELDS, self.site.body.encode())
            curl.setopt(pycurl.CUSTOMREQUEST, self._method)
        curl.setopt(pycurl.HTTPHEADER, self._headers(self._here == self._origin))
        curl.setopt(pycurl.USERAGENT, self._user_agent)
        curl.setopt(pycurl.ACCEPT_ENCODING, "")
        curl.setopt(pycurl.WRITEFUNCTION, self._take)
        wanted = _HTTP_WANTED[self.site.http]
        if self.site.http == "2" and self._url.startswith("http:"):
            wanted = pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
        curl.setopt(pycurl.HTTP_VERSION, wanted)
        return curl

    def end(self, curl: pycurl.Curl, code: int, said: str) -> pycurl.Curl | None:
        """Take how a transfer went; the next one to run, or None when `probe` is there."""
        self._count(curl)
        if code and not self._too_large:
            self._finish(curl, self._failure(curl, code, said), None)
            return None
        status = curl.getinfo(pycurl.RESPONSE_CODE)
        target = _text(curl, pycurl.REDIRECT_URL)
        if status in _REDIRECTS and target and self.site.max_redirects:
            return self._follow(curl, status, target)
        self._finish(curl, self._oversize() if self._too_large else None, status)
        return None

    def give_up(self, error: Exception) -> None:
        """Something here did not expect what the site did; only this site is harmed."""
        log.error("site_look_broke", site=self.site.name, error=str(error), kind=type(error).__name__)
        self._end_with(FailureKind.BROKEN, f"it could not be looked at: {type(error).__name__}")

    # --- one transfer ---

    def _ready(self, curl: pycurl.Curl, seconds: float) -> None:
        curl.setopt(pycurl.URL, _sendable(self._url))
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.PROXY, "")  # whatever the environment says: the site itself is asked
        curl.setopt(pycurl.COOKIEFILE, "")
        curl.setopt(pycurl.TIMEOUT_MS, max(1, round(seconds * 1000)))
        curl.setopt(pycurl.IPRESOLVE, _IP[self.site.ip])
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)
        if self._url.startswith("https:"):
            curl.setopt(pycurl.CAINFO, self._ca_file)
            curl.setopt(pycurl.OPT_CERTINFO, 1)
            curl.setopt(pycurl.SSL_VERIFYPEER, int(self.site.verify_certificate))
            curl.setopt(pycurl.SSL_VERIFYHOST, 2 if self.site.verify_certificate else 0)

    def _headers(self, same_origin: bool) -> list[str]:
        given = dict(self.site.headers)
        if same_origin:
            given |= {name: self._secrets[variable] for name, variable in self.site.secret_headers.items()}
        else:
            given = {name: value for name, value in given.items() if name.lower() not in _PRIVATE_HEADERS}
        # "Name;" is how libcurl is told to send a header without a value
        return [f"{name}: {value}" if value else f"{name};" for name, value in given.items()]

    def _open_socket(self, _purpose: int, address: Any) -> Any:
        family, kind, protocol, place = address
        there = place[0].decode() if isinstance(place[0], bytes) else str(place[0])
        if not self.site.allow_private_addresses and (what := inner(there)):
            self._refused = f"{self.host} leads to {there}, {what}"
            return pycurl.SOCKET_BAD
        return _Lent(family, kind, protocol)

    def _take(self, chunk: bytes) -> int | None:
        self._size += len(chunk)
        if self._size > self.terms.max_bytes:
            self._too_large = True
            return 0  # ends the transfer
        if self.site.needs_body:
            self._chunks.append(chunk)
        return None

    # --- what came of it ---

    def _count(self, curl: pycurl.Curl) -> None:
        looked_up, connected = curl.getinfo(pycurl.NAMELOOKUP_TIME), curl.getinfo(pycurl.CONNECT_TIME)
        secured = curl.getinfo(pycurl.APPCONNECT_TIME)
        first = curl.getinfo(pycurl.STARTTRANSFER_TIME) if curl.getinfo(pycurl.HEADER_SIZE) else 0
        self._spent["dns"] += looked_up
        self._spent["connect"] += max(0.0, connected - looked_up)
        self._spent["tls"] += max(0.0, secured - connected) if secured else 0.0
        self._first_byte = self._spent["total"] + first if first else self._first_byte
        self._spent["total"] += curl.getinfo(pycurl.TOTAL_TIME)
        if self._url.startswith("https:") and self._certificate is None:
            self._certificate = certificates.shown(curl.getinfo_raw(pycurl.INFO_CERTINFO))

    def _failure(self, curl: pycurl.Curl, code: int, said: str) -> Failure:
        if self._refused is not None and code == pycurl.E_COULDNT_CONNECT:
            words = f"{self._refused}: not asked, because its entry lacks allow_private_addresses"
            return Failure(kind=FailureKind.REFUSED_ADDRESS, words=words)
        limit = self.terms.timeout_seconds
        failure = trouble.explain(curl, code, said, self.host, self._here[2], limit)
        if failure.kind is FailureKind.CERTIFICATE and self._certificate is not None:
            return trouble.dated(failure, self._certificate)
        return failure

    def _follow(self, curl: pycurl.Curl, status: int, target: str) -> pycurl.Curl | None:
        self._visited.append(self._url)
        if len(self._visited) > self.site.max_redirects:
            circle = "in a circle" if target in self._visited else "on and on"
            way = " to ".join(one[:_MOST_REDIRECT_WORDS] for one in [*self._visited[-2:], target])
            words = f"it redirects {circle}, more than {self.site.max_redirects} times: {way}"
            self._finish(curl, Failure(kind=FailureKind.REDIRECTS, words=words), status)
            return None
        if urlsplit(target).scheme not in _PORTS:
            words = f"it redirects to {target[:_MOST_REDIRECT_WORDS]}, which is no web address"
            self._finish(curl, Failure(kind=FailureKind.REDIRECTS, words=words), status)
            return None
        if status == 303 or (status in {301, 302} and self._method == "POST"):
            self._method = "HEAD" if self._method == "HEAD" else "GET"
        elif self._method not in {"GET", "HEAD"} and _origin(target) != self._origin:
            there = target[:_MOST_REDIRECT_WORDS]
            words = f"it redirects a {self._method} to another origin, {there}: not followed"
            self._finish(curl, Failure(kind=FailureKind.REDIRECTS, words=words), status)
            return None
        self._url, self._here = target, _origin(target)
        return self.begin()

    def _oversize(self) -> Failure:
        words = f"the answer is larger than {self.terms.max_bytes:,} bytes, the rest was not read"
        return Failure(kind=FailureKind.TOO_LARGE, words=words)

    def _end_with(self, kind: FailureKind, words: str) -> None:
        self.probe = Probe(
            site=self.site.name,
            failure=Failure(kind=kind, words=words),
            url=self._url,
            redirects=len(self._visited),
            total_ms=self._spent["total"] * 1000,
        )

    def _finish(self, curl: pycurl.Curl, failure: Failure | None, status: int | None) -> None:
        spent = {name: seconds * 1000 for name, seconds in self._spent.items()}
        self.probe = Probe(
            site=self.site.name,
            failure=failure,
            status=status,
            http_version=_HTTP_SPOKEN.get(curl.getinfo(pycurl.INFO_HTTP_VERSION)) if status else None,
            url=self._url,
            redirects=len(self._visited),
            address=curl.getinfo(pycurl.PRIMARY_IP) or None,
            dns_ms=spent["dns"] or None,
            connect_ms=spent["connect"] or None,
            tls_ms=spent["tls"] or None,
            first_byte_ms=None if self._first_byte is None else self._first_byte * 1000,
            total_ms=spent["total"],
            size_bytes=self._size if status else None,
            content_type=_text(curl, pycurl.CONTENT_TYPE) or None,
            body=b"".join(self._chunks) if self.site.needs_body and status else None,
            certificate=self._certificate,
        )


def _text(curl: pycurl.Curl, what: int) -> str:
    """What the site said, whatever bytes it used for that."""
    said = curl.getinfo_raw(what)
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else ""


def _sendable(url: str) -> str:
    """The address in ASCII: the host as IDNA, other letters quoted; what has no such form is left to fail."""
    if url.isascii():
        return url
    split = urlsplit(url)
    try:
        host = (split.hostname or "").encode("idna").decode("ascii")
    except UnicodeError:
        host = "invalid.invalid"
    place = f"{host}:{split.port}" if split.port else host
    return urlunsplit((split.scheme, place, *(quote(part, _KEPT) for part in split[2:])))


def _origin(url: str) -> tuple[str, str, int]:
    split = urlsplit(url)
    return split.scheme, split.hostname or "", _port(url)


def _port(url: str) -> int:
    split = urlsplit(url)
    try:
        return split.port or _PORTS.get(split.scheme, 0)
    except ValueError:
        return 0
