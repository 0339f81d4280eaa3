"""The planet itself: noise, terrain and land cover."""
