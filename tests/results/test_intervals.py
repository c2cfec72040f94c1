import pytest

from automl_cv.results.intervals import difference, differs, paired_images


def test_difference_against_newcombes_table():
    # R. G. Newcombe, Statistics in Medicine 17 (1998), 873–890, table II, method 10.
    assert difference(0.9, 0.3, 10) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert difference(1.0, 0.0, 10) == pytest.approx((0.6075, 1.0), abs=5e-5)


@pytest.mark.parametrize(
    ("counts", "ends"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998), 2635–2650, table III, method 10.
        ((36, 12, 2, 0), (0.0569, 0.3404)),
        ((20, 12, 2, 16), (0.0562, 0.3292)),
        ((18, 12, 2, 18), (0.0562, 0.3290)),
        ((36, 14, 0, 0), (0.1528, 0.4167)),
        ((35, 14, 0, 1), (0.1461, 0.4175)),
        ((2, 97, 1, 0), (0.8721, 0.9854)),
    ],
)
def test_paired_images_against_newcombes_table(counts, ends):
    assert paired_images(*counts) == pytest.approx(ends, abs=5e-5)
    both, left, right, neither = counts
    turned = paired_images(both, right, left, neither)
    assert turned == pytest.approx((-ends[1], -ends[0]), abs=5e-5)


def test_the_more_two_agree_the_less_they_can_differ():
    assert paired_images(700, 0, 0, 300) == pytest.approx((0, 0), abs=0.005)
    assert difference(0.7, 0.7, 1000)[1] > 0.03


def test_equal_accuracies_never_differ():
    assert not differs(0.9, 0.9, 1_000_000)


def test_more_images_tell_more_apart():
    assert not differs(0.93, 0.92, 800)
    assert differs(0.93, 0.92, 80_000)
