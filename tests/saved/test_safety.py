"""Networks that could run code are refused before anything loads them."""

from __future__ import annotations

import pickle

import pytest

from automl_cv.errors import UserError
from automl_cv.saved.safety import check_network
from tests.saved.saved import write_network


def layer(class_name, module="keras.layers", registered_name=None, **config):
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": registered_name,
    }


def test_keras_own_layers_pass(tmp_path):
    flip = layer("Flip", "keras.src.ops.numpy", "Flip")
    check_network(write_network(tmp_path / "good.keras", layer("Conv2D"), flip))


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (layer("Lambda", function={"class_name": "__lambda__"}), "Lambda"),
        (layer("Dense", kernel_initializer={"class_name": "__lambda__"}), "__lambda__"),
        (layer("TorchModuleWrapper"), "TorchModuleWrapper"),
        (layer("StringLookup", vocabulary="/etc/passwd"), "StringLookup"),
        (layer("Mine", "mypackage.layers"), "mypackage.layers.Mine"),
        (layer("Mine", None, "mypackage>Mine"), "mypackage>Mine"),
        (layer("Dense", registered_name="mypackage>Dense"), "mypackage>Dense"),
        (layer("function", "os"), "os.function"),
        (layer("enable_unsafe_deserialization", "keras.config"), "keras.config"),
        (layer("load_model", "keras.models"), "keras.models.load_model"),
        (layer("get_file", "keras.utils"), "keras.utils.get_file"),
        (layer("Layer", "keras_hub.layers"), "keras_hub"),
        (layer("Layer", "keras.layers\n"), "keras.layers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_code_is_refused_in_one_line_however_deep_it_hides(bad, named, tmp_path):
    nested = layer("Functional", "keras.src.models.functional", "Functional", layers=[[bad]])
    with pytest.raises(UserError, match="refused") as refused:
        check_network(write_network(tmp_path / "bad.keras", nested))
    assert named in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("extra", ["assets/vocabulary.txt", "../../evil.py", "model.weights.h5"])
@pytest.mark.filterwarnings("ignore:Duplicate name")  # zipfile's, of the third
def test_other_members_of_the_file_are_refused(extra, tmp_path):
    with pytest.raises(UserError, match="refused"):
        check_network(write_network(tmp_path / "bad.keras", extra=extra))


@pytest.mark.parametrize("content", [pickle.dumps({}), b"\x89HDF\r\n\x1a\n", b"", b"PK\x05\x06"])
def test_pickles_and_h5_are_not_networks(content, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"pickles and \.h5 files .* never loaded"):
        check_network(path)


@pytest.mark.parametrize("name", [["Dense"], {"a": 1}, None, 3])
def test_a_class_whose_name_is_no_text_is_refused(tmp_path, name):
    path = write_network(tmp_path / "x.keras", {"class_name": name, "module": "keras.layers"})
    with pytest.raises(UserError, match="refused: a class's name is .*, expected a text"):
        check_network(path)
