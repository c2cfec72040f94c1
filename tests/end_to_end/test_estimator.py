"""AutoClassifier: scikit-learn's own checks where they fit images, and the rest with images."""

from __future__ import annotations

import contextlib
import pickle
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.errors import UserError
from tests.later import later

with later():
    from sklearn.base import clone
    from sklearn.datasets import load_digits
    from sklearn.exceptions import NotFittedError
    from sklearn.model_selection import ShuffleSplit, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer
    from sklearn.utils import estimator_checks

    from automl_cv import AutoClassifier, Classifier

# Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PASSED = {
    "check_classifiers_one_label_sample_weights",
    "check_classifiers_regression_target",
    "check_decision_proba_consistency",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_estimator_sparse_tag",
    "check_estimator_tags_renamed",
    "check_estimators_partial_fit_n_features",
    "check_estimators_unfitted",
    "check_fit1d",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_n_features_in_after_fitting",
    "check_no_attributes_set_in_init",
    "check_non_transformer_estimators_n_iter",
    "check_parameters_default_constructible",
    "check_requires_y_none",
    "check_set_params",
    "check_supervised_y_no_nan",
    "check_valid_tag_types",
}

# They fit tables of numbers, which AutoClassifier refuses; what they ask is asked with images in
# the test that is named.
TABLES = {
    "check_array_api_input": "test_other_labels_and_forms",
    "check_classifier_data_not_an_array": "test_other_labels_and_forms",
    "check_classifiers_classes": "test_other_labels_and_forms",
    "check_classifiers_train": "test_it_classifies",
    "check_dict_unchanged": "test_predicting_changes_nothing",
    "check_dont_overwrite_parameters": "test_fitting_sets_what_ends_in_an_underscore",
    "check_estimators_dtypes": "test_other_labels_and_forms",
    "check_estimators_fit_returns_self": "test_fitting_sets_what_ends_in_an_underscore",
    "check_estimators_overwrite_params": "test_fitting_sets_what_ends_in_an_underscore",
    "check_estimators_pickle": "test_a_pickle_predicts_the_same",
    "check_f_contiguous_array_estimator": "data/test_given.py",
    "check_fit_check_is_fitted": "test_before_fit_there_is_nothing",
    "check_fit_idempotent": "test_the_same_images_give_the_same_classifier",
    "check_fit_score_takes_y": "test_it_classifies",
    "check_methods_sample_order_invariance": "test_predicting_changes_nothing",
    "check_methods_subset_invariance": "test_predicting_changes_nothing",
    "check_pipeline_consistency": "test_cross_validation_of_a_pipeline",
    "check_readonly_memmap_input": "test_predicting_changes_nothing",
    "check_supervised_y_2d": "test_wrong_use_is_one_line",
}

# They ask for a table's words or ways: numbers of features and samples in the message, a
# classifier of one class, 0 rows. Ours are in test_wrong_use_is_one_line and data/test_given.py.
OTHER_WORDS = {
    "check_classifiers_one_label",
    "check_complex_data",
    "check_dtype_object",
    "check_estimators_empty_data_messages",
    "check_estimators_nan_inf",
    "check_fit2d_1feature",
    "check_fit2d_1sample",
    "check_fit2d_predict1d",
    "check_n_features_in",
    "check_positive_only_tag_during_fit",
}


def test_every_check_is_passed_or_has_a_reason():
    class OfTables(AutoClassifier):
        """Says that it takes tables: scikit-learn lists no checks of images."""

        def __sklearn_tags__(self):
            tags = super().__sklearn_tags__()
            tags.input_tags.two_d_array = True
            return tags

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        listed = estimator_checks.estimator_checks_generator(OfTables())
        names = {check.func.__name__ for _, check in listed}
    assert names == PASSED | set(TABLES) | OTHER_WORDS


@pytest.mark.parametrize("name", sorted(PASSED))
def test_a_check_of_scikit_learn(name):
    getattr(estimator_checks, name)("AutoClassifier", AutoClassifier())


@pytest.fixture(scope="module")
def digits():
    """Return 300 digits as uint8 and their numbers: 200 to learn from, then 100."""
    data = load_digits()
    return np.rint(data.images[:300] * (255 / 16)).astype(np.uint8), data.target[:300]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def fitted(digits, kept):
    images, numbers = digits
    model = AutoClassifier(trials=1, folder=kept, calibrate=True)
    parameters = model.get_params()
    assert model.fit(images[:200], numbers[:200]) is model
    assert model.get_params() == parameters
    return model


@pytest.mark.slow
def test_it_classifies(fitted, digits):
    images, numbers = digits
    assert fitted.score(images[200:], numbers[200:]) > 0.7
    shares = fitted.predict_proba(images[200:])
    assert shares.shape == (100, 10)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    found = fitted.predict(images[200:])
    np.testing.assert_array_equal(found, fitted.classes_[shares.argmax(axis=1)])
    assert found.dtype == numbers.dtype


@pytest.mark.slow
def test_all_images_trained_or_validated(fitted):
    manifest = fitted.classifier.manifest
    assert manifest.fitting.images == 200
    assert manifest.data.split_sizes.get("test", 0) == 0
    assert "AutoClassifier(calibrate=True, " in manifest.fitting.command
    assert manifest.study["validation"] == "folds", "few images all validate"
    assert manifest.calibration.images == 200


@pytest.mark.slow
def test_fitting_sets_what_ends_in_an_underscore(fitted):
    public = {name for name in vars(fitted) if not name.startswith("_")}
    set_ = {"classes_", "run_folder_", "leaderboard_", "best_params_", "cv_results_"}
    assert public == {*fitted.get_params(), *set_}
    board, found = fitted.leaderboard_, fitted.cv_results_
    assert {len(value) for value in found.values()} == {len(board)}
    assert list(found["mean_test_score"]) == list(board["val_accuracy"])
    assert fitted.best_params_ == found["params"][0]
    assert fitted.best_params_["stage"] == board["stage"][0]
    stepped = next(one for one in found["params"] if "learning_rate" in one)
    assert stepped["learning_rate"] > 0 and None not in stepped.values()


@pytest.mark.slow
def test_predicting_changes_nothing(fitted, digits):
    images = digits[0][200:240]
    images.flags.writeable = False
    before = {name: repr(value)[:200] for name, value in vars(fitted).items()}
    whole = fitted.predict_proba(images)
    before.setdefault("_classifier", repr(vars(fitted)["_classifier"]))
    order = np.random.default_rng(0).permutation(len(images))
    np.testing.assert_allclose(fitted.predict_proba(images[order]), whole[order], atol=1e-6)
    np.testing.assert_allclose(fitted.predict_proba(images[5:8]), whole[5:8], atol=1e-6)
    assert {name: repr(value)[:200] for name, value in vars(fitted).items()} == before


@pytest.mark.slow
def test_a_pickle_predicts_the_same(fitted, digits):
    images = digits[0][200:]
    expected = fitted.predict_proba(images)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(images), expected)
    with pytest.raises(NotFittedError):
        clone(again).predict(images)


@pytest.mark.slow
def test_the_folder_keeps_a_saved_classifier(fitted, digits):
    saved = Classifier.load(fitted.run_folder_ / "model")
    colours = np.repeat(digits[0][200:, :, :, None], 3, axis=-1)
    assert list(saved.predict(colours)) == [str(one) for one in fitted.predict(digits[0][200:])]


def trained(folder):
    """Return each trial of all databases in folders of a folder, and when it ran."""
    found = []
    for path in sorted(folder.glob("*/*.db")):
        with contextlib.closing(sqlite3.connect(path)) as database:
            rows = database.execute("select * from trials order by trial_id").fetchall()
        found += [(path, *row) for row in rows]
    return found


@pytest.mark.slow
def test_the_same_images_give_the_same_classifier(fitted, digits, kept):
    """Nothing is searched again: the folder holds the search of these images."""
    images, numbers = digits
    before = trained(kept)
    assert len(before) > 0
    again = clone(fitted).fit(images[:200], numbers[:200])
    np.testing.assert_array_equal(
        again.predict_proba(images[200:]), fitted.predict_proba(images[200:])
    )
    assert trained(kept) == before


@pytest.mark.exhaustive
@pytest.mark.slow
def test_other_labels_and_forms(digits, kept, tmp_path):
    """Paths, floats, and labels whose order as text is another."""
    images, numbers = digits
    some = [number for number in range(200) if numbers[number] in (1, 2)]
    paths = []
    for number in some:
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(images[number]).save(paths[-1])
    labels = [-5 if numbers[number] == 1 else -40 for number in some]
    model = AutoClassifier(trials=1, random_state=3, folder=kept).fit(paths, labels)
    assert list(model.classes_) == [-40, -5]
    assert model.score(paths, labels) > 0.8
    np.testing.assert_allclose(
        model.predict_proba(images[some] / 255), model.predict_proba(paths), atol=1e-6
    )
    assert model.classifier.manifest.study["seed"] == 3


@pytest.mark.exhaustive
@pytest.mark.slow
def test_cross_validation_of_a_pipeline(digits):
    images, numbers = digits
    some = numbers < 2
    labels = np.array(["zero", "one"])[numbers[some]]
    model = make_pipeline(FunctionTransformer(), AutoClassifier(trials=1))
    once = ShuffleSplit(1, test_size=0.5, random_state=0)  # a second fold would fit no other way
    scores = cross_val_score(model, images[some], labels, cv=once)
    assert scores.min() > 0.9


def test_before_fit_there_is_nothing(digits):
    model = AutoClassifier()
    for ask in (model.predict, model.predict_proba, lambda x: model.classifier):
        with pytest.raises(NotFittedError):
            ask(digits[0][:1])


@pytest.mark.parametrize(
    ("options", "images", "labels", "error", "message"),
    [
        ({}, np.zeros((2, 64)), [0, 1], ValueError, "rows of pixels"),
        ({}, np.zeros((2, 8, 8)), [0, 1, 1], ValueError, "2 images and y 3 labels"),
        ({}, np.zeros((2, 8, 8)), [1, 1], ValueError, "y holds 1 class, expected two"),
        ({}, np.zeros((2, 8, 8)), [[0, 1], [1, 0]], ValueError, "1d array"),
        ({}, np.zeros((2, 8, 8)), [0.5, 0.25], ValueError, "Unknown label type: continuous"),
        ({"study": "quickstat"}, np.zeros((2, 8, 8)), [0, 1], UserError, "did you mean"),
        ({"preset": "hasty"}, np.zeros((2, 8, 8)), [0, 1], UserError, "hasty"),
        ({}, ["absent.png", "gone.png"], [0, 1], UserError, "not found"),
        ({"cluster": "dask://h:1"}, np.zeros((2, 8, 8)), [0, 1], UserError, "with folder="),
    ],
)
def test_wrong_use_is_one_line(options, images, labels, error, message):
    with pytest.raises(error, match=message):
        AutoClassifier(**options).fit(images, labels)


def test_a_cluster_is_that_of_a_search(tmp_path, monkeypatch):
    from automl_cv.search import session  # what searches is loaded late, by the estimator too

    def hand_on(study: object, options: session.SearchOptions, listen: object) -> None:
        assert (options.cluster, options.workers) == ("dask://h:1", None)
        raise UserError("it would be searched there")

    monkeypatch.setattr(session, "search", hand_on)
    with pytest.raises(UserError, match="it would be searched there"):
        AutoClassifier(cluster="dask://h:1", folder=tmp_path).fit(np.zeros((2, 8, 8)), [0, 1])


def test_weights_of_images_are_refused():
    with pytest.raises(TypeError, match="no sample_weight: images can't be weighed"):
        AutoClassifier().fit(np.zeros((2, 8, 8)), [0, 1], sample_weight=[1, 2])


@pytest.mark.slow
def test_its_import_loads_no_tensorflow(tmp_path: Path):
    code = (
        "import sys, automl_cv\nassert 'sklearn' not in sys.modules\nautoml_cv.AutoClassifier\n"
        "print([m for m in ('tensorflow', 'keras', 'optuna', 'typer') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
