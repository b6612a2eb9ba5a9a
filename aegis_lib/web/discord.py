"""What every use of Discord's REST API shares: who asks, rate limits, refusals. It sends nothing itself.

Discord Developer Documentation: "Reference" (authentication, user agent, snowflakes), "Rate Limits", "Opcodes
and Status Codes", "Create Message" (nonce). A limit belongs to a bucket, which several routes of one channel
may share; the global limit belongs to the token.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from pydantic import Field, SecretStr

from aegis_lib.errors import DependencyUnavailable, Misconfigured, PermanentFailure
from aegis_lib.web import exchange
from aegis_lib.web.exchange import Answer, Reply
from aegis_lib.web.secrecy import protect, redact

NONCE_CHARACTERS = 25
SNOWFLAKE = r"^[0-9]{1,19}$"
"""The form of every id. The largest has 19 digits; larger numbers are none."""

_EPOCH = datetime(2015, 1, 1, tzinfo=UTC)
_UNSAID_WAIT_SECONDS = 5.0
_WRONG_ROOM = {10003, 50008}
"""Discord's codes for an unknown channel and for one that holds no text."""
_TOKEN = re.compile(r"[A-Za-z0-9._-]+")


class Created(Reply):
    """What is read of a message that was just made."""

    id: str = Field(pattern=SNOWFLAKE)


class Refusal(Reply):
    """The documented body of a refusal; `retry_after` is in seconds and comes with status 429."""

    message: str = ""
    code: int = 0
    retry_after: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    is_global: bool = Field(default=False, alias="global")


class Refused(PermanentFailure):
    """Discord said no to one request. `code` is Discord's own code for why, 0 where it gave none."""

    def __init__(self, message: str, code: int) -> None:
        self.code = code
        super().__init__(message)


def checked_token(token: SecretStr) -> SecretStr:
    """The token.

    Raises:
        Misconfigured: it cannot be one.
    """
    if not _TOKEN.fullmatch(token.get_secret_value()):
        raise Misconfigured(
            "DISCORD_BOT_TOKEN",
            "is no bot token.",
            "copy it from the application's Bot page, without 'Bot '.",
        )
    return token


def checked_channel(variable: str, channel_id: str) -> str:
    """The id of a channel.

    Raises:
        Misconfigured: it cannot be one.
    """
    if not re.fullmatch(SNOWFLAKE, channel_id):
        raise Misconfigured(
            variable,
            f"{channel_id!r} is no channel id (digits only).",
            "in Discord's developer mode, right-click the channel and copy its id.",
        )
    return channel_id


def headers(token: SecretStr) -> dict[str, str]:
    """Who we are, in the documented form. The token is kept out of logs from here on."""
    return {
        "authorization": f"Bot {protect(token)}",
        "user-agent": exchange.user_agent("DiscordBot"),
    }


def made_at(snowflake: int) -> datetime:
    """When the thing of this id was made, to the millisecond."""
    return _EPOCH + timedelta(milliseconds=snowflake >> 22)


def first_id_at(moment: datetime) -> int:
    """The smallest id that something made at this moment can have; 0 for times before Discord."""
    return max(0, (moment - _EPOCH) // timedelta(milliseconds=1)) << 22


class Limits:
    """What Discord said about when a bot may ask again: everywhere, and by channel and bucket."""

    def __init__(self) -> None:
        self.everywhere_until = 0.0
        self.until: dict[tuple[str, str], float] = {}


class Route:
    """One rate-limited way: remembers what Discord said about when the next request may be made."""

    def __init__(
        self, system: str, limits: Limits, *, resource: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`resource` is what limits are counted for, such as a channel; `system` names us in errors."""
        self._system, self._limits, self._clock = system, limits, clock
        self._place = (resource, f"route of {id(self)}")  # until Discord tells the bucket

    @property
    def wait_seconds(self) -> float:
        """How long it is until the next request may be made; 0 for now."""
        until = max(self._limits.until.get(self._place, 0.0), self._limits.everywhere_until)
        return max(0.0, until - self._clock())

    def wait_our_turn(self) -> None:
        """Raise DependencyUnavailable while no request may be made."""
        if (left := self.wait_seconds) > 0:
            raise DependencyUnavailable(self._system, "its rate limit is used up.", retry_after_seconds=left)

    def learn(self, answer: Answer) -> None:
        """Note the headers of any answer, and the wait that a 429 asks for.

        Raises:
            DependencyUnavailable: the answer is a 429.
        """
        if bucket := answer.headers.get("x-ratelimit-bucket"):
            self._place = (self._place[0], bucket)
        if answer.status != 429:
            reset = answer.seconds("x-ratelimit-reset-after")
            if answer.headers.get("x-ratelimit-remaining") == "0" and reset is not None:
                self._limits.until[self._place] = self._clock() + reset
            return
        said = answer.read_or_none(Refusal) or Refusal()
        asked = [said.retry_after, answer.seconds("retry-after"), answer.seconds("x-ratelimit-reset-after")]
        wait = next((seconds for seconds in asked if seconds is not None), _UNSAID_WAIT_SECONDS)
        everywhere = said.is_global or answer.headers.get("x-ratelimit-global", "").lower() == "true"
        if everywhere:
            self._limits.everywhere_until = self._clock() + wait
        else:
            self._limits.until[self._place] = self._clock() + wait
        scope = "globally" if everywhere else "on this route"
        raise DependencyUnavailable(
            self._system, f"is rate-limited {scope} for {wait:g} s (429).", retry_after_seconds=wait
        )


def refuse(answer: Answer, system: str, causes: Mapping[int, tuple[str, str]]) -> None:
    """Raise for every answer that is not a success, by kind.

    `causes` says which setting is to blame for a status, and how to mend it.
    """
    if answer.status in {200, 201, 204}:
        return
    said = answer.read_or_none(Refusal) or Refusal()
    code = f", code {said.code}" if said.code else ""
    reason = redact(f"Discord answered {answer.status}{code}: {said.message[:200] or 'no reason given'}.")
    cause = 404 if said.code in _WRONG_ROOM else answer.status
    if cause in causes:
        variable, mend = causes[cause]
        raise Misconfigured(variable, reason, mend)
    if answer.status >= 500 or answer.status == 408:
        raise DependencyUnavailable(system, reason, "wait; see Discord's status page.")
    raise Refused(f"{system}: {reason} Fix: check DISCORD_API_URL, else report this as a defect.", said.code)
