"""Claims of the paper against what was measured."""
