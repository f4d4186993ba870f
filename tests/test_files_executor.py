"""Executors

Written by nbdev-export from the check cells of nbs/api/files/08_executor.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import os
import platform
import signal
import tempfile
import time
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from mtl_explain import __version__
from mtl_explain.files.executor import (
    _Here, _Packed, _check_versions, _dask_client, _do, _submitit_executor, chosen_executor, is_here,
    open_executor, run_units,
)


def tenfold(x):
    return 10 * x


def dies(i, folder, times):
    marks = Path(folder)
    if i == 5 and len(list(marks.iterdir())) < times:
        (marks / str(time.time_ns())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return i


def slow(i, folder):
    (Path(folder) / f"{i}-{os.getpid()}").touch()
    time.sleep(0.3)
    return os.getpid()


@contextmanager
def dask_cluster():
    "A scheduler and two workers, on any free port."
    import distributed

    options = dict(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50)
    with distributed.LocalCluster(**options) as cluster:
        yield cluster


def test_a_result_an_error_with_its_place_an_error_that_cannot_travel_another():
    "What a worker does."
    # a result, an error with its place, an error that cannot travel, another version
    class Odd(Exception):
        def __init__(self, a, b):
            super().__init__(f"{a} and {b}")


    def odd():
        raise Odd(1, 2)


    assert _do(__version__, _Packed(lambda x: x + 1), 2) == (3, None, "", "")
    _, error, where, how = _do(__version__, int, "x")
    assert isinstance(error, ValueError)
    assert where == f"process {os.getpid()} on {platform.node()}"
    assert "line" in how
    assert str(_do(__version__, odd)[1]) == "Odd: 1 and 2"
    error = _do("0.0.1", int, "1")[1]
    assert f"has mtl_explain {__version__}, you have 0.0.1: install the same version there" in str(
        error
    )


def test_the_block_around_what_is_given_and_processes_here():
    "Open one."
    with chosen_executor() as usual:
        assert is_here(usual)
        assert usual._max_workers == 1
    with ThreadPoolExecutor(2) as threads, open_executor(threads) as around:
        assert around is threads
        with chosen_executor() as found:
            assert found is threads
            assert not is_here(found)
        with chosen_executor(usual) as found:
            assert found is usual
    with open_executor(workers=3) as three:
        assert three._max_workers == 3


def test_what_is_no_executor_no_number_of_workers_no_scheduler_file():
    "Open one."
    for where, text in (("tpc://host", "cluster is 'tpc://host', expected"), (7, "cluster is '7'")):
        with pytest.raises(ValueError, match=text), open_executor(where):
            pass
    with pytest.raises(ValueError, match="workers is 2.5, expected a whole number"):
        open_executor(workers=2.5).__enter__()
    with pytest.raises(FileNotFoundError, match="nowhere.json: there is no such scheduler file"):
        open_executor("nowhere.json").__enter__()


def test_in_order_or_as_they_come_in_this_process_in_threads_of_somebody_in():
    "Units of work."
    # in order or as they come, in this process, in threads of somebody, in processes
    units = [(f"unit {i}", (i,)) for i in range(20)]
    expected = [(f"unit {i}", 10 * i) for i in range(20)]
    with ThreadPoolExecutor(4) as threads:
        for place in (dict(workers=1), dict(where=threads), dict(workers=2)):
            with open_executor(**place) as executor:
                found = run_units(tenfold, units, executor, ordered=True, progress=False)
                assert list(found) == expected
                found = run_units(tenfold, iter(units), executor, progress=False)
                assert sorted(found, key=lambda f: f[1]) == expected


def test_an_error_keeps_its_type_and_its_words_and_says_which_unit_and_where():
    "Units of work."
    for workers in (1, 2):
        with open_executor(workers=workers) as executor, pytest.raises(ValueError) as told:
            list(run_units(int, [("shard 7", ("x",))], executor, progress=False))
        assert str(told.value) == "invalid literal for int() with base 10: 'x'"
        assert told.value.__notes__[0].startswith("in shard 7" + (workers - 1) * ", process ")


def test_a_killed_process():
    "Units of work."
    # a killed process: survived once, named the next time
    with tempfile.TemporaryDirectory() as folder, open_executor(workers=2) as executor:
        units = [(f"unit {i}", (i, folder, 1)) for i in range(8)]
        done = list(run_units(dies, units, executor, ordered=True, progress=False))
        assert [result for _, result in done] == list(range(8))
    with (
        tempfile.TemporaryDirectory() as folder,
        open_executor(workers=2) as executor,
        pytest.raises(ChildProcessError, match="^unit 5: the process that did it was killed 2 times"),
    ):
        units = [(f"unit {i}", (i, folder, 9)) for i in range(8)]
        list(run_units(dies, units, executor, progress=False, tries=2))


def test_an_executor_that_drops_units_or_is_closed():
    "Units of work."
    # an executor that drops units, or is closed; a worker without the package, or with another one
    class Drops:
        left = 2

        def submit(self, function, *args):
            future = Future()
            if self.left:
                self.left -= 1
                future.cancel()
                future.set_running_or_notify_cancel()
            else:
                future.set_result(function(*args))
            return future


    def missing(*args):
        raise ModuleNotFoundError("No module named 'mtl_explain'", name="mtl_explain")


    class Without(_Here):
        def submit(self, function, *args):
            future = Future()
            future.set_exception(ModuleNotFoundError("No module", name="mtl_explain"))
            return future


    class Older(_Here):
        def submit(self, function, version, *args):
            return super().submit(function, "9.9", *args)


    one = [("fold 3", (1,))]
    assert list(run_units(tenfold, one, Drops(), progress=False)) == [("fold 3", 10)]
    always = Drops()
    always.left = 9
    with pytest.raises(ChildProcessError, match="^fold 3: the executor dropped it 3 times"):
        list(run_units(tenfold, one, always, progress=False))
    with pytest.raises(ImportError, match="^fold 3: a worker has no mtl_explain: install it there"):
        list(run_units(tenfold, one, Without(), progress=False))
    with pytest.raises(ImportError, match="has mtl_explain .*, you have 9.9: install the same"):
        list(run_units(tenfold, one, Older(), progress=False))
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        list(run_units(tenfold, one, closed, progress=False))


def test_a_pool_that_cannot_be_mended_ends_with_one_line():
    "Units of work."
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1) as pool,
        pytest.raises(BrokenExecutor),
    ):
        list(run_units(dies, [("unit 5", (5, folder, 9))], pool, progress=False))


def test_two_workers_of_dask_one_killed_in_the_middle_of_its_unit():
    "On a Dask cluster."
    # two workers of Dask, one killed in the middle of its unit: every unit is done
    with tempfile.TemporaryDirectory() as folder, dask_cluster() as cluster:
        units = [(f"unit {i}", (i, folder)) for i in range(8)]
        with open_executor(cluster.scheduler_address) as executor:
            found = run_units(slow, units, executor, progress=False)
            first = next(found)
            begun = {int(p.name.split("-")[1]) for p in Path(folder).iterdir()}
            os.kill(max(begun), signal.SIGKILL)
            done = dict([first, *found])
            assert sorted(done) == [name for name, _ in units]
            assert len(list(Path(folder).iterdir())) >= 8
            with pytest.raises(ValueError, match="^invalid literal") as told:
                list(run_units(int, [("shard 7", ("x",))], executor, progress=False))
            assert told.value.__notes__[0].startswith("in shard 7, process ")


def test_a_worker_without_the_package_or_with_another_version_of_it():
    "On a Dask cluster."
    for has, words in ((None, "has no mtl_explain, or an older one, you"), ("0.0.1", "has mtl_expl")):
        with pytest.raises(ImportError, match=f"^worker tcp://node7:40 {words}"):
            _check_versions({"worker tcp://node1:40": __version__, "worker tcp://node7:40": has})


def test_no_scheduler_at_the_address_is_one_line_soon():
    "On a Dask cluster."
    begin = time.monotonic()
    with (
        pytest.raises(ConnectionError, match="no Dask scheduler answers at tcp://127.0.0.1:9"),
        mock.patch(f"{_dask_client.__module__}._dask_client.__defaults__", (1,)),
    ):
        open_executor("tcp://127.0.0.1:9").__enter__()
    assert time.monotonic() - begin < 5


def test_jobs_results_in_order_and_an_error_that_names_its_unit():
    "Jobs."
    with tempfile.TemporaryDirectory() as folder:
        jobs = _submitit_executor("local", folder)
        with open_executor(jobs, workers=2) as executor:
            units = [(f"unit {i}", (-i,)) for i in range(3)]
            done = list(run_units(abs, units, executor, ordered=True, progress=False))
            assert [result for _, result in done] == [0, 1, 2]
            with pytest.raises(ValueError, match="^invalid literal") as told:
                list(run_units(int, [("shard 7", ("x",))], executor, progress=False))
            assert told.value.__notes__[0].startswith("in shard 7, process ")


def test_no_slurm_here_is_one_line():
    "Jobs."
    with (
        mock.patch.dict(os.environ, PATH=""),
        pytest.raises(OSError, match="no SLURM on this machine"),
    ):
        open_executor("slurm").__enter__()
