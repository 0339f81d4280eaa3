"""Scores as files people open: cloud-optimised GeoTIFF, picture, places.

A score is an `xarray.DataArray` of float32 with dims ``(y, x)``, or ``(prompt, y, x)`` for several prompts,
NaN where there is no data, on a grid that `sat2cap.geo.frame.grid_of` reads. Its attributes say what it is:
prompt, when, model, imagery, attribution, licence, scale.
"""
