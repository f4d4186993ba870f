"""Everything

Written by nbdev-export from the check cells of nbs/api/99_all.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import inspect
import subprocess
import sys
from types import SimpleNamespace

import mtl_explain.all


def test_name_has_the_comments_of_the_parameters():
    "Why."
    # `name?` has the comments of the parameters; of other packages' functions it is as ever
    as_written = mtl_explain.all._as_written
    learner = mtl_explain.all.multitask_learner
    head, told, place = (text for _, text in as_written(SimpleNamespace(obj=learner, detail_level=0)))
    assert "    bs: int = 64,  # samples a batch\n" in head
    assert told.startswith(learner.__doc__.split("\n")[0])
    assert place == "mtl_explain.training.learner"
    assert as_written(SimpleNamespace(obj=print, detail_level=0)) is None
    assert as_written(SimpleNamespace(obj=learner, detail_level=1)) is None


def test_nearly_200_names_each_with_a_docstring_or_data_and_no_single_common():
    "Why."
    # nearly 200 names, each with a docstring or data, and no single common word among the functions
    names = mtl_explain.all.__all__
    assert 120 <= len(names) <= 200
    brought = {n: getattr(mtl_explain.all, n) for n in names}
    assert not [n for n, v in brought.items() if callable(v) and not inspect.getdoc(v)]
    common = [n for n, v in brought.items() if inspect.isfunction(v) and "_" not in n]
    assert set(common) <= {
        "adapt",
        "comparison",
        "dataset",
        "describe",
        "durations",
        "experiments",
        "explain",
        "explore",
        "modalities",
        "narrower",
        "operations",
        "predictions",
        "promise",
    }


def test_what_is_slow_to_import_is_imported_where_it_is_used():
    "Why."
    program = "import sys, mtl_explain.all; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True)
    slow = "altair captum sympy timm torch._dynamo torchmetrics torchvision".split()
    assert ran.returncode == 0
    assert not set(ran.stdout.decode().split()) & set(slow)


def test_datasets_come_as_modules():
    "Why."
    assert callable(mtl_explain.all.globe.load)
