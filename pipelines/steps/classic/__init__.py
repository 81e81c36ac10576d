"""The steps of one training that only the classic half has, or does in its own way."""
