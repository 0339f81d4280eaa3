import warnings

import numpy as np
import pytest

from sat2cap.query.scales import contrast, percentile


def test_percentile_by_hand():
    nan = np.nan
    values = np.array([[0.3, nan, 0.1], [0.2, 0.9, nan]], np.float32)
    np.testing.assert_allclose(percentile(values), [[200 / 3, nan, 0], [100 / 3, 100, nan]], rtol=1e-6)


def test_equal_values_share_the_mean_of_their_ranks():
    np.testing.assert_allclose(percentile(np.float32([1, 2, 2, 3])), [0, 50, 50, 100])
    np.testing.assert_allclose(percentile(np.float32([5, 5, 5])), [50, 50, 50])


def test_percentile_of_little():
    assert percentile(np.float32([7])).tolist() == [50]
    assert np.isnan(percentile(np.float32([np.nan, np.nan]))).all()


def test_percentile_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(0).integers(0, 50, 500).astype(np.float32)
    np.testing.assert_allclose(percentile(values), (stats.rankdata(values) - 1) / 499 * 100, rtol=1e-5)


def test_contrast_by_hand():
    """logits 2 and 1, 0: e² / (e² + e + 1); and for a prompt of the bank e / (e + 1)."""
    cosines, bank = np.float32([[0.2], [0.1]]), np.float32([[0.1], [0.0]])
    shares = contrast(cosines, bank, np.array([False, True]), 10)
    e = np.e
    np.testing.assert_allclose(shares[:, 0], [e**2 / (e**2 + e + 1), e / (e + 1)], rtol=1e-5)


def test_contrast_stays_a_share_at_any_scale():
    cosines, bank = np.float32([[1, -1, 0.5]]), np.float32([[-1, 1, 0.5], [-1, 1, 0.5]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)  # of what other tests left open
        shares = contrast(cosines, bank, np.array([False]), 1000)
    np.testing.assert_allclose(shares, [[1, 0, 1 / 3]], atol=1e-6)
