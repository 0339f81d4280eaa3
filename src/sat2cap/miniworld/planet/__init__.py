"""The planet itself: noise, land and what covers the ground."""
