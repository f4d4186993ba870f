"""Choosing an encoder

Written by nbdev-export from the check cells of nbs/api/networks/13_choosing.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import pytest
import torch

from mtl_explain.modality import Modality, kinds
from mtl_explain.networks.choosing import default_encoder, encoders, make_encoder
from mtl_explain.networks.encoders import ConvEncoder, UNet


# modalities of the examples
@pytest.fixture(scope='module')
def optical():
    return Modality("optical", "image", (3, 32, 32), channels=("red", "green", "blue"))


@pytest.fixture(scope='module')
def cover():
    return Modality("cover", "mask", (32, 32), classes=("water", "forest", "crops", "city"))


@pytest.fixture(scope='module')
def weather():
    return Modality("weather", "series", (12, 2), channels=("temperature", "precipitation"))


@pytest.fixture(scope='module')
def zone():
    return Modality("zone", "category", (), classes=("tropical", "arid", "temperate", "cold", "polar"))


@pytest.fixture(scope='module')
def soil():
    return Modality("soil", "tabular", (5,), channels=("clay", "silt", "sand", "carbon", "pH"))


@pytest.fixture(scope='module')
def year():
    return Modality("year", "image_series", (12, 2, 8, 8), channels=("red", "nir"))


def test_what_suits_whom(optical, cover, weather, zone, soil, year):
    "By name, or by kind."
    tiny = Modality("tiny", "image", (3, 6, 6), channels=("a", "b", "c"))
    table = [  # modality, encoder where the network keeps the image plane, and where it does not
        (optical, "unet", "conv"),
        (cover, "unet", "conv"),
        (weather, "transformer", "transformer"),
        (zone, "embedding", "embedding"),
        (soil, "mlp", "mlp"),
        (tiny, "unet", "flat-mlp"),
        (year, "pixel-attention", "pixel-attention"),
    ]
    for modality, dense, vector in table:
        assert default_encoder(modality, True) == dense
        assert default_encoder(modality, False) == vector
    assert {e for k in kinds.values() for e in (k.dense_encoder, k.vector_encoder)} <= set(encoders)


def test_asked_for_by_name_or_chosen(optical, zone):
    "By name, or by kind."
    assert isinstance(make_encoder(optical, dense=True), UNet)
    assert isinstance(make_encoder(optical), ConvEncoder)
    assert make_encoder(optical, True, "conv", width=5, depth=2).out_features == 10
    with pytest.raises(
        ValueError, match="encoder of 'zone': there is no type 'lstm'; choose one of unet, conv"
    ):
        make_encoder(zone, type="lstm")
    with pytest.raises(
        ValueError, match="'unet' has no option 'wdith'; it has width, depth, out_features"
    ):
        make_encoder(optical, True, wdith=8)
    with pytest.raises(ValueError, match="'zone' is of kind category; UNet reads image, mask"):
        make_encoder(zone, type="unet")
    with pytest.raises(ValueError, match="option 'depth' cannot be 0"):
        make_encoder(optical, True, depth=0)
    # with gaps: one more channel
    gappy = make_encoder(optical, True, missing=0.1, width=8)
    assert isinstance(gappy.encoder, UNet)
    assert gappy.encoder.stem[0][0].in_channels == 4


def test_no_dead_weights_in_any_encoder(soil, weather, zone, year):
    "By name, or by kind."
    torch.manual_seed(0)
    small = Modality("small", "image", (3, 8, 8), channels=("a", "b", "c"))
    batches = {
        "unet": torch.randn(4, 3, 8, 8),
        "conv": torch.randn(4, 3, 8, 8),
        "resnet18": torch.randn(2, 3, 64, 64),
        "flat-mlp": torch.randn(4, 3, 8, 8),
        "bands": torch.randn(4, 3, 8, 8),
        "mlp": torch.randn(4, 5),
        "transformer": torch.randn(4, 12, 2),
        "embedding": torch.tensor([0, 1, 2, 3]),
        "pixel-attention": torch.randn(4, 12, 2, 8, 8),
        "utae": torch.randn(4, 12, 2, 8, 8),
    }
    read_by = {"mlp": soil, "transformer": weather, "embedding": zone}
    read_by |= {"pixel-attention": year, "utae": year}
    for name in encoders:
        modality = read_by.get(name, small)
        net = make_encoder(modality, type=name)
        times = [torch.rand(4, 12) * 365] if net.uses_times else []
        out = net(batches[name], *times)
        assert out.ndim == (4 if net.dense else 2)
        assert out.shape[1] == net.out_features
        (out * torch.randn_like(out)).sum().backward()
        dead = [k for k, p in net.named_parameters() if p.grad is None or not p.grad.any()]
        assert not dead, (name, dead)
