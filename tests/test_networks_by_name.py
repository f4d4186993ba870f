"""Strong networks by name

Written by nbdev-export from the check cells of nbs/api/networks/12_by_name.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from mtl_explain.modality import Modality
from mtl_explain.networks.by_name import (
    PatchFilters, _fresh_filters, channel_filters, channel_key, fill_state, first_layer, named_encoder,
    read_state, set_filters, stages, terramind_channels,
)


# modalities of the examples
@pytest.fixture(scope='module')
def aerial():
    return Modality("aerial", "image", (4, 40, 30), channels=("ir", "green", "blue", "red"))


@pytest.fixture(scope='module')
def cover():
    return Modality("cover", "mask", (40, 30), classes=("water", "forest", "crops"))


@pytest.fixture(scope='module')
def photo():
    return Modality("photo", "image", (3, 40, 30), channels=("red", "green", "blue"))


def test_by_hand():
    "The first layer."
    # by hand: red, green and blue are 1, 10 and 100
    weight = torch.tensor([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1)
    rgb = ("red", "green", "blue")


    def read_by_name(*channels):
        return channel_filters(weight, rgb, channels).flatten()


    assert read_by_name(*rgb).tolist() == [1, 10, 100]
    assert read_by_name("B02", "B03", "B04").tolist() == [100, 10, 1]
    near = read_by_name("ir", "G", "B", "R") * 4 / 3
    assert torch.allclose(near, torch.tensor([37.0, 10, 100, 1]))
    assert torch.allclose(read_by_name("height"), torch.tensor([111.0]))  # grey: their sum
    assert read_by_name("x", "y", "z").tolist() == [1, 10, 100]  # no name known: in their order
    # a grey image excites the next layer as before
    for channels in (["height"], ["s", "t"], list("stuvw"), ["B4", "B03", "blue"]):
        assert torch.isclose(read_by_name(*channels).sum(), weight.sum())
    # bands of Landsat are numbered otherwise: red is B3 there, and B4 is no colour of ours
    assert channel_key("SR_B4", colours=False) == channel_key("B04", colours=False) == "b4"
    assert channel_key("red", colours=False) != channel_key("B4", colours=False)


def test_the_layer_itself_is_kept_with_its_stride_and_bias():
    "The first layer."
    layer = nn.Conv2d(3, 4, 3, stride=2, bias=True)
    set_filters(layer, _fresh_filters(layer, 5))
    assert layer(torch.zeros(1, 5, 9, 9)).shape == (1, 4, 4, 4)
    name, found = first_layer(nn.Sequential(nn.Flatten(0, 0), nn.Sequential(layer)))
    assert (name, found) == ("1.0", layer)
    with pytest.raises(ValueError, match="no convolution"):
        first_layer(nn.Linear(2, 2))


def test_a_file_that_is_missing_pickled_empty_or_of_something_else():
    "Weights."
    class Opened:
        "What a pickle can do."

        def __reduce__(self):
            return print, ("run",)


    with TemporaryDirectory() as folder:
        folder = Path(folder)
        with pytest.raises(FileNotFoundError, match="no file of weights at .*none.pt"):
            read_state(folder / "none.pt")
        with pytest.raises(FileNotFoundError, match="no file of weights at .*none.safetensors"):
            read_state(folder / "none.safetensors")
        torch.save({"a": Opened()}, folder / "evil.pt")
        with pytest.raises(ValueError, match="evil.pt: no weights that can be read without running"):
            read_state(folder / "evil.pt")
        (folder / "odd.safetensors").write_bytes(b"text")
        with pytest.raises(ValueError, match="odd.safetensors: no weights that can be read"):
            read_state(folder / "odd.safetensors")
        torch.save([1, 2], folder / "list.pt")
        with pytest.raises(ValueError, match="list.pt: holds no weights by name"):
            read_state(folder / "list.pt")
        torch.save(dict(state_dict={"a": torch.ones(2)}), folder / "nested.pt")
        assert read_state(folder / "nested.pt")["a"].tolist() == [1, 1]
    small = nn.Sequential(nn.Conv2d(3, 2, 1))
    with pytest.raises(ValueError, match="here.pt: these are the weights of another .* 0.bias is miss"):
        fill_state(small, "", {"0.weight": torch.zeros(2, 3, 1, 1)}, 3, "here.pt")
    with pytest.raises(ValueError, match=r"0.bias is \(5,\) there and \(2,\) here"):
        state = small.state_dict() | {"0.bias": torch.zeros(5)}
        fill_state(small, "", state, 3, "here.pt")


def test_odd_sizes_go_in_and_every_weight_gets_a_gradient(aerial, cover):
    "The encoder."
    for name, dense, m in [
        ("timm:resnet10t", False, aerial),
        ("timm:test_vit", False, Modality("even", "image", (2, 32, 48), channels=("a", "b"))),
        ("timm:resnet10t", False, cover),
        ("smp:unet/mobilenet_v2", True, aerial),
        ("smp:fpn/tu-resnet10t", True, aerial),
    ]:
        torch.manual_seed(0)
        net = named_encoder(m, dense, type=name)
        assert net.dense == dense
        h, w = m.shape[-2:]
        if "vit" not in name:
            h, w = h + 33, w + 21
        x = torch.randint(0, 3, (2, h, w)) if m.is_label else torch.randn(2, m.n_channels, h, w)
        y = net(x)
        assert y.shape == (2, net.out_features, *([h, w] if dense else []))
        (y * torch.randn_like(y)).sum().backward()
        unused = [k for k, p in net.named_parameters() if p.grad is None]
        assert not unused, (name, unused)


def test_a_file_of_weights_is_read_back(photo, aerial):
    "The encoder."
    # a file of weights is read back: the same output, by hand the first layer
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "own.safetensors")
        torch.manual_seed(1)
        theirs = timm.create_model("resnet10t", num_classes=5)
        save_file(theirs.state_dict(), path)
        same = named_encoder(photo, False, "timm:resnet10t", weights=path).eval()
        x = torch.randn(2, 3, 40, 30)
        expected = theirs.eval().forward_head(theirs.forward_features(x), pre_logits=True)
        assert torch.equal(same(x), expected)
        assert same.pretrained_part is same.net
        # four channels: three by name, the fourth is the mean
        four = named_encoder(aerial, False, "timm:resnet10t", weights=path)
        filters = theirs.conv1[0].weight
        red, green, blue = filters.unbind(1)
        by_hand = torch.stack([filters.mean(1), green, blue, red], 1) * 3 / 4
        assert torch.allclose(four.net.conv1[0].weight, by_hand)
        # four channels that were learnt as four stay as they are
        save_file(four.net.state_dict(), path)
        again = named_encoder(aerial, False, "timm:resnet10t", weights=path).eval()
        x = torch.randn(2, 4, 40, 30)
        assert torch.equal(again(x), four.eval()(x))
        # the same weights as the encoder of a map
        with pytest.raises(ValueError, match="own.safetensors: these are the weights of another net"):
            named_encoder(aerial, True, "smp:unet/resnet18", weights=path)
        torch.manual_seed(2)
        unet = named_encoder(aerial, True, "smp:unet/resnet18")
        save_file(unet.net.state_dict(), path)
        both = named_encoder(aerial, True, "smp:unet/resnet18", weights=path)
        assert torch.equal(both.eval()(x), unet.eval()(x))
        assert both.pretrained_part is both.net.encoder
        save_file(unet.net.encoder.state_dict(), path)  # of the encoder alone
        half = named_encoder(aerial, True, "smp:unet/resnet18", weights=path)
        found = half.net.encoder.layer4[0].conv1.weight
        assert torch.equal(found, unet.net.encoder.layer4[0].conv1.weight)


def test_frozen_no_gradient_and_statistics_as_they_came(photo):
    "The encoder."
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "own.safetensors")
        save_file(timm.create_model("resnet10t").state_dict(), path)

        def frozen(stages):
            return named_encoder(photo, False, "timm:resnet10t", weights=path, freeze=stages).train()

        x = torch.randn(4, 3, 64, 64)
        two = frozen(2)
        before = {k: v.clone() for k, v in two.state_dict().items()}
        two(x).sum().backward()
        moving = {k for k, p in two.net.named_parameters() if p.requires_grad}
        assert {k.split(".")[0] for k in moving} == {"layer2", "layer3", "layer4"}
        after = two.state_dict()
        changed = {k.split(".")[1] for k in after if not torch.equal(before[k], after[k])}
        assert changed == {"layer2", "layer3", "layer4"}  # their running statistics
        whole = frozen(True)
        assert not any(p.requires_grad for p in whole.parameters())
        assert torch.equal(whole(x), whole.eval()(x))
        with pytest.raises(ValueError, match="freeze is 9, expected true, or .* from 1 to 5"):
            frozen(9)
        with pytest.raises(ValueError, match="encoder of 'photo': freeze would keep random weights"):
            named_encoder(photo, False, "timm:resnet10t", freeze=True)


def test_stages_where_the_library_does_not_say():
    "The encoder."
    parts = nn.Sequential()
    parts.add_module("conv1", nn.Conv2d(3, 2, 1))
    parts.add_module("bn1", nn.BatchNorm2d(2))
    parts.add_module("relu", nn.ReLU())
    parts.add_module("layer1", nn.Sequential(nn.Conv2d(2, 2, 1)))
    parts.add_module("layer2", nn.Sequential(nn.Conv2d(2, 2, 1, bias=False)))
    expected = [
        ["conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias"],
        ["layer1.0.weight", "layer1.0.bias"],
        ["layer2.0.weight"],
    ]
    assert stages(parts) == expected
    assert stages(nn.ModuleDict(dict(model=parts)))[2] == ["model.layer2.0.weight"]


def test_names_are_looked_up_in_the_librarys_own_list(photo):
    "What can go wrong."
    for type, dense, message in [
        ("timm:resnet43", False, "encoder of 'photo': timm has no 'resnet43'; did you mean resnet"),
        ("timm:hf-hub:someone/net", False, "timm has no 'hf-hub:someone/net'"),
        ("timm:local-dir:/home", False, "timm has no 'local-dir:/home'"),
        ("smp:unett/resnet18", True, "no 'unett'; did you mean unet"),
        ("smp:unet/resnet19", True, "pytorch for unet/ has no 'resnet19'; did you mean resnet"),
        ("smp:unet/tu-resnet19", True, "has no 'tu-resnet19'; did you mean tu-resnet"),
        ("smp:unet", True, "for unet/ has no ''; it knows"),
        ("os:system", False, "there is no library 'os:'; known are timm:resnet34, smp:unet/eff"),
        ("timm:resnet10t", True, "gives a vector, and this .* 'smp:unet/tu-resnet10t' gives a map"),
        ("torchgeo:resnet50", True, "gives a vector, .* 'smp:unet/efficientnet-b0' gives a map"),
    ]:
        with pytest.raises(ValueError, match=message):
            named_encoder(photo, dense, type)
    with pytest.raises(ValueError, match="encoder of 'photo': it reads patches of 16×16 pixels, and"):
        named_encoder(photo, False, "timm:vit_tiny_patch16_224")
    with pytest.raises(ValueError, match="resnet10t does not read images of 0×4 pixels"):
        named_encoder(Modality("none", "image", (1, 0, 4), channels=("a",)), False, "timm:resnet10t")
    with pytest.raises(ValueError, match="has no option 'width'; it has pretrained, weights, freeze"):
        named_encoder(photo, False, "timm:resnet10t", width=3)
    vector = Modality("soil", "tabular", (3,), channels=("a", "b", "c"))
    with pytest.raises(ValueError, match="'soil' is of kind tabular; NamedEncoder reads image, mask"):
        named_encoder(vector, False, "timm:resnet10t")


def test_a_library_that_is_not_installed(photo):
    "What can go wrong."
    with pytest.MonkeyPatch.context() as patched:
        for module in (
            "timm",
            "segmentation_models_pytorch",
            "torchgeo",
            "torchgeo.models",
            "terratorch",
        ):
            patched.setitem(sys.modules, module, None)
        for type, dense, message in [
            ("timm:resnet10t", False, "'timm:' needs timm, .*: pip install 'mtl_explain.networks.'"),
            ("smp:unet/resnet18", True, "'smp:' needs segmentation_models_pytorch, which is not"),
            ("torchgeo:resnet18", False, "'torchgeo:' needs torchgeo, .*: pip install torchgeo"),
            (
                "terratorch:terramind_v1_tiny",
                False,
                "'terratorch:' needs terratorch, .*: pip install terratorch",
            ),
        ]:
            with pytest.raises(ImportError, match=f"encoder of 'photo': {message}"):
                named_encoder(photo, dense, type)


def test_without_network(aerial):
    "What can go wrong."
    # without network: one sentence, random weights, nothing frozen
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        from huggingface_hub import constants

        def no_address(*args, **kwargs):
            raise OSError("no address")

        patched.setattr(socket, "getaddrinfo", no_address)
        for proxy in ("http_proxy", "https_proxy", "all_proxy"):
            patched.delenv(proxy, raising=False)
            patched.delenv(proxy.upper(), raising=False)
        patched.setattr(constants, "HF_HUB_CACHE", folder)
        for type, dense in [("timm:resnet10t", False), ("smp:unet/mobilenet_v2", True)]:
            with pytest.warns(UserWarning, match="cannot be loaded .*random weights instead, and noth"):
                net = named_encoder(aerial, dense, type, pretrained=True, freeze=True)
            assert net.pretrained_part is None
            assert all(p.requires_grad for p in net.parameters())
        assert not constants.HF_HUB_OFFLINE


def test_a_linear_layer_over_patches_is_a_convolution():
    "What can go wrong."
    # a linear layer over patches is a convolution: the same numbers, and filters that can be adapted
    linear = nn.Linear(4 * 4 * 3, 5, bias=False)
    image = torch.randn(2, 3, 8, 12)
    rows = image.reshape(2, 3, 2, 4, 3, 4).permute(0, 2, 4, 3, 5, 1).reshape(2, 6, 48)
    patches = PatchFilters(linear, 3, (4, 4))
    torch.testing.assert_close(patches(rows), linear(rows))
    as_image = patches.filters(image).flatten(2).transpose(1, 2)
    torch.testing.assert_close(as_image, linear(rows))


def test_weights_of_satellites():
    "With torchgeo and TerraTorch."
    # weights of satellites: torchgeo says which bands they read
    pytest.importorskip("torchgeo.models")
    s2 = Modality("s2", "image", (3, 32, 32), channels=("B02", "B8A", "NDVI"))
    from torchgeo.models import ResNet18_Weights

    with pytest.MonkeyPatch.context() as patched:
        kind = ResNet18_Weights.SENTINEL2_ALL_MOCO
        torch.manual_seed(0)
        state = timm.create_model("resnet18", in_chans=13).state_dict()
        patched.setattr(ResNet18_Weights, "get_state_dict", lambda *args, **kwargs: state)
        net = named_encoder(s2, False, "torchgeo:resnet18/SENTINEL2_ALL_MOCO", freeze=1)
        filters = state["conv1.weight"]
        by_hand = torch.stack([filters[:, 1], filters[:, 8], filters.mean(1)], 1) * 13 / 3
        assert torch.allclose(net.net.conv1.weight, by_hand)
        assert net(torch.randn(2, 3, 50, 41)).shape == (2, 512)
        assert not net.net.conv1.weight.requires_grad
        plain = named_encoder(s2, False, "torchgeo:resnet18/SENTINEL2_ALL_MOCO", pretrained=False)
        assert plain.pretrained_part is None
    with pytest.raises(ValueError, match="torchgeo for resnet18/ has no 'SENTINEL2_MOCO'; did you"):
        named_encoder(s2, False, "torchgeo:resnet18/SENTINEL2_MOCO")
    with pytest.raises(ValueError, match="torchgeo:resnet18 needs the name of its weights: LANDSAT"):
        named_encoder(s2, False, "torchgeo:resnet18", pretrained=True)
    with pytest.raises(ValueError, match="torchgeo has no 'dofa_base_patch16_224'"):
        named_encoder(s2, False, "torchgeo:dofa_base_patch16_224")


def test_terramind_reads_what_its_bands_are_called():
    "With torchgeo and TerraTorch."
    # TerraMind reads what its bands are called; names of ours are found, others are one line
    pytest.importorskip("terratorch")

    bands = tuple(terramind_channels["S2L2A"])
    twelve = Modality("s2", "image", (12, 64, 64), channels=bands)
    some = Modality("some", "image", (3, 64, 64), channels=("red", "nir", "haze"))
    kind = "terratorch:terramind_v1_tiny"
    torch.manual_seed(0)
    net = named_encoder(twelve, False, kind).eval()
    x = torch.randn(2, 12, 64, 64)
    assert net(x).shape == (2, net.out_features)
    assert not torch.allclose(net(x), net(x.flip(1)))
    few = named_encoder(some, False, kind).eval()
    assert few(x[:, :3]).shape == (2, few.out_features)
    for type, match in (
        (f"{kind}/S9", "TerraMind for terramind_v1_tiny/ has no 'S9'"),
        ("terratorch:terramind_v1_teny", "did you mean terramind_v1_tiny"),
    ):
        with pytest.raises(ValueError, match=match):
            named_encoder(twelve, False, type)
    with pytest.raises(ValueError, match="patches of 16×16 pixels, and images of 60×64"):
        named_encoder(Modality("s2", "image", (12, 60, 64), channels=bands), False, kind)
