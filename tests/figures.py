# SPDX-License-Identifier: BSD-3-Clause
"""Figures that course notebooks print and that more than one test reproduces."""

from __future__ import annotations

# Udacity, "Gradient descent" notebook: train loss and accuracy after epochs 0, 10, ..., 90.
GRADIENT_DESCENT = [
    (0.7135845195381634, 0.40),
    (0.6225835210454962, 0.59),
    (0.5548744083669508, 0.74),
    (0.501606141872473, 0.84),
    (0.4593334641861401, 0.86),
    (0.42525543433469976, 0.93),
    (0.3973461571671399, 0.93),
    (0.3741469765239074, 0.93),
    (0.35459973368161973, 0.94),
    (0.3379273658879921, 0.94),
]
# The same course, "Implementing gradient descent": loss every hundredth epoch.
ADMISSIONS = [
    0.26276093849966364,
    0.20928619409324895,
    0.20084292908073417,
    0.19862156475527884,
    0.19779851396686018,
    0.19742577912189863,
    0.19723507746241065,
    0.19712945625092465,
    0.19706766341315074,
    0.19703005801777368,
]
