"""``GET …/wmts``: the capabilities of a map as a WMTS layer, for GIS programs.

It is written here, since the extension of titiler makes its identifiers from the dataset, which is a prompt
here. QGIS shows every tile matrix set of a server and does not heed ``TileMatrixLimits`` (qgis/QGIS#51857,
qgis/QGIS#57133): there is one set, without limits, and a tile beside the data is empty.
"""

import base64
import re
from typing import Annotated
from urllib.parse import urlencode
from xml.etree import ElementTree

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.responses import RedirectResponse

from sat2cap.errors import InputError
from sat2cap.geo import EQUATOR_M, lonlat_bounds, outline
from sat2cap.server.questions import Question
from sat2cap.server.state import AskedAtlas, AskedQuestion
from sat2cap.server.tiles import TILE_MATRIX_SET, check_tile_style

router = APIRouter(prefix="/api/atlases/{atlas}", tags=["map"])

_WMTS, _OWS, _XLINK = (
    "http://www.opengis.net/wmts/1.0",
    "http://www.opengis.net/ows/1.1",
    "http://www.w3.org/1999/xlink",
)
_PIXEL_M = 0.00028
"""Size of a pixel on a screen that WMTS scales are stated for."""
_MAX_ZOOM = 14
_TILE_PIXELS = 256
_PROTOCOL_WORDS = ("service", "request", "version")
"""What programs add to the address of capabilities, in capitals or not; it is no part of a question."""


def accept_protocol_words(
    service: Annotated[str | None, Query(include_in_schema=False)] = None,
    request: Annotated[str | None, Query(include_in_schema=False)] = None,
    version: Annotated[str | None, Query(include_in_schema=False)] = None,
    service_capitals: Annotated[str | None, Query(alias="SERVICE", include_in_schema=False)] = None,
    request_capitals: Annotated[str | None, Query(alias="REQUEST", include_in_schema=False)] = None,
    version_capitals: Annotated[str | None, Query(alias="VERSION", include_in_schema=False)] = None,
) -> None:
    """Let through what QGIS and others add to the address: there is one document, whatever they say."""


@router.get(
    "/wmts",
    summary="Describe a map as a WMTS layer",
    response_class=Response,
    dependencies=[Depends(check_tile_style), Depends(accept_protocol_words)],
)
def read_capabilities(request: Request, served: AskedAtlas, question: AskedQuestion) -> Response:
    """A capabilities document with one layer: the map of the prompt, in Web Mercator.

    Colours, range and resampling are those of tiles, and the layer has them.
    """
    assert served.opened is not None
    tiles = str(
        request.url_for("tile", atlas=served.slug, tileMatrixSetId=TILE_MATRIX_SET, z="Z", x="X", y="Y")
    )
    template = re.sub(r"/Z/X/Y$", "/{TileMatrix}/{TileCol}/{TileRow}.png", tiles)
    carried = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if name.lower() not in _PROTOCOL_WORDS
    ]
    bounds = lonlat_bounds(outline(served.opened.map_grid))
    title = f"{_title_of(question)} ({served.title})"
    document = build_capabilities(served.slug, title, f"{template}?{urlencode(carried)}", bounds)
    return Response(document, media_type="application/xml")


@router.get(
    "/wmts/{query}/WMTSCapabilities.xml",
    summary="Lead to the WMTS layer of a query that is packed into the path",
    response_class=Response,
    status_code=307,
    dependencies=[Depends(accept_protocol_words)],
)
def find_capabilities(
    request: Request,
    served: AskedAtlas,
    query: Annotated[str, Path(max_length=4000, description="The query of `/wmts` in URL-safe base64.")],
) -> Response:
    """A redirect to the capabilities: QGIS unpacks ``%26`` in an address, and cuts a prompt at its ``&``."""
    try:
        unpacked = base64.b64decode(query + "=" * (-len(query) % 4), altchars=b"-_", validate=True)
        text = unpacked.decode("ascii")
    except ValueError:
        raise InputError("the path holds no query in URL-safe base64") from None
    if not text.isprintable():
        raise InputError("the query in the path holds control characters")
    return RedirectResponse(f"{request.url_for('read_capabilities', atlas=served.slug)}?{text}")


def _title_of(question: Question) -> str:
    """Return the prompt, and what is taken off in a difference."""
    if not question.is_difference:
        return question.prompt
    when = [moment.isoformat() if moment else "any time" for moment in (question.when, question.minus_when)]
    sides = [question.prompt, question.minus or question.prompt]
    if question.minus_when is not None:
        sides = [f"{side}, {moment}" for side, moment in zip(sides, when, strict=True)]
    return " minus ".join(sides)


def build_capabilities(
    slug: str, title: str, template: str, bounds: tuple[float, float, float, float]
) -> bytes:
    """Return a WMTS 1.0.0 document (OGC 07-057r7); `bounds` are west, south, east, north in degrees.

    The identifier is made of plain letters; the title is escaped by the writer of XML.
    """
    for prefix, name in (("", _WMTS), ("ows", _OWS), ("xlink", _XLINK)):
        ElementTree.register_namespace(prefix, name)
    root = ElementTree.Element(f"{{{_WMTS}}}Capabilities", version="1.0.0")
    service = ElementTree.SubElement(root, f"{{{_OWS}}}ServiceIdentification")
    _add_text(service, _OWS, "Title", "sat2cap")
    _add_text(service, _OWS, "ServiceType", "OGC WMTS")
    _add_text(service, _OWS, "ServiceTypeVersion", "1.0.0")
    contents = ElementTree.SubElement(root, f"{{{_WMTS}}}Contents")
    contents.append(_build_layer(slug, title, template, bounds))
    contents.append(_build_matrix_set())
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _build_layer(
    slug: str, title: str, template: str, bounds: tuple[float, float, float, float]
) -> ElementTree.Element:
    """Return the element of the one layer, which is named after the atlas."""
    west, south, east, north = bounds
    layer = ElementTree.Element(f"{{{_WMTS}}}Layer")
    _add_text(layer, _OWS, "Title", title)
    box = ElementTree.SubElement(layer, f"{{{_OWS}}}WGS84BoundingBox")
    _add_text(box, _OWS, "LowerCorner", f"{west} {south}")
    _add_text(box, _OWS, "UpperCorner", f"{east} {north}")
    _add_text(layer, _OWS, "Identifier", slug)
    style = ElementTree.SubElement(layer, f"{{{_WMTS}}}Style", isDefault="true")
    _add_text(style, _OWS, "Identifier", "default")
    _add_text(layer, _WMTS, "Format", "image/png")
    link = ElementTree.SubElement(layer, f"{{{_WMTS}}}TileMatrixSetLink")
    _add_text(link, _WMTS, "TileMatrixSet", TILE_MATRIX_SET)
    ElementTree.SubElement(
        layer, f"{{{_WMTS}}}ResourceURL", format="image/png", resourceType="tile", template=template
    )
    return layer


def _build_matrix_set() -> ElementTree.Element:
    """Return the description of Web Mercator's pyramid of tiles."""
    matrix_set = ElementTree.Element(f"{{{_WMTS}}}TileMatrixSet")
    _add_text(matrix_set, _OWS, "Identifier", TILE_MATRIX_SET)
    _add_text(matrix_set, _OWS, "SupportedCRS", "urn:ogc:def:crs:EPSG::3857")
    corner = f"{-EQUATOR_M / 2} {EQUATOR_M / 2}"
    for zoom in range(_MAX_ZOOM + 1):
        matrix = ElementTree.SubElement(matrix_set, f"{{{_WMTS}}}TileMatrix")
        _add_text(matrix, _OWS, "Identifier", str(zoom))
        _add_text(matrix, _WMTS, "ScaleDenominator", repr(EQUATOR_M / _TILE_PIXELS / 2**zoom / _PIXEL_M))
        _add_text(matrix, _WMTS, "TopLeftCorner", corner)
        for name, value in (("TileWidth", _TILE_PIXELS), ("TileHeight", _TILE_PIXELS)):
            _add_text(matrix, _WMTS, name, str(value))
        for name in ("MatrixWidth", "MatrixHeight"):
            _add_text(matrix, _WMTS, name, str(2**zoom))
    return matrix_set


def _add_text(parent: ElementTree.Element, namespace: str, name: str, text: str) -> None:
    ElementTree.SubElement(parent, f"{{{namespace}}}{name}").text = text
