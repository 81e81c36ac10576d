"""Choose an algorithm: try configurations over folds within a budget, and assemble the best of them."""
