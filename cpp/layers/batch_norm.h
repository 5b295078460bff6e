// BatchNorm1d: y = (x - mean) / sqrt(var + eps) * weight + bias, with the mean and variance of each column over the
// rows of the batch. As in torch, the biased variance normalises and the unbiased one enters the running statistics,
// which are used outside of training and for a batch of a single row. Sums are taken in double: each chunk computes its
// mean and sum of squared deviations, and these are merged in the order of the chunks (Chan, Golub, LeVeque 1979).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "layers/layer.h"

namespace fastnn::layers {

struct BatchNorm1dParams {
  Index num_features = 0;
  double eps = 1e-5, momentum = 0.1;
};

template <class T>
class BatchNorm1d final : public Layer<T> {
 public:
  using Params = BatchNorm1dParams;
  static constexpr std::array kFields{
      field<&Params::num_features>("num_features", kWidths, kRequired, "columns of x"),
      field<&Params::eps>("eps", at_least(0), "added to the variance", tries(3e-4)),
      field<&Params::momentum>("momentum", within(0, 1), "share of the new batch in the running statistics",
                               tries(0.07)),
  };
  static Index expects(const Params& p) { return p.num_features; }
  BatchNorm1d(Index width, const Params& p)
      : Layer<T>(width, width, {.row_local = false, .needs_input = true}), eps_(p.eps), momentum_(p.momentum) {}

  std::vector<ParamShape> params() const override {
    const Index n = this->out();
    return {{"weight", 1, n},
            {"bias", 1, n},
            {"running_mean", 1, n, Role::kVector, false},
            {"running_var", 1, n, Role::kVector, false}};
  }
  void bind(std::span<const Matrix<T>> values) override;
  void initialize(std::uint64_t seed) override;
  bool change(const Values& values) override {
    const auto p = values.as<Params>();
    eps_ = p.eps;
    momentum_ = p.momentum;
    return true;
  }
  double flops_per_row() const override { return 4.0 * static_cast<double>(this->out()); }
  Index partial_size() const override { return 2 * this->out(); }
  Index merged_size() const override { return kMerged * this->out(); }

  void forward(const Slot<T>& s, Range rows, Range cols, const Batch& batch) const noexcept override;
  void backward(const Slot<T>& s, Range rows, Range cols, const Batch& batch) const noexcept override;
  void tile_gradient(const Slot<T>& s, int param, Range rows, Range cols, Range over, bool accumulate, Matrix<T> grad,
                     const PrefetchTargets<T>* prefetch) const noexcept override;
  void forward_partial(const Slot<T>& s, Range rows, double* partial) const noexcept override;
  Index forward_merge(const Slot<T>& s, Index chunks, Index chunk_rows, Index batch_rows) const noexcept override;
  StatisticsError statistics_error(const Slot<T>& s, Index column) const override;
  void backward_partial(const Slot<T>& s, Range rows, double* partial) const noexcept override;
  void backward_merge(const Slot<T>& s, Index chunks, Index batch_rows) const noexcept override;
  void commit(const Slot<T>& s, Index batch_rows) noexcept override;

 private:
  static bool finite(double mean, double var);
  // The merged numbers of a batch, each an array of `out` doubles.
  enum { kMean, kVar, kInvStd, kSumDy, kSumDyXhat, kMerged };
  double* part(const Slot<T>& s, Index which) const { return s.merged + which * this->out(); }
  double eps_, momentum_;
  T *weight_ = nullptr, *bias_ = nullptr, *running_mean_ = nullptr, *running_var_ = nullptr;
};

}  // namespace fastnn::layers
