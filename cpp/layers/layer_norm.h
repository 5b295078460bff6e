// LayerNorm: y = (x - mean) / sqrt(var + eps) * weight + bias, mean and biased variance of each row over its columns,
// as in torch. Rows are independent, and training and prediction are the same. Statistics are computed in double with
// the sums of kernels/reduce.h, so the bits do not depend on the vectors' width.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "kernels/reduce.h"
#include "layers/layer.h"

namespace fastnn::layers {

struct LayerNormParams {
  Index normalized_shape = 0;
  double eps = 1e-5;
  bool elementwise_affine = true, bias = true;
};

template <class T>
class LayerNorm final : public Layer<T> {
 public:
  using Params = LayerNormParams;
  static constexpr std::array kFields{
      field<&Params::normalized_shape>("normalized_shape", kWidths, kRequired, "columns of x"),
      field<&Params::eps>("eps", at_least(0), "added to the variance", tries(3e-4)),
      field<&Params::elementwise_affine>("elementwise_affine", "multiply by weight and add bias"),
      field<&Params::bias>("bias", "add bias"),
  };
  static Index expects(const Params& p) { return p.normalized_shape; }
  LayerNorm(Index columns, const Params& p)
      : Layer<T>(columns, columns, {.needs_input = true}),
        eps_(p.eps),
        has_weight_(p.elementwise_affine),
        has_bias_(p.elementwise_affine && p.bias) {}

  std::vector<ParamShape> params() const override;
  void bind(std::span<const Matrix<T>> values) override;
  void initialize(std::uint64_t seed) override;
  bool change(const Values& values) override {
    eps_ = values.as<Params>().eps;
    return true;
  }
  double flops_per_row() const override { return 8.0 * static_cast<double>(this->out()); }
  Index scratch_cols() const override { return static_cast<Index>(sizeof(Statistics) / sizeof(T)); }
  Index partial_size() const override { return has_weight_ ? 2 * this->out() : 0; }
  Index merged_size() const override { return partial_size(); }

  void forward(const Slot<T>& s, Range rows, Range cols, const Batch& batch) const noexcept override;
  void backward(const Slot<T>& s, Range rows, Range cols, const Batch& batch) const noexcept override;
  void backward_partial(const Slot<T>& s, Range rows, double* partial) const noexcept override;
  void backward_merge(const Slot<T>& s, Index chunks, Index batch_rows) const noexcept override;
  void tile_gradient(const Slot<T>& s, int param, Range rows, Range cols, Range over, bool accumulate, Matrix<T> grad,
                     const PrefetchTargets<T>* prefetch) const noexcept override;

 private:
  static constexpr Index kRows = kernels::kRowsAtOnce;
  struct Statistics {  // of a row; forward leaves them in its scratch for backward
    double mean, inv_std;
  };
  void measure(ConstMatrix<T> x, Index first, Index count, Statistics* of_rows) const noexcept;
  static Statistics kept(const Slot<T>& s, Index row) noexcept;

  double eps_;
  bool has_weight_, has_bias_;
  T *weight_ = nullptr, *bias_ = nullptr;
};

template <class T>
std::vector<ParamShape> LayerNorm<T>::params() const {
  std::vector<ParamShape> shapes;
  if (has_weight_) shapes.push_back({"weight", 1, this->out()});
  if (has_bias_) shapes.push_back({"bias", 1, this->out()});
  return shapes;
}

template <class T>
void LayerNorm<T>::bind(std::span<const Matrix<T>> values) {
  if (has_weight_) weight_ = values[0].data;
  if (has_bias_) bias_ = values[1].data;
}

template <class T>
void LayerNorm<T>::initialize(std::uint64_t) {
  if (has_weight_) std::fill_n(weight_, this->out(), T(1));
  if (has_bias_) std::fill_n(bias_, this->out(), T(0));
}

// Two passes over the row: the mean, and then the squared deviations from it, which lose no digits if the mean is
// large.
template <class T>
void LayerNorm<T>::measure(ConstMatrix<T> x, Index first, Index count, Statistics* of_rows) const noexcept {
  const Index n = this->out();
  const auto columns = Vec<double>::set(static_cast<double>(n));
  kernels::LaneSum sums[kRows], squares[kRows];
  double means[kRows], inverses[kRows];
  for (Index i = 0; i < count; ++i) sums[i].add(x.row(first + i), n);
  (kernels::LaneSum::totals(sums) / columns).storeu(means);
  for (Index i = 0; i < count; ++i) {
    const T* row = x.row(first + i);
    const auto mean = Vec<double>::set(means[i]);
    squares[i].add(n, [&](Index c) {
      const auto deviation = load_doubles(row + c) - mean;
      return deviation * deviation;
    });
  }
  const auto variance = kernels::LaneSum::totals(squares) / columns;
  (Vec<double>::set(1) / sqrt(variance + Vec<double>::set(eps_))).storeu(inverses);
  for (Index i = 0; i < count; ++i) of_rows[i] = {means[i], inverses[i]};
}

template <class T>
typename LayerNorm<T>::Statistics LayerNorm<T>::kept(const Slot<T>& s, Index row) noexcept {
  Statistics statistics;
  std::memcpy(&statistics, s.scratch.row(row), sizeof statistics);
  return statistics;
}

template <class T>
void LayerNorm<T>::forward(const Slot<T>& s, Range rows, Range, const Batch&) const noexcept {
  const Index n = this->out();
  kernels::by_several_rows(rows.first, rows.count, [&](Index first, Index count) {
    Statistics statistics[kRows];
    measure(s.x, first, count, statistics);
    for (Index i = 0; i < count; ++i) {
      const auto [mean, inv_std] = statistics[i];
      const T* x = s.x.row(first + i);
      T* y = s.y.row(first + i);
      if (s.scratch) std::memcpy(s.scratch.row(first + i), statistics + i, sizeof *statistics);
      for (Index c = 0; c < n; ++c) y[c] = static_cast<T>((static_cast<double>(x[c]) - mean) * inv_std);
      for (Index c = 0; has_weight_ && c < n; ++c) y[c] *= weight_[c];
      for (Index c = 0; has_bias_ && c < n; ++c) y[c] += bias_[c];
      std::fill(y + n, y + padded<T>(n), T(0));
    }
  });
}

// partial: sums over the chunk of dy * xhat and of dy, column by column.
template <class T>
void LayerNorm<T>::backward_partial(const Slot<T>& s, Range rows, double* partial) const noexcept {
  const Index n = this->out();
  std::fill_n(partial, 2 * n, 0.0);
  for (Index r = rows.first; r < rows.first + rows.count; ++r) {
    const T *x = s.x.row(r), *dy = s.dy.row(r);
    const auto [mean, inv_std] = kept(s, r);
    for (Index c = 0; c < n; ++c) {
      partial[c] += static_cast<double>(dy[c]) * ((static_cast<double>(x[c]) - mean) * inv_std);
      partial[n + c] += static_cast<double>(dy[c]);
    }
  }
}

template <class T>
void LayerNorm<T>::backward_merge(const Slot<T>& s, Index chunks, Index) const noexcept {
  std::fill_n(s.merged, merged_size(), 0.0);
  for (Index k = 0; k < chunks; ++k)
    for (Index i = 0; i < merged_size(); ++i) s.merged[i] += s.partials[k * partial_size() + i];
}

// With g = dy * weight: dx = inv_std (g - mean(g) - xhat mean(g xhat)), both means over the row; in place of dy. The
// padding columns of all rows can be read.
template <class T>
void LayerNorm<T>::backward(const Slot<T>& s, Range rows, Range, const Batch&) const noexcept {
  constexpr Index kLanes = Vec<double>::kLanes;
  const Index n = this->out();
  const auto columns = Vec<double>::set(static_cast<double>(n));
  const T* const weight = has_weight_ ? weight_ : nullptr;
  const auto gradient = [weight](const T* dy, Index c) {
    return weight ? load_doubles(dy + c) * load_doubles(weight + c) : load_doubles(dy + c);
  };
  kernels::by_several_rows(rows.first, rows.count, [&](Index first, Index count) {
    kernels::LaneSum sums[kRows], crosses[kRows];
    double shifts[kRows], slopes[kRows];
    for (Index i = 0; i < count; ++i) {
      const T *x = s.x.row(first + i), *dy = s.dy.row(first + i);
      const auto [mean, inverse] = kept(s, first + i);
      const auto middle = Vec<double>::set(mean), inv_std = Vec<double>::set(inverse);
      sums[i].add(n, [&](Index c) { return gradient(dy, c); });
      crosses[i].add(n, [&](Index c) { return gradient(dy, c) * ((load_doubles(x + c) - middle) * inv_std); });
    }
    (kernels::LaneSum::totals(sums) / columns).storeu(shifts);
    (kernels::LaneSum::totals(crosses) / columns).storeu(slopes);
    for (Index i = 0; i < count; ++i) {
      const T* x = s.x.row(first + i);
      T* dy = s.dy.row(first + i);
      const auto [mean, inverse] = kept(s, first + i);
      const auto middle = Vec<double>::set(mean), inv_std = Vec<double>::set(inverse),
                 shift = Vec<double>::set(shifts[i]), slope = Vec<double>::set(slopes[i]);
      const auto dx = [&](Index c) {
        const auto xhat = (load_doubles(x + c) - middle) * inv_std;
        return inv_std * ((gradient(dy, c) - shift) - xhat * slope);
      };
      Index c = 0;
      for (; c + kLanes <= n; c += kLanes) store_doubles(dx(c), dy + c);
      if (c < n) store_doubles(dx(c), dy + c, n - c);
    }
  });
}

template <class T>
void LayerNorm<T>::tile_gradient(const Slot<T>& s, int param, Range, Range cols, Range, bool, Matrix<T> grad,
                                 const PrefetchTargets<T>*) const noexcept {
  const double* sums = s.merged + param * this->out();
  for (Index c = 0; c < cols.count; ++c) grad.data[c] = static_cast<T>(sums[cols.first + c]);
  for (Index c = cols.count; c < padded<T>(cols.count); ++c) grad.data[c] = T(0);
}

}  // namespace fastnn::layers
