// Elementary functions of numbers, by the formulas of core/simd_math.h: the C library enters no result.
// No vectors here: who reads this may be compiled once, whatever the instruction set.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "core/types.h"

namespace fastnn {

// 1 - base^n for 0 <= base < 1 and n >= 1, with a small relative error also where base^n is almost 1.
double power_complement(double base, double n) noexcept;

// y[i] = the function called `name` of x[i], or false if there is none: for the tests.
template <class T>
bool elementary(const std::string& name, const T* x, Index n, T* y) noexcept;

}  // namespace fastnn
