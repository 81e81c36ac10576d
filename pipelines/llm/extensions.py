"""Where DeepSpeed keeps what it compiles."""

from __future__ import annotations

from pathlib import Path


def extensions_folder(home: Path) -> Path:
    """Return the folder of compiled operators, private to the environment and kept."""
    return home / "torch_extensions"
