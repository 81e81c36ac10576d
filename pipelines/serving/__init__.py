"""Let the champion answer rows, a partition at a time, each once."""
