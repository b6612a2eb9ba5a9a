"""aegis.yaml: what is read, and what each kind of mistake says."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_lib import config, yaml_lines
from aegis_lib.config import AegisConfig
from aegis_lib.containers.model import RestartRule
from aegis_lib.errors import Misconfigured
from aegis_lib.settings import InstallationSettings

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "aegis.example.yaml"


def refused(text: str | bytes) -> str:
    with pytest.raises(Misconfigured) as caught:
        config.parse(text.encode() if isinstance(text, str) else text)
    assert "Fix: correct the file" in str(caught.value)
    return str(caught.value)


def test_no_file_means_all_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config.load() == AegisConfig()


def test_the_file_in_the_working_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aegis.yaml").write_text("containers:\n  strikes: 4\n")
    assert config.load().containers.strikes == 4


def test_the_file_that_is_named_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text("containers: {restart: never}\n")
    monkeypatch.setenv("AEGIS_CONFIG", str(tmp_path / "mine.yaml"))
    assert config.load().containers.restart is RestartRule.NEVER


def test_a_named_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"AEGIS_CONFIG: .*absent.yaml does not exist"):
        config.load(InstallationSettings(config=tmp_path / "absent.yaml"))


def test_a_directory_in_the_files_place_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aegis.yaml").mkdir()
    with pytest.raises(Misconfigured, match=r"AEGIS_CONFIG: aegis.yaml cannot be read: Is a directory"):
        config.load()


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "---\n", "containers:\n", "containers: {}\nhealth:\n", "\ufeffcontainers: {}\n"],
)
def test_a_file_that_says_nothing_means_all_defaults(text: str) -> None:
    assert config.parse(text.encode()) == AegisConfig()


def test_the_configuration_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        AegisConfig().containers = AegisConfig().containers


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "containers:\n  strikes: 3\n  striks: 4\n",
            "aegis.yaml:3: unknown key 'striks' in containers. Did you mean 'strikes'?",
        ),
        (
            "\ncontainer:\n  strikes: 3\n",
            "aegis.yaml:2: unknown key 'container' at the top. Did you mean 'containers'?",
        ),
        (
            "health: {}\nretention_days: 3\n",
            "aegis.yaml:2: unknown key 'retention_days' at the top. It belongs to the section 'memory'.",
        ),
        (
            "zzz: 1\n",
            "aegis.yaml:1: unknown key 'zzz' at the top. Known keys: "
            "alerts, anomaly, approvals, commands, containers, digest, email, health, ledger, llm, memory, "
            "metrics, pictures, retention, sites, status_page.",
        ),
        (
            "containers:\n  rules:\n  - name: a\n  - name: b\n    engin: c\n",
            "aegis.yaml:5: unknown key 'engin' in containers.rules[2]. Did you mean 'engine'?",
        ),
    ],
)
def test_an_unknown_key_is_named_with_its_line_and_what_was_meant(text: str, said: str) -> None:
    assert refused(text).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "containers:\n  strikes: 21\n",
            ":2: containers.strikes: should be less than or equal to 20, not 21.",
        ),
        ("containers:\n  strikes: '3'\n", ':2: containers.strikes: should be a valid integer, not "3".'),
        ("containers:\n  strikes: true\n", ":2: containers.strikes: should be a valid integer, not true."),
        ("containers:\n  strikes:\n", ":2: containers.strikes has no value. Leave the key out"),
        ("containers:\n  strikes: .nan\n", ":2: containers.strikes: should be"),
        (
            "containers:\n  restart: sometimes\n",
            ":2: containers.restart: should be 'allow', 'never' or 'alert-only', not \"sometimes\".",
        ),
        ("containers:\n  reminder_hours: .inf\n", ":2: containers.reminder_hours: should be"),
        ("containers:\n  ignore: web\n", ':2: containers.ignore: should be a valid array, not "web".'),
        (
            "containers:\n  ignore:\n  - web\n  - 5\n",
            ":4: containers.ignore[2]: should be a valid string, not 5.",
        ),
        ("containers:\n  rules:\n  - strikes: 2\n", ":3: containers.rules[1] needs the key 'name'."),
        (
            "memory:\n  spare_unsynced: yes\n",
            ':2: memory.spare_unsynced: should be a valid boolean, not "yes".',
        ),
        ("health: 5\n", ":1: health: should be"),
        (
            "memory:\n  least_batch_rows: 9\n  most_batch_rows: 8\n",
            ":1: memory: least_batch_rows is more than most_batch_rows.",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_line_and_what_it_may_be(text: str, said: str) -> None:
    assert said in refused(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "containers:\n\tstrikes: 3\n",
            "aegis.yaml:2: no valid YAML: a tab is used for indentation; use spaces.",
        ),
        ("containers:\n  strikes: [3\n", "no valid YAML"),
        ("- containers\n", "aegis.yaml:1: the file is not a mapping."),
        ("just text\n", "aegis.yaml:1: the file is not a mapping."),
        ("containers: {}\n---\nhealth: {}\n", "no valid YAML: but found another document"),
        ("containers: {}\nhealth: \x01\n", "aegis.yaml:2: no valid YAML: unacceptable character"),
        (b"containers: {}\n# \xff\n", "aegis.yaml:2: the file is not UTF-8 text. Save it as UTF-8."),
        ("containers: {}\n3: 4\n", "aegis.yaml:2: key '3' is not text; write it in quotes."),
        ("? [a, b]\n: 4\n", "aegis.yaml:1: key is not text"),
        (
            "containers:\n  strikes: 3\n  log_lines: 1\n  strikes: 4\n",
            "aegis.yaml:4: key 'strikes' is given twice; the first is in line 2.",
        ),
        (
            "containers:\n  strikes: !!python/object/apply:os.system ['true']\n",
            "aegis.yaml:2: containers.strikes: should be a valid integer",
        ),
        ("containers:\n  only_label: !secret x\n", "aegis.yaml:2: the tag !secret is not allowed here."),
        ("containers:\n  strikes: !!int x\n", "aegis.yaml:2: 'x' is no int."),
        ("containers: *nobody\n", "aegis.yaml:1: no valid YAML: found undefined alias 'nobody'."),
        ("containers: &a [*a]\n", "nested too deeply"),
        ("[" * 50_000, "nested too deeply"),
        ("a: " + "9" * 20_000, "is no int"),
        (b"#" * 2_000_000, "the file has more than 1000000 bytes"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(text: str | bytes, said: str) -> None:
    assert said in refused(text)


def test_a_mistake_is_told_once() -> None:
    assert "problems" not in refused("containers:\n  strikes: !secret x\n")


def test_all_mistakes_are_told_together_in_the_order_of_the_lines() -> None:
    said = refused(
        "zzz: 1\nmemory:\n  retention_days: 0\n  retention_days: 9\ncontainers:\n  strikes: 0\n  x: 1\n"
    )
    assert said.startswith("aegis.yaml: 5 problems:")
    assert re.findall(r"aegis\.yaml:(\d+): ", said) == ["1", "3", "4", "6", "7"]


def test_an_alias_bomb_is_refused_quickly() -> None:
    levels = ["a: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    said = refused("\n".join(levels))
    assert "there are too many values" in said
    assert len(said) < 5000


def test_aliases_and_merges_work() -> None:
    text = (
        "containers:\n  ignore: &them [a, b]\n  protected: *them\nhealth: &h {slow_checks: 7}\ndigest: {}\n"
    )
    assert config.parse(text.encode()).containers.protected == ("a", "b")
    merged = "x: &x {strikes: 7, log_lines: 2}\ncontainers:\n  <<: *x\n  log_lines: 3\n".replace(
        "x: &x", "_: &x"
    )
    document = yaml_lines.read(merged.encode())
    assert document.content["containers"] == {"strikes": 7, "log_lines": 3}


@given(st.binary(max_size=300))
def test_no_bytes_whatever_break_the_reader(data: bytes) -> None:
    document = yaml_lines.read(data)
    assert isinstance(document.content, dict)
    json.dumps(document.content)


@given(st.text(alphabet="ab:-[]{}&*!<|>'\"# \n\t?,0", max_size=80))
def test_a_file_is_either_read_or_refused(text: str) -> None:
    with contextlib.suppress(Misconfigured):
        assert isinstance(config.parse(text.encode()), AegisConfig)


def test_the_example_says_what_is_so_without_it() -> None:
    assert config.parse(EXAMPLE.read_bytes(), name="aegis.example.yaml") == AegisConfig()


def test_the_example_shows_every_key_of_every_section() -> None:
    shown = yaml_lines.read(EXAMPLE.read_bytes()).content
    expected = AegisConfig().model_dump(mode="json")
    assert {section: set(keys) for section, keys in shown.items()} == {
        section: set(keys) for section, keys in expected.items()
    }


def test_the_example_shows_every_key_of_the_schema() -> None:
    text = EXAMPLE.read_text()
    keys = {key for part in config.json_schema()["$defs"].values() for key in part.get("properties", {})}
    assert len(keys) > 20
    assert {key for key in keys if not re.search(rf"(?m)^ *#? *(- )?{key}:", text)} == set()


def test_every_key_of_the_example_has_a_comment() -> None:
    lines = EXAMPLE.read_text().splitlines()
    bare = [
        line
        for before, line in itertools.pairwise(lines)
        if re.match(r"^ *\w+:", line) and not before.lstrip().startswith("#")
    ]
    assert bare == ["  most_batch_rows: 2000"], "it shares the comment of the line before"


def test_what_the_example_has_commented_out_is_right_too() -> None:
    text = EXAMPLE.read_text()
    unset = ("rules: []", "quiet_hours: null", "maintenance: []", "jobs: {}", "  senders: []", "sites: []")
    for default in (f"  {line}\n" for line in unset):
        text = text.replace(default, "")
    enabled = re.sub(r"(?m)^( *)#(?=\S|  )(?! yaml)", r"\1", text)
    assert enabled != text
    parsed = config.parse(enabled.encode())
    assert parsed.alerts.quiet_hours is not None
    (rule,) = parsed.containers.rules
    assert set(type(rule).model_fields) == rule.model_fields_set
    assert parsed.llm.jobs == {"email_triage": 300_000}
    (sender,) = parsed.email.rules.senders
    assert set(type(sender).model_fields) == sender.model_fields_set
    shop, port, record = parsed.sites.sites
    assert set(type(shop).model_fields) - shop.model_fields_set == {"tcp", "dns", "banner"}
    assert set(type(shop.content).model_fields) == shop.content.model_fields_set
    assert shop.picture is not None
    assert set(type(shop.picture).model_fields) == shop.picture.model_fields_set
    assert (port.kind, record.kind) == ("tcp", "dns")
    (window,) = parsed.ledger.maintenance
    assert set(type(window).model_fields) == window.model_fields_set


def test_the_published_schema_is_current() -> None:
    published: Any = json.loads((ROOT / config.SCHEMA_FILE).read_text())
    assert published == config.json_schema(), "run `python -m aegis_lib.config schema`"


def test_the_schema_command_writes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    assert config.main(["schema"]) == 0
    assert json.loads((tmp_path / config.SCHEMA_FILE).read_text()) == config.json_schema()
    assert config.main([]) == 2
    assert "usage" in capsys.readouterr().err
