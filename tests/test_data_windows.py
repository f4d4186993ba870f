"""Windows over a scene

Written by nbdev-export from the check cells of nbs/api/data/10_windows.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mtl_explain.data.windows import (
    WholeBlocks, blend_windows, cell_scales, count_windows, half_cosine, window_batches, window_plan,
    window_starts, window_weights,
)
from mtl_explain.palette import blue, orange


def test_windows_by_hand_and_weights_that_sum_to_one_everywhere():
    "Windows that overlap."
    assert window_starts(20, 8, 4) == [0, 4, 8, 12]
    assert window_starts(21, 8, 4) == [0, 4, 8, 12, 13]
    assert window_starts(8, 8, 4) == [0]
    half = 0.5 * np.cos(np.pi / 4)
    np.testing.assert_allclose(half_cosine(4), [0, 0.5 - half, 0.5 + half, 1])
    assert len(half_cosine(0)) == 0
    for n, size, step in ((20, 8, 4), (640, 128, 96), (640, 128, 128), (128, 128, 96)):
        starts = window_starts(n, size, step)
        total = np.zeros(n)
        for s, w in zip(starts, window_weights(starts, size), strict=True):
            total[s : s + size] += w
        np.testing.assert_allclose(total, 1, atol=1e-6)
    starts = window_starts(645, 128, 96)
    fig, ax = plt.subplots(figsize=(8, 1.6), layout="constrained", dpi=75)
    for k, (s, w) in enumerate(zip(starts, window_weights(starts, 128), strict=True)):
        ax.plot(s + np.arange(128), w, color=(blue, orange)[k % 2])
    ax.set(
        xlabel="pixel of the scene",
        ylabel="weight",
        title="windows of 128 pixels that share 32; the last is moved back",
    )


def test_how_scenes_are_cut():
    "Over the scene."
    assert window_plan((200, 100), 64, multiple=4) == ((64, 64), ([0, 48, 96, 136], [0, 36]))
    smaller = window_plan((50, 70), 64, 10, 4)
    assert smaller == ((50, 64), ([0], [0, 6])), "a scene that is smaller than a window"
    starts = [0, 64, 128, 192, 256, 320, 384, 400]
    assert window_plan((500, 500), 100, multiple=32) == ((100, 100), (starts, starts))
    assert window_plan((90, 3), 50, multiple=4) == ((50, 3), ([0, 36, 40], [0])), "no size is wrong"
    assert window_plan((9, 9), 7, 5, 4) == ((7, 7), ([0, 2], [0, 2])), "no room for a multiple"
    for overlap, match in (
        (64, "overlap=64: expected 0 to 63 pixels for windows of 64"),
        (-4, "overlap=-4"),
    ):
        with pytest.raises(ValueError, match=match):
            window_plan((90, 90), 64, overlap)


def test_batches_are_those_that_blending_asks_for_in_its_order_border_windows():
    "Over the scene."
    # batches are those that blending asks for, in its order, border windows twice
    asked = []


    def noted(rows, cols):
        asked.append((rows, cols))
        return dict(a=np.zeros((len(rows), 1, 32, 32), "float32"))


    plan = window_plan((70, 93), 32)
    for _ in blend_windows(noted, dict(a=1), plan[1], plan[0], 40, 2):
        pass
    assert list(window_batches(plan[1], plan[0], 40, 2)) == asked
    assert sum(len(rows) for rows, _ in asked) == count_windows(plan[1], plan[0], 40)


def test_windows_that_agree_give_what_they_agree_on_whatever_their_layout():
    "Over the scene."
    rows, cols = np.mgrid[:70, :93].astype("float32")
    scene = np.stack([rows, cols])


    def look(r, c):
        return dict(
            here=[scene[:, a : a + 16, b : b + 24] for a, b in zip(r, c, strict=True)],
        )


    def whole(look, steps, **options):
        out = np.full((2, 70, 93), -1, "float32")
        times = np.zeros((70, 93), int)
        starts = (window_starts(70, 16, steps[0]), window_starts(93, 24, steps[1]))
        for r, c, found in blend_windows(look, dict(here=2), starts, (16, 24), **options):
            v = found["here"]
            out[:, r : r + v.shape[1], c : c + v.shape[2]] = v
            times[r : r + v.shape[1], c : c + v.shape[2]] += 1
        assert (times == 1).all(), "every pixel is handed out once"
        return out


    for steps in ((16, 24), (12, 16), (4, 8)):
        for options in (dict(), dict(width=20), dict(width=50, bs=3)):
            np.testing.assert_allclose(whole(look, steps, **options), scene, atol=1e-4)


    def blind(r, c):
        seen = look(r, c)["here"]
        at = zip(r, c, seen, strict=True)
        return dict(here=[np.where((a == 12) & (b == 16), np.nan, v) for a, b, v in at])


    found = whole(blind, (12, 16))
    known = ~np.isnan(found[0])
    np.testing.assert_allclose(found[:, known], scene[:, known], atol=1e-4)
    assert 0 < (~known).sum() < 16 * 24, "what one window alone sees stays unknown"
    assert not np.isnan(whole(blind, (4, 8))).any()


def test_two_grids_at_once():
    "Over the scene."
    fine = np.arange(3 * 40 * 3 * 50, dtype="float32").reshape(1, 120, 150)
    coarse = fine[:, ::3, ::3]


    def look(r, c):
        at = list(zip(r, c, strict=True))
        return dict(
            fine=[fine[:, 3 * a : 3 * a + 48, 3 * b : 3 * b + 48] for a, b in at],
            coarse=[coarse[:, a : a + 16, b : b + 16] for a, b in at],
        )


    starts = (window_starts(40, 16, 12), window_starts(50, 16, 12))
    out = dict(fine=np.full_like(fine, -1), coarse=np.full_like(coarse, -1))
    channels = dict(fine=1, coarse=1)
    for r, c, found in blend_windows(look, channels, starts, (16, 16), 20, scales=dict(fine=3)):
        for task, k in dict(fine=3, coarse=1).items():
            v = found[task]
            out[task][:, k * r : k * r + v.shape[1], k * c : k * c + v.shape[2]] = v
    np.testing.assert_allclose(out["fine"], fine, rtol=1e-5)
    np.testing.assert_allclose(out["coarse"], coarse, rtol=1e-5)


def test_rows_in_whole_blocks_each_once():
    "Over the scene."
    rows = np.arange(100).reshape(1, 100, 1).repeat(3, 2)
    pieces = ((0, 30), (30, 40), (70, 20), (90, 10))
    blocks = WholeBlocks(100, 32)
    got = [blocks.add(r, rows[:, r : r + n]) for _ in range(2) for r, n in pieces]
    got = [(r, v) for r, v in got if v.shape[1]]
    assert [(r, v.shape[1]) for r, v in got] == [(0, 64), (64, 36)] * 2
    assert all((v[0, :, 0] == np.arange(r, r + v.shape[1])).all() for r, v in got)


def test_cells_of_one_grid_of_two_of_three():
    "Which grids fit together."
    assert cell_scales(dict(a=(64, 64), b=(64, 64))) == (dict(a=1, b=1), 64)
    assert cell_scales(dict(a=(120, 120), b=(60, 60))) == (dict(a=2, b=1), 60)
    assert cell_scales(dict(a=(120, 240), b=(20, 40))) == (dict(a=6, b=1), 20)
    assert cell_scales(dict(a=(120, 120), b=(80, 80))) == (dict(a=3, b=2), 40)
    with pytest.raises(ValueError, match="not have cells in common that are square: a 8×8, b 8×4"):
        cell_scales(dict(a=(8, 8), b=(8, 4)))
