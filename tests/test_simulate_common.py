"""What the simulators share

Written by nbdev-export from the check cells of nbs/api/26_simulate.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import rasterio

from mtl_explain.simulate.common import new_folder, over_cores, sun_position, write_geotiff


def test_whole_or_not_at_all():
    "A folder that appears when it is complete."
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder)/'worlds'/'a'
        with pytest.raises(KeyboardInterrupt), new_folder(world) as beside:
            (beside/'half.txt').write_text('half')
            raise KeyboardInterrupt
        assert list(world.parent.iterdir()) == []
        with new_folder(world) as beside:
            (beside/'whole.txt').write_text('whole')
            assert not world.exists()
        assert [p.name for p in world.iterdir()] == ['whole.txt']
        with pytest.raises(FileExistsError, match='exists already: choose another folder'), new_folder(world): pass


def test_somebodys_folder_beside_it_is_left_alone():
    "A folder that appears when it is complete."
    with tempfile.TemporaryDirectory() as folder:
        world, other = Path(folder)/'a', Path(folder)/'a.partial'
        other.mkdir()
        (other/'thesis.tex').write_text('ten years')
        with pytest.raises(FileExistsError, match='a.partial is in the way'), new_folder(world):
            pass
        assert (other/'thesis.tex').exists() and not world.exists()


def test_a_small_raster_read_back():
    "Images at their places."
    with tempfile.TemporaryDirectory() as folder:
        write_geotiff(Path(folder)/'a/b.tif', np.arange(6, dtype='int16').reshape(2, 3), (500_000, 5_600_000), 10., 'EPSG:32632', nodata=-1)
        with rasterio.open(Path(folder)/'a/b.tif') as file:
            assert (file.read(1) == [[0, 1, 2], [3, 4, 5]]).all() and file.nodata == -1 and file.crs.to_epsg() == 32632
            assert tuple(file.bounds) == (500_000, 5_599_980, 500_030, 5_600_000)


def test_one_process_or_two():
    "All cores."
    # one process or two: the same results in the same order
    assert over_cores(abs, [-3, 1, -2], workers=2, progress=False) == over_cores(abs, [-3, 1, -2], progress=False) == [3, 1, 2]
    assert over_cores(abs, [], progress=False) == []


def test_known_suns():
    "Where the sun stands."
    # known suns: noon at the solstices in Berlin, at the equator and south of it; mornings are in the east
    assert np.allclose(sun_position(52.5, 172, 12), (90 - 52.5 + 23.44, 180), atol=.1)
    assert np.allclose(sun_position(52.5, 355, 12), (90 - 52.5 - 23.44, 180), atol=.1)
    assert np.isclose(sun_position(-30, 355, 12)[0], 90 - 30 + 23.44, atol=.1) and np.isclose(sun_position(-30, 172, 12)[1] % 360, 0, atol=.1)
    assert 60 < sun_position(52.5, 172, 8)[1] < 120 and 240 < sun_position(52.5, 172, 16)[1] < 300
