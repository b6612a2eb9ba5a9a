"""The directions of imports, as a table. A row names modules and what none of them may import."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.source import Module, matching, modules

IO_LIBRARIES = (
    "httpx",
    "docker",
    "psycopg",
    "playwright",
    "PIL",
    "aiosql",
    "alembic",
    "sqlalchemy",
    "apprise",
    "requests",
    "pydantic_ai",
    "anthropic",
    "openai",
    "httpx2",
    "psutil",
    "pycurl",
    "dns",
)
AREAS = (
    "memory",
    "health",
    "containers",
    "digest",
    "alerts",
    "tasks",
    "ledger",
    "mail",
    "llm",
    "approvals",
    "changes",
    "commands",
    "pictures",
    "metrics",
    "anomaly",
    "status_page",
    "sites",
    "retention",
)
SERVICES = tuple(f"aegis_lib.{area}.{part}" for area in AREAS for part in ("service", "policy", "messages"))

SETTINGS = ("aegis_lib.settings", "aegis_lib.settings_sites", "aegis_lib.setting_sources")
CALLED_FROM_EVERYWHERE = {"aegis_lib.approvals.service", "aegis_lib.status_page.service"}
MAIL_DECISIONS = ("authentication", "classifier", "features", "letters", "lexicon", "marks", "rules")
FORBIDDEN = {
    "models know only values": (
        (*(f"aegis_lib/{area}/model.py" for area in AREAS), "aegis_lib/sites/seen.py"),
        ("prefect", "flows", "deployments", "aegis_lib.adapters", "aegis_lib.db", *SETTINGS,
         "aegis_lib.ports", "aegis_lib.logs", "aegis_lib.clock", "aegis_lib.web", *SERVICES, *IO_LIBRARIES),
    ),
    "policies decide without I/O, clock, settings or logs": (
        (*(f"aegis_lib/{area}/policy.py" for area in AREAS), "aegis_lib/ledger/problems.py",
         "aegis_lib/status_page/composing.py", "aegis_lib/sites/judging.py",
         *(f"aegis_lib/mail/{part}.py" for part in MAIL_DECISIONS),
         "aegis_lib/anomaly/detection/*.py", "aegis_lib/changes/*.py"),
        ("prefect", "flows", "deployments", "aegis_lib.adapters", "aegis_lib.db", *SETTINGS,
         "aegis_lib.ports", "aegis_lib.logs", "aegis_lib.clock", "aegis_lib.web", "logging", "os", "time",
         "pathlib", *IO_LIBRARIES),
    ),
    "services know ports, not what implements them": (
        (*(f"aegis_lib/{area}/service.py" for area in AREAS), "aegis_lib/approvals/sending.py"),
        ("prefect", "flows", "deployments", "aegis_lib.adapters", "aegis_lib.db", *SETTINGS,
         "aegis_lib.config", "aegis_lib.web", *IO_LIBRARIES),
    ),
    "adapters and stores know no service": (
        ("aegis_lib/adapters/*.py", "aegis_lib/adapters/*/*.py", "aegis_lib/db/*.py"),
        ("prefect", "flows", "deployments", *(name for name in SERVICES if not name.endswith("policy"))),
    ),
    "the product knows neither Prefect nor its flows": (
        ("aegis_lib/*.py", "aegis_lib/*/*.py", "aegis_lib/*/*/*.py"),
        ("prefect", "flows", "deployments"),
    ),
    "flows open adapters, they do not use libraries": (
        ("flows/*.py",),
        ("deployments", "httpx", "docker", "psycopg", "playwright", "aiosql", "alembic", "pydantic_ai"),
    ),
    # A decision of a person is the same by every way: `aegis approvals` calls the service that chat does.
    # So is the status page: `aegis report` makes the one that the job does.
    "what talks to the server knows no business": (
        ("deployments/*.py", "deployments/*/*.py"),
        ("flows", *(name for name in SERVICES if name not in CALLED_FROM_EVERYWHERE)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", FORBIDDEN, ids=lambda rule: rule.replace(" ", "-"))
def test_directions_of_imports_hold(rule: str) -> None:
    files, forbidden = FORBIDDEN[rule]
    broken = {
        m.name: sorted(m.imports_any(*forbidden)) for m in matching(*files) if m.imports_any(*forbidden)
    }
    assert not broken, f"{rule}: {broken}"


def test_no_flow_imports_another_flow() -> None:
    broken = [
        (m.name, other)
        for m in matching("flows/*.py")
        for other in m.imports_any("flows")
        if not other.split(".")[1:2] or not other.split(".")[1].startswith("_")
        if other not in {"flows", "flows._open", "flows._policy"}
    ]
    assert not broken


def test_adapters_do_not_import_each_other() -> None:
    broken = []
    for module in matching("aegis_lib/adapters/*.py", "aegis_lib/adapters/*/*.py"):
        room = module.name.removeprefix("aegis_lib.adapters").lstrip(".").split(".")[0]
        broken += [(module.name, other) for other in module.imports_any("aegis_lib.adapters")
                   if len(other.split(".")) > 2 and other.split(".")[2] != room]  # fmt: skip
    assert not broken


def test_one_area_does_not_call_the_service_of_another() -> None:
    broken = []
    for module in modules():
        parts = module.name.split(".")
        if parts[0] == "aegis_lib" and len(parts) > 2 and parts[1] in AREAS:
            broken += [(module.name, other) for other in module.imports_any(*SERVICES)
                       if other.split(".")[1] != parts[1]]  # fmt: skip
    assert not broken


def test_the_areas_named_here_are_the_areas_there_are() -> None:
    found = {m.name.split(".")[1] for m in matching("aegis_lib/*/model.py")}
    assert found == set(AREAS), "add the new area to AREAS so that the rules hold for it too"


def _prefect_privates(module: Module) -> set[str]:
    return {
        name
        for name in module.imports_any("prefect")
        if any(part.startswith("_") for part in name.split("."))
    }


INTERNALS = "deployments.worker.prefect_internals"
_OWN = {"self", "cls", "os", "threading", "atexit"}  # the last three are the standard library


def test_private_names_of_prefect_are_imported_in_one_module_only() -> None:
    found = {m.name: _prefect_privates(m) for m in modules() if _prefect_privates(m)}
    assert set(found) == {INTERNALS}, found


def test_private_attributes_of_prefects_objects_are_touched_in_that_module_only() -> None:
    touching = {
        m.name: found
        for m in matching("deployments/worker/*.py")
        if m.name != INTERNALS and (found := _foreign_privates(m))
    }
    assert not touching


def _foreign_privates(module: Module) -> set[str]:
    """Private attributes of anything but `self`, `cls` and classes of the module itself."""
    tree = ast.parse(module.path.read_text(encoding="utf-8"))
    return {
        f"{ast.unparse(node.value)}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in _OWN)
    }
