// The one list of layers beside the activations, each of which is a layer as well.
// SPDX-License-Identifier: BSD-3-Clause
#include "core/check.h"
#include "layers/activation_layer.h"
#include "layers/batch_norm.h"
#include "layers/dropout.h"
#include "layers/layer.h"
#include "layers/linear.h"

namespace fastnn::layers {

namespace {

template <class T, template <class> class L>
std::unique_ptr<Layer<T>> make(Index in, const HyperValues& hyper) {
  return std::make_unique<L<T>>(in, hyper);
}

template <template <class> class L>
constexpr Row entry(const char* name, const char* class_name, const char* formula) {
  return {name, class_name, formula, L<float>::kHypers, make<float, L>, make<double, L>};
}

// Input preparation is folded into gather: these two have no layer of their own in the engine.
constexpr Row kRows[] = {
    {"rescale",
     "Rescale",
     "x * scale + shift, a number or one per column, while rows are gathered",
     {},
     nullptr,
     nullptr},
    {"flatten", "Flatten", "(n, d1, d2, ...) to (n, d1 d2 ...), while rows are gathered", {}, nullptr, nullptr},
    entry<Linear>("linear", "Linear", "x W + b"),
    entry<Dropout>("dropout", "Dropout", "x * mask / (1 - p) in training, x otherwise"),
    entry<BatchNorm1d>("batch_norm1d", "BatchNorm1d", "(x - mean) / sqrt(var + eps) * weight + bias"),
};

std::string known_kinds() {
  std::vector<std::string> names;
  for (const Row& row : kRows) names.emplace_back(row.name);
  for (const auto& row : activations::registry()) names.emplace_back(row.name);
  return join(names);
}

}  // namespace

std::span<const Row> registry() { return kRows; }

const Row* find(const std::string& name) {
  for (const Row& row : kRows)
    if (name == row.name) return &row;
  return nullptr;
}

template <class T>
std::unique_ptr<Layer<T>> make_layer(const Config& config, Index in) {
  const std::string where = "[" + config.kind + "]";
  if (const auto* row = activations::find(config.kind))
    return std::make_unique<ActivationLayer<T>>(in, *row, resolve(where, row->hypers, config.hyper));
  const Row* row = find(config.kind);
  require(row != nullptr, "[Network] unknown layer '", config.kind, "'; known: ", known_kinds());
  require(row->make<T>() != nullptr, where, " prepares the input: it must stand before all other layers");
  const HyperValues hyper = resolve(where, row->hypers, config.hyper);
  if (!row->hypers.empty() && (config.kind == "linear" || config.kind == "batch_norm1d")) {
    const auto expected = static_cast<Index>(hyper[0]);
    require(expected == in, where, " expects ", expected, " columns, the layer before it gives ", in);
  }
  return row->make<T>()(in, hyper);
}

template std::unique_ptr<Layer<float>> make_layer(const Config&, Index);
template std::unique_ptr<Layer<double>> make_layer(const Config&, Index);

}  // namespace fastnn::layers
