"""Websites and other services that are watched: what is expected of each, what was seen. Values only.

Nothing here looks at a site or a clock, and nothing here decides.
"""

from __future__ import annotations

import re
from collections import Counter
from ipaddress import ip_address
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from aegis_lib.changes.model import ContentRules
from aegis_lib.maintenance import MaintenanceWindow
from aegis_lib.outcome import Frozen
from aegis_lib.pictures.model import PictureRules

EVENT_TYPE = "site_check"
"""Event type of everything this area records in the episodic memory."""
CHANGE_EVENT = "site_change"
HISTORY_LENGTH = 20

SiteName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
SecretVariable = Annotated[str, StringConstraints(pattern=r"^AEGIS_SITE_[A-Z0-9_]{1,80}$")]
StatusRange = Annotated[str, StringConstraints(pattern=r"^[1-5][0-9]{2}(-[1-5][0-9]{2})?$")]
JsonPath = Annotated[str, StringConstraints(pattern=r"^\$?[^\s.\[\]]*([.][^\s.\[\]]+|\[[0-9]{1,6}\])*$")]
_HEADER_NAME = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")
_PORT = re.compile(r"^(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>[0-9]{1,5})$")


class JsonAssertion(Frozen):
    """What the JSON of an answer must say at `path`, such as `status`, `checks.database` or `items[0].id`.

    With nothing but a path the value must be there, whatever it is.
    """

    path: JsonPath = Field(description="Keys with dots, list positions from 0 in brackets; $ is the whole.")
    equals: str | int | float | bool | None = Field(default=None, description="It is exactly this.")
    at_least: float | None = Field(default=None, description="It is a number, not below this.")
    at_most: float | None = Field(default=None, description="It is a number, not above this.")


class DnsExpectation(Frozen):
    """A DNS record that must be there. `server` is the address of a name server, with or without a port."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.*-]{1,253}$")
    record: Literal["A", "AAAA", "CNAME", "MX", "NS", "TXT", "SOA", "CAA", "SRV"] = "A"
    answers: tuple[str, ...] = Field(default=(), description="Each of these must be among the answers.")
    exact: bool = Field(default=False, description="And nothing else may be.")
    server: str | None = None

    @field_validator("server")
    @classmethod
    def _an_address(cls, server: str | None) -> str | None:
        if server is not None:
            try:
                _server(server)
            except ValueError as error:
                raise ValueError(f"{server!r} is no address; write one such as 9.9.9.9") from error
        return server

    @property
    def server_place(self) -> tuple[str, int] | None:
        """Address and port of `server`."""
        return None if self.server is None else _server(self.server)


class GivenTerms(Frozen):
    """What a site may say for itself; what is left out comes from the section `sites`."""

    every_minutes: int | None = Field(default=None, ge=5, le=10_080)
    timeout_seconds: float | None = Field(default=None, ge=0.1, le=60)
    max_latency_ms: int | None = Field(default=None, ge=0, le=60_000)
    max_bytes: int | None = Field(default=None, ge=1_000, le=50_000_000)
    failures: int | None = Field(default=None, ge=1, le=HISTORY_LENGTH)
    of_checks: int | None = Field(default=None, ge=1, le=HISTORY_LENGTH)
    recover_after: int | None = Field(default=None, ge=1, le=HISTORY_LENGTH)
    certificate_days: int | None = Field(default=None, ge=0, le=365)


class Terms(Frozen):
    """The same, settled. `max_latency_ms` 0 means no limit; times are those of `SitesConfig`."""

    every_minutes: int = 5
    timeout_seconds: float = 10
    max_latency_ms: int = 0
    max_bytes: int = 2_000_000
    failures: int = 2
    of_checks: int = 3
    recover_after: int = 2
    certificate_days: int = 14


class Site(GivenTerms):
    """One thing to watch: exactly one of `url`, `tcp` (host:port) and `dns`. `name` never changes.

    `contains` and `lacks` are judged on the text as it came, with upper and lower case. `secret_headers` name
    the environment variable of each value. Private addresses are refused, also after a redirect, unless
    `allow_private_addresses`. `content` watches what the page says, `picture` how it looks.
    """

    name: SiteName
    url: str | None = Field(default=None, max_length=2000)
    tcp: str | None = Field(default=None, max_length=300)
    dns: DnsExpectation | None = None
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    headers: dict[str, str] = Field(default_factory=dict)
    secret_headers: dict[str, SecretVariable] = Field(default_factory=dict)
    body: str | None = Field(default=None, max_length=100_000)
    http: Literal["any", "1.1", "2"] = Field(default="any", description="2: only HTTP/2 is good enough.")
    ip: Literal["any", "4", "6"] = "any"
    max_redirects: int = Field(default=5, ge=0, le=20, description="0: the answer may be a redirect.")
    expect_status: tuple[StatusRange, ...] = Field(default=("200-299",), min_length=1)
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    json_says: tuple[JsonAssertion, ...] = ()
    verify_certificate: bool = True
    banner: str | None = Field(
        default=None, min_length=1, max_length=200, description="What a port says first."
    )
    allow_private_addresses: bool = False
    severity: Literal["warning", "critical"] = "critical"
    maintenance: tuple[MaintenanceWindow, ...] = ()
    tags: tuple[str, ...] = ()
    content: ContentRules = Field(default_factory=ContentRules)
    picture: PictureRules | None = None

    @property
    def kind(self) -> Literal["http", "tcp", "dns"]:
        """How it is looked at."""
        return "http" if self.url is not None else "tcp" if self.tcp is not None else "dns"

    @property
    def target(self) -> str:
        """What is looked at, for people and to notice that it was changed."""
        if self.dns is not None:
            return f"dns:{self.dns.name} {self.dns.record}"
        return self.url or f"tcp:{self.tcp}"

    @property
    def host(self) -> str:
        """The host that is asked; for a DNS record the name."""
        if self.dns is not None:
            return self.dns.name
        return (urlsplit(self.url).hostname if self.url else self.endpoint[0]) or ""

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port of `tcp`."""
        found = _PORT.match(self.tcp or "")
        return ("", 0) if found is None else (found["host"].strip("[]"), int(found["port"]))

    @property
    def needs_body(self) -> bool:
        """Whether more than the size of the answer is looked at."""
        return bool(self.contains or self.lacks or self.json_says) or self.watches_content

    @property
    def watches_content(self) -> bool:
        """Whether what the page says is compared with what it said."""
        return self.url is not None and self.content.watch

    @field_validator("url")
    @classmethod
    def _a_web_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            split = urlsplit(url)
            good = split.scheme in {"http", "https"} and bool(split.hostname) and split.port != 0
        except ValueError:
            good = False
        if not good or re.search(r"[\s\x00-\x1f\x7f\\]", url):
            raise ValueError("is no web address; write one such as https://example.org/")
        if split.username is not None:
            raise ValueError("holds a user or password; use secret_headers")
        return url

    @field_validator("tcp")
    @classmethod
    def _host_and_port(cls, tcp: str | None) -> str | None:
        if tcp is not None:
            found = _PORT.match(tcp)
            if found is None or not 1 <= int(found["port"]) <= 65535:
                raise ValueError("is no host and port; write such as mail.example.org:993")
        return tcp

    @field_validator("headers", "secret_headers")
    @classmethod
    def _sendable(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _HEADER_NAME.match(name):
                raise ValueError(f"{name!r} is no name of a header")
            if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value) or not value.isascii():
                raise ValueError(f"the value of {name} must be printable ASCII text on one line")
        return headers

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        given = [name for name in ("url", "tcp", "dns") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("name exactly one of url, tcp and dns")
        if self.url is None:
            alien = {"contains", "lacks", "json_says", "body", "headers", "secret_headers"} & self._said()
            if alien or self.picture is not None or self.content.watch:
                raise ValueError(f"only a url has {', '.join(sorted(alien)) or 'content and pictures'}")
        if self.banner is not None and self.tcp is None:
            raise ValueError("only tcp has a banner")
        if self.method == "HEAD" and self.needs_body:
            raise ValueError("the answer to HEAD has no text to look at; use GET")
        return self

    def _said(self) -> set[str]:
        return {name for name in self.model_fields_set if getattr(self, name)}


class SitesConfig(Frozen):
    """The section `sites` of aegis.yaml. What stands here holds for every site that does not say otherwise.

    A site is down when `failures` (1 to 20) of its last `of_checks` (1 to 20) checks failed, the newest among
    them, and up again after `recover_after` (1 to 20) good ones in a row; too slow likewise. A check that
    fails is repeated after `retry_seconds` (0 to 30), `attempts` times in all (1 to 5), before it counts.
    `timeout_seconds` (0.1 to 60) bounds all of one attempt, redirects included; `max_bytes` (1,000 to
    50,000,000) the answer, unpacked. `max_latency_ms` (0 to 60,000; 0 = none) is what counts as too slow.
    `certificate_days` (0 to 365) before the end of a certificate people are told. `every_minutes` (5 to
    10,080) is how often a site is checked, in steps of the job's five minutes.
    `concurrency` (1 to 1,000) checks go on at once, `per_host` (1 to 100) for one host. `group_from` (2 to
    1,000) incidents that begin in the same run make one alert. `reminder_hours` (0 to 720; 0 = never) is the
    pause between messages about an incident that goes on. `time_limit_seconds` (10 to 210) ends a run; who
    was not reached is first in the next.
    """

    sites: tuple[Site, ...] = ()
    every_minutes: int = Field(default=5, ge=5, le=10_080)
    timeout_seconds: float = Field(default=10, ge=0.1, le=60)
    max_latency_ms: int = Field(default=0, ge=0, le=60_000)
    max_bytes: int = Field(default=2_000_000, ge=1_000, le=50_000_000)
    failures: int = Field(default=2, ge=1, le=HISTORY_LENGTH)
    of_checks: int = Field(default=3, ge=1, le=HISTORY_LENGTH)
    recover_after: int = Field(default=2, ge=1, le=HISTORY_LENGTH)
    certificate_days: int = Field(default=14, ge=0, le=365)
    attempts: int = Field(default=2, ge=1, le=5)
    retry_seconds: float = Field(default=3, ge=0, le=30)
    concurrency: int = Field(default=100, ge=1, le=1_000)
    per_host: int = Field(default=4, ge=1, le=100)
    group_from: int = Field(default=5, ge=2, le=1_000)
    reminder_hours: float = Field(default=12, ge=0, le=720)
    time_limit_seconds: float = Field(default=180, ge=10, le=210)
    user_agent: str = Field(default="Aegis-Scheduler (site check)", pattern=r"^[\x20-\x7e]{1,200}$")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        counted = Counter(site.name for site in self.sites)
        twice = sorted(name for name, count in counted.items() if count > 1)
        if twice:
            raise ValueError(f"the name {', '.join(twice)} stands there twice; each site has its own")
        if self.failures > self.of_checks:
            raise ValueError("failures is more than of_checks")
        for watched in self.watched():
            if watched.terms.failures > watched.terms.of_checks:
                raise ValueError(f"site {watched.site.name}: failures is more than of_checks")
        return self

    def watched(self) -> tuple[Watched, ...]:
        """Every site with its terms settled."""
        return tuple(self.settled(site) for site in self.sites)

    def settled(self, site: Site) -> Watched:
        """A site with what it leaves out filled in."""
        own = {name: getattr(site, name) for name in Terms.model_fields}
        given = {name: getattr(self, name) if said is None else said for name, said in own.items()}
        return Watched(site=site, terms=Terms.model_construct(**given))

    def find(self, name: str) -> Watched | None:
        """The site of that name, or None."""
        return next((self.settled(site) for site in self.sites if site.name == name), None)


class Watched(Frozen):
    """A site and what holds for it."""

    site: Site
    terms: Terms


def _server(text: str) -> tuple[str, int]:
    """Raises ValueError: there is no address in it."""
    found = _PORT.match(text)
    address, port = (found["host"].strip("[]"), int(found["port"])) if found else (text, 53)
    if not 1 <= port <= 65535:
        raise ValueError("the port is 1 to 65535")
    return str(ip_address(address)), port
