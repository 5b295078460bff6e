# SPDX-License-Identifier: BSD-3-Clause
"""Compare training steps of fastnn and its peers; `docs/performance.md` describes the method."""
