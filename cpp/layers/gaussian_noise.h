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
    if (batch.training) add_noise(s, rows, cols, batch);
    for (Index r = rows.first; r < rows.first + rows.count; ++r) {
      const T* x = s.x.row(r) + cols.first;
      T* y = s.y.row(r) + cols.first;
      if (!batch.training && y != x) std::memcpy(y, x, sizeof(T) * static_cast<std::size_t>(cols.count));
      std::fill(y + cols.count, y + padded<T>(cols.count), T(0));
    }
  }
  void backward(const Slot<T>&, Range, Range, const Batch&) const noexcept override {}

 private:
  static constexpr int kBlocks = 16;  // of Philox at a time

  // The first number of a block.
  struct Place {
    Index row, column;
  };

  void add_noise(const Slot<T>& s, Range rows, Range cols, const Batch& batch) const noexcept {
    const Index end = cols.first + cols.count;
    const T std = std_;
    Place next{rows.first, cols.first};
    while (next.row < rows.first + rows.count) {
      Place places[kBlocks];
      int count = 0;
      for (; count < kBlocks && next.row < rows.first + rows.count; ++count) {
        places[count] = next;
        if ((next.column += kMaskLanes) >= end) next = {next.row + 1, cols.first};
      }
      const auto words = words_of(places, count, batch);
      alignas(kAlign) T normals[kBlocks * kMaskLanes];
      normals_of(words.data(), ceil_div(count * kMaskLanes, Vec<T>::kLanes) * Vec<T>::kLanes, normals);
      for (int k = 0; k < count; ++k) {
        const auto [row, column] = places[k];
        T* noise = normals + k * kMaskLanes;
        for (Index j = 0; j < kMaskLanes; ++j) noise[j] *= std;
        add(s.x.row(row) + column, noise, s.y.row(row) + column, std::min(kMaskLanes, end - column));
      }
    }
  }

  // The sums are made aside, because y may be x.
  static void add(const T* x, const T* noise, T* y, Index count) noexcept {
    if (count < kMaskLanes) {
      for (Index j = 0; j < count; ++j) y[j] = x[j] + noise[j];
      return;
    }
    T sum[kMaskLanes];
    for (Index j = 0; j < kMaskLanes; ++j) sum[j] = x[j] + noise[j];
    std::copy(sum, sum + kMaskLanes, y);
  }

  // The words of `count` blocks. The compiler computes kBlocks of them abreast where vectors have 64 bytes.
  MaskLanes<kBlocks> words_of(const Place* places, int count, const Batch& batch) const noexcept {
    const auto layer = static_cast<std::uint64_t>(this->number());
    const auto counter_of = [&](int k) {
      const auto [row, column] = places[k];
      return PhiloxBlock{static_cast<std::uint64_t>(column / kMaskLanes + 1), static_cast<std::uint64_t>(row),
                         batch.step, batch.draw};
    };
    if (Vec<double>::kLanes == 8 && count == kBlocks) {
      std::uint64_t abreast[4][kBlocks];
      for (int k = 0; k < kBlocks; ++k)
        for (std::size_t w = 0; w < 4; ++w) abreast[w][k] = counter_of(k)[w];
      return lanes_abreast(abreast, batch.seed, layer);
    }
    std::array<std::uint64_t, 4 * kBlocks> words{};
    for (int k = 0; k < count; ++k) {
      const PhiloxBlock block = philox(counter_of(k), batch.seed, layer);
      std::copy(block.begin(), block.end(), words.begin() + 4 * k);
    }
    return halves(words);
  }
  T std_;
};

}  // namespace fastnn::layers
