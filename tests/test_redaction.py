"""Secrets in addresses: recognised, replaced by the name of a variable, and sent as they are by that name."""

import pickle
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from sat2cap.errors import ImageryError, InputError
from sat2cap.geo.region import Region, parse_region
from sat2cap.http import Fetcher, with_secrets
from sat2cap.imagery.named import find_source, usage_caveats
from sat2cap.imagery.protocol import ImageryInfo
from sat2cap.imagery.tiles.service import open_tiles
from sat2cap.imagery.tiles.template import TileTemplate
from sat2cap.redaction import redact_secrets

SECRET = "s3cr3t%2FT0ken"
AWKWARD = "a#b&c+d%e/f?g=h@i:j"


@pytest.mark.parametrize(
    "address",
    [
        "https://a.org/{z}/{x}/{y}.png?access_token=SECRET",
        "https://a.org/{z}/{x}/{y}.png?style=a&key=SECRET&b=1",
        "https://a.org/t?apiKey=SECRET",
        "https://a.org/t?api_key=SECRET",
        "https://a.org/t?subscription-key=SECRET",
        "https://a.org/t?access%5Ftoken=SECRET",
        "https://a.org/t?client_secret=SECRET&password=SECRET&pwd=SECRET",
        "https://a.blob.org/c/a.tif?sv=2024&sig=SECRET&se=2030",
        "https://s3.org/a.tif?X-Amz-Credential=SECRET&X-Amz-Signature=SECRET&X-Amz-Security-Token=SECRET",
        "https://s3.org/a.tif?X-Goog-Signature=SECRET",
        "https://s3.org/a.tif?AWSAccessKeyId=SECRET&Signature=SECRET",
        "https://cdn.org/a.tif?Policy=SECRET&Key-Pair-Id=SECRET",
        "https://user:SECRET@a.org/a.tif",
        "https://SECRET@a.org/a.tif",
        "https://user:p@SECRET@a.org/a.tif",
        "https://user:SECRET/x@a.org/a.tif",
        "https://user:a#SECRET?b@a.org/a.tif",
        "/vsicurl/https://user:SECRET@a.org/a.tif",
        "/vsicurl?url=https%3A%2F%2Fa.org%2Fa.tif%3Ftoken%3DSECRET",
        "/vsicurl?header.Authorization=SECRET&url=https://a.org/a.tif",
        "https://a.org/callback#access_token=SECRET",
        "refused with Bearer SECRET",
        "https://a.org/t;jsessionid=SECRET",
        "https://a.org/t?PHPSESSID=SECRET",
        "https://a.org/wms?connectid=SECRET&layers=ortho",
        "https://cdn.org/a.tif?hdnts=exp=1700000000~acl=/*~hmac=SECRET",
        "https://a.org/t?bearer=SECRET",
        "PG:host=a user=b password=SECRET dbname=c",
        "PG:host=a password='SECRET' dbname=c",
    ],
)
def test_no_secret_of_an_address_is_left(address: str) -> None:
    shown = redact_secrets(address.replace("SECRET", SECRET))
    assert "s3cr3t" not in shown
    assert "${SAT2CAP_" in shown
    assert redact_secrets(shown) == shown, "what has been redacted stays as it is"


@pytest.mark.parametrize(
    "text",
    [
        "https://a.org/{z}/{x}/{y}.png?style=satellite&tilesize=256&layer=ortho&time=2024-06",
        "https://a.org/{z}/{x}/{y}.png?key=${MY_KEY}",
        "https://${NAME}:${PASSWORD}@a.org/a.tif",
        "https://a.org:8080/x?mail=a@b.org",
        "https://a.org/users/@me/a.tif",
        "sentinel-2-l2a?datetime=2024-06&max_cloud=10&assets=visual",
        "town.zarr",
        "write to somebody@example.org",
        "miniworld:2",
        "a basic understanding of the token",
        "https://a.org/t?connection=fast&sessions=3&bears=2",
        "the field password= is empty",
    ],
)
def test_other_texts_are_unchanged(text: str) -> None:
    assert redact_secrets(text) == text


def test_what_is_redacted_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"https://user:{SECRET}@a.org/{{z}}/{{x}}/{{y}}.png?style=a&access_token={SECRET}"
    shown = redact_secrets(address)
    assert shown == (
        "https://${SAT2CAP_USER}:${SAT2CAP_PASSWORD}@a.org/{z}/{x}/{y}.png"
        "?style=a&access_token=${SAT2CAP_ACCESS_TOKEN}"
    )
    with pytest.raises(ImageryError, match="export SAT2CAP_USER"):
        TileTemplate(shown)
    for name, value in (("USER", "user"), ("PASSWORD", AWKWARD), ("ACCESS_TOKEN", AWKWARD)):
        monkeypatch.setenv(f"SAT2CAP_{name}", value)
    url = urlsplit(TileTemplate(shown).url_of((3, 2, 1)))
    assert url.hostname == "a.org"
    assert url.path == "/3/2/1.png"
    assert parse_qs(url.query) == {"style": ["a"], "access_token": [AWKWARD]}


def test_a_variable_is_encoded_where_it_stands_for_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", AWKWARD)
    monkeypatch.setenv("SAS", "sv=2024&sig=a%2Bb%3D")
    monkeypatch.setenv("HOST", "a.org:8080")
    monkeypatch.setenv("LINES", "a\nb")
    encoded = "a%23b%26c%2Bd%25e%2Ff%3Fg%3Dh%40i%3Aj"
    assert with_secrets("https://a.org/t?key=${SECRET}&b=1", "x") == f"https://a.org/t?key={encoded}&b=1"
    assert with_secrets("https://a.org/${SECRET}/1", "x") == (
        f"https://a.org/{encoded.replace('%2F', '/')}/1"
    )
    assert with_secrets("https://me:${SECRET}@a.org/1", "x") == f"https://me:{encoded}@a.org/1"
    assert with_secrets("https://a.org/t?${SAS}", "x") == "https://a.org/t?sv=2024&sig=a%2Bb%3D"
    assert with_secrets("https://${HOST}/t", "x") == "https://a.org:8080/t"
    with pytest.raises(ImageryError, match="LINES in the environment holds a line break"):
        with_secrets("https://a.org/t?key=${LINES}", "x")


def test_a_header_is_sent_as_it_is_and_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", AWKWARD)
    client = Fetcher("x", {"Authorization": "Bearer ${SECRET}"})._open_client()
    assert client.headers["Authorization"] == f"Bearer {AWKWARD}"
    with pytest.raises(ImageryError, match="plain ASCII in one line"):
        Fetcher("x", {"X-Key": "ä"})
    with pytest.raises(ImageryError, match="plain ASCII in one line"):
        Fetcher("x", {"X-Key": "a\r\nHost: b"})


def test_provenance_has_no_secret() -> None:
    item = {"id": "a", "href": f"https://a.org/a.json?token={SECRET}"}
    info = ImageryInfo(f"https://a.org/a.tif?sig={SECRET}", "id", 1.0, items=(item,))
    assert info.as_dict()["uri"] == "https://a.org/a.tif?sig=${SAT2CAP_SIG}"
    assert info.as_dict()["items"] == [{"id": "a", "href": "https://a.org/a.json?token=${SAT2CAP_TOKEN}"}]


def test_the_identity_of_tiles_does_not_depend_on_the_secret() -> None:
    first, second = (open_tiles(f"https://a.org/{{z}}/{{x}}/{{y}}?key={key}") for key in ("abc", "def"))
    other = open_tiles("https://a.org/{z}/{x}/{y}?style=b&key=abc")
    assert first.info == second.info
    assert first.info.identity != other.info.identity
    for shown in (repr(first), repr(first.store), str(first.info)):
        assert "abc" not in shown


def test_sources_and_caveats_show_no_secret() -> None:
    source = find_source(f"stac:https://me:{SECRET}@a.org/stac?collection=a")
    assert source is not None
    assert "s3cr3t" in source.url
    assert source.name == "stac:https://${SAT2CAP_USER}:${SAT2CAP_PASSWORD}@a.org/stac?collection=a"
    assert "s3cr3t" not in repr(source)
    caveats = usage_caveats(f"https://a.org/{{z}}/{{x}}/{{y}}?token={SECRET}")
    assert caveats == [
        "licence of https://a.org/{z}/{x}/{y}?token=${SAT2CAP_TOKEN} is unknown: ask its provider"
    ]


def test_errors_show_no_secret() -> None:
    error = ImageryError(f"imagery 'https://a.org/?key={SECRET}' cannot be read")
    assert str(error) == "imagery 'https://a.org/?key=${SAT2CAP_KEY}' cannot be read"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_name_of_a_region_has_no_secret() -> None:
    box = parse_region("1,2,3,4")
    assert Region(box.geometry, f"a.geojson?token={SECRET}").label == "a.geojson?token=${SAT2CAP_TOKEN}"


@pytest.mark.parametrize("piece", ["x", "a://b:c", "%26", "?a=", "&a", "'", "://", "bearer ", "u:p@"])
def test_a_long_text_takes_no_longer_than_its_length_demands(piece):
    """Patterns without bounds took minutes for a word of a megabyte, such as a stranger's file has."""
    text = piece * (50_000 // len(piece))
    started_s = time.process_time()
    redacted = redact_secrets(f"{text} https://x.test/a?key=s3cr3t")
    assert time.process_time() - started_s < 3
    assert "s3cr3t" not in redacted
    str(InputError(text))
