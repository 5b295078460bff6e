// PReLU: y = x where x > 0, and weight * x elsewhere, with one weight for all columns or one for each. As in torch, the
// derivative at 0 is the weight.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>

#include "core/simd.h"
#include "layers/layer.h"

namespace fastnn::layers {

struct PReLUParams {
  Index num_parameters = 1;
  double init = 0.25;
};

template <class T>
class PReLU final : public Layer<T> {
 public:
  using Params = PReLUParams;
  static constexpr std::array kFields{
      field<&Params::num_parameters>("num_parameters", kWidths, "1, or the columns of x"),
      field<&Params::init>("init", "initial weight", tries(0.4)),
  };
  static Index expects(const Params& p) { return p.num_parameters == 1 ? kAnyWidth : p.num_parameters; }
  PReLU(Index columns, const Params& p)
      : Layer<T>(columns, columns, {.needs_input = true}), weights_(p.num_parameters), init_(p.init) {}

  std::vector<ParamShape> params() const override { return {{"weight", 1, weights_}}; }
  void bind(std::span<const Matrix<T>> values) override { weight_ = values[0].data; }
  void initialize(std::uint64_t) override { std::fill_n(weight_, weights_, static_cast<T>(init_)); }
  double flops_per_row() const override { return static_cast<double>(this->out()); }
  Index partial_size() const override { return this->out(); }
  Index merged_size() const override { return this->out(); }

  void forward(const Slot<T>& s, Range rows, Range, const Batch&) const noexcept override {
    for (Index r = rows.first; r < rows.first + rows.count; ++r)
      scale_where_not_positive(s.x.row(r), s.x.row(r), s.y.row(r));
  }
  // partial: sums over the chunk of dy * min(x, 0), column by column.
  void backward_partial(const Slot<T>& s, Range rows, double* partial) const noexcept override {
    using V = Vec<T>;
    const Index n = this->out();
    std::fill_n(partial, n, 0.0);
    alignas(kAlign) T negative[kBlock];
    for (Index r = rows.first; r < rows.first + rows.count; ++r) {
      const T *x = s.x.row(r), *dy = s.dy.row(r);
      for (Index first = 0; first < n; first += kBlock) {
        const Index count = std::min(kBlock, n - first);
        for (Index c = 0; c < padded<T>(count); c += V::kLanes)
          min(V::load(x + first + c), V::zero()).store(negative + c);
        for (Index c = 0; c < count; ++c)
          partial[first + c] += static_cast<double>(dy[first + c]) * static_cast<double>(negative[c]);
      }
    }
  }
  void backward_merge(const Slot<T>& s, Index chunks, Index) const noexcept override {
    std::fill_n(s.merged, merged_size(), 0.0);
    for (Index k = 0; k < chunks; ++k)
      for (Index c = 0; c < merged_size(); ++c) s.merged[c] += s.partials[k * partial_size() + c];
  }
  void backward(const Slot<T>& s, Range rows, Range, const Batch&) const noexcept override {
    for (Index r = rows.first; r < rows.first + rows.count; ++r)
      scale_where_not_positive(s.x.row(r), s.dy.row(r), s.dy.row(r));
  }
  void tile_gradient(const Slot<T>& s, int, Range, Range cols, Range, bool, Matrix<T> grad,
                     const PrefetchTargets<T>*) const noexcept override {
    if (weights_ == 1) {
      double sum = 0;
      for (Index c = 0; c < this->out(); ++c) sum += s.merged[c];
      grad.data[0] = static_cast<T>(sum);
    } else {
      for (Index c = 0; c < cols.count; ++c) grad.data[c] = static_cast<T>(s.merged[cols.first + c]);
    }
    for (Index c = cols.count; c < padded<T>(cols.count); ++c) grad.data[c] = T(0);
  }

 private:
  static constexpr Index kBlock = 256;  // columns at a time, a multiple of the padding

  // to = x > 0 ? from : weight * from, for a row. By vectors, here and in backward_partial: the compiler makes a branch
  // of the plain expressions, and signs cannot be predicted.
  void scale_where_not_positive(const T* x, const T* from, T* to) const noexcept {
    using V = Vec<T>;
    const Index n = this->out();
    const V one_for_all = V::set(weight_[0]);
    for (Index c = 0; c < padded<T>(n); c += V::kLanes) {
      const V values = V::load(from + c), weight = weights_ == 1 ? one_for_all : V::load(weight_ + c);
      select(less(V::zero(), V::load(x + c)), values, weight * values).store(to + c);
    }
    std::fill(to + n, to + padded<T>(n), T(0));
  }

  Index weights_;
  double init_;
  T* weight_ = nullptr;
};

}  // namespace fastnn::layers
