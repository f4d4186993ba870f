"""python -m mtl_explain

Written by nbdev-export from the check cells of nbs/api/91_main.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import os
import subprocess
import sys


def test_as_a_module_it_is_the_same_program():
    "Python -m mtl_explain."
    # as a module, it is the same program; its help shows how several processes are started
    asked = [sys.executable, "-m", "mtl_explain", "train", "--help"]
    plain = {k: v for k, v in os.environ.items() if "COLOR" not in k} | dict(COLUMNS="100", TERM="dumb")
    done = subprocess.run(asked, capture_output=True, text=True, env=plain)
    assert done.returncode == 0
    assert done.stdout.strip().startswith("Usage: mtl_explain train")
    assert "torchrun --nproc-per-node" in " ".join(done.stdout.split())
