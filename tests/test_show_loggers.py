"""Loggers

Written by nbdev-export from the check cells of nbs/api/show/08_loggers.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import sys
import tempfile
from pathlib import Path
from types import ModuleType
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mtl_explain.explain.correlation import error_correlation
from mtl_explain.explain.resampling import Resampling
from mtl_explain.setup import Setup
from mtl_explain.show.loggers import (
    ErrorCorrelations, MLflowCallback, mlflow_name, report_to_mlflow, report_to_tensorboard, report_to_wandb,
)
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.learner import multitask_learner


# a package that writes down how it is called, in the place of one that may not be installed
class Called(ModuleType):
    "Any function of it can be called; `calls` holds name, arguments and options of each call."

    def __init__(self, name, **known):
        super().__init__(name)
        self.calls = []
        self.__dict__.update(known)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **options: self.calls.append((name, args, options))


def installed(**modules):
    "The packages that are there for a while; None: one that is not."
    names = {name.replace("__", "."): module for name, module in modules.items()}
    return mock.patch.dict(sys.modules, names)


# a writer of TensorBoard that writes down what it is told
class Writer:
    def __init__(self):
        self.seen = []

    def __getattr__(self, name):
        return lambda *args, **options: self.seen.append((name, args))


@pytest.fixture(scope='module')
def samples_setup_and_trained():
    "A small world whose training takes a second."
    samples = toy_samples(96, size=8)
    setup = Setup(
        dict(optical=dict(type="unet", width=4, depth=1)), ("cover", "elevation", "climate", "warmth")
    )
    def trained(*cbs, epochs=2, **options):
        learn = multitask_learner(samples, setup, bs=16, device="cpu", cbs=list(cbs), **options)
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(epochs, 5e-3)
        return learn
    return samples, setup, trained


def test_the_metric_is_the_number_that_the_explanation_gives(samples_setup_and_trained):
    "Error correlations as metrics."
    # the metric is the number that the explanation gives; it comes along in the table
    samples, setup, trained = samples_setup_and_trained
    learn = trained(ErrorCorrelations())
    found = error_correlation(learn.trace, split="valid", resampling=Resampling(n=99))
    for task, basis in dict(elevation="pixel", climate="sample", warmth="sample").items():
        rows = found[(found.auxiliary == task) & (found.basis == basis)].sort_values("epoch")
        np.testing.assert_allclose(learn.table[f"r_cover_{task}"], rows.r, atol=1e-6)
    with learn.no_bar(), learn.no_logging():
        assert np.isnan(learn.validate()[-1])
        learn.fit(1, 1e-3)
    assert [n for n in learn.recorder.metric_names if n.startswith("r_")] == [
        "r_cover_elevation",
        "r_cover_climate",
        "r_cover_warmth",
    ]
    for options in (dict(trace=()), dict(trace=("test",))):
        with pytest.raises(ValueError, match="reads the trace of the split 'valid': make the learner"):
            trained(ErrorCorrelations(), **options)


def test_what_mlflow_gets(samples_setup_and_trained):
    "MLflow."
    # what MLflow gets: facts once, a row of numbers an epoch, over two fits
    samples, setup, trained = samples_setup_and_trained
    mlflow = Called("mlflow")
    with installed(mlflow=mlflow):
        learn = trained(MLflowCallback(), epochs=1)
        with learn.no_bar(), learn.no_logging():
            learn.fine_tune(1)
            learn.validate()
    facts = [args[0] for name, args, _ in mlflow.calls if name == "log_params"]
    assert len(facts) == 1
    assert facts[0]["targets"] == "cover, elevation, climate, warmth"
    rows = [(args[0], options["step"]) for name, args, options in mlflow.calls if name == "log_metrics"]
    assert [step for _, step in rows] == [0, 1, 2]
    for numbers, step in rows:
        assert numbers["cover_accuracy"] == pytest.approx(learn.table.cover_accuracy[step])
        assert numbers["train_loss"] == pytest.approx(learn.table.train_loss[step])
    assert mlflow_name("höhe (m)") == "h_he _m_"
    with (
        installed(mlflow=None),
        pytest.raises(ImportError, match="needs mlflow, which is not installed: pip install mlflow"),
    ):
        MLflowCallback()


def test_fastais_tensorboard_callback_gets_the_scores_of_each_task_and_the(samples_setup_and_trained):
    "TensorBoard and Weights & Biases."
    # fastai's TensorBoard callback gets the scores of each task and the correlations, by step
    samples, setup, trained = samples_setup_and_trained
    writer = Writer()
    board = Called("torch.utils.tensorboard", SummaryWriter=lambda log_dir=None: writer)
    with installed(tensorboard=Called("tensorboard"), torch__utils__tensorboard=board):
        from fastai.callback.tensorboard import TensorBoardCallback

        trained(ErrorCorrelations(), TensorBoardCallback(trace_model=False, log_preds=False))
        sys.modules.pop("fastai.callback.tensorboard")
    names = [args[0] for name, args in writer.seen if name == "add_scalar"]
    assert {"train_loss", "valid_loss", "cover_accuracy", "r_cover_warmth", "lr_0"} <= set(names)
    assert names.count("cover_accuracy") == 2


def test_fastais_callback_for_weights_biases_gets_them_as_well(samples_setup_and_trained):
    "TensorBoard and Weights & Biases."
    samples, setup, trained = samples_setup_and_trained
    wandb = Called("wandb", run=mock.Mock(step=0), config=mock.Mock())
    with installed(wandb=wandb):
        from fastai.callback.wandb import WandbCallback

        trained(ErrorCorrelations(), WandbCallback(log_preds=False))
        sys.modules.pop("fastai.callback.wandb")
    rows = [args[0] for name, args, _ in wandb.calls if name == "log" and args]
    of_epochs = [r for r in rows if "cover_accuracy" in r]
    assert len(of_epochs) == 2
    assert {"valid_loss", "warmth_mae", "r_cover_climate"} <= set(of_epochs[0])
    (settings,), _ = wandb.config.update.call_args
    assert settings["targets"] == "cover, elevation, climate, warmth"


def test_a_report_arrives_in_all_three_places(samples_setup_and_trained):
    "The report as an artifact."
    samples, setup, trained = samples_setup_and_trained
    writer = Writer()
    learn = multitask_learner(samples, setup, bs=16, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"  # with the parts that `write_report` gives it
        for part in ("figures", "tables"):
            (page.parent / part).mkdir()
        plt.imsave(page.parent / "figures" / "skill.png", np.zeros((4, 6, 3)))
        learn.scores("valid").to_csv(page.parent / "tables" / "scores.csv")
        mlflow = Called("mlflow")
        artifact = mock.Mock()
        wandb = Called("wandb", run=mock.Mock(), Artifact=mock.Mock(return_value=artifact))
        board = Called("torch.utils.tensorboard", SummaryWriter=lambda log_dir=None: writer)
        with installed(
            mlflow=mlflow,
            wandb=wandb,
            tensorboard=Called("tensorboard"),
            torch__utils__tensorboard=board,
        ):
            report_to_mlflow(page)
            assert report_to_wandb(page) is artifact
            report_to_tensorboard(page)
    assert mlflow.calls == [("log_artifacts", (str(page.parent), "report"), {})]
    artifact.add_dir.assert_called_once_with(str(page.parent))
    wandb.run.log_artifact.assert_called_once_with(artifact)
    pictures = [args[0] for name, args in writer.seen if name == "add_image"]
    assert pictures == ["report/skill"]
    assert "| cover " in next(args[1] for name, args in writer.seen if name == "add_text")
    wandb.run = None
    with installed(wandb=wandb), pytest.raises(ValueError, match="no open run: call `wandb.init"):
        report_to_wandb(page)
    for module, send in dict(wandb=report_to_wandb, tensorboard=report_to_tensorboard).items():
        with installed(**{module: None}), pytest.raises(ImportError, match=f"pip install {module}"):
            send(page)
