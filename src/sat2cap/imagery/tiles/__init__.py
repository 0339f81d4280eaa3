"""Imagery in Web Mercator tiles, of a tile service or in a PMTiles archive."""
