"""Optuna's own contract of a storage, kept by databases as we open them."""

import gc
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from optuna.storages import RDBStorage
from optuna.testing.pytest_storages import StorageTestCase

from automl_cv.store.database import open_storage
from tests.store import servers

pytestmark = [
    pytest.mark.slow(seconds=0.3),
    pytest.mark.exhaustive,
    # A test leaves the storage that it unpickled open.
    pytest.mark.filterwarnings("ignore:.*deleted while still open:ResourceWarning"),
]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request, tmp_path_factory) -> Iterator[RDBStorage]:
    with ExitStack() as begun:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('contract') / 'trials.db'}"
        else:
            url = begun.enter_context(servers.postgresql()).database()
        storage = open_storage(url, create=True)
        begun.callback(storage.engine.dispose)
        begun.callback(storage.remove_session)
        yield storage


@pytest.fixture
def storage(database, request):
    yield database
    for study in database.get_all_studies():
        database.delete_study(study._study_id)
    if "pickle" in request.node.name:
        gc.collect()  # ends the storage that it unpickled; it takes half a second


class TestContract(StorageTestCase):
    """Optuna's tests, which ask for `storage`."""
