"""A made-up planet from a seed, photographed from above and from the ground, whose truth is known."""
