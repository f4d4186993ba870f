"""A scene to try

Written by nbdev-export from the check cells of nbs/api/testing/02_scene.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import ListedColormap
from torch import nn

from mtl_explain.files.raster import open_raster
from mtl_explain.networks.layers import n_parameters
from mtl_explain.networks.multitask import MultitaskNetwork
from mtl_explain.networks.pair import PairBody
from mtl_explain.palette import blue, orange
from mtl_explain.setup import Setup
from mtl_explain.testing.scene import (
    example_scene, loss_curve, scene_modalities, scene_setup, unused_weights, with_total, work, write_raster,
)


def test_roles_by_name():
    "The roles of Hi-BCD."
    mods = scene_modalities(48, 3)
    roles = scene_setup(dict(type="fcsiamese"), name="FC-Siamese")
    assert mods["early_height"].shape == (3, 48, 48)
    assert mods["semantic_change"].n_classes == 3
    assert roles.main == "semantic_change"
    assert set(roles.names) == set(mods)
    assert list(scene_setup(targets=("height_change",)).targets) == ["height_change"]


def test_what_the_truth_says_follows_from_the_two_times():
    "A place that changes."
    x, y = example_scene(n=8)
    assert x["early_height"].shape == (8, 1, 64, 64)
    assert x["late_image"].shape == (8, 3, 64, 64)
    assert y["semantic_change"].shape == (8, 64, 64)
    house = x["early_height"][:, 0] > 0.25
    roof = x["late_image"][:, 0] > 0.75
    label = y["semantic_change"]
    assert torch.equal(label == 1, house & ~roof)
    assert torch.equal(label == 2, ~house & roof)
    assert torch.equal(label.sign(), y["height_change"][:, 0].sign().abs().long())
    assert all((label == k).float().mean() > 0.05 for k in range(3))
    assert y["height_change"].abs().max() <= 1
    assert torch.equal(example_scene(seed=1)[0]["late_image"], example_scene(seed=1)[0]["late_image"])
    assert not torch.equal(example_scene(seed=1)[0]["late_image"], x["late_image"][:4])


def test_a_scene_as_a_picture():
    "A place that changes."
    x, y = example_scene(n=1, seed=3)
    labels = ListedColormap(["#f0f0f0", blue, orange])
    shown = (
        ("early height [6 m]", x["early_height"][0, 0], "cividis", (0, 2)),
        ("late image, red", x["late_image"][0, 0], "gray", (-0.2, 1.7)),
        ("semantic change", y["semantic_change"][0], labels, (-0.5, 2.5)),
        ("height change [12 m]", y["height_change"][0, 0], "PuOr_r", (-1, 1)),
    )
    fig, axes = plt.subplots(1, 4, figsize=(11, 2.4), layout="constrained", dpi=80)
    for ax, (title, values, cmap, (low, high)) in zip(axes, shown, strict=True):
        image = ax.imshow(values, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
        bar = fig.colorbar(image, ax=ax, shrink=0.85)
        if title == "semantic change":
            bar.set_ticks(range(3), labels=["no change", "demolished", "newly built"])
        ax.set(title=title, xticks=[], yticks=[])
    assert len(axes) == 4


def test_what_was_written_is_read():
    "A place that changes."
    # what was written is read: values, place, options; and a raster without a place
    values = np.arange(12, dtype="int16").reshape(2, 2, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = write_raster(Path(folder) / "a.tif", values, nodata=-9)
        with open_raster(path) as file:
            assert np.array_equal(file.read(), values)
            assert file.nodata == -9
            assert file.crs.to_epsg() == 28992
            assert tuple(file.bounds) == (120_000, 486_999.5, 120_000.75, 487_000)
        path = write_raster(Path(folder) / "b.tif", values, (3.0, 4.0), crs=None)
        with open_raster(path) as file:
            assert file.crs is None
            assert file.transform.is_identity


def test_the_checks_find_what_they_look_for():
    "Does it learn?"
    class OneLayer(PairBody):
        out_features = 8
        roles = {"encoder": "7×7"}

        def __init__(self, modalities, setup, pretrained=True, spare=False):
            super().__init__(modalities, setup)
            self.encoder = nn.Conv2d(2 * self.n_in, 8, 7, padding=3)
            self.spare = nn.Linear(2, 2) if spare else None

        def compare(self, early, late):
            return self.encoder(torch.cat([early, late], 1)).relu()


    torch.manual_seed(0)
    mods = scene_modalities(32)
    (x, y) = example_scene(size=32)
    roles = scene_setup()
    net = MultitaskNetwork(mods, roles)
    net.body = OneLayer(mods, roles)
    net.heads = nn.ModuleDict(
        {"semantic_change": nn.Conv2d(8, 3, 1), "height_change": nn.Conv2d(8, 1, 1)}
    )
    assert not unused_weights(net, x)
    curve = loss_curve(net, x, y, steps=5, lr=0.01)
    assert len(curve) == 6
    assert curve[-1] < 0.9 * curve[0]
    net.body = OneLayer(mods, roles, spare=True)
    assert unused_weights(net, x) == ["body.spare.weight", "body.spare.bias"]


def test_a_default_network_part_by_part():
    "How much does it compute?"
    pair = ("early_height", "late_image")
    small = dict(width=4, depth=1)
    roles = Setup({n: small for n in pair}, ("semantic_change", "height_change"))
    parts = ["body.encoders.early_height", "body", "heads"]
    table = work(roles, parts, size=16)
    net = MultitaskNetwork(scene_modalities(16, 3), roles)
    encoder = net.body.encoders["early_height"]
    assert table.index.tolist() == parts
    assert table.parameters.sum() == n_parameters(net)
    assert table.parameters["heads"] == n_parameters(net.heads)
    assert table.parameters["body.encoders.early_height"] == n_parameters(encoder)
    assert with_total(table).loc["in all", "parameters"] == n_parameters(net)
    assert (table.tabled >= table.computed).all()
