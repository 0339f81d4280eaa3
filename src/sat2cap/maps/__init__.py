"""Scores as files people open: GeoTIFF, picture, animation, areas, web tiles, a page.

A score is an `xarray.DataArray` of float32 with dims ``(y, x)``, before them ``prompt`` and ``time`` for
several, NaN where there is no data, on a grid that `sat2cap.geo.frame.grid_of` reads. Its attributes say what
it is: prompt, when, model, imagery, attribution, licence, scale.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
