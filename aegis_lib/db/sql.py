"""Named queries of one area over one connection. The statements are in queries/<area>.sql, nowhere else.

How an answer comes is the query's suffix, as aiosql defines it: `^` one row or None, `$` one value or None,
`!` number of rows, none of these a list of rows. A row is a dict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import aiosql
import psycopg
from aiosql.queries import Queries as Named

from aegis_lib.db.translation import translated

QUERIES = Path(__file__).with_name("queries")
Connection = psycopg.Connection[dict[str, Any]]


@cache
def named(area: str) -> Named:
    """The parsed queries of queries/<area>.sql."""
    queries: Named = aiosql.from_path(QUERIES / f"{area}.sql", "psycopg", mandatory_parameters=False)
    return queries


class Queries:
    """`Queries(connection, "memory").recall(limit=10)` runs the query `recall` of queries/memory.sql.

    Every call raises only our errors: DependencyUnavailable, Misconfigured, PermanentFailure.
    """

    def __init__(self, connection: Connection, area: str) -> None:
        self._connection = connection
        self._named = named(area)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        query = getattr(self._named, name)

        def run(**parameters: Any) -> Any:
            with translated():
                answer = query(self._connection, **parameters)
                return list(answer) if isinstance(answer, Iterator) else answer

        return run

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing: what runs inside is committed at the end, or undone when an exception leaves."""
        return transaction(self._connection)


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """A transaction, or a savepoint inside one. Raises only our errors for what the driver says."""
    with translated(), connection.transaction():
        yield
