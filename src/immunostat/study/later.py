"""A table too large to hold, made or read part by part when somebody looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

#: Rows of a group in a Parquet file: the same whatever parts the table was made of.
GROUP_ROWS = 2**17

#: A column, how it is compared, and with what.
Where = tuple[str, Literal["==", "!="], Any]


class Later:
    """A large table that is made when it is looked at, or written part by part.

    Parameters
    ----------
    parts
        Makes the parts, all with the same columns; called anew for each use. Told which columns are
        wanted (None for all) and which rows, as far as it can make use of that.
    """

    def __init__(
        self, parts: Callable[[list[str] | None, Where | None], Iterable[pd.DataFrame]]
    ) -> None:
        self._parts = parts

    def read(
        self, columns: Sequence[str] | None = None, where: Where | None = None
    ) -> pd.DataFrame:
        """The table, or some columns and rows of it.

        Parameters
        ----------
        columns
            Names of columns; None for all.
        where
            Which rows, by one column.
        """
        needed = None if columns is None else list(columns)
        if needed is not None and where is not None and where[0] not in needed:
            needed.append(where[0])
        parts = [chosen(part, columns, where) for part in self._parts(needed, where)]
        # A part without rows does not know the types of its columns.
        full = [part for part in parts if len(part)] or parts[:1]
        return pd.concat(full, ignore_index=True)

    def parts(self) -> Iterator[pd.DataFrame]:
        """The table part by part; the first part may be empty, others are not."""
        is_first = True
        empty = None
        for part in self._parts(None, None):
            if len(part):
                is_first = False
                yield part
            elif empty is None:
                empty = part
        if is_first and empty is not None:
            yield empty


def made(parts: Callable[[], Iterator[pd.DataFrame]]) -> Later:
    """A table whose parts are made whole."""
    return Later(lambda columns, where: parts())


def in_parquet(path: Path) -> Later:
    """A table in a Parquet file, read as far as it is asked for."""

    def parts(columns: list[str] | None, where: Where | None) -> Iterator[pd.DataFrame]:
        if where is None and columns is None:
            for batch in pq.ParquetFile(path).iter_batches(GROUP_ROWS):
                yield batch.to_pandas()
        else:
            filters = None if where is None else [where]
            yield pq.read_table(path, columns=columns, filters=filters).to_pandas()

    return Later(parts)


def chosen(
    table: pd.DataFrame, columns: Sequence[str] | None = None, where: Where | None = None
) -> pd.DataFrame:
    """Some columns and rows of a table that is there."""
    if where is not None:
        name, how, value = where
        same = table[name] == value
        table = table[same if how == "==" else ~same]
    return table if columns is None else table[list(columns)]


def write_parquet(parts: Iterable[pd.DataFrame], path: Path) -> None:
    """Write a table; the bytes depend on its rows, not on how they come in parts.

    Parameters
    ----------
    parts
        At least one, with the same columns; the first has the types of all.
    """
    writer: pq.ParquetWriter | None = None
    waiting: list[pa.Table] = []

    def write(is_last: bool) -> None:
        assert writer is not None
        whole = pa.concat_tables(waiting)
        stop = len(whole) if is_last else len(whole) // GROUP_ROWS * GROUP_ROWS
        for first in range(0, stop, GROUP_ROWS):
            group = whole.slice(first, min(GROUP_ROWS, stop - first)).combine_chunks()
            writer.write_table(group, row_group_size=GROUP_ROWS)
        waiting[:] = [whole.slice(stop)]

    try:
        for part in parts:
            table = pa.Table.from_pandas(part, preserve_index=False)
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema, compression="zstd")
            waiting.append(table.cast(writer.schema))
            if sum(map(len, waiting)) >= GROUP_ROWS:
                write(is_last=False)
        if writer is not None:
            write(is_last=True)
    finally:
        if writer is not None:
            writer.close()


def write_csv(parts: Iterable[pd.DataFrame], path: Path) -> None:
    """Write a table as text with line feeds on every system."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        for i, part in enumerate(parts):
            part.to_csv(stream, index=False, lineterminator="\n", header=i == 0)
