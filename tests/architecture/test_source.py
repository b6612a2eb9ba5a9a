"""Habits of the source that no linter knows."""

from __future__ import annotations

import ast
import re
import tomllib

from tests.architecture.source import ROOT, matching, modules


def test_package_inits_stay_empty_where_a_job_would_pay_for_them() -> None:
    inits = [m for m in modules() if m.path.name == "__init__.py" and m.name.split(".")[0] != "deployments"]
    assert inits
    assert [m.name for m in inits if m.path.read_text().strip()] == []


def test_flow_files_stay_small() -> None:
    long = {
        m.name: n for m in matching("flows/[a-z]*.py") if (n := len(m.path.read_text().splitlines())) > 65
    }
    assert not long


def test_no_module_is_named_after_nothing() -> None:
    empty_words = {"utils", "helpers", "common", "manager", "base", "misc"}
    assert not [m.name for m in modules() if empty_words & set(m.name.split("."))]


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        m.name
        for m in modules()
        if m.path.name != "__init__.py" and not ast.get_docstring(ast.parse(m.path.read_text()))
    ]
    assert not silent


def _catches_everything(node: ast.AST) -> bool:
    return isinstance(node, ast.ExceptHandler) and (
        node.type is None
        or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
    )


def test_only_the_isolation_module_catches_every_exception() -> None:
    catching = {
        m.name
        for m in modules()
        if any(_catches_everything(n) for n in ast.walk(ast.parse(m.path.read_text())))
    }
    assert catching == {"aegis_lib.isolation"}


def test_no_wall_clock_is_read_outside_the_clock() -> None:
    reading = [
        m.name
        for m in modules()
        if m.name.startswith("aegis_lib.") and m.name != "aegis_lib.clock"
        if re.search(r"datetime\.(now|utcnow|today)\(|date\.today\(", m.path.read_text())
    ]
    assert not reading


def test_the_lock_names_no_index_and_hashes_everything() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^([a-z0-9][a-z0-9._-]*)==", lock, re.MULTILINE)
    assert len(pins) > 50
    assert "://" not in lock
    blocks = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert [b.split("==")[0] for b in blocks if "--hash=sha256:" not in b] == []


def test_the_lock_pins_every_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *(d for extra in extras.values() for d in extra)]
    names = {re.sub(r"[._]", "-", re.split(r"[\[<>=~! ;]", d)[0].lower()) for d in declared}
    pinned = set(
        re.findall(r"^([a-z0-9][a-z0-9._-]*)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    )
    assert names - pinned == {"aegis-scheduler"}, "run `make lock`"
