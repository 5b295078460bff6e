// SPDX-License-Identifier: BSD-3-Clause
#include "graph/network.h"

#include <algorithm>
#include <stdexcept>

#include "core/check.h"

namespace fastnn::graph {

namespace {

// The columns of X: those that the first layer with a fixed width expects, since the layers before it keep the number
// of columns. 0 if no layer has a fixed width.
Index first_columns(const std::vector<Config>& configs) {
  for (const Config& config : configs) {
    const auto* row = layers::registry().find(config.kind);
    const Index own = row && row->expects ? row->expects(config.values) : layers::kAnyWidth;
    if (own != layers::kAnyWidth) return own;
    if (const Index columns = first_columns(config.layers); columns != 0) return columns;
    if (const Index columns = first_columns(config.shortcut); columns != 0) return columns;
  }
  return 0;
}

std::string kinds_with_width() {
  std::vector<std::string> names;
  for (const auto& row : layers::registry())
    if (row.expects) names.emplace_back(row.name);
  return join(names);
}

}  // namespace

template <class T>
Network<T>::Network(const std::vector<Config>& configs, std::uint64_t seed, bool initialize) : seed_(seed) {
  n_features_ = first_columns(configs);
  require(n_features_ != 0, "[Network] needs at least one layer with a width (", kinds_with_width(), ")");
  auto config = configs.begin();
  for (; config != configs.end(); ++config) {
    const auto* row = inputs::registry().find(config->kind);
    if (!row) break;
    preparation_.add(*row, n_features_, config->settings);
  }
  Assembly<T> assembly(preparation_.numbered());
  assembly.chain({config, configs.end()}, "", {kInput, n_features_}, preparation_.numbered());
  nodes_ = assembly.take();
  readers_.resize(nodes_.size() + 1);
  for (int k = 0; k < depth(); ++k)
    for (const int value : node(k).inputs) readers_[static_cast<std::size_t>(value + 1)].push_back(k);
  for (int k = 0; k < depth(); ++k) {
    std::string key = node(k).key;  // in the loop also the keys of the containers around the node: "2.0.1", "2.0", "2"
    for (auto dot = key.size(); dot != std::string::npos; dot = key.rfind('.')) {
      key.resize(dot);
      nodes_of_[key].push_back(k);
    }
  }
  frozen_.assign(nodes_.size(), false);
  batches_.assign(nodes_.size(), 0);
  allocate();
  for (int k = 0; initialize && k < depth(); ++k) layer(k).initialize(seed_);
}

template <class T>
void Network<T>::allocate() {
  Index size = 0;
  first_.push_back(0);
  for (int k = 0; k < depth(); ++k) {
    int index = 0;
    for (const auto& shape : layer(k).params()) {
      const Index stride = shape.rows > 1 ? row_stride<T>(shape.cols) : padded<T>(shape.cols);
      Parameter p{k,          index++, node(k).key, shape.name, shape.rows,
                  shape.cols, stride,  size,        shape.role, shape.trainable};
      Index extent = 0;
      if (__builtin_mul_overflow(p.rows, p.stride, &extent) || __builtin_add_overflow(size, extent, &size))
        throw std::bad_alloc();
      parameters_.push_back(std::move(p));
    }
    first_.push_back(parameters_.size());
  }
  values_ = Buffer<T>(size);
  for (int k = 0; k < depth(); ++k) {
    std::vector<Matrix<T>> views;
    for (const auto& p : parameters_of(k)) views.push_back(p.in(values_.data()));
    layer(k).bind(views);
  }
}

template <class T>
const std::vector<int>& Network<T>::nodes_of(const std::string& key) const {
  if (const auto found = nodes_of_.find(key); found != nodes_of_.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& n : nodes_) known.push_back(n.key);
  throw std::invalid_argument("[Network] no layer has the key '" + key + "'; known: " + join(known));
}

template <class T>
void Network<T>::change(const std::string& key, const Config& settings, bool sparse) {
  for (int k = 0; k < preparation_.size(); ++k)
    if (key == preparation_.key(k)) return preparation_.change(k, settings.kind, settings.settings, sparse);
  for (const int k : nodes_of(key)) {
    require(node(k).kind == settings.kind, "[Network] layer ", node(k).key, " is a ", node(k).kind, ", not a ",
            settings.kind);
    require(layer(k).change(settings.values), "[Network] a ", settings.kind, " has no settings that could change");
  }
}

template <class T>
bool Network<T>::frozen(const std::string& key) const {
  const auto nodes = nodes_of(key);
  return std::ranges::all_of(nodes, [&](int k) { return frozen(k) || (nodes.size() > 1 && parameters_of(k).empty()); });
}

template <class T>
void Network<T>::set_frozen(const std::string& key, bool frozen) {
  for (const int k : nodes_of(key)) frozen_[static_cast<std::size_t>(k)] = frozen;
}

template <class T>
bool Network<T>::trains(int layer) const {
  return std::ranges::any_of(parameters_of(layer), [&](const Parameter& p) { return trains(p); });
}

template <class T>
std::vector<bool> Network<T>::wanted_gradients(bool of_input) const {
  std::vector<bool> wanted{of_input};
  for (int k = 0; k < depth(); ++k)
    wanted.push_back(trains(k) || std::ranges::any_of(node(k).inputs, [&](int value) {
                       return static_cast<bool>(wanted[static_cast<std::size_t>(value + 1)]);
                     }));
  return wanted;
}

template <class T>
int Network<T>::sparse_reader() const {
  const auto& scaling = preparation_.scaling();
  if (readers(kInput).size() != 1 || scaling.shift || scaling.mean) return kNoNode;
  const int reader = readers(kInput)[0];
  return layer(reader).traits().reads_sparse_rows ? reader : kNoNode;
}

template <class T>
double Network<T>::flops_per_row(Index row_cells) const {
  double flops = 0;
  for (const auto& n : nodes_) flops += n.layer->flops_per_row();
  if (row_cells == 0) return flops;
  const auto& first = layer(sparse_reader());
  return flops - first.flops_per_row() * (1 - static_cast<double>(row_cells) / static_cast<double>(first.in()));
}

template class Network<float>;
template class Network<double>;

}  // namespace fastnn::graph
