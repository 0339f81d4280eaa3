"""Commands that manage atlases, models and imagery."""
