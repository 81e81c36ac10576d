"""From conversations to sequences of tokens: what is learnt of each, and how they fill sequences without mixing."""
