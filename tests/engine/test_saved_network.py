"""The saved network: the probabilities of the head on cached features, and no code from it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv import measures, scoring
from automl_cv.catalog.engines import ENGINES, EngineEntry
from automl_cv.classifier import Classifier
from automl_cv.errors import AutomlWarning, UserError
from automl_cv.features import engines
from automl_cv.features.weightfile import hash_of
from automl_cv.saved import folder
from automl_cv.saved.safety import check_network
from automl_cv.solving.distance import fitted
from automl_cv.study.studyfile import Backbone
from automl_cv.training.head_input import HeadInput
from tests.depth import each_time
from tests.engine.near_and_far import FAR, NEAR
from tests.later import later
from tests.saved.saved import MANIFEST

with later():
    import keras

    from automl_cv.engine import backbone as backbones
    from automl_cv.engine import images, saved_network
    from automl_cv.engine.head import linear
    from automl_cv.engine.losses import cross_entropies
    from automl_cv.engine.prediction import Predicted, Predictor
    from automl_cv.engine.refitting import logits_of, probabilities

# Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

COMPACT = Backbone(features="all")
SIZE = 32
CLASSES = ("cat", "dog", "mouse")
SHAPES = [(8, 8), (47, 61), (32, 32), (200, 31), (1, 1)]


@pytest.fixture(scope="module")
def frozen() -> keras.Model:
    return backbones.build(COMPACT, SIZE)


@pytest.fixture(scope="module")
def heads(frozen) -> list[keras.Model]:
    draw = np.random.default_rng(0)
    width = sum(output.shape[-1] for output in frozen.outputs)
    given = HeadInput(
        width,
        len(CLASSES),
        draw.random(width, dtype=np.float32),
        draw.random(width, dtype=np.float32) + 0.1,
    )
    keras.utils.set_random_seed(0)
    return [linear(given, normalization=True) for _ in range(2)]


@pytest.fixture(scope="module")
def model(heads, tmp_path_factory) -> Path:
    """Return a saved classifier of two heads."""
    out = tmp_path_factory.mktemp("bundle") / "model"
    with folder.replacing(out) as temporary:
        saved_network.save(
            saved_network.on_backbone(COMPACT, SIZE, heads), temporary / folder.NETWORK
        )
        manifest = MANIFEST.model_copy(update={"image_size": SIZE})
        folder.complete(temporary, manifest, CLASSES, "")
    return out


@pytest.fixture(scope="module")
def pixels() -> list[np.ndarray]:
    draw = np.random.default_rng(1)
    return [draw.integers(0, 256, (*shape, 3), np.uint8) for shape in SHAPES]


@pytest.fixture(scope="module")
def expected(frozen, heads, pixels) -> np.ndarray:
    """Return probabilities by way of features, as training made them."""
    blocks = backbones.compile_calls(frozen, 16)(images.resize_all(pixels, SIZE))
    features = np.concatenate(blocks, axis=1)
    return probabilities([logits_of(head, features) for head in heads])


@pytest.mark.slow
def test_one_graph_from_raw_images_of_any_size(model, pixels, expected):
    network = saved_network.load(folder.read(model))
    assert network.input_shape == (None, None, None, 3)
    for image, wanted in zip(pixels, expected, strict=True):
        for found in (network.predict(image[None], verbose=0), network(image[None]).numpy()):
            np.testing.assert_allclose(found[0], wanted, atol=1e-6)


@pytest.mark.slow
def test_a_temperature_divides_the_mean_logits(model, frozen, heads, pixels, expected, tmp_path):
    network = saved_network.on_backbone(COMPACT, SIZE, heads)
    saved_network.save(network, tmp_path / "calibrated.keras", 2.5)
    check_network(tmp_path / "calibrated.keras")
    calibrated = saved_network.load_network(tmp_path / "calibrated.keras")
    blocks = backbones.compile_calls(frozen, 16)(images.resize_all(pixels, SIZE))
    logits = [logits_of(head, np.concatenate(blocks, axis=1)) for head in heads]
    for image, wanted, plain in zip(pixels, probabilities(logits, 2.5), expected, strict=True):
        found = calibrated(image[None]).numpy()[0]
        np.testing.assert_allclose(found, wanted, atol=1e-6)
        assert found.argmax() == plain.argmax() and found.max() < plain.max()
    plain, tempered = (
        [layer.name for layer in one.layers]
        for one in (saved_network.load(folder.read(model)), calibrated)
    )
    assert set(tempered) - set(plain) == {"tempered"}


@pytest.mark.slow
@pytest.mark.parametrize("features", each_time("all", of=["last", "all"]))
def test_a_distance_stands_beside_the_probabilities(features, pixels, tmp_path):
    """In the graph it is what `solving.distance` measures; `load` leaves it out."""
    backbone = Backbone(features=features)
    frozen = backbones.build(backbone, SIZE)
    blocks = backbones.compile_calls(frozen, 16)(images.resize_all(pixels, SIZE))
    known = np.concatenate(blocks, axis=1) if features == "all" else blocks[-1]
    draw = np.random.default_rng(0)
    width = known.shape[1]
    distance = fitted(known[0] + draw.normal(size=(40, width)) * known.std(axis=0))
    head = linear(HeadInput(width, 3, np.zeros(width), np.ones(width)), normalization=False)
    out = tmp_path / "model"
    with folder.replacing(out) as temporary:
        network = saved_network.on_backbone(backbone, SIZE, [head])
        saved_network.save(network, temporary / folder.NETWORK, distance=(distance, 2.5))
        manifest = MANIFEST.model_copy(update={"image_size": SIZE, "format": 2})
        folder.complete(temporary, manifest, CLASSES, "")
    saved = folder.read(out)
    whole, alone = saved_network.load_whole(saved), saved_network.load(saved)
    assert len(whole.outputs) == 2
    assert alone.output_shape == (None, 3)
    for image, wanted in zip(pixels, distance.of(known) / 2.5, strict=True):
        said, found = whole(image[None])
        np.testing.assert_allclose(found.numpy()[0, 0], wanted, rtol=1e-3)
        np.testing.assert_array_equal(alone(image[None]).numpy(), said.numpy())
    classifier = Classifier.load(out)
    np.testing.assert_allclose(classifier.distances(pixels), distance.of(known) / 2.5, rtol=1e-3)
    assert classifier.predict_proba(pixels).shape == (len(pixels), 3)


@pytest.mark.slow
def test_a_model_of_before_says_nothing_of_foreign_images(model, pixels):
    classifier = Classifier.load(model)
    assert not classifier.knows_foreign
    with pytest.raises(UserError, match="can't tell foreign images"):
        classifier.distances(pixels)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_a_loss_beyond_any_probability_is_the_one_that_training_measures(
    frozen, heads, pixels, tmp_path, temperature
):
    """A head of wild weights is surely wrong by thousands of nats; the board says so, we too."""
    kernel, bias = heads[0].layers[-1].get_weights()
    wild = keras.models.clone_model(heads[0])
    wild.set_weights([*heads[0].get_weights()[:-2], 3000 * kernel, bias])
    saved_network.save(
        saved_network.on_backbone(COMPACT, SIZE, [wild]), tmp_path / "wild.keras", temperature
    )
    predictor = Predictor(saved_network.load_network(tmp_path / "wild.keras"), batch_size=2)
    found = list(predictor.predict(iter(pixels)))
    shares, logits = (
        np.concatenate([getattr(one, name) for one in found])
        for name in ("probabilities", "logits")
    )
    labels = logits.argmin(axis=1)
    features = np.concatenate(
        backbones.compile_calls(frozen, 16)(images.resize_all(pixels, SIZE)), axis=1
    )
    trained = cross_entropies(
        labels.astype(np.int32),
        keras.ops.convert_to_tensor(logits_of(wild, features) / temperature),
    )
    losses = measures.cross_entropies(labels, logits)
    assert losses.mean() > 500 and (shares[np.arange(len(labels)), labels] == 0).any()
    np.testing.assert_allclose(losses, trained, rtol=1e-4)
    measured = scoring.score(labels, shares, losses=losses).metrics["log_loss"]
    assert measured.value == pytest.approx(float(np.mean(trained)), rel=1e-4)
    np.testing.assert_allclose(keras.ops.softmax(logits), shares, atol=1e-6)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_it_needs_keras_alone_and_holds_no_code(model, pixels, expected, tmp_path):
    """A process that knows nothing of automl-cv loads it in safe mode."""
    np.save(tmp_path / "pixels.npy", pixels[1])
    code = (
        "import sys, numpy, keras\n"
        "model = keras.models.load_model(sys.argv[1], safe_mode=True)\n"
        "print(*model(numpy.load(sys.argv[2])[None]).numpy()[0])\n"
        "assert not any(name.startswith('automl_cv') for name in sys.modules)\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            code,
            str(model / "model.keras"),
            str(tmp_path / "pixels.npy"),
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    np.testing.assert_allclose(list(map(float, done.stdout.split())), expected[1], atol=1e-5)


@pytest.mark.slow
def test_a_predictor_keeps_order_and_gives_reasons(model, pixels, expected, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(7)]
    whole = [0, 2, 3, 4, 6]
    for number, image in zip(whole, pixels, strict=True):
        Image.fromarray(image).save(paths[number])
    paths[1].write_bytes(b"")
    predictor = Predictor(saved_network.load(folder.read(model)), batch_size=2)
    found = list(predictor.predict(paths))
    reasons = [reason for one in found for reason in one.reasons]
    assert [number for number, reason in enumerate(reasons) if reason is None] == whole
    assert reasons[1] == "empty file"
    assert reasons[5].startswith("can't be read")
    together = np.concatenate([one.probabilities for one in found])
    np.testing.assert_allclose(together, expected, atol=1e-6)


@pytest.mark.slow
def test_many_images_pass_through_the_engine_that_made_the_features(model, pixels, monkeypatch):
    monkeypatch.setattr(engines, "_has_gpu", lambda: False)
    least = 2 * 224**2 // SIZE**2
    network = saved_network.load(folder.read(model))

    def said(target: str, count: int) -> np.ndarray:
        entry = EngineEntry(name="other", about="", target=target, worthwhile=2)
        with ENGINES.temporary(entry):
            found = Predictor(network, batch_size=2, engine="other").predict(pixels, count)
            return np.concatenate([one.logits for one in found])

    few, many = said(NEAR, least - 1), said(NEAR, least)
    np.testing.assert_allclose(many, np.float32(1 + 2e-5) * few, rtol=1e-6)
    assert not np.array_equal(many, few)
    with pytest.warns(AutomlWarning, match="TensorFlow predicts in place of other: other gives"):
        np.testing.assert_array_equal(said(FAR, least), few)


@pytest.mark.slow
def test_a_predictor_holds_few_of_endless_images(model, pixels):
    asked = 0

    def endless():
        nonlocal asked
        while True:
            asked += 1
            yield pixels[0]

    results = Predictor(saved_network.load(folder.read(model)), batch_size=2).predict(endless())
    for _ in range(50):
        next(results)
    before = asked
    for _ in range(50):
        next(results)
    assert asked - before == 100, "as many as came out"
    results.close()


@pytest.fixture(scope="module")
def classifier(model) -> Classifier:
    return Classifier.load(model)


class TestClassifier:
    @pytest.mark.slow
    def test_it_takes_whatever_is_an_image(self, classifier, pixels, expected, tmp_path):
        path = tmp_path / "1.png"
        Image.fromarray(pixels[1]).save(path)
        for given in (path, str(path), pixels[1], Image.fromarray(pixels[1]), [path]):
            np.testing.assert_allclose(classifier.predict_proba(given), expected[1:2], atol=1e-6)
        mixed = [path, pixels[1], Image.fromarray(pixels[1]), str(path)]
        np.testing.assert_allclose(
            classifier.predict_proba(iter(mixed)), expected[[1, 1, 1, 1]], atol=1e-6
        )
        np.testing.assert_allclose(classifier.predict_proba(pixels), expected, atol=1e-6)

    def test_arrays_of_one_size(self, classifier, pixels, expected):
        stacked = np.stack([pixels[1]] * 40)
        found = classifier.predict(stacked)
        assert found.shape == (40,)
        assert set(found) == {CLASSES[expected[1].argmax()]}

    def test_no_images_give_no_rows(self, classifier):
        assert classifier.predict_proba([]).shape == (0, 3)
        assert classifier.predict([]).shape == (0,)

    def test_what_is_known_of_it(self, classifier):
        assert classifier.classes == CLASSES
        assert classifier.manifest.winner.trial == "coarse/4"

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ([np.zeros((4, 4, 3))], "image 0: .* got float64"),
            (np.zeros((2, 4, 4), np.uint8), r"image 0: .* shape \(4, 4\)|shape \(2, 4, 4\)"),
            ([np.zeros((4, 4, 4), np.uint8)], "image 0"),
            (["/absent.png"], "/absent.png: can't be read"),
            ([Image.new("F", (4, 4), 1e9)], "image 0: 32-bit"),
        ],
    )
    def test_what_is_no_image_is_said(self, classifier, given, message):
        with pytest.raises(UserError, match=message):
            classifier.predict(given)

    def test_ties_go_to_the_first_class_as_in_predict(self, classifier):
        rows = np.array([[0.25, 0.5, 0.25], [0.5, 0.5, 0.0]], np.float32)

        class Tied:
            def predict(self, sources, count):
                yield Predicted(tuple(None if path.stem else "" for path in sources), rows, rows)

        ranked = list(Classifier(classifier._saved, Tied()).rank(["x", "", "z"], 2))
        assert [one.labels for one in ranked] == [("dog", "cat"), (), ("cat", "dog")]
        assert [one.error for one in ranked] == [None, "", None]

    def test_it_is_public(self):
        import automl_cv

        assert automl_cv.Classifier is Classifier


class TestAStrangersModel:
    """Whole folders with true hashes, as a stranger would hand them out."""

    @pytest.fixture
    def stranger(self, model, tmp_path):
        out = tmp_path / "stranger"
        shutil.copytree(model, out)

        def with_network(network: keras.Model) -> Path:
            network.save(out / folder.NETWORK)
            files = {name: hash_of(out / name) for name in folder.HASHED}
            manifest = MANIFEST.model_copy(update={"files": files})
            (out / folder.MANIFEST).write_text(manifest.model_dump_json())
            return out

        return with_network

    def test_a_lambda_layer_is_never_run(self, stranger, tmp_path):
        made = tmp_path / "made"
        pixels = keras.Input((None, None, 3), dtype="uint8")
        path = str(made)
        evil = keras.layers.Lambda(
            lambda x: (open(path, "w").close(), x)[1], output_shape=(None, None, 3)
        )
        pooled = keras.layers.GlobalAveragePooling2D()(evil(pixels))
        network = keras.Model(pixels, keras.layers.Dense(3)(pooled))
        made.unlink(missing_ok=True)
        with pytest.raises(UserError, match="refused: it holds a Lambda layer") as refused:
            Classifier.load(stranger(network))
        assert len(str(refused.value).splitlines()) == 1
        assert not made.exists()
        # The check can fail: whoever switches safe mode off does run it.
        keras.models.load_model(tmp_path / "stranger" / "model.keras", safe_mode=False)(
            np.zeros((1, 2, 2, 3), np.uint8)
        )
        assert made.exists()

    def test_a_class_of_the_reader_is_not_found_by_name(self, stranger):
        @keras.saving.register_keras_serializable(package="mine")
        class Mine(keras.layers.Layer):
            def call(self, x):
                return x

        pixels = keras.Input((4,))
        with pytest.raises(UserError, match="it names 'mine>Mine'"):
            Classifier.load(stranger(keras.Model(pixels, Mine()(pixels))))

    def test_a_network_of_another_form_is_refused(self, stranger):
        pixels = keras.Input((4,))
        network = keras.Model(pixels, keras.layers.Dense(3)(pixels))
        with pytest.raises(UserError, match="a layer 'resized'"):
            Classifier.load(stranger(network))

    def test_weights_that_do_not_fit_are_told_in_one_line(self, model, tmp_path):
        out = tmp_path / "stranger"
        shutil.copytree(model, out)
        with zipfile.ZipFile(out / folder.NETWORK) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(out / folder.NETWORK, "w") as archive:
            for name, content in {**members, "model.weights.h5": b"no weights" * 100_000}.items():
                archive.writestr(name, content)
        files = {name: hash_of(out / name) for name in folder.HASHED}
        manifest = MANIFEST.model_copy(update={"files": files})
        (out / folder.MANIFEST).write_text(manifest.model_dump_json())
        with pytest.raises(UserError, match="can't be loaded: .*keras 3.15.1") as refused:
            Classifier.load(out)
        assert len(str(refused.value).splitlines()) == 1
