"""The steps of one training that only language models have, or do in their own way."""
