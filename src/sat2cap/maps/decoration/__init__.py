"""What surrounds the colours of a map: legend, scale bar, text."""
