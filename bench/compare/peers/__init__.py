# SPDX-License-Identifier: BSD-3-Clause
"""One module per library; `case.Peer` says what each has."""
