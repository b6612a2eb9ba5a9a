"""Pings a dead-man's switch: a web address that raises an alarm elsewhere when it hears nothing.

Reference: https://healthchecks.io/docs/http_api/ (a GET of the ping address; any 2xx means received). The
address is the credential, and httpx puts it into its errors: they are not chained. This module must not
decide when to ping.
"""

from __future__ import annotations

import httpx

from aegis_lib.errors import DependencyUnavailable, Misconfigured
from aegis_lib.settings import HeartbeatSettings

_MEND = "check HEARTBEAT_URL and the way out of this host."


class HttpHeartbeat:
    """A dead-man's switch behind one address."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._url, self._timeout_seconds = url, timeout_seconds

    def ping(self) -> None:
        """Say that all is well.

        Raises:
            DependencyUnavailable: no answer in time, or the service answered that it cannot now (5xx, 429).
            Misconfigured: HEARTBEAT_URL is no address, or the service does not know it.
        """
        try:
            reply = httpx.get(self._url, timeout=self._timeout_seconds, follow_redirects=True)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise Misconfigured(
                "HEARTBEAT_URL", "is not an http or https address.", "copy the ping URL of your check."
            ) from None
        except httpx.TimeoutException:
            problem = f"no answer within {self._timeout_seconds:g} s."
            raise DependencyUnavailable("heartbeat", problem, _MEND) from None
        except httpx.HTTPError as error:
            problem = f"could not be reached ({type(error).__name__})."
            raise DependencyUnavailable("heartbeat", problem, _MEND) from None
        if reply.status_code >= 500 or reply.status_code == 429:
            raise DependencyUnavailable("heartbeat", f"answered {reply.status_code}.", _MEND)
        if not reply.is_success:
            raise Misconfigured(
                "HEARTBEAT_URL",
                f"the service answered {reply.status_code} to the ping.",
                "copy the ping URL of your check again; it may have been deleted.",
            )


def connect(settings: HeartbeatSettings) -> HttpHeartbeat | None:
    """The switch that is set up, or None when HEARTBEAT_URL is not set."""
    if settings.url is None:
        return None
    return HttpHeartbeat(settings.url.get_secret_value(), settings.timeout_seconds)
