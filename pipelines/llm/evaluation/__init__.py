"""Measure language models on the same items: held-out answers, general ability, safety."""
