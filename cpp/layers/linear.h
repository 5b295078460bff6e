// Linear: y = x W + b with W (in, out) row-major; dx = dy W^T, dW = x^T dy, db = column sums of dy.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "kernels/gemm.h"
#include "kernels/skip_zeros.h"
#include "layers/layer.h"

namespace fastnn::layers {

struct LinearParams {
  Index in_features = 0, out_features = 0;
  bool bias = true;
};

template <class T>
class Linear final : public Layer<T> {
 public:
  using Params = LinearParams;
  static constexpr std::array kFields{
      field<&Params::in_features>("in_features", kWidths, kRequired, "columns of x"),
      field<&Params::out_features>("out_features", kWidths, kRequired, "columns of y"),
      field<&Params::bias>("bias", "add b"),
  };
  static constexpr std::array kInitials{Initial{"init", 0, false}, Initial{"bias_init", 1, true}};
  static Index expects(const Params& p) { return p.in_features; }
  Linear(Index in, const Params& p)
      : Layer<T>(in, p.out_features,
                 {.needs_input = true,
                  .owns_output = true,
                  .column_blocks = true,
                  .reads_callers_rows = true,
                  .sums_rows = true,
                  .reads_sparse_rows = true}),
        has_bias_(p.bias) {}

  std::vector<ParamShape> params() const override {
    std::vector<ParamShape> shapes{{"weight", this->in(), this->out(), Role::kProductMatrix}};
    if (has_bias_) shapes.push_back({"bias", 1, this->out()});
    return shapes;
  }
  void bind(std::span<const Matrix<T>> values) override {
    weight_ = values[0];
    if (has_bias_) bias_ = values[1].data;
  }
  // W row by row, then b, from one stream of words.
  void initialize(std::uint64_t seed) override {
    PhiloxStream words(seed, stream(Stream::kInit, this->number()));
    this->draw(0, weight_, words);
    if (has_bias_) this->draw(1, {bias_, 1, this->out(), padded<T>(this->out())}, words);
  }
  double flops_per_row() const override { return 2.0 * static_cast<double>(this->in() * this->out()); }

  void forward(const Slot<T>& s, Range rows, Range cols, const Batch& batch) const noexcept override {
    const auto y = s.y.block(rows.first, cols.first, rows.count, cols.count);
    const T* bias = has_bias_ ? bias_ + cols.first : nullptr;
    if (s.sparse) return kernels::sparse_product<T>(s.sparse->rows, rows.first, weight_, bias, y);
    const auto x = s.x.middle_rows(rows.first, rows.count);
    if (batch.packed && s.w)
      times(x, s.w.columns(cols.first, cols.count), bias, y);
    else
      times(x, ConstMatrix<T>(weight_.block(0, cols.first, weight_.rows, cols.count)), bias, y);
  }
  void backward(const Slot<T>& s, Range rows, Range cols, const Batch& batch) const noexcept override {
    if (batch.few_rows())
      return kernels::product_few_rows<T>(s.dy.middle_rows(rows.first, rows.count),
                                          weight_.middle_rows(cols.first, cols.count),
                                          s.dx.block(rows.first, cols.first, rows.count, cols.count));
    const auto dy = s.dy.middle_rows(rows.first, rows.count);
    const auto dx = s.dx.block(rows.first, cols.first, rows.count, cols.count);
    if (s.own_wt)
      times(dy, ConstMatrix<T>(s.own_wt.block(0, cols.first, s.own_wt.rows, cols.count)), nullptr, dx);
    else
      times(dy, s.wt.columns(cols.first, cols.count), nullptr, dx);
  }
  void tile_gradient(const Slot<T>& s, int param, Range rows, Range cols, Range over, bool accumulate, Matrix<T> grad,
                     const PrefetchTargets<T>* prefetch) const noexcept override {
    const auto dy = s.dy.block(over.first, cols.first, over.count, cols.count);
    if (param == 0 && s.sparse)
      kernels::sparse_product_transposed<T>(s.sparse->blocks, rows.first / s.sparse->blocks.width, over.first, dy, grad,
                                            accumulate, prefetch);
    else if (param == 0)
      times_transposed(s, rows, over, dy, grad, accumulate, prefetch);
    else
      kernels::column_sums<T>(dy, grad.data, accumulate);
  }
  typename Layer<T>::Outer outer(const Slot<T>& s, int param, Range rows, Range cols) const noexcept override {
    static constexpr T kOne = 1;
    if (param == 0 && s.sparse) return {};
    return {param == 0 ? s.x.data + rows.first : &kOne, s.dy.data + cols.first};
  }

 private:
  // x w + bias, for W and W^T.
  template <class W>
  static void times(ConstMatrix<T> x, W w, const T* bias, Matrix<T> y) noexcept {
    if (kernels::may_skip_zeros<T>(y.rows, y.cols, x.cols) && kernels::product_skipping_zeros<T>(x, w, bias, y)) return;
    kernels::product<T>(x, w, bias, y);
  }
  // x^T dy, from x^T where the plan has made it.
  static void times_transposed(const Slot<T>& s, Range rows, Range over, ConstMatrix<T> dy, Matrix<T> grad,
                               bool accumulate, const PrefetchTargets<T>* prefetch) noexcept {
    const bool may_skip = kernels::may_skip_zeros<T>(grad.rows, grad.cols, over.count);
    if (s.xt && s.xt.cols > Batch::kFewRows) {
      const ConstMatrix<T> xt = s.xt.block(rows.first, over.first, rows.count, over.count);
      if (may_skip && kernels::product_skipping_zeros<T>(xt, dy, grad, accumulate, prefetch)) return;
      return kernels::product<T>(xt, dy, grad, accumulate, prefetch);
    }
    const auto x = s.x.block(over.first, rows.first, over.count, rows.count);
    if (may_skip && kernels::product_transposed_skipping_zeros<T>(x, dy, grad, accumulate, prefetch)) return;
    kernels::product_transposed<T>(x, dy, grad, accumulate, prefetch);
  }

  bool has_bias_;
  Matrix<T> weight_;
  T* bias_ = nullptr;
};

}  // namespace fastnn::layers
