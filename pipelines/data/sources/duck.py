"""Open DuckDB for reading sources: quiet, in UTC, without the network, and in bounded memory."""

from __future__ import annotations

import duckdb

BATCH_ROWS = 32_768  # rows that leave DuckDB at once; its own default of a million takes hundreds of megabytes
MEMORY_LIMIT = "1GB"  # what a scan needs is a few buffers a thread; the rest is room for a join


def connect() -> duckdb.DuckDBPyConnection:
    """Return a connection to an empty database in memory."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": False, "memory_limit": MEMORY_LIMIT})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")  # it writes to stdout, which belongs to --json
    return connection
