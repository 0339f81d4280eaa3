"""One policy for both HTTP engines: the same answers lead to the same number of requests and the same end."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from real_data import photo_site, placeholder

from sat2cap.errors import ImageryError
from sat2cap.http import Fetcher, FetchPolicy, ServerPacer, retry_after_s
from sat2cap.photos.download import Downloads
from sat2cap.photos.protocol import Photo

ATTEMPTS = 3


def fetch_by_fetcher(url, folder):
    """Return the body, or None if it could not be fetched."""
    try:
        return Fetcher("x", policy=FetchPolicy(max_attempts=ATTEMPTS, first_backoff_s=0.01)).get(
            url, "x", bytes
        )
    except ImageryError:
        return None


def fetch_by_downloads(url, folder):
    photo = Photo("x", 5.0, 52.0, datetime(2012, 3, 4, 5, 6, 7), url=url)
    downloads = Downloads(folder, per_second=1000, max_attempts=ATTEMPTS, first_backoff_s=0.01)
    return None if downloads.fetch([photo], 1) else downloads.read_image(photo)


def in_seconds(seconds):
    """Return an HTTP date, which has whole seconds."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


CASES = [
    # status, Retry-After, bad answers before a good one (None: never a good one), requests, success, least s
    *((status, None, None, ATTEMPTS, False, 0) for status in (408, 425, 429, 500, 502, 503, 504, 520)),
    *((status, None, None, 1, False, 0) for status in (400, 403, 404, 410, 451, 501, 505)),
    *((status, None, 2, 3, True, 0) for status in (408, 425, 429, 500, 503)),
    (503, lambda: "0", None, ATTEMPTS, False, 0),
    (503, lambda: "soon", None, ATTEMPTS, False, 0),
    (429, lambda: "0.1", 5, 6, True, 0.5),  # pauses are no failures
    (503, lambda: in_seconds(2), 1, 2, True, 0.9),
    (503, lambda: in_seconds(-60), 2, 3, True, 0),
    (429, lambda: "3600", None, 1, False, 0),
    (503, lambda: in_seconds(3600), None, 1, False, 0),
]


@pytest.mark.parametrize("fetch", [fetch_by_fetcher, fetch_by_downloads])
@pytest.mark.parametrize(("status", "retry_after", "bad_answers", "requests", "comes", "least_s"), CASES)
def test_both_engines_treat_an_answer_alike(
    tmp_path, fetch, status, retry_after, bad_answers, requests, comes, least_s
):
    def answer(path, nth):
        if bad_answers is None or nth <= bad_answers:
            return status, b"", {} if retry_after is None else {"Retry-After": retry_after()}
        return 200, placeholder("x"), {"Content-Type": "image/jpeg"}

    with photo_site(answer) as site:
        start_s = time.monotonic()
        image = fetch(f"{site.url}/x", tmp_path)
        assert image == (placeholder("x") if comes else None)
        assert len(site.requested_paths) == requests
        assert time.monotonic() - start_s >= least_s


def test_retry_after_is_seconds_or_a_date():
    assert retry_after_s("7") == 7
    assert 58 < retry_after_s(in_seconds(60)) <= 60
    assert retry_after_s(in_seconds(-60)) == 0
    assert [retry_after_s(text) for text in ("soon", "inf", "nan", "-3", None)] == [0] * 5


def test_starts_are_spaced_by_the_rate():
    pacer = ServerPacer(FetchPolicy(max_per_s=10))
    assert pacer.claim_start() == 0
    assert 0.05 < pacer.claim_start() <= 0.1
    pacer.record_pause(5)
    assert 4.9 < pacer.claim_start() <= 5
