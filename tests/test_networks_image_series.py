"""Image series

Written by nbdev-export from the check cells of nbs/api/networks/11_image_series.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mtl_explain.modality import Modality
from mtl_explain.networks.encoders import time_encoding
from mtl_explain.networks.image_series import PixelAttention, TemporalAttention, UTAE


def crop_series(n=96, size=6, differ=True, seed=0):
    "Fields (n,T,1,H,W) that turn green in May or in August, dates, and which of the two."
    rng = np.random.default_rng(seed)
    crop = rng.integers(0, 2, n)
    days = np.sort(rng.uniform(0, 365, (n, 12)), 1)
    peak = np.where(crop, 140, 230) if differ else np.full(n, 185)
    green = np.exp(-((days - peak[:, None]) ** 2) / (2 * 30**2))
    x = green[:, :, None, None, None] + rng.normal(0, 0.1, (n, 12, 1, size, size))
    clouded = rng.random((n, 12, 1, size // 2, size // 2)) < 0.3
    x[clouded.repeat(2, 3).repeat(2, 4)] = np.nan
    return torch.tensor(x).float(), torch.tensor(days).float(), torch.tensor(crop)
def learnt(make, differ, steps=60):
    "Share of fields that are told apart after a short training, on new ones."
    torch.manual_seed(0)
    net = make(Modality("s2", "image_series", (12, 1, 6, 6), channels=("ndvi",)), width=16)
    head = nn.Linear(16, 2)
    parameters = [*net.parameters(), *head.parameters()]
    optimiser = torch.optim.Adam(parameters, 5e-3)
    x, days, crop = crop_series(differ=differ)
    for _ in range(steps):
        loss = F.cross_entropy(head(net(x, days).mean((2, 3))), crop)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x, days, crop = crop_series(seed=1, differ=differ)
    net.eval()
    with torch.no_grad():
        return float((head(net(x, days).mean((2, 3))).argmax(1) == crop).float().mean())


@pytest.fixture(scope='module')
def series():
    return Modality("s2", "image_series", (6, 2, 10, 12), channels=("red", "nir"))


@pytest.fixture(scope='module')
def makers():
    return {"pixel-attention": PixelAttention, "utae": UTAE}


def test_by_hand():
    "Attention over dates."
    # by hand: two dates, one head; the weights are softmax of question · key
    torch.manual_seed(0)
    net = TemporalAttention(2, width=4, n_heads=1, key=3).eval()
    x = torch.randn(1, 3, 2)
    times = torch.tensor([[0.0, 10, 20]])
    present = torch.tensor([[True, True, False]])
    y, attention = net(x, times, present)
    e = net.embedding(x) + time_encoding(times, 4)
    score = (net.key(e) @ net.question[0])[0] / 3**0.5
    expected = score[:2].softmax(0)
    assert torch.allclose(attention[0, 0, :2], expected)
    assert attention[0, 0, 2] == 0
    mean = (expected[:, None] * e[0, :2]).sum(0)
    assert torch.allclose(y[0], net.out(mean), atol=1e-6)
    # no date at all: no NaN
    y, attention = net(x, times, torch.zeros_like(present))
    assert torch.isfinite(y).all()
    assert not attention.any()
    with pytest.raises(ValueError, match="3 attention heads do not divide 4 features"):
        TemporalAttention(2, 4, 3)


def test_whatever_the_size(makers, series):
    "A U-Net with attention over dates."
    # whatever the size: a map of the image's size, and no weight that learns nothing
    torch.manual_seed(0)
    days = torch.arange(6.0)[None].expand(3, 6) * 30
    for name, make in makers.items():
        net = make(series)
        x = torch.randn(3, 6, 2, 10, 12)
        y = net(x, days)
        assert y.shape == (3, net.out_features, 10, 12), name
        assert net(x[..., :7, :9], days).shape[-2:] == (7, 9)
        (y * torch.randn_like(y)).sum().backward()
        assert not [k for k, p in net.named_parameters() if p.grad is None or not p.grad.any()], name


def test_dates_in_any_order_but_not_at_any_time(makers, series):
    "A U-Net with attention over dates."
    # dates in any order, but not at any time; absent dates and unseen pixels change nothing
    torch.manual_seed(0)
    x = torch.randn(2, 6, 2, 10, 12)
    days = torch.arange(6.0)[None].expand(2, 6) * 30
    turned = torch.tensor([3, 1, 5, 0, 4, 2])
    for name, make in makers.items():
        net = make(series).eval()
        with torch.no_grad():
            y = net(x, days)
            assert torch.allclose(net(x[:, turned], days[:, turned]), y, atol=1e-5), name
            assert not torch.allclose(net(x, days.flip(1)), y, atol=1e-3), name
            longer = torch.cat([x, 100 * torch.randn(2, 1, 2, 10, 12)], 1)
            absent = torch.cat([days, torch.full((2, 1), torch.nan)], 1)
            assert torch.allclose(net(longer, absent), y, atol=1e-5), name
            clouded = longer.clone()
            clouded[:, 6] = torch.nan
            there = torch.cat([days, torch.full((2, 1), 200.0)], 1)
            assert torch.allclose(net(clouded, there), y, atol=1e-5), name
            # nothing at all was seen: no NaN
            nothing = torch.full_like(x, torch.nan)
            assert torch.isfinite(net(nothing, days)).all(), name


def test_both_encoders_find_the_dates_and_find_nothing_where_nothing_is(makers):
    "Planted truth: what only the dates tell."
    for name, make in makers.items():
        assert learnt(make, True) > 0.9, name
        assert learnt(make, False) < 0.65, name
