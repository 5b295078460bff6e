// Outputs of a row that are several blocks of equal length, one behind the other, each with a number for every target.
// A block need not begin at an aligned address, nor end where padding begins: its numbers go through a line on the
// stack.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>

#include "core/simd.h"
#include "kernels/reduce.h"
#include "losses/loss.h"

namespace fastnn::losses {

// A cache line of numbers c, c + 1, ... of a block of n; those beyond n are zero.
template <class T>
class Block {
 public:
  void read(const T* block, Index c, Index n) {
    const Index count = std::min(kPad<T>, n - c);
    std::copy_n(block + c, count, line_);
    std::fill(line_ + count, line_ + kPad<T>, T(0));
  }
  void write(T* block, Index c, Index n) const { std::copy_n(line_, std::min(kPad<T>, n - c), block + c); }
  Vec<T> at(Index j) const { return Vec<T>::load(line_ + j); }
  void set(Index j, Vec<T> numbers) { numbers.store(line_ + j); }
  const T* data() const { return line_; }

 private:
  alignas(kAlign) T line_[kPad<T>] = {};
};

}  // namespace fastnn::losses
