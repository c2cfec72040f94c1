from __future__ import annotations

from collections.abc import Iterator

import pytest

from automl_cv.solving.threads import one_thread


@pytest.fixture(autouse=True)
def references_have_one_thread_too() -> Iterator[None]:
    """Scikit-learn's products, spinning beside other tests, took 14 s where 0.2 s are needed."""
    with one_thread():
        yield
