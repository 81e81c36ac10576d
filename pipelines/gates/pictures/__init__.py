"""How figures look: the one hand of every picture, and intervals beside the bounds that a gate holds them to."""
