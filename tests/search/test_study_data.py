"""What a search finds of images that only a study knows to be harmful."""

import pytest

from automl_cv.data.ledger import Sizes
from automl_cv.search.study_data import of_backbone
from automl_cv.study.studyfile import Backbone


def sizes(width, height):
    return Sizes((1, 1), (width, height), (9000, 9000), 3)


def test_photographs_are_shown_the_way_to_networks_that_have_seen_some():
    (found,) = of_backbone(Backbone(name="compact"), sizes(640, 480))
    assert found.harm == "warning"
    assert "half have 640 × 480 or more" in found.line
    assert "sees 32 × 32 and has learned from Fashion-MNIST alone" in found.line
    assert "`automl-cv search photos`" in found.line


@pytest.mark.parametrize(
    ("backbone", "median"),
    [
        (Backbone(name="compact"), (28, 28)),
        (Backbone(name="compact"), (2000, 64)),  # a strip of few pixels
        (Backbone(name="EfficientNetLite0"), (4000, 3000)),
        (Backbone(name="own.keras"), (4000, 3000)),
    ],
)
def test_no_word_of_what_a_network_has_seen_enough_of(backbone, median):
    assert of_backbone(backbone, sizes(*median)) == []


def test_no_images_no_word():
    assert of_backbone(Backbone(), None) == []
