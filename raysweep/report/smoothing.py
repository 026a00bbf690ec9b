"""A smooth line through a cloud of points: a cubic spline with a ridge, its strength cross-validated."""

import numpy as np

from raysweep.scoring.answers import Floats

LEAST_PLACES = 7
"""With fewer different values a curve would be drawn where nothing was tried."""
LEAST_POINTS = 10


def smooth(x: Floats, y: Floats) -> tuple[Floats, Floats] | None:
    """A line over the range of x; None where the points are too few for one."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import SplineTransformer

    if np.unique(x).size < LEAST_PLACES or x.size < LEAST_POINTS:
        return None
    low, high = float(x.min()), float(x.max())
    scaled = (x - low) / (high - low)
    spline = make_pipeline(SplineTransformer(n_knots=6, degree=3), RidgeCV(np.logspace(-3, 2, 16)))
    spline.fit(scaled[:, None], y)
    grid = np.linspace(0, 1, 80)
    line: Floats = spline.predict(grid[:, None])
    return low + grid * (high - low), line
