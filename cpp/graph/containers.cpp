// SPDX-License-Identifier: BSD-3-Clause
#include "graph/containers.h"

#include <utility>

#include "core/check.h"
#include "graph/add.h"

namespace fastnn::graph {

namespace {

template <class T>
Value sequential(Assembly<T>& assembly, const Config& config, const std::string& key, Value x) {
  return assembly.chain(config.layers, key + ".", x);
}

// y = f(x) + s(x), f the layers one after the other, s the shortcut or, without one, x itself.
template <class T>
Value residual(Assembly<T>& assembly, const Config& config, const std::string& key, Value x) {
  const Value f = assembly.chain(config.layers, key + ".", x);
  if (config.shortcut.empty()) {
    require(f.columns == x.columns, "[residual] the layers of ", key, " make ", f.columns, " columns of ", x.columns,
            "; expected as many as come in, since x is added to them, or a shortcut");
    return assembly.join(config.kind, key, std::make_unique<Add<T>>(x.columns), {f.node, x.node});
  }
  const Value past = assembly.add(config.shortcut.front(), key + ".shortcut", x);
  require(f.columns == past.columns, "[residual] the layers of ", key, " make ", f.columns, " columns of ", x.columns,
          ", its shortcut ", past.columns, "; expected as many, since they are added");
  return assembly.join(config.kind, key, std::make_unique<Add<T>>(f.columns), {f.node, past.node});
}

constexpr Container kContainers[] = {
    {row_of<NoParams>("sequential", "Sequential", "f2(f1(x)): layers one after the other"), false, sequential<float>,
     sequential<double>},
    {row_of<NoParams>("residual", "Residual",
                      "x + f(x), f the layers one after the other; s(x) + f(x) with a shortcut"),
     true, residual<float>, residual<double>},
};

std::string known_kinds() {
  auto names = inputs::registry().names();
  for (const auto& name : layers::kinds()) names.push_back(name);
  for (const auto& name : containers().names()) names.push_back(name);
  return join(names);
}

}  // namespace

Registry<Container> containers() { return {"container", kContainers}; }

template <class T>
Value Assembly<T>::chain(const std::vector<Config>& configs, const std::string& prefix, Value x, int first) {
  const std::string container = prefix.empty() ? "" : "container " + prefix.substr(0, prefix.size() - 1) + " ";
  require(!configs.empty(), "[Network] ", container, "has no layers");
  for (const Config& config : configs) x = add(config, prefix + std::to_string(first++), x);
  return x;
}

template <class T>
Value Assembly<T>::add(const Config& config, const std::string& key, Value x) {
  require(inputs::registry().find(config.kind) == nullptr, "[", config.kind,
          "] prepares the input: it must stand before all other layers");
  if (const Container* container = containers().find(config.kind))
    return container->connect<T>()(*this, config, key, x);
  auto layer = layers::make_layer<T>(config.kind, config.values, x.columns);
  if (layer == nullptr) require(false, "[Network] unknown layer '", config.kind, "'; known: ", known_kinds());
  for (const auto& [param, chosen] : config.initials) layer->choose(param, chosen);
  layer->set_place(key, number_++);
  const Index columns = layer->out();
  nodes_.push_back({key, config.kind, std::move(layer), {x.node}});
  return {static_cast<int>(nodes_.size()) - 1, columns};
}

template <class T>
Value Assembly<T>::join(const std::string& kind, const std::string& key, std::unique_ptr<layers::Layer<T>> layer,
                        std::vector<int> inputs) {
  layer->set_place(key, number_);
  const Index columns = layer->out();
  nodes_.push_back({key, kind, std::move(layer), std::move(inputs)});
  return {static_cast<int>(nodes_.size()) - 1, columns};
}

template class Assembly<float>;
template class Assembly<double>;

}  // namespace fastnn::graph
