"""A table too large to hold, made or read when somebody looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


class Later:
    """A large table that is made when it is looked at, or written part by part.

    Parameters
    ----------
    parts
        Makes the parts; called anew for each use.
    """

    def __init__(self, parts: Callable[[], Iterator[pd.DataFrame]]) -> None:
        self._parts = parts

    def read(self) -> pd.DataFrame:
        """The whole table."""
        return pd.concat(list(self._parts()), ignore_index=True)

    def write(self, path: Path) -> None:
        """Write the table as Parquet, part by part."""
        writer: pq.ParquetWriter | None = None
        try:
            for part in self._parts():
                table = pa.Table.from_pandas(part, preserve_index=False)
                if writer is None:
                    writer = pq.ParquetWriter(path, table.schema, compression="zstd")
                writer.write_table(table.cast(writer.schema))
        finally:
            if writer is not None:
                writer.close()
