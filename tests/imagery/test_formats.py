"""A raster is opened as what its name says, and nothing that comes from elsewhere reads other files."""

import shutil
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import rasterio
from affine import Affine
from file_server import RangeHandler, running

from sat2cap.errors import ImageryError
from sat2cap.http import Fetcher, addresses
from sat2cap.imagery import formats
from sat2cap.imagery.formats import fetch_start
from sat2cap.imagery.mosaic import open_folder
from sat2cap.imagery.raster import open_raster


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A raster that a stranger's file must not reach."""
    path = tmp_path / "private.tif"
    profile = {"height": 64, "width": 64, "count": 3, "dtype": "uint8", "crs": "EPSG:32631"}
    with rasterio.open(path, "w", "GTiff", transform=Affine(10, 0, 5e5, 0, -10, 5.8e6), **profile) as file:
        file.write(np.full((3, 64, 64), 77, np.uint8))
    return path


def vrt_of(source: object) -> str:
    band = (
        '<VRTRasterBand dataType="Byte" band="{n}"><SimpleSource><SourceFilename relativeToVRT="0">'
        "{source}</SourceFilename><SourceBand>{n}</SourceBand></SimpleSource></VRTRasterBand>"
    )
    bands = "".join(band.format(n=n, source=source) for n in (1, 2, 3))
    head = "<SRS>EPSG:32631</SRS><GeoTransform>500000,10,0,5800000,0,-10</GeoTransform>"
    return f'<VRTDataset rasterXSize="64" rasterYSize="64">{head}{bands}</VRTDataset>'


@pytest.mark.parametrize("name", ["a.tif", "a.jp2", "a.png", "a.img", "a.dat"])
@pytest.mark.parametrize("start", ["", "\ufeff", '<?xml version="1.0"?>\n', "\n  "])
def test_a_vrt_under_another_name_is_refused(tmp_path: Path, private: Path, name: str, start: str) -> None:
    (tmp_path / name).write_text(start + vrt_of(private))
    with pytest.raises(ImageryError) as error:
        open_raster(str(tmp_path / name))
    assert "\n" not in str(error.value)


def test_a_vrt_that_is_named_as_one_is_read(tmp_path: Path, private: Path) -> None:
    (tmp_path / "mine.vrt").write_text(vrt_of(private))
    imagery = open_raster(str(tmp_path / "mine.vrt"))
    assert (imagery.read(imagery.grid).values[..., :3] == 77).all()


def test_a_vrt_beside_a_raster_is_refused(tmp_path: Path, private: Path) -> None:
    shutil.copy(private, tmp_path / "a.tif")
    (tmp_path / "a.tif.ovr").write_text(vrt_of(private))
    with pytest.raises(ImageryError, match="list of other files"):
        open_raster(str(tmp_path / "a.tif"))


class Answers(ThreadingHTTPServer):
    """A server that answers paths with bytes, or redirects them, and counts requests."""

    def __init__(self, answers: dict[str, bytes | str]) -> None:
        self.answers, self.paths = answers, list[str]()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Answers

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        answer = self.server.answers.get(self.path)
        self.send_response(404 if answer is None else 302 if isinstance(answer, str) else 200)
        if isinstance(answer, str):
            self.send_header("Location", answer)
        data = answer if isinstance(answer, bytes) else b""
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


@pytest.fixture
def server() -> Iterator[Answers]:
    formats._fetch_start.cache_clear()
    with Answers({}) as answers:
        Thread(target=answers.serve_forever, args=(0.01,), daemon=True).start()
        yield answers
        answers.shutdown()


@pytest.mark.parametrize("beside", ["", ".ovr", ".msk", ".msk.ovr", ".ovr.ovr", ".aux.xml", ".ovr.aux.xml"])
def test_overviews_elsewhere_are_refused(tmp_path: Path, private: Path, server: Answers, beside: str) -> None:
    """Metadata of a raster, or of a file beside it, may name overviews, which GDAL would open or fetch."""
    for target in (private, f"{server.url}/inner.tif", f"/vsicurl/{server.url}/inner.tif"):
        path = tmp_path / "a.tif"
        for name in ("", *(beside[: beside.find(".", 1)], beside)):
            if not name.endswith(".xml"):
                shutil.copy(private, f"{path}{name}")
        if beside.endswith(".xml"):
            item = f'<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{target}</MDI></Metadata>'
            Path(f"{path}{beside}").write_text(f"<PAMDataset>{item}</PAMDataset>")
        else:
            with rasterio.open(f"{path}{beside}", "r+") as file:
                file.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(target))
        with pytest.raises(ImageryError, match="as its overviews, which is not read"):
            open_raster(str(path))
    assert server.paths == []


def test_overviews_of_a_file_of_the_same_folder_are_read(tmp_path: Path, private: Path) -> None:
    overviews = tmp_path / "coarser.tif"
    with rasterio.open(overviews, "w", "GTiff", height=32, width=32, count=3, dtype="uint8") as file:
        file.write(np.full((3, 32, 32), 77, np.uint8))
    with rasterio.open(private, "r+") as file:
        file.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=":::BASE:::coarser.tif")
    assert len(open_raster(str(private)).overviews) == 1
    overviews.write_text(vrt_of(tmp_path / "elsewhere.tif"))
    with pytest.raises(ImageryError, match="list of other files"):
        open_raster(str(private))


def test_a_vrt_beside_a_raster_in_an_archive_is_refused(tmp_path: Path, private: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(private, "a.tif")
        archive.writestr("a.tif.ovr", vrt_of(private))
    with pytest.raises(ImageryError, match="list of other files"):
        open_raster(f"/vsizip/{tmp_path}/a.zip/a.tif")


def test_a_vrt_in_a_folder_reads_that_folder_alone(tmp_path: Path, private: Path, server: Answers) -> None:
    folder = tmp_path / "sheets" / "north"
    folder.mkdir(parents=True)
    shutil.copy(private, folder / "own.tif")
    relative = vrt_of("own.tif").replace('relativeToVRT="0"', 'relativeToVRT="1"')
    (folder / "whole.vrt").write_text(relative)
    (folder / "by path.vrt").write_text(vrt_of(folder / "own.tif"))
    sources = {
        "absolute": vrt_of(private),
        "upwards": relative.replace("own.tif", "../../private.tif"),
        "address": vrt_of(f"/vsicurl/{server.url}/a.tif"),
        "driver": vrt_of(f"GTIFF_DIR:1:{private}"),
        "nested": vrt_of(vrt_of(private).replace("<", "&lt;")),
        "one of three": relative.replace("own.tif", str(private), 1),
    }
    for name, text in sources.items():
        (folder / f"{name}.vrt").write_text(text)
    imagery = open_folder(str(folder.parent))
    assert sorted(Path(file.path).name for file in imagery.files) == ["by path.vrt", "own.tif", "whole.vrt"]
    assert sorted(imagery.skipped) == [
        f"north/{name}.vrt (reads what is elsewhere; name the file itself)" for name in sorted(sources)
    ]
    assert server.paths == []


def test_overviews_elsewhere_are_refused_over_http_too(
    tmp_path: Path, private: Path, server: Answers
) -> None:
    server.answers["/inner.tif"] = private.read_bytes()
    targets = {
        "/file.tif": private,
        "/address.tif": f"{server.url}/inner.tif",
        "/beside.tif": ":::BASE:::inner.tif",  # GDAL's word for a file of the same folder
    }
    for name, target in targets.items():
        tagged = shutil.copy(private, tmp_path / "tagged.tif")
        with rasterio.open(tagged, "r+") as file:
            file.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(target))
        server.answers[name] = tagged.read_bytes()
        with pytest.raises(ImageryError, match="as its overviews, which is not read"):
            open_raster(f"{server.url}{name}")
    assert set(server.paths) == set(targets)


@pytest.mark.parametrize("name", ["a.tif", "a.vrt"])
def test_what_comes_over_http_is_a_picture_by_its_bytes(server: Answers, private: Path, name: str) -> None:
    server.answers[f"/{name}"] = vrt_of(f"/vsicurl/{server.url}/secret").encode()
    with pytest.raises(ImageryError, match="no picture by its first bytes"):
        open_raster(f"{server.url}/{name}")
    assert "/secret" not in server.paths


def test_a_redirect_into_the_network_is_refused(server: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address counts as one outside, as a name in the internet would."""
    server.answers |= {"/a.tif": f"http://127.0.0.2:{server.server_port}/inner.tif"}
    monkeypatch.setattr(addresses, "is_private_host", lambda host: host != "127.0.0.1")
    with pytest.raises(ImageryError, match="an address inside this network"):
        fetch_start(f"{server.url}/a.tif", f"{server.url}/a.tif", "x")
    assert server.paths == ["/a.tif"]
    with pytest.raises(ImageryError, match="an address inside this network"):
        Fetcher("x").get(f"{server.url}/a.tif", "a tile", bytes)
    assert server.paths == ["/a.tif", "/a.tif"]


def test_a_redirect_between_addresses_inside_the_network_is_followed(server: Answers) -> None:
    server.answers |= {"/a.tif": f"{server.url}/inner.tif", "/inner.tif": b"II*\x00"}
    assert Fetcher("x").get(f"{server.url}/a.tif", "a tile", bytes) == b"II*\x00"


class Moved(RangeHandler):
    """Files under ``/new``, to which all else is redirected; the paths that were asked for are kept."""

    def _serve(self, body: bool) -> None:
        self.server.paths.append(self.path)
        if self.path.startswith("/new/"):
            self.path = self.path.removeprefix("/new")
            return super()._serve(body)
        self.send_response(302)
        self.send_header("Location", f"/new{self.path}")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None


@pytest.mark.parametrize("setting", ["", "GDAL_HTTP_BEARER"])
def test_gdal_reads_where_a_redirect_has_led_unless_it_has_credentials(
    private: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    """It asks the first address for nothing, so that no other redirect can lead it elsewhere."""
    if setting:
        monkeypatch.setenv(setting, "s3cr3t")
    with running(partial(Moved, directory=str(private.parent))) as server:
        server.sent, server.paths = 0, []  # type: ignore[attr-defined]
        imagery = open_raster(f"http://127.0.0.1:{server.server_address[1]}/private.tif")
        assert (imagery.read(imagery.grid).values[..., :3] == 77).all()
        assert imagery.path.endswith("/private.tif")
        assert "/new/" not in imagery.info.uri
        assert (server.paths.count("/private.tif") == 1) is not bool(setting)  # type: ignore[attr-defined]


def test_a_redirect_to_another_scheme_is_refused(server: Answers) -> None:
    server.answers |= {"/a.tif": "file:///etc/hostname"}
    with pytest.raises(ImageryError, match="no web address"):
        Fetcher("x").get(f"{server.url}/a.tif", "a tile", bytes)


def test_an_asset_inside_the_network_is_refused_unless_the_search_is_there_too(server: Answers) -> None:
    inner = f"{server.url}/inner.tif"
    with pytest.raises(ImageryError, match="inside this network"):
        fetch_start(inner, "https://8.8.8.8/stac", "a search")
    assert not server.paths
    server.answers["/inner.tif"] = b"II*\x00" + bytes(60)
    assert fetch_start(inner, f"{server.url}/stac", "a search").head == server.answers["/inner.tif"]


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("127.0.0.1", True),
        ("169.254.169.254", True),
        ("10.1.2.3", True),
        ("192.168.1.1", True),
        ("[::1]", True),
        ("[::ffff:10.0.0.1]", True),
        ("0.0.0.0", True),
        ("localhost", True),
        ("8.8.8.8", False),
        ("[2606:4700::1111]", False),
        ("name.invalid", False),
    ],
)
def test_private_addresses(host: str, private: bool) -> None:
    assert addresses.is_private(f"http://{host}:80/x") is private


def test_a_picture_under_another_pictures_name_is_read(tmp_path: Path) -> None:
    profile = {"height": 64, "width": 64, "count": 3, "dtype": "uint8", "crs": "EPSG:32631"}
    with rasterio.open(tmp_path / "a.png", "w", "PNG", **{k: profile[k] for k in list(profile)[:4]}) as file:
        file.write(np.full((3, 64, 64), 55, np.uint8))
    (tmp_path / "a.png").rename(tmp_path / "a.tif")
    (tmp_path / "a.tfw").write_text("10\n0\n0\n-10\n500005\n5799995\n")
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset><SRS>EPSG:32631</SRS></PAMDataset>")
    imagery = open_raster(str(tmp_path / "a.tif"))
    assert (imagery.read(imagery.grid).values[..., :3] == 55).all()


@pytest.mark.parametrize("name", ["a.geojson", "a.kml", "a.gpkg", "a.vrt", "a.zip"])
def test_a_region_file_that_is_a_list_of_others_is_refused(tmp_path: Path, name: str) -> None:
    from zipfile import ZIP_DEFLATED, ZipFile

    from sat2cap.errors import RegionError
    from sat2cap.geo.region import parse_region

    square = '{"type":"Polygon","coordinates":[[[1,2],[3,2],[3,4],[1,4],[1,2]]]}'
    (tmp_path / "private.geojson").write_text(square)
    source = f"<SrcDataSource>{tmp_path / 'private.geojson'}</SrcDataSource>"
    text = f'<OGRVRTDataSource>\n<OGRVRTLayer name="private">{source}</OGRVRTLayer></OGRVRTDataSource>'
    if name == "a.zip":
        with ZipFile(tmp_path / name, "w", ZIP_DEFLATED) as archive:  # so that its bytes do not show it
            archive.writestr("folder/a.geojson", text)
    else:
        (tmp_path / name).write_text(text)
    with pytest.raises(RegionError, match="list of other files or addresses") as error:
        parse_region(str(tmp_path / name))
    assert "\n" not in str(error.value)
    assert parse_region(str(tmp_path / "private.geojson")).geometry.boundingbox.bbox == (1, 2, 3, 4)


@pytest.mark.parametrize("name", ["a.geojson", "a.gpkg"])
def test_so_are_zones_places_outlines_and_land_covers(tmp_path: Path, private: Path, name: str) -> None:
    from sat2cap.errors import InputError
    from sat2cap.evaluation.maps.cases import Case, read_truth
    from sat2cap.evaluation.maps.class_shares import _read_polygons
    from sat2cap.maps.places import read_outlines, read_places
    from sat2cap.zones.files import read_zones

    path = tmp_path / name
    path.write_text("<OGRVRTDataSource><OGRVRTLayer name='a'></OGRVRTLayer></OGRVRTDataSource>")
    for read in (read_zones, read_places, read_outlines, lambda path: _read_polygons(str(path), None)):
        with pytest.raises(InputError, match="list of other files or addresses"):
            read(path)
    (tmp_path / "truth.tif").write_text(vrt_of(private))
    grid = open_raster(str(private)).grid
    with pytest.raises(InputError, match="truth"):
        read_truth(Case("snow", str(tmp_path / "truth.tif"), None, 0.5), grid)


@pytest.mark.parametrize(
    "text",
    ["https://x.test/a.geojson", "/vsicurl/https://x.test/a.gpkg", "/vsizip/vsicurl/http://x.test/a.zip"],
)
def test_shapes_at_an_address_are_refused(text: str) -> None:
    from sat2cap.errors import RegionError
    from sat2cap.geo.region import parse_region

    with pytest.raises(RegionError, match="download the file first"):
        parse_region(text)
