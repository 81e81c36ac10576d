"""Tandem: one loop from data to production, and back, for classic and language models."""

__version__ = "0.1.0"
