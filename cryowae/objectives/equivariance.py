"""The term by which data without truth fill the wedge: the restoration of a rotated volume is the rotated restoration.

A rotation brings components that were measured into the wedge. The network sees the rotated volume through the wedge
again and must restore them: the rotated data tell what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

from cryowae.fourier.rotation import RotationGroup, draw_rotations, rotate_finely
from cryowae.fourier.wedge import Wedge
from cryowae.objectives.fidelity import masked, windowed_error
from cryowae.objectives.reobservation import central_cube, inner_edge, observe_again
from cryowae.objectives.term import Cost, Pass, Term, channels_last


@dataclass(eq=False)
class Equivariance(Term):
    """The squared error of the restoration of `T_M R x^ + n` against the rotated second half, `R y`.

    `x^` is the restored volume, without gradient; `R` a random rotation, `T_M` the wedge of the sample, `n` noise of
    the tomogram. The error counts where the rotated half was measured: over `R M`, `M` being the measured components.
    Its noise is independent of the input, so that the minimum is the conditional mean of the structure, as for
    noise2noise (robust equivariant imaging, Chen, Tachella & Davies 2022; noise2noise, Lehtinen et al. 2018).

    If there is no second half, the target is `R x^` over all components. This makes the network consistent with
    itself, but does not tie it to the data: a constant output has no cost. Another term must prevent that.

    It needs `tilts` and `noise`, and no truth. It uses the user's own subtomograms (`Pass.own`), if the batch has some
    beside the simulated ones. Only the network's answer has gradients. With `half-turns` and a tilt range that is
    symmetric, `R M` is `M`, and nothing is learned about the wedge.

    Attributes
    ----------
    weight
        Multiplies the error.
    rotations
        Group of the rotations, see `cryowae.fourier.rotation.draw_rotations`.
    wedge_weight
        Weight of the error inside the wedge `M`, where 1 is the weight outside it. With a range of 120 degrees, a
        random `R M` has half as many components inside the wedge of `M` as outside it: 2 gives both parts the same
        weight.
    """

    rotations: RotationGroup = "full"
    wedge_weight: Annotated[float, Field(ge=0, le=1e12)] = 2.0

    def cost(self, made: Pass) -> Cost:
        made = made.own
        restored, halves, tilts = made.restored.detach().float(), made.batch.other, made.needed("tilts")
        edge = inner_edge(restored.shape[-1], 2, made.network.stride)
        rotations = draw_rotations(self.rotations, len(restored), made.generator, restored.device)
        with torch.no_grad():
            rotated = rotate_finely(restored[:, 0], rotations)[:, None]
            again = observe_again(made, rotated, edge)
        with made.precision():
            answer = made.network.decode(made.network.encode(channels_last(again))).float()
        if halves is None:
            difference = answer - central_cube(rotated, edge)
        else:
            target = rotate_finely(halves[:, 0].float(), rotations, shape=(edge, edge, edge))[:, None]
            difference = _as_measured(answer, rotated, tilts, rotations) - target
        inside = torch.stack([1 - Wedge.binary(*pair).mask((edge, edge, edge), restored.device) for pair in tilts])
        factors = (1 + (self.wedge_weight - 1) * inside).sqrt()[:, None]
        return self.logged("equivariance", windowed_error(difference, factors))


def _as_measured(answer: Tensor, rotated: Tensor, tilts: Sequence[tuple[float, float]], rotations: Tensor) -> Tensor:
    """The answer as the rotated half shows it: through the rotated wedge.

    The wedge spreads structure over the border of a cube, so that it is applied to the whole box: to the answer in its
    centre and `R x^` around it. With the cube alone, the best answer would have 0.94 of the contrast of a simulated
    structure (boxes of 64), and so 0.97.
    """
    around = rotated.clone()
    central_cube(around, answer.shape[-1]).zero_()
    size, edge = rotated.shape[-1], answer.shape[-1]
    before = (size - edge) // 2
    whole = around + pad(answer, [before, size - edge - before] * 3)
    # by rows, so that masks that are used once do not fill the cache
    wedges = [Wedge.binary(*pair).rotated(rotation) for pair, rotation in zip(tilts, rotations.cpu(), strict=True)]
    masks = [wedge.mask_rows(rotated.shape[-3:], slice(None), rotated.device) for wedge in wedges]
    return central_cube(masked(whole, torch.stack(masks)[:, None]), edge)
