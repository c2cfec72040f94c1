"""A search is the same in every database, and reports read it there."""

import json
import threading

import pytest

from tests.store import servers

STUDY = """
extends = "optimizers"
name = "anywhere"
[[stage]]
name = "coarse"
trials = 6
epochs = 3
[[stage]]
name = "narrowed"
narrow_from = "coarse"
trials = 2
epochs = 3
[[stage]]
name = "finalists"
retrain = { stages = ["coarse", "narrowed"], top = 1, repeats = 2 }
"""


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # PyMySQL's
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_search_is_the_same_in_every_database(call, tmp_path, kind):
    (tmp_path / "anywhere.toml").write_text(STUDY, encoding="utf-8")
    search = ("search", "./anywhere.toml", "--workers", "2", "--storage")
    report = ("report", "anywhere", "--format", "csv", "--storage")
    call(*search, "sqlite:///one.db")
    with getattr(servers, kind)() as server:
        url = server.database()

        def restart() -> None:
            server.kill()
            server.begin()

        crash = threading.Timer(5, restart)
        crash.start()
        call(*search, url)
        crash.join()
        boards = [call(*report, address).stdout for address in ("sqlite:///one.db", url)]
        page = json.loads(call(*report[:2], "--format", "json", "--storage", url).stdout)
        refused = call(*report, url.replace("automl0", "absent"), check=False)
    rows = [[line.split(",") for line in board.splitlines()] for board in boards]
    kept = [n for n, name in enumerate(rows[0][0]) if not name.endswith("seconds")]
    untimed = [[[row[n] for n in kept] for row in board] for board in rows]
    assert untimed[0] == untimed[1]
    assert len(rows[0]) > 8
    assert page["facts"]["data_source"] == "digits"
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "absent" in refused.stderr
