"""The public `AutoClassifier`: search, fit and predict with the methods of scikit-learn."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import assert_all_finite, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from automl_cv.classifier import Classifier
from automl_cv.data import given
from automl_cv.data.candidates import as_label
from automl_cv.errors import UserError
from automl_cv.saved import folder as folders
from automl_cv.study import library, studyfile
from automl_cv.study.studyfile import StudyFile
from automl_cv.words import counted, listed

if TYPE_CHECKING:
    import pandas as pd

DATABASE = "automl-cv.db"


class AutoClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of images that searches itself a head, or whatever its study says.

    `fit` runs the study's whole search in worker processes, on train and validation images that
    it divides X into, in the study's proportion of the two; then it trains the winner on all of
    X. Test images are for whoever calls it to keep aside.

    Images are a uint8 array of shape (images, height, width) or (images, height, width, 3); the
    same as floats from 0 to 1; or a list of paths, of Pillow's images, or of arrays of any sizes.
    Labels are strings, whole numbers or booleans.

    Example:
        >>> import automl_cv
        >>> model = automl_cv.AutoClassifier(study="quickstart").fit(images, labels)
        >>> model.predict(others)

    Args:
        study: name of a study, or path of its file; its own data do not count.
        trials: a stage, in place of the study's own number; None for that.
        preset: in place of `trials`: "quick", "balanced", "thorough".
        timeout: seconds after which the search ends with what it has; None for never.
        workers: processes that train side by side; None for one, on a cluster for one on each of
            its workers.
        cluster: address of a Dask scheduler whose workers train, such as "dask://10.0.0.1:8786";
            `folder` is one that all its machines share then. The winner is trained here.
        calibrate: divide the logits by a temperature, as `automl-cv fit --calibrate` does.
        random_state: seed; None for the study's own, so that the same call gives the same
            classifier; or a RandomState, which a seed is drawn from.
        folder: where images, features, database and model are kept; `fit` on the same images
            goes on from there. None for a temporary one, removed after `fit`.
        quiet: show no progress.

    Attributes:
        classes_: the labels, sorted, shape (classes,), in the order of `predict_proba`.
        run_folder_: folder of database (DATABASE) and model (`model`); None if it was temporary.
        leaderboard_: every trial with a result, best first, a DataFrame; see
            `automl_cv.leaderboard`.
        best_params_: what the first of them drew or was given, by name.
        cv_results_: the same trials as scikit-learn's searches have them, a dictionary of arrays
            in the order of the leaderboard: params, mean_test_score (accuracy of the images that
            validate), rank_test_score, mean_fit_time (seconds).
    """

    def __init__(
        self,
        study: str | Path = "quickstart",
        *,
        trials: int | None = None,
        preset: str | None = None,
        timeout: float | None = None,
        workers: int | None = None,
        cluster: str | None = None,
        calibrate: bool = False,
        random_state: int | np.random.RandomState | None = None,
        folder: str | Path | None = None,
        quiet: bool = True,
    ) -> None:
        self.study = study
        self.trials = trials
        self.preset = preset
        self.timeout = timeout
        self.workers = workers
        self.cluster = cluster
        self.calibrate = calibrate
        self.random_state = random_state
        self.folder = folder
        self.quiet = quiet

    def fit(self, X: Any, y: Any, **others: Any) -> AutoClassifier:  # noqa: N803 (scikit-learn's name)
        """Search, and train the winner on all images.

        Args:
            X: images.
            y: their labels, shape (images,).
            others: refused, `sample_weight` among them.

        Raises:
            TypeError: there is something else than X and y.
            ValueError: X holds no images, y no labels, or their numbers differ.
            UserError: the study, the cluster or an option is wrong, a file is no whole image, or a
                class has too few images to be divided.
            AutomlError: no trial has a result.
        """
        if self.cluster is not None and self.folder is None:
            raise UserError(
                f"cluster={self.cluster!r}: its machines read the images where they are written; "
                "name a folder that all of them share, with folder="
            )
        if others:
            raise TypeError(
                f"fit takes X and y, and no {listed(sorted(others))}: images can't be weighed one "
                'by one; for classes of unlike size take a study with class_weight = "balanced"'
            )
        labels = column_or_1d(y)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        images = list(given.pictures(X))
        if len(images) != len(labels):
            raise ValueError(f"X holds {len(images)} images and y {len(labels)} labels")
        classes, numbers = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"y holds {counted(len(classes), 'class')}, expected two or more")
        names = _names(classes)
        with self._place() as place:
            data, digest = given.write(images, [names[number] for number in numbers], place)
            study = self._study(data)
            own = place / f"{study.name}-{study.digest()}-{digest}"
            own.mkdir(exist_ok=True)
            board, files = self._search_and_fit(study, own, place / "cache")
        self.__dict__.pop("_classifier", None)
        self.classes_ = classes
        self.run_folder_ = None if self.folder is None else own
        self.leaderboard_, self.cv_results_ = board, _as_search_results(board)
        self.best_params_ = self.cv_results_["params"][0]
        self._names, self._files = names, files
        return self

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the most probable label of each image, shape (images,).

        Args:
            X: images, of any sizes.

        Raises:
            NotFittedError: before `fit`.
            ValueError: X holds no images.
            UserError: a file is no whole image.
        """
        shares = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[shares.argmax(axis=1)]
        return labels

    def predict_proba(self, X: Any) -> NDArray[np.float32]:  # noqa: N803
        """Return the probability of each of `classes_`, float32, shape (images, classes).

        Args:
            X: as in `predict`.

        Raises:
            NotFittedError: before `fit`.
            ValueError: X holds no images.
            UserError: a file is no whole image.
        """
        check_is_fitted(self)
        classifier = self.classifier
        # Columns of a saved classifier are in the order of the names, as text.
        order = [classifier.classes.index(name) for name in self._names]
        return classifier.predict_proba(given.pictures(X))[:, order]

    @property
    def classifier(self) -> Classifier:
        """The saved classifier behind it, which also has the manifest of how it came about.

        Raises:
            NotFittedError: before `fit`.
        """
        check_is_fitted(self)
        if not hasattr(self, "_classifier"):
            with tempfile.TemporaryDirectory(prefix="automl-cv-") as temporary:
                for name, content in self._files.items():
                    (Path(temporary) / name).write_bytes(content)
                self._classifier = Classifier.load(temporary)
        return self._classifier

    def _search_and_fit(
        self, study: StudyFile, own: Path, cache_dir: Path
    ) -> tuple[pd.DataFrame, dict[str, bytes]]:
        """Run the search and the fit; return leaderboard and files of the saved classifier."""
        # Optuna and pandas take a second, and predicting needs neither.
        from automl_cv.fit import fitting
        from automl_cv.results.leaderboard import leaderboard
        from automl_cv.screen.progress import progress
        from automl_cv.screen.search_views import watching
        from automl_cv.search import session

        storage = f"sqlite:///{own.absolute() / DATABASE}"
        todo = session.SearchOptions(
            storage,
            cache_dir,
            timeout=self.timeout,
            workers=self.workers,
            cluster=self.cluster,
            strict=True,
            despite_findings=True,  # whoever gives arrays is told, but not stopped
        )
        with watching(quiet=self.quiet, json_lines=False) as listen:
            outcome = session.search(study, todo, listen)
        call = " ".join(f"automl_cv.{self!r}.fit(X, y)".split())
        wanted = fitting.FitOptions(
            study=outcome.run,
            out=own / "model",
            storage=storage,
            cache_dir=cache_dir,
            command=lambda run, trial: f"{call}  # in Python",
            calibrate=self.calibrate,
        )
        with progress(quiet=self.quiet) as tell:
            fitting.fit(wanted, tell)
        files = {name: (own / "model" / name).read_bytes() for name in folders.OWN}
        return leaderboard(storage, outcome.run), files

    def _study(self, data: str) -> StudyFile:
        """Return the study with these images, all of which train or validate."""
        loaded = library.load(str(self.study))
        seed = self.random_state
        if seed is not None and not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31)
        chosen = studyfile.overridden(
            loaded,
            data=data,
            seed=None if seed is None else int(seed),
            trials=self.trials,
            preset=self.preset,
        )
        raw = chosen.as_toml_data()
        split = chosen.data.split
        train = split.train / (split.train + split.validation)
        raw["data"]["split"] = {"train": train, "validation": 1 - train, "test": 0.0}
        return studyfile.parse(raw, "AutoClassifier")

    @contextmanager
    def _place(self) -> Iterator[Path]:
        if self.folder is not None:
            yield Path(self.folder).expanduser().absolute()
            return
        with tempfile.TemporaryDirectory(prefix="automl-cv-") as temporary:
            yield Path(temporary)

    def __getstate__(self) -> dict[str, Any]:
        """Leave TensorFlow's network out; the files that it is read from again are in."""
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_classifier", None)
        return state

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that X is no table of numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags


def _as_search_results(board: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Return a leaderboard as scikit-learn's searches keep theirs; see `cv_results_`."""
    columns = list(board.columns)
    # Parameters stand between how often a trial was trained and how long.
    names = columns[columns.index("repeats") + 1 : columns.index("epochs")]
    shown = board[["stage", "trial", *names]]
    rows = shown.astype(object).where(shown.notna(), None).to_dict("records")
    params = np.empty(len(rows), object)
    params[:] = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return {
        "params": params,
        "mean_test_score": board["val_accuracy"].to_numpy(np.float64),
        "rank_test_score": board["rank"].to_numpy(np.int32),
        "mean_fit_time": board["seconds"].to_numpy(np.float64),
    }


def _names(classes: NDArray[Any]) -> list[str]:
    """Return a name for each label: the label as text where that can be told apart and kept."""
    names = [as_label(str(label)) for label in classes]
    can_be_kept = all(name and name == name.strip() and name.isprintable() for name in names)
    if can_be_kept and len(set(names)) == len(names):
        return names
    return [f"class {number}" for number in range(len(names))]
