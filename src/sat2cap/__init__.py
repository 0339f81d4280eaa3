"""Type a sentence, get a map: text-prompted maps from overhead imagery, after the Sat2Cap paper.

::

    import sat2cap

    town = sat2cap.open("town.zarr")                        # an atlas that `sat2cap.embed` made
    shops = town.map("a street with many shops")            # xarray.DataArray (y, x) with its CRS
    quiet = town.search("a quiet place by the water")       # geopandas.GeoDataFrame, best first
    sat2cap.save(shops, "shops.html")                       # or .tif, .png, .parquet, .pmtiles …

Every call is imported when it is first used, so that importing the package alone costs nothing. Errors raised
on purpose are `Sat2CapError`; docs/python.md explains the library.
"""

import lazy_loader

_lazy_attribute, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("sat2cap")
    return _lazy_attribute(name)
