// RMSNorm: y = x / sqrt(mean(x^2) + eps) * weight, the mean of each row over its columns, as in torch, where eps is by
// default the distance of 1 from the next number of the dtype. Rows are independent, and training and prediction are
// the same. The mean is computed in double with the sums of kernels/reduce.h, so the bits do not depend on the vectors'
// width.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/reduce.h"
#include "layers/layer.h"

namespace fastnn::layers {

struct RMSNormParams {
  Index normalized_shape = 0;
  double eps = std::numeric_limits<double>::infinity();  // None in Python: the epsilon of the dtype
  bool elementwise_affine = true;
};

template <class T>
class RMSNorm final : public Layer<T> {
 public:
  using Params = RMSNormParams;
  static constexpr std::array kFields{
      field<&Params::normalized_shape>("normalized_shape", kWidths, kRequired, "columns of x"),
      field<&Params::eps>("eps", at_least(0), "added to the mean square; None: the epsilon of the dtype", tries(3e-2)),
      field<&Params::elementwise_affine>("elementwise_affine", "multiply by weight"),
  };
  static Index expects(const Params& p) { return p.normalized_shape; }
  RMSNorm(Index columns, const Params& p)
      : Layer<T>(columns, columns, {.needs_input = true}), eps_(used(p.eps)), has_weight_(p.elementwise_affine) {}

  std::vector<ParamShape> params() const override {
    if (!has_weight_) return {};
    return {{"weight", 1, this->out()}};
  }
  void bind(std::span<const Matrix<T>> values) override {
    if (has_weight_) weight_ = values[0].data;
  }
  void initialize(std::uint64_t) override {
    if (has_weight_) std::fill_n(weight_, this->out(), T(1));
  }
  bool change(const Values& values) override {
    eps_ = used(values.as<Params>().eps);
    return true;
  }
  double flops_per_row() const override { return 5.0 * static_cast<double>(this->out()); }
  Index scratch_cols() const override { return static_cast<Index>(sizeof(double) / sizeof(T)); }  // 1 / rms of a row
  Index partial_size() const override { return has_weight_ ? this->out() : 0; }
  Index merged_size() const override { return partial_size(); }

  void forward(const Slot<T>& s, Range rows, Range, const Batch&) const noexcept override {
    const Index n = this->out();
    const auto one = Vec<double>::set(1), count = Vec<double>::set(static_cast<double>(n)),
               eps = Vec<double>::set(eps_);
    kernels::by_several_rows(rows.first, rows.count, [&](Index first, Index some) {
      kernels::LaneSum squares[kernels::kRowsAtOnce];
      for (Index i = 0; i < some; ++i) squares[i].add_squares(s.x.row(first + i), n);
      double inverse[kernels::kRowsAtOnce];
      (one / sqrt(kernels::LaneSum::totals(squares) / count + eps)).storeu(inverse);
      for (Index i = 0; i < some; ++i) {
        const T* x = s.x.row(first + i);
        T* y = s.y.row(first + i);
        if (s.scratch) std::memcpy(s.scratch.row(first + i), inverse + i, sizeof *inverse);
        for (Index c = 0; c < n; ++c) y[c] = static_cast<T>(static_cast<double>(x[c]) * inverse[i]);
        for (Index c = 0; has_weight_ && c < n; ++c) y[c] *= weight_[c];
        std::fill(y + n, y + padded<T>(n), T(0));
      }
    });
  }
  // partial: sums over the chunk of dy * xhat, column by column, with xhat = x / rms.
  void backward_partial(const Slot<T>& s, Range rows, double* partial) const noexcept override {
    const Index n = this->out();
    std::fill_n(partial, n, 0.0);
    for (Index r = rows.first; r < rows.first + rows.count; ++r) {
      const T *x = s.x.row(r), *dy = s.dy.row(r);
      const double inverse = kept(s, r);
      for (Index c = 0; c < n; ++c) partial[c] += static_cast<double>(dy[c]) * (static_cast<double>(x[c]) * inverse);
    }
  }
  void backward_merge(const Slot<T>& s, Index chunks, Index) const noexcept override {
    std::fill_n(s.merged, merged_size(), 0.0);
    for (Index k = 0; k < chunks; ++k)
      for (Index i = 0; i < merged_size(); ++i) s.merged[i] += s.partials[k * partial_size() + i];
  }
  // With g = dy * weight: dx = (g - xhat mean(g xhat)) / rms, the mean over the row; in place of dy. The padding columns
  // of all rows can be read.
  void backward(const Slot<T>& s, Range rows, Range, const Batch&) const noexcept override {
    constexpr Index kLanes = Vec<double>::kLanes;
    const Index n = this->out();
    const T* const weight = has_weight_ ? weight_ : nullptr;
    const auto gradient = [weight](const T* dy, Index c) {
      return weight ? load_doubles(dy + c) * load_doubles(weight + c) : load_doubles(dy + c);
    };
    kernels::by_several_rows(rows.first, rows.count, [&](Index first, Index some) {
      kernels::LaneSum cross[kernels::kRowsAtOnce];
      double mean[kernels::kRowsAtOnce];
      for (Index i = 0; i < some; ++i) {
        const T *x = s.x.row(first + i), *dy = s.dy.row(first + i);
        const auto inverse = Vec<double>::set(kept(s, first + i));
        cross[i].add(n, [&](Index c) { return gradient(dy, c) * (load_doubles(x + c) * inverse); });
      }
      (kernels::LaneSum::totals(cross) / Vec<double>::set(static_cast<double>(n))).storeu(mean);
      for (Index i = 0; i < some; ++i) {
        const T* x = s.x.row(first + i);
        T* dy = s.dy.row(first + i);
        const auto inverse = Vec<double>::set(kept(s, first + i)), slope = Vec<double>::set(mean[i]);
        const auto dx = [&](Index c) { return inverse * (gradient(dy, c) - (load_doubles(x + c) * inverse) * slope); };
        Index c = 0;
        for (; c + kLanes <= n; c += kLanes) store_doubles(dx(c), dy + c);
        if (c < n) store_doubles(dx(c), dy + c, n - c);
      }
    });
  }
  void tile_gradient(const Slot<T>& s, int, Range, Range cols, Range, bool, Matrix<T> grad,
                     const PrefetchTargets<T>*) const noexcept override {
    for (Index c = 0; c < cols.count; ++c) grad.data[c] = static_cast<T>(s.merged[cols.first + c]);
    for (Index c = cols.count; c < padded<T>(cols.count); ++c) grad.data[c] = T(0);
  }

 private:
  static double used(double eps) {
    return std::isinf(eps) ? static_cast<double>(std::numeric_limits<T>::epsilon()) : eps;
  }
  static double kept(const Slot<T>& s, Index row) noexcept {
    double inverse = 0;
    std::memcpy(&inverse, s.scratch.row(row), sizeof inverse);
    return inverse;
  }
  double eps_;
  bool has_weight_;
  T* weight_ = nullptr;
};

}  // namespace fastnn::layers
