"""The REST client: credentials, CSRF tokens, and what each answer of the server becomes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from aegis_lib import clock
from aegis_lib.errors import DependencyUnavailable, Misconfigured
from aegis_lib.settings import PrefectApiSettings
from deployments.api import NotFound, PrefectApi, Refused, resolve_url


class Tokens:
    """A server's token endpoint: hands out a new token per call and remembers the last one."""

    def __init__(self, server: HTTPServer, lifetime: timedelta = timedelta(hours=1)) -> None:
        self.issued: list[str] = []
        self.lifetime = lifetime
        server.expect_request("/api/csrf-token", method="GET").respond_with_handler(self._issue)

    def _issue(self, request: Request) -> Response:
        self.issued.append(f"token-{len(self.issued)}")
        expiration = clock.iso(clock.utcnow() + self.lifetime)
        answer = {"client": request.args["client"], "token": self.issued[-1], "expiration": expiration}
        return Response(json.dumps(answer), content_type="application/json")


@pytest.fixture
def api(httpserver: HTTPServer) -> Iterator[PrefectApi]:
    with PrefectApi(httpserver.url_for("/api/"), timeout_seconds=2) as connected:
        yield connected


def without_csrf(server: HTTPServer) -> None:
    server.expect_request("/api/csrf-token").respond_with_json(
        {"detail": "CSRF protection is disabled."}, status=422
    )


def requests_to(server: HTTPServer, path: str) -> list[Request]:
    return [request for request, _ in server.log if request.path == path]


def test_a_reading_request_needs_no_token(httpserver: HTTPServer, api: PrefectApi) -> None:
    httpserver.expect_request("/api/flows/1", method="GET").respond_with_json({"id": "1"})
    assert api.get("/flows/1") == {"id": "1"}
    assert not requests_to(httpserver, "/api/csrf-token")


def test_one_token_serves_every_change_of_a_client(httpserver: HTTPServer, api: PrefectApi) -> None:
    tokens = Tokens(httpserver)
    httpserver.expect_request("/api/flows/", method="POST").respond_with_json({})
    api.post("/flows/", {"name": "a"})
    api.post("/flows/", {"name": "b"})
    first, second = requests_to(httpserver, "/api/flows/")
    assert tokens.issued == ["token-0"]
    assert first.headers["Prefect-Csrf-Token"] == second.headers["Prefect-Csrf-Token"] == "token-0"
    asked_for = requests_to(httpserver, "/api/csrf-token")[0].args["client"]
    assert first.headers["Prefect-Csrf-Client"] == asked_for


def test_a_token_about_to_expire_is_renewed(httpserver: HTTPServer, api: PrefectApi) -> None:
    tokens = Tokens(httpserver, lifetime=timedelta(seconds=5))
    httpserver.expect_request("/api/flows/", method="POST").respond_with_json({})
    api.post("/flows/")
    api.post("/flows/")
    assert tokens.issued == ["token-0", "token-1"]


def test_a_token_the_server_forgot_is_replaced_and_the_request_repeated(
    httpserver: HTTPServer, api: PrefectApi
) -> None:
    tokens = Tokens(httpserver)

    def only_the_second(request: Request) -> Response:
        if request.headers["Prefect-Csrf-Token"] == "token-1":
            return Response('{"done": true}', content_type="application/json")
        detail = json.dumps({"detail": "Invalid CSRF token or client identifier."})
        return Response(detail, status=403, content_type="application/json")

    httpserver.expect_request("/api/flows/", method="POST").respond_with_handler(only_the_second)
    assert api.post("/flows/") == {"done": True}
    assert tokens.issued == ["token-0", "token-1"]


def test_a_server_without_csrf_protection_is_asked_once(httpserver: HTTPServer, api: PrefectApi) -> None:
    without_csrf(httpserver)
    httpserver.expect_request("/api/flows/", method="POST").respond_with_json({})
    api.post("/flows/")
    api.post("/flows/")
    assert len(requests_to(httpserver, "/api/csrf-token")) == 1
    assert "Prefect-Csrf-Token" not in requests_to(httpserver, "/api/flows/")[0].headers


def test_credentials_go_out_as_basic_authentication(httpserver: HTTPServer) -> None:
    httpserver.expect_request(
        "/api/x", headers={"Authorization": "Basic YWRtaW46cGE6c3M="}
    ).respond_with_json(1)
    with PrefectApi(httpserver.url_for("/api"), auth_string="admin:pa:ss") as api:
        assert api.get("/x") == 1


def test_refused_credentials_name_the_setting_and_not_the_secret(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/x").respond_with_json({"exception_message": "Unauthorized"}, status=401)
    with (
        PrefectApi(httpserver.url_for("/api"), auth_string="admin:s3cret") as api,
        pytest.raises(Misconfigured, match=r"PREFECT_API_AUTH_STRING.*does not accept") as caught,
    ):
        api.get("/x")
    assert "s3cret" not in str(caught.value)


def test_absent_credentials_are_called_absent(httpserver: HTTPServer, api: PrefectApi) -> None:
    httpserver.expect_request("/api/x").respond_with_json({"exception_message": "Unauthorized"}, status=401)
    with pytest.raises(Misconfigured, match="PREFECT_API_AUTH_STRING: is not set"):
        api.get("/x")


def test_no_server_says_how_to_start_one() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/api"
        with PrefectApi(url) as api, pytest.raises(DependencyUnavailable) as caught:
            api.get("/health")
    assert f"no answer at {url} (connection refused)" in str(caught.value)
    assert "aegis up" in str(caught.value)


def test_a_server_that_hangs_is_given_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        with PrefectApi(url, timeout_seconds=0.2) as api, pytest.raises(DependencyUnavailable) as caught:
            api.get("/health")
    assert "within 0.2 s" in str(caught.value)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_or_broken_server_is_worth_a_retry(
    httpserver: HTTPServer, api: PrefectApi, status: int
) -> None:
    httpserver.expect_request("/api/x").respond_with_json(
        {"exception_message": "Internal Server Error"}, status=status, headers={"Retry-After": "7"}
    )
    with pytest.raises(DependencyUnavailable, match=f"answered {status}") as caught:
        api.get("/x")
    assert caught.value.retry_after_seconds == 7


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_was_busy_for_a_moment_is_asked_again(httpserver: HTTPServer, status: int) -> None:
    for _ in range(2):
        httpserver.expect_ordered_request("/api/x").respond_with_data("", status=status)
    httpserver.expect_ordered_request("/api/x").respond_with_json({"done": True})
    waited: list[float] = []
    with PrefectApi(httpserver.url_for("/api"), sleep=waited.append) as api:
        assert api.get("/x") == {"done": True}
    assert len(waited) == 2
    assert waited[0] < waited[1]


def test_a_request_that_may_have_been_carried_out_is_not_repeated(httpserver: HTTPServer) -> None:
    without_csrf(httpserver)
    httpserver.expect_request("/api/x", method="POST").respond_with_data("", status=500)
    with PrefectApi(httpserver.url_for("/api")) as api, pytest.raises(DependencyUnavailable):
        api.post("/x", {})
    assert len(requests_to(httpserver, "/api/x")) == 1


def test_something_missing_is_not_found(httpserver: HTTPServer, api: PrefectApi) -> None:
    httpserver.expect_request("/api/x").respond_with_json({"detail": "Deployment not found."}, status=404)
    with pytest.raises(NotFound, match="Deployment not found") as caught:
        api.get("/x")
    assert caught.value.status == 404


def test_a_validation_error_is_told_in_the_servers_words(httpserver: HTTPServer, api: PrefectApi) -> None:
    without_csrf(httpserver)
    detail = {"exception_detail": [{"loc": ["body", "name"], "msg": "Field required"}]}
    httpserver.expect_request("/api/x", method="POST").respond_with_json(detail, status=422)
    with pytest.raises(Refused, match=r"body\.name: Field required"):
        api.post("/x", {})


def test_a_page_that_is_no_api_is_a_wrong_url(httpserver: HTTPServer, api: PrefectApi) -> None:
    httpserver.expect_request("/api/x").respond_with_data("<html>", content_type="text/html")
    with pytest.raises(Misconfigured, match="not as a Prefect API"):
        api.get("/x")


def test_an_empty_answer_is_none(httpserver: HTTPServer, api: PrefectApi) -> None:
    without_csrf(httpserver)
    httpserver.expect_request("/api/x", method="DELETE").respond_with_data("", status=204)
    assert api.request("DELETE", "/x") is None


def test_filter_endpoints_are_read_page_by_page(httpserver: HTTPServer, api: PrefectApi) -> None:
    without_csrf(httpserver)
    rows = [{"id": number} for number in range(450)]
    asked: list[tuple[int, int, str]] = []

    def page(request: Request) -> Response:
        body = request.get_json()
        asked.append((body["offset"], body["limit"], body["sort"]))
        part = rows[body["offset"] : body["offset"] + body["limit"]]
        return Response(json.dumps(part), content_type="application/json")

    httpserver.expect_request("/api/flow_runs/filter", method="POST").respond_with_handler(page)
    assert list(api.filter("/flow_runs/filter", {"sort": "X"})) == rows
    assert asked == [(0, 200, "X"), (200, 200, "X"), (400, 200, "X")]
    asked.clear()
    assert list(api.filter("/flow_runs/filter", {"sort": "X"}, limit=250)) == rows[:250]
    assert asked == [(0, 200, "X"), (200, 50, "X")]


def test_health_is_a_plain_yes_or_no(httpserver: HTTPServer, api: PrefectApi) -> None:
    assert not api.healthy()
    httpserver.expect_request("/api/health").respond_with_json(True)
    assert api.healthy()


@pytest.fixture
def no_server_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "AEGIS_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(PrefectApiSettings.model_config, "env_file", ".env")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_url_comes_from_the_nearest_source(
    no_server_named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (no_server_named / "prefect.toml").write_text('[api]\nurl = "http://toml:1/api"\n')
    assert resolve_url(PrefectApiSettings()) == "http://toml:1/api"
    (no_server_named / ".env").write_text("AEGIS_PORT=4321\n")
    assert resolve_url(PrefectApiSettings()) == "http://127.0.0.1:4321/api"
    (no_server_named / ".env").write_text("AEGIS_PORT=4321\nPREFECT_API_URL=http://dotenv:2/api/\n")
    assert resolve_url(PrefectApiSettings()) == "http://dotenv:2/api"
    monkeypatch.setenv("PREFECT_API_URL", "https://environment/api")
    assert resolve_url(PrefectApiSettings()) == "https://environment/api"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://host/api", "not an http"),
        ("127.0.0.1:4200/api", "not an http"),
        ("http://admin:s3cret@host/api", "user name or password"),
    ],
)
def test_a_url_that_cannot_work_is_refused_without_repeating_it(url: str, problem: str) -> None:
    with pytest.raises(Misconfigured, match=problem) as caught:
        PrefectApi(url)
    assert "s3cret" not in str(caught.value)


def test_a_broken_prefect_toml_names_the_file(no_server_named: Path) -> None:
    (no_server_named / "prefect.toml").write_text("[api\n")
    with pytest.raises(Misconfigured, match=r"prefect\.toml"):
        resolve_url(PrefectApiSettings())
