"""What the simulators share

Written by nbdev-export from the check cells of nbs/api/simulate/00_common.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np

from mtl_explain.simulate.common import sun_position


def test_known_suns():
    "Where the sun stands."
    # known suns: noon at the solstices in Berlin and south of the equator; mornings are in the east
    assert np.allclose(sun_position(52.5, 172, 12), (90 - 52.5 + 23.44, 180), atol=0.1)
    assert np.allclose(sun_position(52.5, 355, 12), (90 - 52.5 - 23.44, 180), atol=0.1)
    assert np.isclose(sun_position(-30, 355, 12)[0], 90 - 30 + 23.44, atol=0.1)
    assert np.isclose(sun_position(-30, 172, 12)[1] % 360, 0, atol=0.1)
    assert 60 < sun_position(52.5, 172, 8)[1] < 120
    assert 240 < sun_position(52.5, 172, 16)[1] < 300
