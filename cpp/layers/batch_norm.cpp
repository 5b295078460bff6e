// SPDX-License-Identifier: BSD-3-Clause
#include "layers/batch_norm.h"

#include <algorithm>
#include <cmath>

namespace fastnn::layers {

namespace {
// A float64 column whose variance is a smaller fraction of the squared mean is constant but for rounding: (1e-14)^2. In
// float32, values that differ at all have a variance of more than 1e-15 / rows of the squared mean.
constexpr double kRounding = 1e-28;
}  // namespace

template <class T>
void BatchNorm1d<T>::bind(std::span<const Matrix<T>> values) {
  weight_ = values[0].data;
  bias_ = values[1].data;
  running_mean_ = values[2].data;
  running_var_ = values[3].data;
}

template <class T>
void BatchNorm1d<T>::initialize(std::uint64_t) {
  std::fill_n(weight_, this->out(), T(1));
  std::fill_n(bias_, this->out(), T(0));
  std::fill_n(running_mean_, this->out(), T(0));
  std::fill_n(running_var_, this->out(), T(1));
}

// partial: mean of the chunk, then its sum of squared deviations, column by column.
template <class T>
void BatchNorm1d<T>::forward_partial(const Slot<T>& s, Range rows, double* partial) const noexcept {
  const Index n = this->out();
  double *mean = partial, *squares = partial + n;
  std::fill_n(partial, 2 * n, 0.0);
  for (Index r = rows.first; r < rows.first + rows.count; ++r)
    for (Index c = 0; c < n; ++c) mean[c] += static_cast<double>(s.x.row(r)[c]);
  for (Index c = 0; c < n; ++c) mean[c] /= static_cast<double>(rows.count);
  for (Index r = rows.first; r < rows.first + rows.count; ++r)
    for (Index c = 0; c < n; ++c) {
      const double deviation = static_cast<double>(s.x.row(r)[c]) - mean[c];
      squares[c] += deviation * deviation;
    }
}

template <class T>
Index BatchNorm1d<T>::forward_merge(const Slot<T>& s, Index chunks, Index chunk_rows, Index batch_rows) const noexcept {
  const Index n = this->out();
  double *mean = part(s, kMean), *var = part(s, kVar), *inv_std = part(s, kInvStd);
  std::fill_n(mean, 2 * n, 0.0);
  double seen = chunks == 0 ? 1 : 0;
  if (chunks == 0)  // the running statistics: not training, or a single row
    for (Index c = 0; c < n; ++c)
      mean[c] = static_cast<double>(running_mean_[c]), var[c] = static_cast<double>(running_var_[c]);
  for (Index k = 0; k < chunks; ++k) {
    const double rows = static_cast<double>(std::min(chunk_rows, batch_rows - k * chunk_rows));
    const double* partial = s.partials + k * this->partial_size();
    const double share = rows / (seen + rows), cross = seen * share;
    for (Index c = 0; c < n; ++c) {
      const double gap = partial[c] - mean[c];
      mean[c] += gap * share;
      var[c] += partial[n + c] + gap * gap * cross;
    }
    seen += rows;
  }
  const double rounding = eps_ == 0 && chunks > 0 ? kRounding : 0;
  Index unusable = Layer<T>::kUsable;
  for (Index c = n - 1; c >= 0; --c) {
    var[c] /= seen;
    inv_std[c] = 1 / std::sqrt(var[c] + eps_);
    if (!finite(mean[c], var[c]) || !(var[c] + eps_ > rounding * mean[c] * mean[c])) unusable = c;
  }
  return unusable;
}

// Whether the mean and variance are finite in T, in which the running statistics store them. The factor of 2 covers the
// unbiased variance, var n / (n - 1) with n >= 2.
template <class T>
bool BatchNorm1d<T>::finite(double mean, double var) {
  return std::isfinite(static_cast<T>(mean)) && std::isfinite(static_cast<T>(2 * var));
}

template <class T>
StatisticsError BatchNorm1d<T>::statistics_error(const Slot<T>& s, Index column) const {
  const std::string where = "column " + std::to_string(column) + " of BatchNorm1d, layer " + this->key();
  if (!finite(part(s, kMean)[column], part(s, kVar)[column]))
    return {"the batch statistics are not finite in " + where, "Try a smaller learning rate or scaled inputs"};
  return {where + ", has no variance to divide by: its values are all the same and eps is 0",
          "Give the layer eps > 0, or leave that column out"};
}

template <class T>
void BatchNorm1d<T>::forward(const Slot<T>& s, Range rows, Range, const Batch& batch) const noexcept {
  const Index n = this->out();
  for (Index r = rows.first; r < rows.first + rows.count; ++r) {
    const T* x = s.x.row(r);
    T* y = s.y.row(r);
    if (batch.own_statistics()) {
      const double *mean = part(s, kMean), *inv_std = part(s, kInvStd);
      for (Index c = 0; c < n; ++c)
        y[c] = static_cast<T>((static_cast<double>(x[c]) - mean[c]) * inv_std[c]) * weight_[c] + bias_[c];
    } else {
      for (Index c = 0; c < n; ++c) {
        const T inv_std = T(1) / std::sqrt(running_var_[c] + static_cast<T>(eps_));
        y[c] = (x[c] - running_mean_[c]) * inv_std * weight_[c] + bias_[c];
      }
    }
    std::fill(y + n, y + padded<T>(n), T(0));
  }
}

// partial: sums over the chunk of dy and of dy * xhat.
template <class T>
void BatchNorm1d<T>::backward_partial(const Slot<T>& s, Range rows, double* partial) const noexcept {
  const Index n = this->out();
  const double *mean = part(s, kMean), *inv_std = part(s, kInvStd);
  std::fill_n(partial, 2 * n, 0.0);
  for (Index r = rows.first; r < rows.first + rows.count; ++r) {
    const T *x = s.x.row(r), *dy = s.dy.row(r);
    for (Index c = 0; c < n; ++c) {
      const double xhat = (static_cast<double>(x[c]) - mean[c]) * inv_std[c];
      partial[c] += static_cast<double>(dy[c]);
      partial[n + c] += static_cast<double>(dy[c]) * xhat;
    }
  }
}

template <class T>
void BatchNorm1d<T>::backward_merge(const Slot<T>& s, Index chunks, Index) const noexcept {
  const Index n = this->out();
  double* sums = part(s, kSumDy);
  std::fill_n(sums, 2 * n, 0.0);
  for (Index k = 0; k < chunks; ++k)
    for (Index c = 0; c < 2 * n; ++c) sums[c] += s.partials[k * this->partial_size() + c];
}

// dx = weight inv_std (dy - mean(dy) - xhat mean(dy xhat)), in place of dy. Running statistics are constants: dx =
// weight inv_std dy.
template <class T>
void BatchNorm1d<T>::backward(const Slot<T>& s, Range rows, Range, const Batch& batch) const noexcept {
  const Index n = this->out();
  const double *mean = part(s, kMean), *inv_std = part(s, kInvStd), *sum = part(s, kSumDy),
               *cross = part(s, kSumDyXhat);
  const double share = batch.own_statistics() ? 1 / static_cast<double>(batch.rows) : 0;
  for (Index r = rows.first; r < rows.first + rows.count; ++r) {
    const T* x = s.x.row(r);
    T* dy = s.dy.row(r);
    for (Index c = 0; c < n; ++c) {
      const double xhat = (static_cast<double>(x[c]) - mean[c]) * inv_std[c];
      const double centred = static_cast<double>(dy[c]) - (sum[c] + xhat * cross[c]) * share;
      dy[c] = static_cast<T>(static_cast<double>(weight_[c]) * inv_std[c] * centred);
    }
  }
}

template <class T>
void BatchNorm1d<T>::tile_gradient(const Slot<T>& s, int param, Range, Range cols, Range, bool, Matrix<T> grad,
                                   const PrefetchTargets<T>*) const noexcept {
  const double* sums = part(s, param == 0 ? kSumDyXhat : kSumDy);
  for (Index c = 0; c < cols.count; ++c) grad.data[c] = static_cast<T>(sums[cols.first + c]);
  for (Index c = cols.count; c < padded<T>(cols.count); ++c) grad.data[c] = T(0);
}

template <class T>
void BatchNorm1d<T>::commit(const Slot<T>& s, Index batch_rows) noexcept {
  const double *mean = part(s, kMean), *var = part(s, kVar);
  const auto rows = static_cast<double>(batch_rows);
  const double unbiased = rows / (rows - 1);
  for (Index c = 0; c < this->out(); ++c) {
    running_mean_[c] = static_cast<T>((1 - momentum_) * static_cast<double>(running_mean_[c]) + momentum_ * mean[c]);
    running_var_[c] =
        static_cast<T>((1 - momentum_) * static_cast<double>(running_var_[c]) + momentum_ * var[c] * unbiased);
  }
}

template class BatchNorm1d<float>;
template class BatchNorm1d<double>;

}  // namespace fastnn::layers
