"""From rows to conversations: their form, what is told of them, duplicates, and what evaluation must not share."""
