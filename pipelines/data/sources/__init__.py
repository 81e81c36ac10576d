"""Where a model's rows come from: files, a database, or a Python function. All give Arrow batches of one window."""

from pipelines.data.sources.opening import described_source, open_source

__all__ = ["described_source", "open_source"]
