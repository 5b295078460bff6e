// The instruction-set level this copy of the engine is compiled for: part of every symbol's name.
// It is not a place for intrinsics: kernels are written on core/simd.h and compiled once per level.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Set by cpp/cmake/FastnnIsa.cmake to v2, v3, v4, base or native. Every file opens
// `namespace fastnn::inline FASTNN_ISA::<room>`, so callers write fastnn::losses::Mse while the symbol is
// fastnn::v3::losses::Mse: two loaded modules cannot share code compiled for different processors.
#ifndef FASTNN_ISA
#define FASTNN_ISA base
#endif

#define FASTNN_STRINGIZE_(x) #x
#define FASTNN_STRINGIZE(x) FASTNN_STRINGIZE_(x)

namespace fastnn::inline FASTNN_ISA {
inline constexpr const char* kIsa = FASTNN_STRINGIZE(FASTNN_ISA);
}
