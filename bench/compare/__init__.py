# SPDX-License-Identifier: BSD-3-Clause
"""A training step of fastnn beside its peers; `docs/performance.md` says how it is measured."""
