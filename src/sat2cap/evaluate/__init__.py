"""How good a model and its maps are: pure metrics, and evaluations that yield ``(name, value)``."""
