"""How the language models of this installation do, and what is left of today's tokens. Only reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta

from aegis_lib import config
from aegis_lib.db import database
from aegis_lib.errors import DependencyUnavailable
from aegis_lib.llm.model import ALL_JOBS, ProviderState
from aegis_lib.outcome import AwareDatetime, Frozen
from aegis_lib.settings import ClaudeSettings, DatabaseSettings, OllamaSettings, ZaiSettings
from deployments.check import Check

NAME = "language models"


class ProviderLine(Frozen):
    """A provider as it is set, and as it does."""

    provider: str
    model: str
    state: str
    recent: int
    per_minute: int
    failures: int
    problem: str | None
    hold_until: AwareDatetime | None
    answered_at: AwareDatetime | None


class BudgetLine(Frozen):
    """A budget of today: of a job, or of all (`*`)."""

    scope: str
    tokens: int
    budget: int


class Standing(Frozen):
    """All providers in the order in which they are asked, the budgets in use, and when new ones begin."""

    providers: tuple[ProviderLine, ...]
    budgets: tuple[BudgetLine, ...]
    renews_at: AwareDatetime


def standing(now: datetime, settings: DatabaseSettings | None = None) -> Standing:
    """How things are at `now`.

    Raises:
        DependencyUnavailable: the database is away.
        Misconfigured: it, aegis.yaml or a provider's setting is wrong.
    """
    limits = config.load().llm
    set_up = _providers()
    with database.connect(settings) as db:
        known = {state.provider: state for state in db.language_models.providers(now)}
        spent = {row.scope: row.tokens for row in db.language_models.spent(now.astimezone(UTC).date())}
    pace = limits.requests_per_minute.model_dump()
    tomorrow = now.astimezone(UTC).date() + timedelta(days=1)
    return Standing(
        providers=tuple(
            _line(name, model, is_set, known.get(name), pace[name], now)
            for name, (model, is_set) in set_up.items()
        ),
        budgets=tuple(
            BudgetLine(
                scope=scope,
                tokens=tokens,
                budget=limits.tokens_per_day if scope == ALL_JOBS else limits.budget_of(scope),
            )
            for scope, tokens in {ALL_JOBS: 0, **spent}.items()
        ),
        renews_at=datetime.combine(tomorrow, time(), UTC),
    )


def check(settings: DatabaseSettings, now: datetime) -> Check:
    """Whether one of the language models that are set answers. Without the database that is not known."""
    try:
        return judge(standing(now, settings).providers)
    except DependencyUnavailable:
        return Check(
            name=NAME, ok=None, detail="not seen without the database", fix="mend the database first."
        )


def judge(providers: Sequence[ProviderLine]) -> Check:
    """Decide over how they do: it is enough that one answers, or was not asked yet."""
    used = [line for line in providers if line.state != "not set"]
    if not used:
        return Check(
            name=NAME,
            ok=None,
            detail="not configured: jobs do without",
            fix="set ZAI_API_KEY, CLAUDE_CODE_OAUTH_TOKEN or OLLAMA_HOST, if jobs are to ask one.",
        )
    said = "; ".join(f"{one.provider}: {one.problem if one.failures else one.state}" for one in used)
    if all(one.failures for one in used):
        return Check(name=NAME, ok=False, detail=said, fix="mend what is said; `aegis llm` shows more.")
    return Check(name=NAME, ok=True, detail=said)


def _providers() -> Mapping[str, tuple[str, bool]]:
    """Each provider's model, and whether it is set; in the order in which they are asked."""
    zai, claude, ollama = ZaiSettings(), ClaudeSettings(), OllamaSettings()
    return {
        "zai": (zai.model, zai.api_key is not None),
        "claude": (claude.model, claude.token is not None),
        "ollama": (ollama.model, ollama.host is not None),
    }


def _line(
    name: str, model: str, is_set: bool, known: ProviderState | None, per_minute: int, now: datetime
) -> ProviderLine:
    held = known is not None and known.hold_until is not None and known.hold_until > now
    state = "not asked yet"
    if known is not None:
        state = "failing" if known.failures else "ok" if known.answered_at else state
    return ProviderLine(
        provider=name,
        model=model,
        state="not set" if not is_set else "left alone" if held else state,
        recent=known.recent if known else 0,
        per_minute=per_minute,
        failures=known.failures if known else 0,
        problem=known.problem if known else None,
        hold_until=known.hold_until if known else None,
        answered_at=known.answered_at if known else None,
    )
