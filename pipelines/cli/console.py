"""Where commands print tables: as wide as the terminal, or wide enough for a file."""

from __future__ import annotations

import sys

from rich.console import Console

WIDTH_OF_A_FILE = 200


def open_console() -> Console:
    """Return a console on standard output that cuts no line."""
    width = None if sys.stdout.isatty() else WIDTH_OF_A_FILE
    return Console(highlight=False, soft_wrap=True, width=width)
