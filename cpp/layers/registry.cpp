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
std::unique_ptr<Layer<T>> make(Index in, const Values& values) {
  return std::make_unique<L<T>>(in, values.as<typename L<T>::Params>());
}

template <class M>
Index expects(const Values& values) {
  if constexpr (requires(const typename M::Params& p) { M::expects(p); })
    return M::expects(values.as<typename M::Params>());
  else
    return 0;
}

template <template <class> class L>
constexpr Row entry(const char* name, const char* class_name, const char* formula) {
  return {row_of<L<float>>(name, class_name, formula), expects<L<float>>, make<float, L>, make<double, L>};
}

// A row without a layer of its own in the engine.
constexpr Row preparation(const char* name, const char* class_name, const char* formula) {
  return {row_of<NoParams>(name, class_name, formula), [](const Values&) { return Index{0}; }, nullptr, nullptr};
}

// Input preparation is folded into gather: these two have no layer of their own in the engine.
constexpr Row kRows[] = {
    preparation("rescale", "Rescale", "x * scale + shift, a number or one per column, while rows are gathered"),
    preparation("flatten", "Flatten", "(n, d1, d2, ...) to (n, d1 d2 ...), while rows are gathered"),
    entry<Linear>("linear", "Linear", "x W + b"),
    entry<Dropout>("dropout", "Dropout", "x * mask / (1 - p) in training, x otherwise"),
    entry<BatchNorm1d>("batch_norm1d", "BatchNorm1d", "(x - mean) / sqrt(var + eps) * weight + bias"),
};

std::string known_kinds() {
  auto names = registry().names();
  for (const auto& name : activations::registry().names()) names.push_back(name);
  return join(names);
}

}  // namespace

Registry<Row> registry() { return {"layer", kRows}; }

const fastnn::Row* find(std::string_view name) {
  if (const auto* row = registry().find(name)) return row;
  return activations::registry().find(name);
}

template <class T>
std::unique_ptr<Layer<T>> make_layer(const Config& config, Index in) {
  if (const auto* row = activations::registry().find(config.kind))
    return std::make_unique<ActivationLayer<T>>(in, *row, config.values);
  const Row* row = registry().find(config.kind);
  require(row != nullptr, "[Network] unknown layer '", config.kind, "'; known: ", known_kinds());
  const std::string where = "[" + config.kind + "]";
  require(row->make<T>() != nullptr, where, " prepares the input: it must stand before all other layers");
  const Index expected = row->expects(config.values);
  require(expected == 0 || expected == in, where, " expects ", expected, " columns, the layer before it gives ", in);
  return row->make<T>()(in, config.values);
}

template std::unique_ptr<Layer<float>> make_layer(const Config&, Index);
template std::unique_ptr<Layer<double>> make_layer(const Config&, Index);

}  // namespace fastnn::layers
