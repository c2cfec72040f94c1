import pytest

from automl_cv.store.intervals import difference, differs, wilson


def test_wilson_against_newcombes_table():
    # R. G. Newcombe, Statistics in Medicine 17 (1998), 857–872, table I, method 3.
    for n_right, n_images, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(n_right / n_images, n_images) == pytest.approx((low, high), abs=5e-5)


def test_wilson_stays_within_0_and_1():
    assert wilson(1.0, 10)[1] <= 1.0
    assert 0.0 <= wilson(0.0, 10)[0] < 1e-9


def test_difference_against_newcombes_table():
    # R. G. Newcombe, Statistics in Medicine 17 (1998), 873–890, table II, method 10.
    assert difference(0.9, 0.3, 10) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert difference(1.0, 0.0, 10) == pytest.approx((0.6075, 1.0), abs=5e-5)


def test_equal_accuracies_never_differ():
    assert not differs(0.9, 0.9, 1_000_000)


def test_more_images_tell_more_apart():
    assert not differs(0.93, 0.92, 800)
    assert differs(0.93, 0.92, 80_000)
