"""A crew on a cluster: workers join, die and are lost with their machines, whatever it does."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from types import SimpleNamespace

import pytest

import automl_cv
from automl_cv.errors import AutomlError, AutomlWarning, UserError
from automl_cv.orders import cluster as cluster_module
from automl_cv.orders import crew as crew_module
from automl_cv.orders.cluster import connected, scheduler_address
from automl_cv.orders.messages import (
    Extract,
    Extracted,
    Extracting,
    Failed,
    Lacking,
    Look,
    PrepareFeatures,
    Survey,
)
from automl_cv.orders.post import Terms, refusal, software
from automl_cv.orders.spread import n_shares
from automl_cv.study.studyfile import Backbone
from tests.orders.scripted import DEATH, PREPARE, PREPARED, SURVEYED, ScriptedCluster, obedient

SMALL = PrepareFeatures(Backbone(image_size=16))
FIRST = [replace(PREPARE, extracts=False), PrepareFeatures(PREPARE.backbone)]
"""What comes of `PREPARE` on a cluster: all know the images, before features are extracted."""


def listen(crew: cluster_module.ClusterCrew, times: int = 5) -> list[object]:
    return [answer for _ in range(times) for _, answer in crew.answers(timeout=0.01)]


def test_one_that_joins_is_made_ready_while_others_are_there(tmp_path):
    dask = ScriptedCluster(["a"])
    with dask.crew(tmp_path, obedient) as crew:
        assert crew.prepare(PREPARE, print) == PREPARED
        crew.prepare(SMALL, print)
        dask.machines.append("b")
        assert listen(crew) == []
        assert [worker.address for worker in crew.workers] == ["a", "b"]
        assert crew.workers[1].lives == [[*FIRST, SMALL]]
        assert crew.ask(Survey()) == SURVEYED


def test_the_first_extracts_and_the_others_open_what_is_there(tmp_path):
    with ScriptedCluster(["a", "b", "c"]).crew(tmp_path, obedient) as crew:
        first, *others = crew.workers
        crew.prepare(PREPARE, print)
        assert crew.workers == [first], "the others are being made ready"
        listen(crew)
        assert {*crew.workers} == {first, *others}
        looked = Look(FIRST[1])
        assert first.lives == [[FIRST[0], looked, FIRST[1]]]
        assert all(worker.lives == [FIRST] for worker in others)


def test_each_share_is_extracted_once_and_that_of_a_lost_one_by_another(tmp_path):
    dask = ScriptedCluster(["a", "b"])
    given: list[tuple[str, Extract]] = []

    def script(worker, order):
        if isinstance(order, Look):
            yield Lacking(5000 if order.order == SMALL else 0)
        elif isinstance(order, Extract):
            given.append((worker.address, order))
            yield Extracting(50, 100, 1.0)
            if order.share == 3 and worker.address == "b":
                dask.machines.remove("b")
                worker.lose("gone")
                yield DEATH
            yield Extracted(100)
        else:
            yield PREPARED

    told: list[Extracting] = []
    with dask.crew(tmp_path, script) as crew:
        crew.prepare(PREPARE, print)
        listen(crew)
        made = crew.prepare(SMALL, told.append)
        assert [worker.address for worker in crew.workers] == ["a"]
    assert made.extracted == 1900
    assert (told[-1].done, told[-1].total) == (1850, 5000)
    whole = Extract(SMALL, 0, shares=19)
    lost = given.index(("b", replace(whole, share=3)))
    again = given.index(("a", replace(whole, share=3, is_begun=True)))
    assert lost < again
    others = [order for place, (_, order) in enumerate(given) if place != again]
    assert others == [replace(whole, share=share) for share in range(19)]
    assert {address for address, _ in given[:3]} == {"a", "b"}


def test_an_image_that_is_another_one_on_a_machine_ends_the_search_in_a_line(tmp_path):
    def script(worker, order):
        if isinstance(order, Look):
            yield Lacking(5000 if order.order == SMALL else 0)
        elif isinstance(order, Extract) and worker.address == "b":
            yield Failed("1.png: has changed since the data set was read", 1, "")
        else:
            yield Extracted(1) if isinstance(order, Extract) else PREPARED

    with ScriptedCluster(["a", "b"]).crew(tmp_path, script) as crew:
        crew.prepare(PREPARE, print)
        listen(crew)
        with pytest.raises(AutomlError, match="^b: 1.png: has changed"):
            crew.prepare(SMALL, lambda progress: None)


def test_into_how_many_shares_images_are_divided():
    assert [n_shares(images, 2) for images in (0, 31, 63, 64, 500, 5_000, 10**5, 10**7)] == [
        *(0, 1, 1, 2, 2, 19, 32, 2442)
    ]


def test_no_more_are_hired_than_are_wanted(tmp_path):
    dask = ScriptedCluster(["a", "b", "c"])
    with dask.crew(tmp_path, obedient, limit=2) as crew:
        assert len(crew.workers) == 2
        dask.machines.remove("a")
        listen(crew)
        assert [worker.address for worker in crew.workers] == ["b", "c"]


def test_a_lost_one_answers_so_and_is_a_worker_no_more(tmp_path):
    dask = ScriptedCluster(["a", "b"])
    with dask.crew(tmp_path, obedient) as crew:
        crew.prepare(PREPARE, print)
        listen(crew)
        dask.machines.remove("a")
        (answer,) = listen(crew)
        assert isinstance(answer, Failed) and answer.is_lost
        assert [worker.address for worker in crew.workers] == ["b"]


def test_what_a_lost_one_was_to_carry_out_another_one_does(tmp_path):
    dask = ScriptedCluster(["a", "b"])

    def script(worker, order):
        if worker.address == "a":
            dask.machines.remove("a")
            worker.lose("gone")
            yield DEATH
        yield from obedient(worker, order)

    with dask.crew(tmp_path, script) as crew:
        assert crew.prepare(PREPARE, print) == PREPARED
        assert [worker.address for worker in crew.workers] == ["b"]


def test_a_process_that_died_is_made_ready_again_where_it_was(tmp_path):
    def script(worker, order):
        if order == Survey() and len(worker.lives) == 1:
            yield DEATH
        yield from obedient(worker, order)

    with ScriptedCluster(["a"]).crew(tmp_path, script) as crew:
        crew.prepare(PREPARE, print)
        assert crew.ask(Survey()) == SURVEYED
        (worker,) = crew.workers
        assert worker.lives == [[FIRST[0], Look(FIRST[1]), FIRST[1], Survey()], [*FIRST, Survey()]]


@pytest.mark.parametrize("n_ready", [0, 1])
def test_processes_that_die_again_and_again_end_the_search(tmp_path, n_ready):
    def script(worker, order):
        if worker.number >= n_ready:
            yield DEATH
        yield from obedient(worker, order)

    with ScriptedCluster(["a", "b"]).crew(tmp_path, script) as crew:
        with pytest.raises(AutomlError, match="ended with exit code 1"):
            crew.prepare(PREPARE, print)
            listen(crew, 20)


def test_a_process_is_replaced_after_so_many_trials_while_others_train(tmp_path, monkeypatch):
    monkeypatch.setattr(crew_module, "TRIALS_BEFORE_REPLACEMENT", 1)
    monkeypatch.setattr(cluster_module, "TRIALS_BEFORE_REPLACEMENT", 1)
    with ScriptedCluster(["a"]).crew(tmp_path, obedient) as crew:
        crew.prepare(PREPARE, print)
        (worker,) = crew.workers
        crew.order(worker, Survey())
        worker.trained = 1
        assert len(listen(crew)) == 1
        assert worker.lives[0][-1] == Survey() and worker.lives[1:] == [FIRST]
        assert crew.workers == [worker]


def test_machines_that_can_not_be_used_are_told_and_left_out(tmp_path):
    refusals = {"b": "numpy is another one there", "c": ModuleNotFoundError("No module 'x'")}
    with pytest.raises(UserError, match="dask://h:1: the worker at b: numpy is another one there"):
        with ScriptedCluster(["b"], refusals).crew(tmp_path, obedient):
            pass
    dask = ScriptedCluster(["a"], refusals)
    with dask.crew(tmp_path, obedient) as crew:
        dask.machines += ["b", "c"]
        with pytest.warns(AutomlWarning, match="worker at [bc]") as told:
            listen(crew)
        assert [worker.address for worker in crew.workers] == ["a"]
        assert len(told) == 2 and "No module 'x'" in str(told[1].message)
    assert not [*tmp_path.iterdir()], "the mark of the shared folder is gone"


def test_a_cluster_without_workers_ends_the_search(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_module, "SECONDS_WITHOUT_WORKERS", 0.05)
    with pytest.raises(AutomlError, match="has had no worker for 0 seconds; start some"):
        with ScriptedCluster([]).crew(tmp_path, obedient):
            pass


def test_a_scheduler_that_is_gone_ends_the_search(tmp_path, monkeypatch):
    dask = ScriptedCluster(["a"])
    with dask.crew(tmp_path, obedient) as crew:
        monkeypatch.setattr(dask, "nthreads", _no_answer)
        with pytest.raises(AutomlError, match="the scheduler does not answer any more"):
            listen(crew)


def _no_answer() -> dict[str, int]:
    raise TimeoutError


def test_addresses():
    assert scheduler_address("dask://h:8786") == "tcp://h:8786"
    assert scheduler_address("tls://10.0.0.1:8786/") == "tls://10.0.0.1:8786"
    for wrong in ("h:8786", "dask://h", "ray://h:1", ""):
        with pytest.raises(UserError, match="expected dask://HOST:PORT"):
            scheduler_address(wrong)


def test_without_the_extra_the_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(cluster_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="distributed, which is not installed; .*cluster"):
        connected("dask://h:1", "tcp://h:1")


def test_a_machine_is_asked_for_software_and_folder(tmp_path):
    marker = tmp_path / "mark"
    own = software()
    assert own["automl-cv"].startswith(f"{automl_cv.__version__}, code ")
    assert "tmp" in refusal(Terms(own, marker)) and "--cache-dir" in refusal(Terms(own, marker))
    marker.touch()
    assert refusal(Terms(own, marker)) is None
    other = {**own, "numpy": "1.0"}
    assert refusal(Terms(other, marker)).startswith(f"numpy is another one there ({own['numpy']}")
    assert "here none" in refusal(Terms({**own, "numpy": None}, marker))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_process_on_a_dask_worker_is_spoken_to_dies_and_ends_with_the_crew(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: object, **more: object) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(*words, **more))
        return started[-1]

    plain = SimpleNamespace(Popen=start, DEVNULL=subprocess.DEVNULL)  # no fork of TensorFlow's
    monkeypatch.setattr(crew_module, "subprocess", plain)
    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            dashboard_address=":0",
            protocol="tcp",
        ) as dask,
        cluster_module.ClusterCrew(
            1,
            dask.scheduler_address.replace("tcp", "dask"),
            cache_dir=tmp_path,
            loads=lambda number: (),
        ) as crew,
    ):
        (worker,) = crew.workers
        worker.send(Survey())  # before anything was prepared: it fails, and lives on
        answer = worker.receive()
        assert isinstance(answer, Failed) and "AttributeError" in answer.reason
        assert not answer.is_lost and worker.n_lives == 1
        worker.kill()
        answer = worker.receive()
        assert answer.reason.startswith("the worker process was killed") and not answer.is_lost
        assert worker.n_lives == 2
        worker.send(Survey())
        assert "AttributeError" in worker.receive().reason
        crew.__exit__(None, None, None)
        assert [process.wait(30) for process in started] == [-9, -9]
