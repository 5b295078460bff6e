// Flatten: rows of several dimensions (n, d1, d2, ...) are read as (n, d1 d2 ...), in place. The bindings do this,
// because only there an array has a shape; nothing remains to be done here.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "inputs/input.h"

namespace fastnn::inputs {

template <class T>
class Flatten final : public Input<T> {
 public:
  static constexpr std::array<const char*, 0> kSettings{};
  static constexpr bool kScales = false, kFlattens = true, kNumbered = true;
  Flatten(Index, const Settings&) {}
};

}  // namespace fastnn::inputs
