"""Photos from a site on loopback: polite, resumable, and honest about what failed."""

import asyncio
import sqlite3
import time
from datetime import datetime

import pytest
from real_data import photo_answer, photo_site, placeholder

from sat2cap.errors import InputError, JobError
from sat2cap.photos.download import Downloads, _site_name
from sat2cap.photos.protocol import Photo

TAKEN = datetime(2012, 3, 4, 5, 6, 7)


def make_photos(site, count=12, path="/p/{}.jpg"):
    return [Photo(f"k{n}", 5.0, 52.0, TAKEN, url=site.url + path.format(n)) for n in range(count)]


def fetch_all(downloads, photos, **options):
    return downloads.fetch(photos, len(photos), **options)


def test_every_photo_is_downloaded_once(tmp_path):
    with photo_site() as site:
        photos = make_photos(site)
        downloads = Downloads(tmp_path, per_second=1000)
        assert fetch_all(downloads, photos) == {}
        assert [downloads.read_image(photo) for photo in photos] == [
            placeholder(f"/p/{n}.jpg") for n in range(12)
        ]
        assert sorted(site.requested_paths) == sorted(f"/p/{n}.jpg" for n in range(12))
        assert fetch_all(downloads, photos) == {}
        assert len(site.requested_paths) == 12, "nothing is requested twice"
        downloads.path(photos[3]).unlink()
        assert fetch_all(downloads, photos) == {}
        assert site.requested_paths[12:] == ["/p/3.jpg"], "a row without its file is not done"


def answer_with_trouble(path, times):
    kind = path.rsplit("/", 1)[-1]
    return {
        "gone": (404, b"", {}),
        "busy": (503, b"", {"Retry-After": "0"}) if times < 3 else photo_answer(path, times),
        "down": (500, b"", {"Retry-After": "0"}),
        "page": (200, b"<html>", {"Content-Type": "text/html"}),
        "empty": (200, b"", {"Content-Type": "image/jpeg"}),
        "noai": (200, placeholder("x"), {"Content-Type": "image/jpeg", "X-Robots-Tag": "noai, noimageai"}),
        "moved": (302, b"", {"Location": "/images/photo_unavailable.png"}),
        "photo_unavailable.png": (200, placeholder("x"), {"Content-Type": "image/png"}),
    }[kind]


def test_every_failure_has_a_reason_and_transient_ones_are_retried(tmp_path):
    with photo_site(answer_with_trouble) as site:
        kinds = ("gone", "busy", "down", "page", "empty", "noai", "moved")
        photos = [Photo(kind, 5.0, 52.0, TAKEN, url=f"{site.url}/{kind}") for kind in kinds]
        photos.append(Photo("nowhere", 5.0, 52.0, TAKEN))
        downloads = Downloads(tmp_path, per_second=1000)
        failed = fetch_all(downloads, photos)
        assert failed == {
            "gone": "HTTP 404",
            "down": "HTTP 500",
            "page": "not an image (text/html)",
            "empty": "empty",
            "noai": "not for machine learning (X-Robots-Tag)",
            "moved": "removed by its owner",
            "nowhere": "no URL",
        }
        assert [site.requested_paths.count(f"/{kind}") for kind in ("busy", "down", "gone")] == [3, 3, 1]
        for photo in photos:
            assert downloads.path(photo).exists() == (photo.key not in failed)
        for photo in photos[2:]:
            with pytest.raises(JobError, match=photo.key):
                downloads.read_image(photo)


def test_failures_are_recorded_and_retried_only_on_request(tmp_path):
    state = {"open": False}

    def answer(path, times):
        return photo_answer(path, times) if state["open"] or not path.endswith("5.jpg") else (404, b"", {})

    with photo_site(answer) as site:
        photos = make_photos(site)
        downloads = Downloads(tmp_path, per_second=1000)
        assert fetch_all(downloads, photos) == {"k5": "HTTP 404"}
        state["open"] = True
        assert fetch_all(downloads, photos) == {"k5": "HTTP 404"}
        assert len(site.requested_paths) == 12
        assert fetch_all(downloads, photos, retry=True) == {}
        assert site.requested_paths[12:] == ["/p/5.jpg"]


def test_requests_to_one_site_are_limited_in_number_and_rate(tmp_path):
    with photo_site(pause_s=0.03) as site:
        fetch_all(Downloads(tmp_path / "a", per_site=2, per_second=1000), make_photos(site, 16))
        assert site.most_at_once == 2
    with photo_site() as site:
        began = time.monotonic()
        fetch_all(Downloads(tmp_path / "b", per_second=40), make_photos(site, 13))
        assert time.monotonic() - began >= 12 / 40, "twelve waits between thirteen requests"


def test_two_sites_do_not_wait_for_each_other(tmp_path):
    with photo_site(pause_s=0.02) as one, photo_site(pause_s=0.02) as two:
        photos = [
            Photo(f"{name}{n}", 5.0, 52.0, TAKEN, url=f"{site.url}/{name}{n}")
            for n in range(6)
            for name, site in (("a", one), ("b", two))
        ]
        fetch_all(Downloads(tmp_path, per_site=1, per_second=1000), photos)
        assert (len(one.requested_paths), len(two.requested_paths)) == (6, 6)
        assert (one.most_at_once, two.most_at_once) == (1, 1)


def test_a_mirror_replaces_the_address(tmp_path):
    with photo_site() as site:
        photo = Photo("77", 5.0, 52.0, TAKEN, url="http://farm1.example/86/77_ab.jpg")
        for template, path in (("{path}", "/86/77_ab.jpg"), ("x/{key}.jpg", "/x/77.jpg")):
            downloads = Downloads(tmp_path / path.replace("/", "_"), mirror=f"{site.url}/{template}")
            assert fetch_all(downloads, [photo]) == {}
            assert downloads.read_image(photo) == placeholder(path)


def test_without_a_network_it_stops_instead_of_marking_everything_as_failed(tmp_path):
    with photo_site() as site:
        photos = make_photos(site, 80)
    downloads = Downloads(tmp_path, per_site=80, per_second=10_000, max_attempts=1)
    with pytest.raises(JobError, match="the same command goes on"):
        fetch_all(downloads, photos)
    with sqlite3.connect(tmp_path / "downloads.sqlite") as db:
        assert db.execute("select count(*) from photos").fetchone() == (0,)
    assert fetch_all(downloads, photos[:3]) == {f"k{n}": "cannot connect" for n in range(3)}


def test_another_list_with_the_same_keys_does_not_get_these_photos(tmp_path):
    with photo_site() as site:
        downloads = Downloads(tmp_path, per_second=1000)
        for path in ("/a/{}.jpg", "/b/{}.jpg"):
            photos = make_photos(site, 2, path)
            assert fetch_all(downloads, photos) == {}
            assert [downloads.read_image(photo) for photo in photos] == [
                placeholder(path.format(n)) for n in (0, 1)
            ]


def test_hosts_of_one_domain_are_one_site():
    sites = {_site_name(f"http://{host}/x") for host in ("farm1.flickr.test", "farm9.flickr.test:80")}
    assert sites == {"flickr.test"}
    assert _site_name("http://127.0.0.1:81/x") != _site_name("http://127.0.0.1:82/x")


def test_an_address_that_is_no_url_is_a_failure_of_its_photo(tmp_path):
    with photo_site() as site:
        bad = [
            "http://[removed]/a.jpg",
            "http://\u2100.test/",
            "http://x.test:port/a.jpg",
            "file:///etc/passwd",
        ]
        photos = [Photo(f"b{n}", 5.0, 52.0, TAKEN, url=url) for n, url in enumerate(bad)]
        downloads = Downloads(tmp_path, per_second=1000, max_attempts=1)
        failures = fetch_all(downloads, [*photos, *make_photos(site, 2)])
        assert set(failures) == {"b0", "b1", "b2", "b3"}
        assert failures["b0"] == "no valid URL"
        assert sorted(site.requested_paths) == ["/p/0.jpg", "/p/1.jpg"]


@pytest.mark.parametrize(
    "mirror", ["https://x.test/{id}", "https://x.test/{}", "https://x.test/{path", "{path.x}"]
)
def test_a_mirror_with_other_fields_is_refused(tmp_path, mirror):
    with pytest.raises(InputError, match=r"\{path\} and \{key\}"):
        Downloads(tmp_path, mirror=mirror)


def test_a_content_type_is_read_in_any_case(tmp_path):
    def answer(path, times):
        return 200, placeholder(path), {"Content-Type": "IMAGE/JPEG"}

    with photo_site(answer) as site:
        assert fetch_all(Downloads(tmp_path, per_second=1000), make_photos(site, 1)) == {}


def test_a_notebook_which_runs_an_event_loop_downloads_too(tmp_path):
    async def run_cell(photos):
        return fetch_all(Downloads(tmp_path, per_second=1000), photos)

    with photo_site() as site:
        photos = make_photos(site, 3)
        assert asyncio.run(run_cell(photos)) == {}
        assert len(site.requested_paths) == 3
