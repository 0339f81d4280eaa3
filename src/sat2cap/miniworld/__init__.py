"""A made-up planet, deterministic from a seed, that is photographed from above and from the ground and knows the truth."""
