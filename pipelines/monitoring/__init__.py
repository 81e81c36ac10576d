"""Watch a champion: drift, performance with and without labels, anomalies, and the decision to train again."""
