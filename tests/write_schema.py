"""Writes aegis_lib/db/schema.sql anew, from a server started for it: `python -m tests.write_schema`."""

from __future__ import annotations

from pathlib import Path

from aegis_lib.db import migrate
from tests.postgres import shared_server

SCHEMA = Path(migrate.__file__).with_name("schema.sql")


def main() -> None:
    with shared_server() as server:
        SCHEMA.write_text(migrate.schema(server.settings(server.create_migrated())), encoding="utf-8")


if __name__ == "__main__":
    main()
