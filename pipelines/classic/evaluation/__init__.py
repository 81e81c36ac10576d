"""Measure models on rows they were never trained on, with intervals and per slice."""
