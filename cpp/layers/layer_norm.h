// LayerNorm: y = (x - mean) / sqrt(var + eps) * weight + bias, mean and biased variance of each row over its columns,
// as in torch. Rows are independent, and training and prediction are the same. Statistics are computed in double with
// the sums of kernels/reduce.h, so the bits do not depend on the vectors' width.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "layers/layer.h"

namespace fastnn::layers {

struct LayerNormParams {
  Index normalized_shape = 1;
  double eps = 1e-5;
  bool elementwise_affine = true, bias = true;
};

template <class T>
class LayerNorm final : public Layer<T> {
 public:
  using Params = LayerNormParams;
  static constexpr std::array kFields{
      field<&Params::normalized_shape>("normalized_shape", kWidths, "columns of x"),
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
  void tile_gradient(const Slot<T>& s, int param, Range rows, Range cols, Range over, Matrix<T> grad,
                     const PrefetchTargets<T>* prefetch) const noexcept override;

 private:
  struct Statistics {  // of a row; forward leaves them in its scratch for backward
    double mean, inv_std;
  };
  Statistics measure(const T* x) const noexcept;
  static Statistics kept(const Slot<T>& s, Index row) noexcept;

  double eps_;
  bool has_weight_, has_bias_;
  T *weight_ = nullptr, *bias_ = nullptr;
};

}  // namespace fastnn::layers
