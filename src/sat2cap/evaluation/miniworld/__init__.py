"""Evaluations against the known truth of the miniature world."""
