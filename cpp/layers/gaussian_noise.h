// GaussianNoise: y = x + std * n in training, n of the standard normal distribution; outside of training y = x. As the
// mask of a dropout layer, n is a function of (seed, layer, step, draw, row in the batch, column): 32 bits of the same
// stream of words, through core/normal.h. dx is dy, so that the backward pass has nothing to do.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "core/normal.h"
#include "layers/dropout_mask.h"
#include "layers/layer.h"

namespace fastnn::layers {

struct GaussianNoiseParams {
  double std = 0.1;
};

template <class T>
class GaussianNoise final : public Layer<T> {
 public:
  using Params = GaussianNoiseParams;
  static constexpr std::array kFields{
      field<&Params::std>("std", at_least(0), "standard deviation of what is added", tries(0.7))};
  GaussianNoise(Index width, const Params& p)
      : Layer<T>(width, width, {.elementwise = true}), std_(static_cast<T>(p.std)) {}

  bool change(const Values& values) override {
    std_ = static_cast<T>(values.as<Params>().std);
    return true;
  }
  double flops_per_row() const override { return 2.0 * static_cast<double>(this->out()); }

  void forward(const Slot<T>& s, Range rows, Range cols, const Batch& batch) const noexcept override {
    for (Index r = rows.first; r < rows.first + rows.count; ++r) {
      const T* x = s.x.row(r) + cols.first;
      T* y = s.y.row(r) + cols.first;
      if (batch.training)
        add_noise(batch, r, cols, x, y);
      else if (y != x)
        std::memcpy(y, x, sizeof(T) * static_cast<std::size_t>(cols.count));
      std::fill(y + cols.count, y + padded<T>(cols.count), T(0));
    }
  }
  void backward(const Slot<T>&, Range, Range, const Batch&) const noexcept override {}

 private:
  // Blocks of Philox at a time, as long as so many are left: a vector of words at least.
  static constexpr int kMany = Vec<double>::kLanes == 8 ? 16 : 2, kFew = 2;

  void add_noise(const Batch& batch, Index row, Range cols, const T* x, T* y) const noexcept {
    Index c = 0;
    for (; cols.count - c >= kMany * kMaskLanes; c += kMany * kMaskLanes) add<kMany>(batch, row, cols, c, x, y);
    for (; c < cols.count; c += kFew * kMaskLanes) add<kFew>(batch, row, cols, c, x, y);
  }
  // The columns from number c of the range on, as many as the blocks have words.
  template <int kBlocks>
  void add(const Batch& batch, Index row, Range cols, Index c, const T* x, T* y) const noexcept {
    constexpr Index kWords = kBlocks * kMaskLanes;
    static_assert(kWords % Vec<T>::kLanes == 0);
    const auto block = static_cast<std::uint64_t>((cols.first + c) / kMaskLanes + 1);
    const auto words = mask_lanes<kBlocks>(block, static_cast<std::uint64_t>(row), batch.step, batch.draw, batch.seed,
                                           static_cast<std::uint64_t>(this->number()));
    alignas(kAlign) T normals[kWords];
    normals_of(words.data(), kWords, normals);
    const Index count = std::min(kWords, cols.count - c);
    for (Index j = 0; j < count; ++j) y[c + j] = x[c + j] + std_ * normals[j];
  }
  T std_;
};

}  // namespace fastnn::layers
