"""What a request without an answer means. The words are ours: a provider's own may repeat what it was sent.

pydantic-ai's errors say what happened by class (`ModelConnectionError`, `ModelRequestTimeout`) and, where
there was an answer, by its HTTP status, also for an error inside a stream.
"""

from __future__ import annotations

from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRequestTimeout,
    ModelTimeoutError,
)

from aegis_lib.adapters.language_model.access import Access
from aegis_lib.llm.model import NoReply, Trouble

QUOTA_PAUSE_SECONDS = 3600.0
_NOT_SENT = {"pool", "connect"}
_BUSY = {429, 503, 529}
_DENIED = {401, 403}


def no_reply(access: Access, error: Exception) -> NoReply:
    """Why there is no answer, from what the packages raised."""
    match error:
        case ModelHTTPError():
            return _refused(access, error)
        case ModelRequestTimeout() | ModelTimeoutError():
            return _away(access, "did not answer in time", cost=True)
        case ModelConnectionError():
            sent = error.phase not in _NOT_SENT
            what = "broke off the connection" if sent else "could not be reached"
            return _away(access, what, cost=sent)
        case ModelAPIError() if error.retry_after is not None:
            return _away(access, "answered with an error", cost=True, retry_after=error.retry_after)
        case _:
            return _away(
                access, f"answered with something else than its protocol ({_kind(error)})", cost=True
            )


def broken_off(access: Access) -> NoReply:
    """The answer began and has no end."""
    return _away(access, "broke off its answer", cost=True)


def endless(access: Access) -> NoReply:
    """The answer has no end in sight."""
    return _away(access, "sent an endless answer", cost=True)


def _refused(access: Access, error: ModelHTTPError) -> NoReply:
    status, said = error.status_code, f"HTTP {error.status_code}"
    if isinstance(error, ModelQuotaExceededError):
        return NoReply(
            trouble=Trouble.BUSY,
            problem=f"{access.base_url} says that the account has nothing left ({said}).",
            mend="see the account with the provider.",
            retry_after_seconds=error.retry_after or QUOTA_PAUSE_SECONDS,
        )
    if status in _BUSY:
        return NoReply(
            trouble=Trouble.BUSY,
            problem=f"{access.base_url} asks for a pause ({said}).",
            mend="wait, or lower llm.requests_per_minute in aegis.yaml.",
            retry_after_seconds=error.retry_after,
            may_have_cost=error.in_stream,
        )
    if status in _DENIED:
        return _misset(
            access.secret_setting,
            f"{access.base_url} does not let us in with it ({said}).",
            f"correct {access.secret_setting}.",
        )
    if isinstance(error, ModelNotFoundError) or status == 404:
        return _misset(
            access.model_setting,
            f"{access.base_url} does not have the model {access.model} ({said}), or is another service.",
            f"{access.model_mend} Or correct {access.address_setting}.",
        )
    if status >= 500 or status < 400:
        return _away(access, f"answered {said}", cost=error.in_stream, retry_after=error.retry_after)
    return NoReply(
        trouble=Trouble.REJECTED,
        problem=f"{access.base_url} does not take the request ({said}).",
        mend="lower llm.untrusted_characters in aegis.yaml if it is too long; else report this.",
    )


def _misset(setting: str, problem: str, mend: str) -> NoReply:
    return NoReply(trouble=Trouble.MISSET, problem=problem, mend=mend, setting=setting)


def _away(access: Access, what: str, *, cost: bool, retry_after: float | None = None) -> NoReply:
    return NoReply(
        trouble=Trouble.AWAY,
        problem=f"{access.base_url} {what}.",
        mend=f"see that it runs and that {access.address_setting} leads to it.",
        retry_after_seconds=retry_after,
        may_have_cost=cost,
    )


def _kind(error: Exception) -> str:
    return type(error).__name__
