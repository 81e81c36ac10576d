"""What each format of files is given to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.data.sources.locations import SourceFile
from pipelines.data.sql import literal
from pipelines.records import Window
from pipelines.spec.source import FilesSource


@dataclass(frozen=True)
class Reading:
    """Files of one format, and what is asked of them.

    `required` are the columns that must be there. Rows outside of `window` may be left out early; none need be.
    """

    files: Sequence[SourceFile]
    source: FilesSource
    window: Window
    required: Sequence[str]

    @property
    def paths(self) -> str:
        """The files as a list in SQL."""
        return f"[{', '.join(literal(str(file.path)) for file in self.files)}]"
