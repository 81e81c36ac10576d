"""The command `tandem`: everything that Tandem does, from a shell."""

from pipelines.cli.main import main

__all__ = ["main"]
