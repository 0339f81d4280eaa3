"""Maps against land cover and other references."""
