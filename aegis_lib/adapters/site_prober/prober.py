"""Implements the port `SiteProber`: web addresses by libcurl, ports and DNS records in a few threads.

A site's answers are findings: nothing that a site does raises here. Nothing is judged here either.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import certifi
import pycurl

from aegis_lib.adapters.site_prober import ports
from aegis_lib.adapters.site_prober.exchange import Exchange
from aegis_lib.adapters.site_prober.transfers import Transfers
from aegis_lib.errors import Misconfigured
from aegis_lib.settings_sites import site_secret
from aegis_lib.sites.model import SitesConfig, Watched
from aegis_lib.sites.seen import Failure, FailureKind, Probe

THREADS = 32


class Prober:
    """Looks at sites. See the port for the exact meaning."""

    def __init__(self, config: SitesConfig, ca_file: str | None = None) -> None:
        self._config, self._given_ca_file = config, ca_file

    def probe(self, sites: Sequence[Watched], seconds: float) -> Iterator[Probe]:
        """One attempt at each; each as soon as it is there, those of threads at the end."""
        no_more_at = time.monotonic() + seconds
        others = [watched for watched in sites if watched.site.kind != "http"]
        exchanges: list[Exchange] = []
        for watched in sites:
            if watched.site.kind == "http":
                secrets, missing = self._secrets(watched)
                if missing is not None:
                    yield Probe(site=watched.site.name, failure=missing)
                    continue
                exchanges.append(Exchange(watched, self._ca_file, self._config.user_agent, secrets))
        with ThreadPoolExecutor(min(THREADS, len(others) or 1), "site-look") as threads:
            looks: list[Future[Probe]] = [threads.submit(_look, watched) for watched in others]
            try:
                transfers = Transfers(self._config.concurrency, self._config.per_host)
                yield from transfers.run(exchanges, seconds)
                for look in looks:
                    if time.monotonic() > no_more_at:
                        for late in looks:
                            late.cancel()
                    if not look.cancelled():
                        yield look.result()
            finally:
                for look in looks:
                    look.cancel()

    @cached_property
    def _ca_file(self) -> str:
        """The certificates of authorities that are trusted: `SSL_CERT_FILE`, the system's, or certifi's."""
        known = self._given_ca_file or ssl.get_default_verify_paths().cafile
        return known if known and Path(known).is_file() else certifi.where()

    def _secrets(self, watched: Watched) -> tuple[dict[str, str], Failure | None]:
        found: dict[str, str] = {}
        for variable in watched.site.secret_headers.values():
            try:
                secret = site_secret(variable)
            except Misconfigured as wrong:
                return {}, Failure(kind=FailureKind.NOT_ASKED, words=f"not asked: {wrong}")
            if secret is None:
                words = f"not asked: set {variable}, which its entry names in secret_headers"
                return {}, Failure(kind=FailureKind.NOT_ASKED, words=words)
            value = secret.get_secret_value()
            if not value.isascii() or not value.isprintable():
                words = f"not asked: {variable} is not printable ASCII text on one line"
                return {}, Failure(kind=FailureKind.NOT_ASKED, words=words)
            found[variable] = value
        return found, None


def _look(watched: Watched) -> Probe:
    if watched.site.kind == "tcp":
        return ports.look(watched)
    from aegis_lib.adapters.site_prober import names  # only who watches records pays for its library

    return names.look(watched)


@contextmanager
def connect(config: SitesConfig, *, ca_file: str | None = None) -> Iterator[Prober]:
    """A prober for these settings. `ca_file` holds the authorities to trust instead of the system's."""
    pycurl.global_init(pycurl.GLOBAL_DEFAULT)
    yield Prober(config, ca_file)
