"""Inputs with gaps

Written by nbdev-export from the check cells of nbs/api/networks/12_gaps.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest
import torch
import xarray as xr

from mtl_explain.data.samples import modality_array
from mtl_explain.modality import Modality
from mtl_explain.networks.encoders import ConvEncoder, EmbeddingEncoder, MLPEncoder, SeriesTransformer, UNet
from mtl_explain.networks.gaps import GapEncoder, mask_gaps, with_mask
from mtl_explain.networks.image_series import PixelAttention, UTAE
from mtl_explain.setup import Setup
from mtl_explain.training.learner import multitask_learner


def two_sensors(n=1200, seed=0):
    "A weak and a strong table, the strong one often missing, and the class both tell of."
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    weak = label[:, None] + rng.normal(0, 1.2, (n, 1))
    strong = label[:, None] + rng.normal(0, 0.4, (n, 1))
    strong[rng.random(n) < 0.4] = np.nan
    samples = xr.Dataset(
        dict(
            weak=modality_array("weak", weak.astype("float32"), "tabular"),
            strong=modality_array("strong", strong.astype("float32"), "tabular"),
            label=modality_array("label", label, "category", classes=["no", "yes"]),
        )
    )
    split = np.repeat(["train", "valid", "test"], [n // 2, n // 4, n - n // 2 - n // 4])
    return samples.assign_coords(sample=np.arange(n).astype(str), split=("sample", split))


def accuracy(learn, samples):
    "Share of right answers."
    test = samples.isel(sample=samples.split.values == "test")
    found = learn.predict(test)["label"]
    return float((found.values == test.label.values).mean())


@pytest.fixture(scope='module')
def soil():
    return Modality("soil", "tabular", (2,), channels=("clay", "sand"))


@pytest.fixture(scope='module')
def zone():
    return Modality("zone", "category", (), classes=("dry", "wet"))


@pytest.fixture(scope='module')
def cases(soil, zone):
    torch.manual_seed(0)
    weather = Modality("weather", "series", (4, 1), channels=("rain",))
    tile = Modality("tile", "image", (2, 8, 8), channels=("red", "nir"))
    stack = Modality("stack", "image_series", (3, 1, 8, 8), channels=("ndvi",))
    return {
        "tabular": (soil, MLPEncoder, torch.randn(4, 2), ()),
        "image": (tile, UNet, torch.randn(4, 2, 8, 8), ()),
        "vector": (tile, ConvEncoder, torch.randn(4, 2, 8, 8), ()),
        "series": (weather, SeriesTransformer, torch.randn(4, 4, 1), (torch.rand(4, 4) * 365,)),
        "category": (zone, EmbeddingEncoder, torch.tensor([0, 1, 1, 0]), ()),
        "image series": (stack, UTAE, torch.randn(4, 3, 1, 8, 8), (torch.rand(4, 3) * 365,)),
        "light": (stack, PixelAttention, torch.randn(4, 3, 1, 8, 8), (torch.rand(4, 3) * 365,)),
    }


def test_by_hand(soil, zone):
    "A modality and its mask."
    # by hand: a table with a hole, an image with a hole, a label that nobody knows
    x, nothing = mask_gaps(torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan]]), soil)
    assert x.tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]
    assert nothing.tolist() == [False, True]
    assert with_mask(soil).channels == ("clay", "sand", "clay is there", "sand is there")
    image = Modality("s2", "image", (2, 1, 2), channels=("red", "nir"))
    x, nothing = mask_gaps(torch.tensor([[[[1.0, 2.0]], [[torch.nan, 4.0]]]]), image)
    assert x[0, :, 0].tolist() == [[1, 2], [0, 4], [0.5, 1]]
    assert with_mask(image).shape == (3, 1, 2)
    x, nothing = mask_gaps(torch.tensor([1, -1]), zone)
    assert x.tolist() == [1, 2]
    assert nothing.tolist() == [False, True]
    assert with_mask(zone).classes == ("dry", "wet", "(missing)")


def test_of_every_kind(cases):
    "The token, and modality dropout."
    # of every kind: what is missing is the token, whatever stands there; the others are as without
    for name, (m, make, x, times) in cases.items():
        net = GapEncoder(m, make, 0.0).eval()
        with torch.no_grad():
            net.token += torch.randn_like(net.token)
            whole = net(x, *times)
            holes = x.clone()
            holes[1] = -1 if m.is_label else torch.nan
            y = net(holes, *times)
        assert torch.isfinite(y).all(), name
        assert torch.allclose(y[[0, 2, 3]], whole[[0, 2, 3]], atol=1e-6), name
        assert torch.equal(y[1].flatten(1)[:, 0] if y.ndim > 2 else y[1], net.token), name


def test_modality_dropout(soil):
    "The token, and modality dropout."
    # modality dropout: in training so many samples are read without it, in evaluation none
    torch.manual_seed(0)
    net = GapEncoder(soil, MLPEncoder, 0.3)
    x = torch.randn(2000, 2)
    share = (net(x) == 0).all(1).float().mean()
    dead = (net.encoder(mask_gaps(x, soil)[0]) == 0).all(1).float().mean()
    assert dead == 0
    assert 0.25 < share < 0.35
    net.eval()
    assert (net(x) != 0).any(1).all()
    for odd in (1, -0.1, "often", True, None):
        with pytest.raises(ValueError, match="missing of 'soil' is .* expected a share"):
            GapEncoder(soil, MLPEncoder, odd)


def test_used_where_it_is_there_done_without_where_it_is_not():
    "Planted truth: a strong input that is often missing."
    # used where it is there, done without where it is not; refused where nothing was said
    samples = two_sensors()
    both = Setup(("weak", "strong"), "label")
    with pytest.raises(ValueError, match="setup.with_options\\('strong', missing=0.1\\)"):
        multitask_learner(samples, both)
    scores = {}
    setups = dict(weak=Setup("weak", "label"), both=both.with_options("strong", missing=0.1))
    for name, setup in setups.items():
        learn = multitask_learner(samples, setup, seed=0, bs=64)
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(8, 1e-2)
        there = samples.isel(sample=samples.strong.notnull().values[:, 0])
        gone = samples.isel(sample=samples.strong.isnull().values[:, 0])
        scores[name] = accuracy(learn, there), accuracy(learn, gone)
    assert scores["both"][0] > scores["weak"][0] + 0.1
    assert scores["both"][1] > scores["weak"][1] - 0.06
    # a sensor that is not there at all
    with pytest.warns(UserWarning, match="predicted without strong"):
        alone = accuracy(learn, samples.drop_vars("strong"))
    assert alone > 0.6
