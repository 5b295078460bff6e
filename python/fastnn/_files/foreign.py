# SPDX-License-Identifier: BSD-3-Clause
"""Files of other libraries, recognised by their first bytes, and what to do with them."""

from __future__ import annotations

import re

__all__ = ["described"]

_TORCH = "model.load_state_dict(torch.load(path, weights_only=True)) takes its weights"
_KERAS = "nn.from_keras takes a loaded Keras model"
_ZIP = rb"PK\x03\x04.{26}"  # then comes the name of the first member
_TORCH_MEMBERS = rb"[^/]{1,80}/(?:data\.pkl|\.|byteorder|version|code/|constants)"
_KERAS_MEMBERS = rb"(?:metadata|config)\.json|model\.weights\.h5"
_COMPRESSED = rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|\x78[\x01\x5e\x9c\xda]"
_BEGINNINGS = (
    (rb"\x89HDF\r\n\x1a\n", f"HDF5, as of Keras' .h5; {_KERAS}"),
    (_ZIP + _TORCH_MEMBERS, f"PyTorch; {_TORCH}"),
    (_ZIP + _KERAS_MEMBERS, f"Keras; {_KERAS}"),
    (rb"PK\x05\x06", "zip, and it is empty"),
    (rb"PK\x03\x04", "zip, but not of arrays"),
    (
        rb"\x80[\x02-\x05]",
        f"pickle, which runs code when it is loaded. If it is PyTorch's: {_TORCH}",
    ),
    (rb"\x93NUMPY", "NumPy's .npy, a single array"),
    (rb"\x08[\x01-\x20][\x12\x1a\x22\x3a]", "ONNX, which fastnn writes but does not read"),
    (rb"GGUF", "GGUF"),
    (_COMPRESSED, "compressed data, as of joblib"),
    (rb"tree\n", "LightGBM"),
    (rb"\s*[{\[]", "JSON"),
)


def described(start: bytes) -> str:
    """Return which file begins with these bytes, for a message."""
    for pattern, name in _BEGINNINGS:
        if re.match(pattern, start, re.DOTALL):
            return f"this is a file of the kind {name}"
    return f"this is no model file; it begins with {start[:16]!r}"
