# SPDX-License-Identifier: BSD-3-Clause
"""Models from and for other libraries: PyTorch, Keras and ONNX.

`nn.from_torch`, `nn.from_keras`, `Sequential.to_torch` and `Sequential.to_onnx` are the public
names. The modules of this package translate between `ModelData` (_model) and the objects of one
library each, which is imported at the first call. They know neither Sequential nor the core.
"""

from __future__ import annotations

__all__: list[str] = []
