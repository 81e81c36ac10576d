"""Where a model's rows come from: files, a database, or a Python function. All give Arrow batches of one window."""
