"""Tell what a fine-tuning takes before any of it runs: memory by part, time, cost; and choose how it is run."""
