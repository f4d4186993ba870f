"""From a PyTorch dataset

Written by nbdev-export from the check cells of nbs/api/doors/03_torch_dataset.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from mtl_explain.doors.torch_dataset import samples_from_torch


@pytest.fixture(scope='module')
def Fields_and_samples():
    class Fields(torch.utils.data.Dataset):
        "Made-up fields: an image, a mask, a crop, a yield, a name."

        classes = ("wheat", "maize", "rye")

        def __init__(self, n=30, seed=0):
            self.rng = np.random.default_rng(seed)
            self.crop = self.rng.integers(0, 3, n)
            self.image = self.rng.normal(0, 1, (n, 4, 8, 8))

        def __len__(self):
            return len(self.crop)

        def __getitem__(self, i):
            mask = torch.full((1, 8, 8), int(self.crop[i]))
            mask[:, 0] = 255
            return dict(
                image=torch.tensor(self.image[i]),
                mask=mask,
                label=torch.tensor(self.crop[i]),
                grain=torch.tensor(5.0 + self.crop[i]),
                name=f"field {i}",
                lat=50 + 0.1 * i,
            )
    samples = samples_from_torch(
        Fields(),
        image=dict(channels=["blue", "green", "red", "nir"]),
        mask=dict(ignore=255),
        label={},
        grain=dict(units="t/ha"),
        coords=("name",),
    )
    return Fields, samples


def test_every_sample_is_what_the_dataset_gave(Fields_and_samples):
    "All of them."
    Fields, samples = Fields_and_samples
    fields = Fields()
    for i in (0, 7, 29):
        one = samples.sel(sample=str(i))
        given = fields[i]
        assert np.allclose(one.image, given["image"])
        assert (one.mask.values[1:] == given["mask"][0, 1:].numpy()).all()
        assert (one.mask.values[0] == -1).all()
        assert one.label == given["label"]
        assert one.grain.values[0] == given["grain"]
        assert one.name == given["name"]
    assert samples.attrs["split_by"].startswith("sample by sample")
    assert samples.label.attrs["classes"] == ["wheat", "maize", "rye"]
    assert samples.attrs["title"] == "Fields"


def test_splits_that_came_with_the_data_are_kept(Fields_and_samples):
    "All of them."
    # splits that came with the data are kept; a store holds the same
    Fields, samples = Fields_and_samples
    parts = dict(train=Fields(20), val=Fields(6, 1), test=Fields(4, 2))
    words = dict(image={}, label={}, progress=False)
    samples = samples_from_torch(parts, **words)
    assert samples.split.to_series().value_counts().to_dict() == dict(train=20, valid=6, test=4)
    assert samples.attrs["split_by"] == "as given"
    with tempfile.TemporaryDirectory() as folder:
        stored = samples_from_torch(parts, dest=Path(folder) / "store", **words)
        xr.testing.assert_equal(stored.load(), samples)
        with pytest.raises(FileExistsError, match="was made with other settings"):
            samples_from_torch(parts | dict(test=Fields(4, 5)), dest=Path(folder) / "store", **words)
    # nothing named: all that can be one
    assert set(samples_from_torch(Fields(), progress=False, mask=dict(ignore=255))) == {"mask"}


def test_a_zero_or_a_one_for_each_class(Fields_and_samples):
    "All of them."
    Fields, samples = Fields_and_samples
    class Covers(Fields):
        "What occurs in a field."

        def __getitem__(self, i):
            hot = torch.zeros(3, dtype=torch.long)
            hot[self.crop[i]] = 1
            return dict(image=torch.tensor(self.image[i]), label=hot)


    several = samples_from_torch(Covers(), image={}, label={})
    assert several.label.attrs["kind"] == "multilabel"
    assert several.label_label.values.tolist() == ["wheat", "maize", "rye"]
    assert (several.label.values.argmax(1) == Covers().crop).all()


    # a dataset that is asked by places
    class Map:
        "A large array, asked by corner and size, as torchgeo's GeoDatasets are."

        classes = ("water", "land")
        image = torch.arange(400.0).reshape(1, 20, 20)

        def __getitem__(self, query):
            y, x = query
            part = self.image[:, y : y + 4, x : x + 4]
            return dict(image=part, mask=(part[0] > 200).long())


    corners = [(y, x) for y in range(0, 20, 4) for x in range(0, 20, 4)]
    samples = samples_from_torch(Map(), sampler=corners)
    assert samples.sizes["sample"] == 25
    assert (samples.image.values[6, 0] == Map.image[0, 4:8, 4:8].numpy()).all()
    assert samples["mask"].attrs["kind"] == "mask"


    class GeoMap(Map):
        "As a GeoDataset of torchgeo: asked by slices of x, y and time, in metres."

        crs = "EPSG:32632"

        def __getitem__(self, query):
            x, y, _ = query
            return super().__getitem__((int(5_540_200 - y.stop) // 10, int(x.start - 500_000) // 10))


    grid = [(x, y) for y in range(5_540_000, 5_540_200, 40) for x in range(500_000, 500_200, 40)]
    slices = [(slice(x, x + 40), slice(y, y + 40), slice(None)) for x, y in grid]
    placed = samples_from_torch(GeoMap(), sampler=slices, deal=dict(block_km=0.08))
    assert placed.attrs["split_by"] == "by blocks of 0.08 km"
    assert np.allclose([placed.lat[0], placed.lon[0]], [50.0106, 9.0003], atol=2e-3)


def test_what_does_not_fit_is_one_line_with_the_number_of_the_sample(Fields_and_samples):
    "All of them."
    Fields, samples = Fields_and_samples
    with pytest.raises(
        ValueError, match="sample 0: .*class 255, but there are 3|'mask': class 255, but"
    ):
        samples_from_torch(Fields(), mask={})
    with pytest.raises(ValueError, match="'image': no key 'img' in a sample; it has image, mask"):
        samples_from_torch(Fields(), image="img")
    with pytest.raises(ValueError, match="the dataset returns tuple, expected dictionaries"):
        samples_from_torch(torch.utils.data.TensorDataset(torch.zeros(5, 2)))
    with pytest.raises(ValueError, match="unknown split 'holdout'"):
        samples_from_torch(dict(holdout=Fields()))


    class Ragged(Fields):
        def __getitem__(self, i):
            return dict(image=torch.zeros(1, 8, 8 + (i == 3)))


    with pytest.raises(ValueError, match="sample 3: 'image' has shape \\(1, 8, 9\\), the first"):
        samples_from_torch(Ragged(), image={})
