"""The compiled product of few rows with a large weight, beside float64."""

import numpy as np
import pytest

from sat2cap.model.networks.few_rows import multiply_few_rows, pack_weight


@pytest.mark.parametrize(("outputs", "inputs"), [(128, 64), (130, 37), (5, 4), (1, 1), (300, 512)])
@pytest.mark.parametrize("rows", [1, 4, 7, 16])
def test_it_is_the_product_in_float64(outputs, inputs, rows):
    rng = np.random.default_rng(outputs + rows)
    weight = rng.standard_normal((outputs, inputs)).astype(np.float32)
    x = rng.standard_normal((rows, inputs)).astype(np.float32)
    product = multiply_few_rows(x, pack_weight(weight), outputs)
    assert product.dtype == np.float32
    assert product.shape == (rows, outputs)
    expected = x.astype(np.float64) @ weight.T.astype(np.float64)
    np.testing.assert_allclose(product, expected, rtol=0, atol=2e-7 * inputs)


def test_nothing_missing_becomes_zero():
    weight, x = np.ones((3, 8), np.float32), np.ones((2, 8), np.float32)
    x[1, 5] = np.nan
    product = multiply_few_rows(x, pack_weight(weight), 3)
    assert (product[0] == 8).all()
    assert np.isnan(product[1]).all()
