"""Cost

Written by nbdev-export from the check cells of nbs/api/networks/15_cost.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import torch
from torch import nn

from mtl_explain.networks.cost import operations
from mtl_explain.networks.layers import n_parameters
from mtl_explain.networks.pair import MultiheadAttention


def test_operations_by_hand():
    "How much work is it?"
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 2, 4, 2, 1),
        nn.Conv2d(2, 2, 1, groups=2),
    )
    table = operations(layers, torch.zeros(1, 3, 5, 5))
    assert table.tabled.tolist() == [25 * 8 * 27, 4 * 25 * 8, 100 * 2 * 16 * 8, 100 * 2]
    assert table.parameters.sum() == n_parameters(layers)
    assert table.computed.tolist() == [25 * 8 * 27, 4 * 25 * 8, 25 * 8 * 16 * 2, 100 * 2]
    assert table.output["3"] == (2, 10, 10)
    assert layers.training
    with torch.device("meta"):
        attention = MultiheadAttention(8, 2)
        x = torch.zeros(1, 1000, 8)
        context = torch.zeros(1, 10, 8)
    table = operations(attention, x, context)
    assert table.tabled["attention"] == 0
    assert table.computed["attention"] == 2 * 1000 * 10 * 8
    assert table.tabled.sum() == 1000 * 64 + 10 * 128 + 1000 * 64
