"""Judge data with Great Expectations, set bad rows aside with their reasons, and show both on one page."""
