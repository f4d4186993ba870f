"""Change metrics

Written by nbdev-export from the check cells of nbs/api/change/02_metrics.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from sklearn import metrics as sk
from torchmetrics import MeanAbsoluteError, MeanSquaredError, PearsonCorrCoef
from torchmetrics.classification import MulticlassJaccardIndex

from mtl_explain.change.metrics import (
    HeightScores, SemanticScores, change_scores, changed_part, deviations, miou_statistic, rmse_statistic,
    tile_correlation, tile_sums,
)
from mtl_explain.data.samples import modality_array
from mtl_explain.explain.resampling import difference, jackknife
from mtl_explain.explain.verdict import claim, judge
from mtl_explain.setup import Setup
from mtl_explain.training.learner import multitask_learner


# some tiles, by definition and as released
def scored(pred, true, semantic):
    both = {r: HeightScores(as_released=r) for r in (False, True)}
    for s in both.values():
        s.update(*(torch.tensor(v) for v in (pred, true, semantic)))
    return both[False].table(), both[True].table()


@pytest.fixture(scope='module')
def six():
    "Six pixels, in two tiles, one of them unlabelled."
    scores = SemanticScores()
    scores.update(torch.tensor([[0, 1, 1]]), torch.tensor([[0, 1, 0]]))
    scores.update(torch.tensor([[0, 2, 0, 2]]), torch.tensor([[1, 2, 0, -1]]))
    return {k: v.item() for k, v in scores.compute().items()}


@pytest.fixture(scope='module')
def make_tiles_and_tiles():
    "Thirty tiles."
    def make_tiles(n=30, size=12, seed=0, unknown=0.05):
        rng = np.random.default_rng(seed)
        classes = rng.choice(3, (n, size, size), p=[0.7, 0.1, 0.2])
        every_other = (np.arange(n) % 2 == 0)[:, None, None]
        semantic = classes * every_other
        noise = np.where(rng.random(semantic.shape) < 0.1, rng.normal(0, 2, semantic.shape), 0)
        change = np.array([0, -1, 1])[semantic] * rng.gamma(3, 3, semantic.shape)
        height = np.where(semantic == 0, noise, change)
        height[1] = 0
        pred = height * 0.7 + rng.normal(0, 0.8, height.shape)
        height[rng.random(height.shape) < unknown] = np.nan
        return pred, height, semantic
    tiles = make_tiles()
    return make_tiles, tiles


@pytest.fixture(scope='module')
def untrained_trained_and_world(make_tiles_and_tiles):
    "A network and its tiles."
    make_tiles, tiles = make_tiles_and_tiles
    def change_world():
        pred, height, semantic = make_tiles(unknown=0.02)
        classes = ["unchanged", "demolished", "newly built"]
        arrays = [
            modality_array("image", pred[:, None].astype("float32"), "image"),
            modality_array("height_change", height[:, None].astype("float32"), "image", units="m"),
            modality_array("semantic_change", semantic.astype("int8"), "mask", classes=classes),
        ]
        split = ["train"] * 20 + ["valid"] * 4 + ["test"] * 6
        samples = xr.Dataset({a.name: a for a in arrays})
        return samples.assign_coords(sample=np.arange(30), split=("sample", split))
    def untrained(*targets):
        losses = {t: dict(class_weights=[0.05, 0.95, 0.95]) for t in targets if t == "semantic_change"}
        tasks = {t: dict(loss=losses.get(t, {})) for t in targets}
        setup = Setup(dict(image=dict(width=8)), tasks)
        return multitask_learner(change_world(), setup, bs=4, lr=0.01, trace=(), device="cpu")
    def trained(*targets):
        learner = untrained(*targets)
        with learner.no_bar(), learner.no_logging():
            learner.fit(6)
        return learner
    world = change_world()
    return untrained, trained, world


def test_six_pixels_by_hand(six):
    "Classes."
    assert six["iou demolished"] == pytest.approx(1 / 3)
    assert six["iou newly built"] == 1
    assert six["iou unchanged"] == 0.5
    assert six["miou"] == pytest.approx(2 / 3)
    assert six["f1"] == pytest.approx(3 / 4)
    assert six["counted"] == 2


def test_precision_and_recall_by_hand_the_names_of_the_scores_and_four_classes(six):
    "Classes."
    assert six["precision demolished"] == six["recall demolished"] == 0.5
    assert six["recall unchanged"] == six["precision unchanged"] == 2 / 3
    parts = ("iou", "precision", "recall")
    names = [f"{p} {c}" for p in parts for c in ("unchanged", "demolished", "newly built")]
    assert list(six) == ["miou", "f1", *names, "counted"]
    four = SemanticScores(("none", "a", "b", "c"))
    four.update(torch.tensor([0, 1, 2, 3, 3]), torch.tensor([0, 1, 3, 3, 3]))
    of_four = four.compute()
    assert of_four["miou"].item() == pytest.approx((1 + 0 + 2 / 3) / 3)
    assert of_four["counted"] == 3
    assert of_four["recall c"] == pytest.approx(2 / 3) and of_four["precision b"] == 0
    assert of_four["recall b"].isnan()


def test_classes_against_scikit_learn_and_torchmetrics_in_eight_updates():
    "Classes."
    rng = np.random.default_rng(0)
    true = rng.choice(3, (8, 40, 40), p=[0.9, 0.04, 0.06])
    pred = np.where(rng.random(true.shape) < 0.3, rng.integers(0, 3, true.shape), true)
    scores = SemanticScores()
    other = MulticlassJaccardIndex(3, average=None)
    for p, t in zip(pred, true, strict=True):
        scores.update(torch.tensor(p), torch.tensor(t))
        other.update(torch.tensor(p), torch.tensor(t))
    found = scores.compute()
    flat = (true.ravel(), pred.ravel())
    changed = dict(labels=[1, 2], average="macro")
    assert found["miou"].item() == pytest.approx(sk.jaccard_score(*flat, **changed))
    assert found["f1"].item() == pytest.approx(sk.f1_score(*flat, **changed))
    iou, precision, recall = (
        [found[f"{name} {c}"] for c in scores.classes] for name in ("iou", "precision", "recall")
    )
    np.testing.assert_allclose(iou, other.compute(), rtol=1e-6)
    np.testing.assert_allclose(precision, sk.precision_score(*flat, average=None))
    np.testing.assert_allclose(recall, sk.recall_score(*flat, average=None))


def test_table_3_of_paper_b():
    "Classes."
    # table 3 of paper B: demolished, newly built, mIoU, F1 in per cent
    table3 = np.array(
        [
            (27.77, 29.18, 28.48, 44.33),
            (25.47, 26.07, 25.77, 40.98),
            (47.17, 36.67, 41.92, 58.88),
            (37.41, 30.61, 34.00, 50.65),
            (37.44, 29.97, 33.71, 50.31),
            (43.76, 39.10, 41.43, 58.55),
            (27.60, 28.34, 27.97, 43.72),
            (20.77, 22.97, 21.87, 35.87),
            (38.89, 41.45, 40.17, 57.31),
            (35.63, 30.46, 33.04, 49.62),
            (34.40, 27.04, 30.72, 46.88),
            (44.29, 40.90, 42.59, 59.72),
        ]
    )
    iou = table3[:, :2] / 100
    assert np.abs(100 * iou.mean(1) - table3[:, 2]).max() < 0.015
    assert np.abs(100 * (2 * iou / (1 + iou)).mean(1) - table3[:, 3]).max() < 0.015


def test_a_class_that_does_not_occur():
    "Classes."
    only = {r: SemanticScores(as_released=r) for r in (False, True)}
    for s in only.values():
        s.update(torch.tensor([0, 1, 1, 0]), torch.tensor([0, 1, 0, 0]))
    found = only[False].compute()
    released = only[True].compute()
    assert found["miou"].item() == 0.5
    assert found["counted"] == 1
    assert found["iou newly built"].isnan()
    assert released["miou"].isnan()
    assert (found["precision demolished"], found["recall demolished"]) == (0.5, 1)
    assert (released["precision demolished"], released["recall demolished"]) == (1, 0.5)


def test_four_pixels_by_hand_and_a_constant():
    "Heights."
    pred, true = torch.tensor([[[1.0, 3, 8, 9]], [[1.0, 1, 4, 0]]]).double()
    found = tile_sums(pred, true, torch.tensor([[True, True, True, False]]))
    sums = {k: v.item() for k, v in found.items()}
    assert sums == dict(n=3, se=20, ae=6, tt=6, pp=26, tp=3 + 1 + 8)
    g = torch.Generator().manual_seed(0)
    plain = torch.full((1, 1000), 900.1, dtype=torch.float64)
    assert not deviations(plain, torch.rand(1, 1000, generator=g) < 0.5).any()
    rough = plain + 0.01 * torch.randn(1, 1000, generator=g, dtype=torch.float64)
    squares = deviations(rough, rough > 0).square().sum()
    np.testing.assert_allclose(squares, 1000 * rough.numpy().var(), rtol=1e-9)


def test_two_tiles_by_hand():
    "As released."
    scores = HeightScores()
    scores.update(
        torch.tensor([[5.0, -1, 0, 2]]),
        torch.tensor([[4.0, -2, 0, 0]]),
        torch.tensor([[2, 1, 0, 0]]),
    )
    scores.update(
        torch.tensor([[0.0, 0, 0, 2]]),
        torch.zeros(1, 4),
        torch.zeros(1, 4, dtype=torch.long),
    )
    found = scores.table()
    assert found.value.drop("zncc").to_dict() == pytest.approx(
        dict(rmse=np.sqrt(10 / 8), mae=6 / 8, crmse=1, crel=0.375, czncc=1)
    )
    assert found.value.zncc == pytest.approx(np.corrcoef([4, -2, 0, 0], [5, -1, 0, 2])[0, 1])
    assert found.counted.to_dict() == dict(rmse=2, mae=2, crmse=1, crel=1, zncc=1, czncc=1)
    assert {k: v.item() for k, v in scores.compute().items()} == pytest.approx(found.value.to_dict())


def test_which_tiles_are_counted():
    "As released."
    # which tiles are counted: some know nothing, some change by less than there is to divide by
    scores = HeightScores()
    nan = torch.nan
    scores.update(
        torch.tensor([[1.0, 2, 3], [1.0, 2, 3], [0.002, 0, 0], [2.0, 0, 0]], dtype=torch.float64),
        torch.tensor([[nan, nan, nan], [2.0, 2, 2], [5e-4, 0, 0], [1e-3, 0, 0]], dtype=torch.float64),
        torch.tensor([[2, 1, 0], [0, 0, 0], [2, 0, 0], [2, 0, 0]]),
    )
    found = scores.table()
    assert found["counted"].to_dict() == dict(rmse=3, mae=3, crmse=2, crel=1, zncc=2, czncc=0)
    assert found.value.mae == pytest.approx((1 + 0 + 1 + 0.0015 + 1.999) / 9)
    assert found.value.crel == pytest.approx(1999)
    assert found.value.crmse == pytest.approx(np.sqrt((0.0015**2 + 1.999**2) / 2))
    assert found.value.zncc == pytest.approx(1)
    coarse = HeightScores(tolerance=0.5)
    coarse.update(
        torch.tensor([[1.0, 3, 1]]), torch.tensor([[0.4, 0.5, -2]]), torch.tensor([[2, 2, 1]])
    )
    assert coarse.table().value.crel == pytest.approx((2.5 / 0.5 + 3 / 2) / 2)
    assert HeightScores().tolerance == 1e-3


def test_heights_against_scikit_learn_torchmetrics_and_numpy(make_tiles_and_tiles):
    "Against others."
    make_tiles, tiles = make_tiles_and_tiles
    pred, height, semantic = tiles
    scores = HeightScores()
    known = ~np.isnan(height)
    changed = (semantic > 0) & ~np.isnan(height)
    for part in np.array_split(np.arange(30), 7):
        scores.update(*(torch.tensor(v[part]) for v in tiles))
    found = scores.table().value
    assert found.rmse == pytest.approx(sk.root_mean_squared_error(height[known], pred[known]))
    assert found.mae == pytest.approx(sk.mean_absolute_error(height[known], pred[known]))
    crmse = MeanSquaredError(squared=False)
    crmse.update(torch.tensor(pred[changed]), torch.tensor(height[changed]))
    assert found.crmse == pytest.approx(crmse.compute().item(), rel=1e-5)
    mae = MeanAbsoluteError()
    mae.update(torch.tensor(pred[known]), torch.tensor(height[known]))
    assert found.mae == pytest.approx(mae.compute().item(), rel=1e-5)
    crel = sk.mean_absolute_percentage_error(height[changed], pred[changed])
    assert found.crel == pytest.approx(crel)


    def pearson(i, where):
        m = PearsonCorrCoef()
        m.update(torch.tensor(pred[i][where[i]]), torch.tensor(height[i][where[i]]))
        return m.compute().item()


    zncc = np.mean([pearson(i, known) for i in range(30) if i != 1])
    assert found.zncc == pytest.approx(zncc, rel=1e-5)
    czncc = np.mean([pearson(i, changed) for i in range(0, 30, 2)])
    assert found.czncc == pytest.approx(czncc, rel=1e-5)
    assert scores.table().counted.to_dict() == dict(
        rmse=30, mae=30, crmse=15, crel=15, zncc=29, czncc=15
    )


def test_as_released_against_masked_arrays(make_tiles_and_tiles):
    "Against others."
    make_tiles, tiles = make_tiles_and_tiles
    assert np.count_nonzero(np.ma.masked_array([1, 2, 3, 0], mask=[0, 1, 1, 1])) == 3
    pred, height, semantic = make_tiles(unknown=0)
    height[3::2] = 0  # elsewhere than in changed tiles, the released code has no answer for cRel
    scores = HeightScores(as_released=True)
    scores.update(*(torch.tensor(v) for v in (pred, height, semantic)))
    squared = []
    rel = []
    zncc = []
    for p, t, c in zip(pred, height, semantic, strict=True):
        away = (c == 0) | (np.abs(t) < 1e-3)
        q = np.ma.masked_array(p, mask=away)
        u = np.ma.masked_array(t, mask=away)
        product = (p - p.mean()) * (t - t.mean())
        squared.append(((q - u) ** 2).sum() / np.count_nonzero(u) if c.any() else 0.0)
        rel.append(np.abs((q - u) / (u + 1e-10)).mean() if t.sum() else 0.0)
        zncc.append(np.mean(product / (p.std() * t.std())) if t.sum() else 0.0)
    n = np.count_nonzero(zncc)
    assert scores.table().value.to_dict() == pytest.approx(
        dict(
            rmse=np.sqrt(((pred - height) ** 2).mean()),
            mae=np.abs(pred - height).mean(),
            crmse=np.sqrt(sum(squared) / n),
            crel=sum(rel) / n,
            czncc=sum(zncc) / n,
        )
    )
    assert scores.table().counted.to_dict() == dict(rmse=30, mae=30, crmse=15, crel=15, czncc=15)


def test_the_rows_that_both_read_by_hand():
    "Against others."
    scores = HeightScores()
    scores.update(
        torch.tensor([[5.0, -1, 0, 2]]),
        torch.tensor([[4.0, -2, 0, 1e-4]]),
        torch.tensor([[2, 1, 1, 0]]),
    )
    row = scores.tiles().iloc[0]
    assert (row.n, row.changed, row.nonzero, row.r_n, row.c_n) == (4, 3, 3, 2, 3)
    assert row.total == pytest.approx(2.0001) and row.r_se == 2 and row.c_se == 2
    assert row.r_rel == pytest.approx(1 / 4 + 1 / 2)
    assert (row.ae, row.se) == pytest.approx((2 + 1.9999, 2 + 1.9999**2))
    assert changed_part(scores.tiles()).columns.tolist() == ["n", "se", "ae", "tt", "pp", "tp"]
    some = pd.DataFrame(dict(tt=[2.0, 2, 0, 0, 1], pp=[8.0, 0, 3, 0, 1], tp=[-4.0, 0, 0, 0, 0.5]))
    np.testing.assert_array_equal(tile_correlation(some), [-1, 0, np.nan, np.nan, 0.5])


def test_a_true_crmse_of_one_metre_as_released_half_a_metre():
    "Against others."
    true = [[5.0, -3, 1, 1, 1, 1, 1, 1]]
    ours, released = scored([[6.0, -2, 1, 1, 1, 1, 1, 1]], true, [[2, 1, 0, 0, 0, 0, 0, 0]])
    assert ours.value.crmse == 1
    assert released.value.crmse == 0.5


def test_the_other_quirks_one_by_one():
    "Against others."
    # the other quirks, one by one
    # rise and fall cancel: no changed tile is left
    ours, released = scored([[4.0, -4, 0, 0]], [[3.0, -3, 0, 0]], [[2, 1, 0, 0]])
    assert ours.value.crmse == 1
    assert ours.counted.crmse == 1
    assert released.counted.crmse == 0
    assert np.isinf(released.value.crmse)
    # both tiles have squared errors of 1, only one is counted: sqrt(1 + 1)
    pred = [[4.0, -4, 0, 0], [4.0, 0, 0, 1]]
    true = [[3.0, -3, 0, 0], [3.0, 0, 0, 0]]
    ours, released = scored(pred, true, [[2, 1, 0, 0], [2, 0, 0, 0]])
    assert ours.value.crmse == 1
    assert released.value.crmse == pytest.approx(np.sqrt(2))
    assert released.counted.crmse == 1
    # a constant prediction
    ours, released = scored([[1.0, 1, 1, 1]], [[3.0, 0, 0, 0]], [[2, 0, 0, 0]])
    assert ours.value.zncc == 0
    assert ours.counted.zncc == 1
    assert released.counted.czncc == 0
    # one wrong pixel, three right ones
    pred = [[2.0, 0, 0, 0], [2.0, 2, 2, 0]]
    true = [[1.0, 0, 0, 0], [2.0, 2, 2, 0]]
    ours, released = scored(pred, true, [[2, 0, 0, 0], [2, 2, 2, 0]])
    assert ours.value.crel == 0.25
    assert released.value.crel == 0.5
    # right over the tile, wrong where it changed
    ours, released = scored([[9.0, 10, 0, 0]], [[10.0, 9, 0, 0]], [[2, 2, 0, 0]])
    assert ours.value.czncc == pytest.approx(-1)
    assert released.value.czncc > 0.98


def test_nothing_to_score_no_change_at_all_unknown_classes_batches_or_single(make_tiles_and_tiles):
    "Against others."
    # nothing to score, no change at all, unknown classes, batches or single tiles
    make_tiles, tiles = make_tiles_and_tiles
    with pytest.raises(ValueError, match="no tile was scored yet"):
        HeightScores().table()
    ours, _ = scored(np.ones((2, 1, 2, 2)), np.zeros((2, 1, 2, 2)), np.zeros((2, 2, 2), int))
    assert ours.value[["crmse", "crel", "zncc", "czncc"]].isna().all()
    assert not ours.counted[["crmse", "crel", "zncc", "czncc"]].any()
    assert ours.value.rmse == 1
    ours, _ = scored([[1.0, 5]], [[0.0, 0]], [[-1, 2]])
    assert ours.value.crmse == 5
    assert np.isnan(ours.value.crel)
    assert ours.counted.crel == 0
    _, released = scored([[1.0, 1, 0]], [[2.0, 0, 0]], [[0, 0, 0]])
    assert np.isnan(released.value.crel)
    with pytest.raises(ValueError, match="have 4, 4 and 5 pixels a tile"):
        scored([[0.0] * 4], [[0.0] * 4], [[0] * 5])
    pred, height, semantic = (torch.tensor(v) for v in tiles)
    one = HeightScores()
    many = HeightScores()
    many.update(pred, height, semantic)
    for i in range(30):
        one.update(pred[i : i + 1], height[i : i + 1], semantic[i : i + 1])
    pd.testing.assert_frame_equal(one.tiles(), many.tiles())
    one.reset()
    with pytest.raises(ValueError, match="no tile"):
        one.table()


def test_scores_of_a_network_in_steps_of_four_tiles_against_all_at_once(untrained_trained_and_world):
    "A trained network."
    untrained, trained, world = untrained_trained_and_world
    learner = trained("semantic_change", "height_change")
    table = change_scores(learner, world)
    found = learner.predict(world)
    value = table.set_index(["task", "metric"]).value
    true = world.semantic_change.values.ravel()
    pred = found.semantic_change.values.ravel()
    miou = sk.jaccard_score(true, pred, labels=[1, 2], average="macro")
    assert value["semantic_change", "miou"] == pytest.approx(miou)
    assert value["semantic_change", "miou"] > 0.1
    error = (found.height_change - world.height_change.values).values[:, 0]
    crmse = np.sqrt(np.nanmean(error[world.semantic_change.values > 0] ** 2))
    assert value["height_change", "crmse"] == pytest.approx(crmse, rel=1e-6)
    assert value["height_change", "rmse"] == pytest.approx(np.sqrt(np.nanmean(error**2)), rel=1e-6)
    assert value["height_change", "mae"] == pytest.approx(np.nanmean(np.abs(error)), rel=1e-6)
    in_metres = table[table.units == "m"]
    assert set(zip(in_metres.task, in_metres.metric, strict=True)) == {
        ("height_change", name) for name in ("rmse", "mae", "crmse")
    }
    assert set(table.units) == {"m", ""}
    classes = table[table.metric.str.contains(" ")].set_index("metric").counted
    assert (classes == 1).all()
    assert table.set_index("metric").counted[["miou", "f1"]].tolist() == [2, 2]
    assert set(change_scores(learner, world, as_released=True).metric) == set(table.metric) - {"zncc"}
    alone = change_scores(trained("height_change"), world)
    assert set(alone.task) == {"height_change"}
    assert alone.set_index("metric").counted.crmse == 15
    other = world.rename(semantic_change="a", height_change="b")
    with pytest.raises(
        ValueError, match="predicts neither 'a' nor 'b', but semantic_change, height_change"
    ):
        change_scores(learner, other, "a", "b")
    turned = world.assign(semantic_change=2 - world.semantic_change)
    turned.semantic_change.attrs = world.semantic_change.attrs | dict(
        classes=world.semantic_change.attrs["classes"][::-1]
    )
    assert change_scores(learner, turned).equals(table)  # the same truth, classes in another order
    table.round(3)


def test_a_class_that_nobody_knows_is_not_counted(untrained_trained_and_world):
    "A trained network."
    # a class that nobody knows is not counted; other names, other numbers of tiles at once
    untrained, trained, world = untrained_trained_and_world
    without = world.assign(
        semantic_change=world["semantic_change"].where(world["semantic_change"] != 1, 0)
    )
    without["semantic_change"].attrs = world["semantic_change"].attrs
    small = untrained("semantic_change")
    with torch.no_grad():
        for p in small.model.heads["semantic_change"].parameters():
            p.zero_()  # everything is unchanged
    table = change_scores(small, without).set_index("metric")
    assert np.isnan(table.value["iou demolished"]) and table.counted["iou demolished"] == 0
    assert table.value["iou newly built"] == 0 and table.counted["iou newly built"] == 1
    assert table.counted["miou"] == 1
    assert set(table["task"]) == {"semantic_change"} and set(table["units"]) == {""}
    pd.testing.assert_frame_equal(change_scores(small, without, bs=30).set_index("metric"), table)


def test_the_values_are_those_of_the_scores(make_tiles_and_tiles):
    "Scores with an interval."
    # the values are those of the scores; the error is that of leaving out each neighbourhood by hand
    make_tiles, tiles = make_tiles_and_tiles
    pred_height, true_height, true_class = make_tiles(unknown=0.02)
    pred_class = np.where(np.abs(pred_height) > 2, np.where(pred_height > 0, 2, 1), 0)
    codes = np.arange(30) // 3


    def scored(keep):
        "mIoU and RMSE of some tiles, by the metrics of this page."
        of_classes = SemanticScores()
        of_heights = HeightScores()
        classes = torch.tensor(true_class[keep])
        of_classes.update(torch.tensor(pred_class[keep]), classes)
        heights = torch.tensor(pred_height[keep]), torch.tensor(true_height[keep])
        of_heights.update(*heights, classes)
        return np.array([of_classes.compute()["miou"], of_heights.compute()["rmse"]])


    whole = scored(codes >= 0)
    left_out = np.array([scored(codes != c) for c in range(10)])
    by_hand = np.sqrt(0.9 * ((left_out - whole) ** 2).sum(0))
    found = [
        jackknife(miou_statistic(pred_class, true_class, codes)),
        jackknife(rmse_statistic(pred_height, true_height, codes)),
    ]
    assert np.allclose([f.value[0] for f in found], whole)
    assert np.allclose([f.error[0] for f in found], by_hand)


def test_what_the_numbers_rest_on():
    "Scores with an interval."
    # what the numbers rest on: changed pixels and known ones; absent classes; more classes
    true = np.array([[0, 1, 2], [0, 0, -1], [1, 1, 1], [0, 0, 2]])
    pred = np.array([[0, 1, 1], [0, 2, 2], [1, 1, 0], [0, 0, 2]])
    by_tile = np.arange(4)
    found = jackknife(miou_statistic(pred, true, by_tile))
    assert found.value[0] == pytest.approx((3 / 5 + 1 / 3) / 2)
    assert (found.size[0], found.clusters[0]) == (6, 3)
    assert found.effective[0] == pytest.approx(36 / (4 + 9 + 1))
    only = miou_statistic(np.where(pred == 2, 0, pred), np.where(true == 2, 0, true), by_tile)
    assert jackknife(only).value[0] == pytest.approx(3 / 5)
    four = miou_statistic(np.array([[3, 1], [0, 3]]), np.array([[3, 2], [0, 0]]), np.arange(2), 4)
    assert jackknife(four).value[0] == pytest.approx((0 + 0 + 1 / 2) / 3)
    nothing = miou_statistic(np.zeros((3, 2), int), np.zeros((3, 2), int), np.arange(3))
    assert np.isnan(jackknife(nothing).value[0])
    heights = np.array([[1.0, np.nan], [2, 4], [0, 0], [3, 3]])
    found = jackknife(rmse_statistic(heights + [[1.0, 2]], heights, by_tile))
    assert found.value[0] == pytest.approx(np.sqrt((4 * 1 + 3 * 4) / 7))
    assert (found.size[0], found.clusters[0]) == (7, 4)
    assert found.effective[0] == pytest.approx(49 / (1 + 3 * 4))
    for s in (miou_statistic(pred, true, by_tile), rmse_statistic(heights, heights, by_tile)):
        assert s.scale == ("natural",)


def test_planted_a_better_network_is_seen_two_of_equal_worth_are_equivalent():
    "Scores with an interval."
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(24), 4)
    truth = rng.choice(3, (96, 400), p=[0.8, 0.1, 0.1])


    def guesses(wrong):
        "Classes, a share of them drawn anew."
        return np.where(rng.random(truth.shape) < wrong, rng.choice(3, truth.shape), truth)


    def compared(first, second):
        "The verdict on the second being better."
        pair = [miou_statistic(guesses(wrong), truth, codes) for wrong in (second, first)]
        return claim("the second is better", difference(*pair), margin=0.02)


    rows = [compared(0.4, 0.2), compared(0.2, 0.4), compared(0.3, 0.3)]
    judged = judge(pd.DataFrame(rows))
    assert judged.verdict.tolist() == ["seen", "opposite seen", "equivalent"]
