"""Exponential smoothing as TensorBoard and MLflow draw it.

``s_t = w s_(t-1) + (1 - w) x_t`` from ``s_0 = 0``, divided by ``1 - w^t`` so that the first values
are not drawn to zero: the debiasing of Kingma, Ba (2015), "Adam: A Method for Stochastic
Optimization", section 3, which TensorBoard's line chart (``vz_line_chart2``) and MLflow's metric
page apply to curves. A gap stays one and does not count.
"""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MANY: Final = 20_000
"""From as many points on numpy is worth its import."""

_BLOCK: Final = 64


def smoothed(values: array[float], weight: float) -> array[float]:
    """Values smoothed; those that are not finite stay as they are.

    Args:
        values: In the order of their axis.
        weight: Of what came before, from 0 (nothing) to below 1.
    """
    if not 0 < weight < 1 or not values:
        return values
    return _by_numpy(values, weight) if len(values) >= MANY else _plainly(values, weight)


def _plainly(values: array[float], weight: float) -> array[float]:
    out = array("d", values)
    last, bias = 0.0, 1.0
    for index, value in enumerate(values):
        if math.isfinite(value):
            last = last * weight + (1 - weight) * value
            bias *= weight
            out[index] = last / (1 - bias)
    return out


def _by_numpy(values: array[float], weight: float) -> array[float]:
    """The same, in blocks: within one it is a product with a triangular matrix."""
    import numpy as np

    given = np.frombuffer(values, dtype=np.float64)
    finite = np.isfinite(given)
    x = given[finite]
    if not len(x):
        return values
    blocks = -(-len(x) // _BLOCK)
    padded: NDArray[np.float64] = np.zeros(blocks * _BLOCK)
    padded[: len(x)] = x
    powers = weight ** np.arange(_BLOCK + 1, dtype=np.float64)
    lags = np.arange(_BLOCK)[:, None] - np.arange(_BLOCK)[None, :]
    matrix = np.where(lags >= 0, (1 - weight) * powers[np.maximum(lags, 0)], 0.0)
    local = padded.reshape(blocks, _BLOCK) @ matrix.T
    carried = np.empty(blocks)
    carry, whole = 0.0, float(powers[_BLOCK])
    for block, last in enumerate(local[:, -1].tolist()):
        carried[block] = carry
        carry = carry * whole + last
    local += carried[:, None] * powers[None, 1:]
    count = np.arange(1, len(x) + 1, dtype=np.float64)
    out = given.copy()
    out[finite] = local.reshape(-1)[: len(x)] / -np.expm1(count * math.log(weight))
    return array("d", out.tobytes())
