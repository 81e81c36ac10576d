"""Learning from tables with scikit-learn: preprocessing, search, ensemble, saving and judging of models."""
