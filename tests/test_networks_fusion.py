"""Fusion

Written by nbdev-export from the check cells of nbs/api/networks/02_fusion.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import pytest
import torch

from mtl_explain.networks.fusion import Fusion, concatenate, to_map, to_vector
from mtl_explain.networks.layers import n_parameters


def test_vectors_are_repeated_maps_resampled():
    "Between vectors and maps."
    vector = torch.tensor([[1.0, 2.0]])
    assert torch.equal(to_map(vector, (3, 4)), vector.view(1, 2, 1, 1).repeat(1, 1, 3, 4))
    ramp = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    assert to_map(ramp, (4, 4)) is ramp
    twice_as_fine = torch.tensor([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    assert torch.allclose(to_map(ramp, (8, 8))[0, 0, 0], twice_as_fine)
    assert torch.allclose(to_map(ramp, (2, 2)).mean(), ramp.mean())


def test_one_fine_map_from_a_vector_a_coarse_and_a_fine_map():
    "Between vectors and maps."
    coarse = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    fine = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(2))
    representations = {
        "vector, expanded": torch.tensor([[0.6]]),
        "map of 4×4, resampled": coarse,
        "map of 24×24, as it is": fine,
    }
    fig, axes = plt.subplots(1, 3, figsize=(7, 2.4), layout="constrained")
    for ax, (name, x) in zip(axes, representations.items(), strict=True):
        ax.imshow(to_map(x, (24, 24))[0, 0].numpy(), vmin=0, vmax=1, cmap="viridis")
        ax.set(title=name, xlabel="x [pixel]", ylabel="y [pixel]")
    assert len({tuple(to_map(x, (24, 24)).shape) for x in (coarse, fine)}) == 1


def test_a_map_becomes_its_mean():
    "Between vectors and maps."
    assert to_vector(torch.arange(8.0).view(1, 2, 2, 2)).tolist() == [[1.5, 5.5]]
    assert to_vector(torch.ones(3, 2)).shape == (3, 2)


def test_channels_stand_side_by_side():
    "Between vectors and maps."
    vector = torch.tensor([[1.0, 2.0]])
    dense = torch.full((1, 3, 5, 5), 7.0)
    both = concatenate([dense, vector], (5, 5))
    assert both.shape == (1, 5, 5, 5)
    assert both[0, :, 2, 3].tolist() == [7, 7, 7, 1, 2]
    assert concatenate([dense, vector]).tolist() == [[7, 7, 7, 1, 2]]


def test_two_by_sixty_four_channels_to_sixty_four_as_in_ben_ge():
    "The block."
    block = Fusion([64, 64], dense=True, widths=[64, 64])
    assert block.out_features == 64
    assert n_parameters(block) == (128 * 64 + 64) + (64 * 64 + 64) == 12_416
    assert [type(m).__name__ for m in block.layers] == ["Conv2d", "ReLU", "Conv2d", "ReLU"]
    assert block([torch.zeros(2, 64, 6, 6), torch.zeros(2, 64, 3, 3)], (6, 6)).shape == (2, 64, 6, 6)


def test_vectors_are_simply_concatenated_as_in_treesatai():
    "The block."
    block = Fusion([512, 512, 512], dense=False)
    assert block.out_features == 1536
    assert n_parameters(block) == 0
    x = [torch.randn(2, 512, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    assert torch.equal(block(x), torch.cat(x, 1))
    mixing = Fusion([3, 4], dense=False, widths=[5])
    assert mixing([torch.zeros(2, 3), torch.zeros(2, 4)]).shape == (2, 5)
    with pytest.raises(ValueError, match="widths must be at least 1"):
        Fusion([3], True, widths=[0])
