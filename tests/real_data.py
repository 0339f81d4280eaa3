"""The real data these tests read, and placeholder photos served on loopback."""

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import rasterio
from file_server import running
from PIL import Image

DATA = Path(__file__).parents[2] / "shared" / "data"
YFCC = DATA / "yfcc" / "yfcc100m_1k.tsv"
COUNTRIES = DATA / "regions" / "ne_110m_admin_0_countries.shp"
MOSAICS = [DATA / "overhead" / f"mosaic_cog{number}.tif" for number in (1, 2)]
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the shared real data are not here")

_BAND = """<VRTRasterBand dataType="Byte" band="{band}"><ColorInterp>{colour}</ColorInterp>
<NoDataValue>0</NoDataValue>{sources}</VRTRasterBand>"""
_SOURCE = """<ComplexSource><SourceFilename>{path}</SourceFilename><SourceBand>{band}</SourceBand>
<SrcRect xOff="0" yOff="0" xSize="{width}" ySize="{height}"/>
<DstRect xOff="{x}" yOff="{y}" xSize="{wide}" ySize="{high}"/>
<ScaleOffset>-40</ScaleOffset><ScaleRatio>0.0085</ScaleRatio><NODATA>0</NODATA></ComplexSource>"""


def mosaic(path: Path) -> Path:
    """The two overlapping Landsat mosaics as one 8-bit image."""
    sources = [rasterio.open(file) for file in MOSAICS]
    left, top = min(s.bounds.left for s in sources), max(s.bounds.top for s in sources)
    right, bottom = max(s.bounds.right for s in sources), min(s.bounds.bottom for s in sources)
    step = sources[0].res[0]
    bands = []
    for band, colour in enumerate(("Red", "Green", "Blue"), 1):
        parts = [
            _SOURCE.format(
                path=source.name,
                band=band,
                width=source.width,
                height=source.height,
                x=(source.bounds.left - left) / step,
                y=(top - source.bounds.top) / step,
                wide=source.width * source.res[0] / step,
                high=source.height * source.res[1] / step,
            )
            for source in sources
        ]
        bands.append(_BAND.format(band=band, colour=colour, sources="".join(parts)))
    size = f'rasterXSize="{round((right - left) / step)}" rasterYSize="{round((top - bottom) / step)}"'
    place = f"<GeoTransform>{left}, {step}, 0, {top}, 0, {-step}</GeoTransform>"
    path.write_text(f"<VRTDataset {size}><SRS>EPSG:32618</SRS>{place}{''.join(bands)}</VRTDataset>")
    return path


@cache
def placeholder(name: str) -> bytes:
    """A small JPEG that is different for every name."""
    rng = np.random.default_rng(list(name.encode()))
    out = io.BytesIO()
    small = Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8))
    small.resize((64, 48), Image.Resampling.BICUBIC).save(out, "JPEG", quality=85)
    return out.getvalue()


Answer = tuple[int, bytes, dict[str, str]]


def photo_answer(path: str, times: int) -> Answer:
    """Answer as a working photo site does: with the picture."""
    return 200, placeholder(path), {"Content-Type": "image/jpeg"}


@dataclass
class Site:
    """A photo site on loopback, with the requests it has received."""

    url: str
    requested_paths: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0


@contextmanager
def photo_site(answer: Callable[[str, int], Answer] = photo_answer, pause_s: float = 0.0) -> Iterator[Site]:
    """Serve `answer(path, how often the path was requested)` until the block ends."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()
    site = Site("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with lock:
                counts[self.path] += 1
                site.requested_paths.append(self.path)
                site.at_once += 1
                site.most_at_once = max(site.most_at_once, site.at_once)
            threading.Event().wait(pause_s)
            with lock:
                site.at_once -= 1
            status, body, headers = answer(self.path, counts[self.path])
            try:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # the client was killed, as some tests do

        def log_message(self, *args: object) -> None:
            pass

    with running(Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield site
