"""MMCD

Written by nbdev-export from the check cells of nbs/api/35_mmcd.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import torch

from mtl_explain.change.mmcd import CrossFusion
from mtl_explain.change.pair import as_map, as_tokens
from mtl_explain.layers import n_parameters


def test_equation_2_by_a_loop_and_its_symmetry():
    "Cross-modal fusion."
    torch.manual_seed(0)
    block, (early, late) = CrossFusion(4, 6, n_heads=2, ratio=1).eval(), torch.randn(2, 1, 4, 3, 5)
    h, i = (as_tokens(norm(embed(m)))[0] for norm, embed, m in zip(block.before, block.embed, (early, late)))
    ask, answer = block.ask[0], torch.zeros(15, 6)
    keys, values = ask.kv(i).chunk(2, -1)
    for p in range(15):
        for head in (slice(0, 3), slice(3, 6)):
            weights = torch.softmax(torch.stack([ask.q(h)[p, head] @ keys[o, head] for o in range(15)]) / 3**.5, 0)
            answer[p, head] = sum(w * values[o, head] for o, w in enumerate(weights))
    expected = block.narrow(block.after[0](block.embed[0](early) + as_map(ask.out(answer)[None], (3, 5))).permute(0, 2, 3, 1))[0, :, :, 2]
    assert torch.allclose(block.question(early, late)[0][0, 2], expected, atol=1e-5)
    for pair in (block.embed, block.ask, block.before, block.after): pair[1].load_state_dict(pair[0].state_dict())
    for a, b in zip(block.question(early, late), block.question(late, early)[::-1]): assert torch.allclose(a, b, atol=1e-6)


def test_the_fusions_parameters_by_hand():
    "Cross-modal fusion."
    def fusion(width, ratio, f=64):
        embed, ask, narrow = f * width * 9 + 3 * width, 4 * (width**2 + width), width * f + f
        return 2 * (embed + ask + 4 * width) + (width**2 * ratio**2 + 3 * width) * (ratio > 1) + narrow + (2 * f * f * 9 + f) + 2 * f + (f * f * 9 + f)

    for width, n_heads, ratio in ((320, 8, 1), (128, 4, 2), (64, 2, 4), (128, 1, 8)): assert n_parameters(CrossFusion(64, width, n_heads, ratio)) == fusion(width, ratio)
    assert fusion(6, 2, f=4) == n_parameters(CrossFusion(4, 6, 1, 2))
