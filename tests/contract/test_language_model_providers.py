"""The providers of language models against the documented protocols: what is sent, what each answer means."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr
from pytest_httpserver import HTTPServer
from werkzeug import Response

from aegis_lib.adapters.language_model import providers
from aegis_lib.llm.model import Ending, NoReply, Reply, Request, Trouble
from aegis_lib.outcome import Frozen
from aegis_lib.ports.llm import ModelProvider
from aegis_lib.settings import ClaudeSettings, OllamaSettings, ZaiSettings
from tests.fake_services import anthropic, openai_chat
from tests.fake_services.anthropic import Failed, FakeAnthropic, Garbage, Said, Silence
from tests.fake_services.openai_chat import FakeChat

KEY, TOKEN = "zai-key-of-this-test", "sk-ant-oat01-token-of-this-test"


class Colour(Frozen):
    name: str
    sure: bool


REQUEST = Request(
    instruction="Say which colour it is.",
    data="<<< mail x\nred\n>>> x",
    form=Colour.model_json_schema(),
    max_answer_tokens=64,
)
FORM = '{"name": "red", "sure": true}'


@pytest.fixture
def zai(httpserver: HTTPServer) -> FakeAnthropic:
    return FakeAnthropic(httpserver, KEY, ("glm-4.7",), prefix="/api/anthropic")


@pytest.fixture
def claude(httpserver: HTTPServer) -> FakeAnthropic:
    return FakeAnthropic(httpserver, TOKEN, ("claude-haiku-4-5",), oauth=True)


@pytest.fixture
def chat(httpserver: HTTPServer) -> FakeChat:
    return FakeChat(httpserver)


Fake = FakeAnthropic | FakeChat


@pytest.fixture(params=["zai", "claude", "ollama"])
def each(request: pytest.FixtureRequest, httpserver: HTTPServer) -> Iterator[tuple[Fake, ModelProvider]]:
    """Every provider, with the fake of its service."""
    zai, claude, ollama = ZaiSettings(), ClaudeSettings(), OllamaSettings()
    fake: Fake
    match request.param:
        case "zai":
            fake = request.getfixturevalue("zai")
            zai = ZaiSettings(api_key=SecretStr(KEY), base_url=fake.base_url)
        case "claude":
            fake = request.getfixturevalue("claude")
            claude = ClaudeSettings(token=SecretStr(TOKEN), base_url=fake.base_url)
        case _:
            fake = request.getfixturevalue("chat")
            ollama = OllamaSettings(host=fake.host)
    with providers.connect(zai, claude, ollama) as (provider,):
        assert provider.name == request.param
        yield fake, provider


@pytest.fixture
def fake(each: tuple[Fake, ModelProvider]) -> Fake:
    return each[0]


@pytest.fixture
def ask(each: tuple[Fake, ModelProvider]) -> Callable[..., Reply | NoReply]:
    return lambda seconds=5.0: each[1].ask(REQUEST, seconds)


def test_a_question_is_sent_as_documented_and_its_answer_read(fake: Fake, ask: Callable[[], Reply]) -> None:
    fake.script.append(Said(form=FORM))
    reply = ask()
    assert fake.refused == []
    service = anthropic if isinstance(fake, FakeAnthropic) else openai_chat
    assert reply == Reply(
        text=FORM,
        ending=Ending.COMPLETE,
        model=fake.asked[0]["model"],
        input_tokens=service.INPUT_TOKENS,
        output_tokens=service.OUTPUT_TOKENS,
    )


def test_instruction_and_data_travel_apart_and_the_answer_has_a_limit(
    fake: Fake, ask: Callable[[], Reply]
) -> None:
    ask()
    (body,) = fake.asked
    if isinstance(fake, FakeAnthropic):
        assert body["system"] == REQUEST.instruction
        assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": REQUEST.data}]}]
        assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
        assert [tool["name"] for tool in body["tools"]] == ["answer"]
        assert body["thinking"] == {"type": "disabled"}
    else:
        assert body["messages"] == [
            {"role": "system", "content": REQUEST.instruction},
            {"role": "user", "content": REQUEST.data},
        ]
        assert body["temperature"] == 0
    assert body["max_tokens"] == 64


def test_a_connection_serves_several_questions(fake: Fake, ask: Callable[[], Reply]) -> None:
    fake.script += [Said(form=FORM), Said(form='{"name": "blue", "sure": false}')]
    assert [ask().text, ask().text] == [FORM, '{"name": "blue", "sure": false}']


def test_what_is_said_outside_the_form_is_read_too(fake: Fake, ask: Callable[[], Reply]) -> None:
    fake.script.append(Said(text="I think it is red."))
    assert ask().text == "I think it is red."


def test_an_answer_that_met_its_limit_says_so(fake: Fake, ask: Callable[[], Reply]) -> None:
    limit = "max_tokens" if isinstance(fake, FakeAnthropic) else "length"
    fake.script.append(Said(form='{"name": "re', stop=limit))
    assert ask().ending is Ending.TOO_LONG


def test_a_refusal_is_an_answer_of_its_kind(fake: Fake, ask: Callable[[], Reply]) -> None:
    refused = "refusal" if isinstance(fake, FakeAnthropic) else "content_filter"
    fake.script.append(Said(text="No.", stop=refused))
    assert ask().ending is Ending.REFUSED


@pytest.mark.parametrize("events", [0, 1, 3, 4])
def test_an_answer_that_breaks_off_is_none_even_if_its_json_is_whole(
    fake: Fake, ask: Callable[[], NoReply], events: int
) -> None:
    whole_json_but_no_end = 5 if isinstance(fake, FakeAnthropic) else 3
    cut = whole_json_but_no_end if events == 4 else min(events, whole_json_but_no_end)
    fake.script.append(Said(form=FORM, events=cut))
    reply = ask()
    assert isinstance(reply, NoReply)
    assert (reply.trouble, reply.may_have_cost) == (Trouble.AWAY, True)


@pytest.mark.parametrize(
    ("failed", "trouble", "wait"),
    [
        (Failed(429, {"retry-after": "7"}), Trouble.BUSY, 7.0),
        (Failed(429), Trouble.BUSY, None),
        (Failed(529), Trouble.BUSY, None),
        (Failed(503, body="<html>Service Unavailable</html>"), Trouble.BUSY, None),
        (Failed(500), Trouble.AWAY, None),
        (Failed(502, body="bad gateway"), Trouble.AWAY, None),
        (Failed(400), Trouble.REJECTED, None),
        (Failed(413), Trouble.REJECTED, None),
        (Failed(402), Trouble.BUSY, 3600.0),
        (Failed(401), Trouble.MISSET, None),
        (Failed(403), Trouble.MISSET, None),
        (Failed(404), Trouble.MISSET, None),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
def test_every_error_is_trouble_of_its_kind(
    fake: Fake, ask: Callable[[], NoReply], failed: Failed, trouble: Trouble, wait: float | None
) -> None:
    fake.script.append(failed)
    reply = ask()
    assert isinstance(reply, NoReply)
    assert (reply.trouble, reply.retry_after_seconds) == (trouble, wait)
    assert not reply.may_have_cost
    assert len(fake.asked) == 1, "the packages must not retry by themselves"


@pytest.mark.parametrize(
    "garbage",
    [
        Garbage("<html>sign in</html>", "text/html"),
        Garbage("event: message_start\ndata: {not json\n\n"),
        Garbage("data: [1, 2\n\n"),
        Garbage('data: {"type": "message_start"}\n\n'),
        Garbage('event: message_start\ndata: {"type": "message_start", "message": {}}\n\n'),
        Garbage('data: {"choices": "none"}\n\n'),
        Garbage(""),
    ],
    ids=["page", "no-json", "broken-json", "empty-start", "start-without-usage", "wrong-types", "nothing"],
)
def test_anything_but_the_protocol_is_no_answer(
    fake: Fake, ask: Callable[[], NoReply], garbage: Garbage
) -> None:
    fake.script.append(garbage)
    reply = ask()
    assert isinstance(reply, NoReply)
    assert reply.trouble is Trouble.AWAY


def test_silence_ends_with_the_time(fake: Fake, ask: Callable[[float], NoReply]) -> None:
    silence = Silence()
    fake.script.append(silence)
    reply = ask(0.3)
    silence.release.set()
    assert isinstance(reply, NoReply)
    assert "in time" in reply.problem
    assert reply.may_have_cost


def test_an_answer_without_an_end_is_given_up(
    fake: Fake, ask: Callable[[], NoReply], monkeypatch: pytest.MonkeyPatch
) -> None:
    from aegis_lib.adapters.language_model import line

    monkeypatch.setattr(line, "MOST_EVENTS", 1)
    fake.script.append(Said(form=FORM))
    reply = ask()
    assert isinstance(reply, NoReply)
    assert "endless" in reply.problem


def test_an_error_in_the_middle_of_a_stream_counts_as_the_error_that_it_is(zai: FakeAnthropic) -> None:
    zai.script.append(Said(error="overloaded_error"))
    with providers.connect(ZaiSettings(api_key=SecretStr(KEY), base_url=zai.base_url)) as (provider,):
        reply = provider.ask(REQUEST, 5)
    assert isinstance(reply, NoReply)
    assert (reply.trouble, reply.may_have_cost) == (Trouble.BUSY, True)


def test_two_answers_are_kept_as_two(zai: FakeAnthropic) -> None:
    zai.script.append(Said(form=FORM, times=2))
    with providers.connect(ZaiSettings(api_key=SecretStr(KEY), base_url=zai.base_url)) as (provider,):
        reply = provider.ask(REQUEST, 5)
    assert isinstance(reply, Reply)
    assert reply.text == f"{FORM}\n{FORM}"


def test_a_call_of_a_tool_that_nobody_offered_is_no_answer_in_the_form(zai: FakeAnthropic) -> None:
    zai.script.append(Said(form='{"command": "rm -rf /"}', tool="bash"))
    with providers.connect(ZaiSettings(api_key=SecretStr(KEY), base_url=zai.base_url)) as (provider,):
        reply = provider.ask(REQUEST, 5)
    assert isinstance(reply, Reply)
    assert reply.text == ""


def test_a_redirect_is_not_followed_so_that_no_key_travels_elsewhere(
    each: tuple[Fake, ModelProvider], httpserver: HTTPServer
) -> None:
    fake, provider = each
    elsewhere: list[object] = []
    httpserver.expect_request("/elsewhere").respond_with_handler(
        lambda request: (elsewhere.append(request), Response("no"))[1]
    )
    fake.script.append(Failed(307, {"location": httpserver.url_for("/elsewhere")}))
    reply = provider.ask(REQUEST, 5)
    assert isinstance(reply, NoReply)
    assert reply.trouble is Trouble.AWAY
    assert elsewhere == []


def test_a_server_that_is_not_there_costs_nothing() -> None:
    with providers.connect(ollama=OllamaSettings(host="127.0.0.1:1")) as (provider,):
        reply = provider.ask(REQUEST, 5)
    assert isinstance(reply, NoReply)
    assert (reply.trouble, reply.may_have_cost) == (Trouble.AWAY, False)
    assert "OLLAMA_HOST" in reply.mend


def test_a_wrong_key_names_its_setting_and_is_not_shown(zai: FakeAnthropic) -> None:
    with providers.connect(ZaiSettings(api_key=SecretStr("another"), base_url=zai.base_url)) as (provider,):
        reply = provider.ask(REQUEST, 5)
    assert isinstance(reply, NoReply)
    assert (reply.trouble, reply.setting) == (Trouble.MISSET, "ZAI_API_KEY")
    assert "another" not in reply.problem + reply.mend


def test_a_model_that_the_provider_lacks_names_its_setting(chat: FakeChat) -> None:
    with providers.connect(ollama=OllamaSettings(host=chat.host, model="other")) as (provider,):
        reply = provider.ask(REQUEST, 5)
    assert isinstance(reply, NoReply)
    assert reply.setting == "OLLAMA_MODEL"
    assert "ollama pull other" in reply.mend


def test_what_the_environment_says_to_other_programs_is_not_sent(
    zai: FakeAnthropic, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = "X-Team: somebody-elses\nAuthorization: Bearer somebody-elses\nx-api-key: somebody-elses"
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", headers)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api-somebody-elses")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "somebody-elses-token")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://elsewhere.invalid")
    with providers.connect(ZaiSettings(api_key=SecretStr(KEY), base_url=zai.base_url)) as (provider,):
        assert isinstance(provider.ask(REQUEST, 5), Reply)
    assert "somebody-elses" not in str(zai.headers)
    assert not [name for name in zai.headers[0] if name.startswith("x-")]


def test_a_key_of_the_console_goes_without_the_header_for_tokens(httpserver: HTTPServer) -> None:
    fake = FakeAnthropic(httpserver, "sk-ant-api03-key", ("claude-haiku-4-5",))
    settings = ClaudeSettings(token=SecretStr("sk-ant-api03-key"), base_url=fake.base_url)
    with providers.connect(claude=settings) as (provider,):
        assert isinstance(provider.ask(REQUEST, 5), Reply)
    assert fake.refused == []


def test_providers_come_in_their_order_and_only_those_that_are_set() -> None:
    with providers.connect(
        ZaiSettings(api_key=SecretStr("a")), ClaudeSettings(token=SecretStr("b")), OllamaSettings(host="c")
    ) as found:
        assert [provider.name for provider in found] == ["zai", "claude", "ollama"]
    with providers.connect() as found:
        assert found == []


def test_only_a_first_question_imports_what_speaks_the_protocols() -> None:
    heavy = "{'pydantic_ai', 'anthropic', 'openai', 'httpx2'}"
    code = (
        "import sys, flows._open as o\n"
        "with o.language_model('email_triage') as model: pass\n"
        f"assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    )
    environment = {"ZAI_API_KEY": "x", "CLAUDE_CODE_OAUTH_TOKEN": "y", "OLLAMA_HOST": "z", "PATH": "/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
