// The list of all layers but activations, each of which is a layer as well.
// SPDX-License-Identifier: BSD-3-Clause
#include "core/check.h"
#include "layers/activation_layer.h"
#include "layers/batch_norm.h"
#include "layers/dropout.h"
#include "layers/gaussian_noise.h"
#include "layers/layer.h"
#include "layers/layer_norm.h"
#include "layers/linear.h"
#include "layers/prelu.h"
#include "layers/rms_norm.h"

namespace fastnn::layers {

namespace {

template <class T, template <class> class L>
std::unique_ptr<Layer<T>> make(Index in, const Values& values) {
  return std::make_unique<L<T>>(in, values.as<typename L<T>::Params>());
}

template <class M>
constexpr Index (*expects())(const Values&) {
  if constexpr (requires(const typename M::Params& p) { M::expects(p); })
    return [](const Values& values) { return M::expects(values.as<typename M::Params>()); };
  else
    return nullptr;
}

template <template <class> class L>
constexpr Row entry(const char* name, const char* class_name, const char* formula) {
  std::span<const Initial> initials;
  if constexpr (requires { L<float>::kInitials; }) initials = L<float>::kInitials;
  return {row_of<L<float>>(name, class_name, formula), expects<L<float>>(), make<float, L>, make<double, L>, initials};
}

constexpr Row kRows[] = {
    entry<Linear>("linear", "Linear", "x W + b"),
    entry<Dropout>("dropout", "Dropout", "x * mask / (1 - p) in training, x otherwise"),
    entry<BatchNorm1d>("batch_norm1d", "BatchNorm1d", "(x - mean) / sqrt(var + eps) * weight + bias"),
    entry<LayerNorm>("layer_norm", "LayerNorm", "(x - mean) / sqrt(var + eps) * weight + bias, each row by itself"),
    entry<RMSNorm>("rms_norm", "RMSNorm", "x / sqrt(mean(x^2) + eps) * weight, each row by itself"),
    entry<PReLU>("prelu", "PReLU", "x where x > 0, weight * x elsewhere"),
    entry<GaussianNoise>("gaussian_noise", "GaussianNoise", "x + std * normal numbers in training, x otherwise"),
};

}  // namespace

Registry<Row> registry() { return {"layer", kRows}; }

const fastnn::Row* find(std::string_view name) {
  if (const auto* row = registry().find(name)) return row;
  return activations::registry().find(name);
}

std::vector<std::string> kinds() {
  auto names = registry().names();
  for (const auto& name : activations::registry().names()) names.push_back(name);
  return names;
}

template <class T>
std::unique_ptr<Layer<T>> make_layer(const std::string& kind, const Values& values, Index in) {
  if (const auto* row = activations::registry().find(kind))
    return std::make_unique<ActivationLayer<T>>(in, *row, values);
  const Row* row = registry().find(kind);
  if (!row) return nullptr;
  const Index expected = row->expects ? row->expects(values) : kAnyWidth;
  require(expected == kAnyWidth || expected == in, "[", kind, "] expects ", expected,
          " columns, the layer before it gives ", in);
  return row->make<T>()(in, values);
}

template std::unique_ptr<Layer<float>> make_layer(const std::string&, const Values&, Index);
template std::unique_ptr<Layer<double>> make_layer(const std::string&, const Values&, Index);

}  // namespace fastnn::layers
