# SPDX-License-Identifier: BSD-3-Clause
"""One module per library; `case.Peer` describes what each of them has."""
