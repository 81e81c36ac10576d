"""Rules, paired tests and verdicts: what a candidate must show before it may serve."""
