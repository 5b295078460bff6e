// relu6(z) = z, limited to [0, 6]: hardtanh with these ends, under torch's own name.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/hardtanh.h"

namespace fastnn::activations {

template <class T>
struct Relu6 {
  static constexpr Needs kNeeds = Needs::kOutput;

  Vec<T> f(Vec<T> z) const { return limited().f(z); }
  Vec<T> df(Vec<T> a) const { return limited().df(a); }

 private:
  static Hardtanh<T> limited() { return Hardtanh<T>({.min_val = 0, .max_val = 6}); }
};

}  // namespace fastnn::activations
