"""One database in memory for all tests of a file, since opening one takes as long as most of them."""

from collections.abc import Iterator

import duckdb
import pytest


@pytest.fixture(autouse=True, scope="module")  # tests of other folders open their own
def one_database() -> Iterator[None]:
    """Give each reader a connection of its own to one database in memory instead of a database of its own."""
    connect = duckdb.connect
    with connect() as shared, pytest.MonkeyPatch.context() as patch:

        def connect_to_shared(*address: str) -> duckdb.DuckDBPyConnection:
            return connect(*address) if address else shared.cursor()

        patch.setattr(duckdb, "connect", connect_to_shared)
        yield
