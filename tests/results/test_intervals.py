import pytest

from automl_cv.results.intervals import difference, differs


def test_difference_against_newcombes_table():
    # R. G. Newcombe, Statistics in Medicine 17 (1998), 873–890, table II, method 10.
    assert difference(0.9, 0.3, 10) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert difference(1.0, 0.0, 10) == pytest.approx((0.6075, 1.0), abs=5e-5)


def test_equal_accuracies_never_differ():
    assert not differs(0.9, 0.9, 1_000_000)


def test_more_images_tell_more_apart():
    assert not differs(0.93, 0.92, 800)
    assert differs(0.93, 0.92, 80_000)
