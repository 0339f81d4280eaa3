"""Training, validation and test splits, and the check that they share nothing."""
