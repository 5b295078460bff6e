// SPDX-License-Identifier: BSD-3-Clause
#include "graph/network.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/check.h"

namespace fastnn::graph {

namespace {

// Columns that the first layer with a width of its own expects: those before it keep that width.
Index input_width(const std::vector<layers::Config>& configs) {
  for (const auto& config : configs)
    if (const auto* row = layers::registry().find(config.kind))
      if (const Index expected = row->expects(config.values); expected > 0) return expected;
  require(false, "[Network] needs at least one layer with a width (linear or batch_norm1d)");
  return 0;
}

template <class T>
Buffer<T> per_column(const std::vector<double>& given, Index width) {
  Buffer<T> values(given.empty() ? 0 : padded<T>(width));  // read in whole vectors
  for (Index c = 0; c < values.size() && c < width; ++c)
    values[c] = static_cast<T>(given[given.size() == 1 ? 0 : static_cast<std::size_t>(c)]);
  return values;
}

// One value, or one a column, none of which loses everything as T: infinite, or a factor that counts as zero. Zero
// itself is a factor: it switches a column off.
template <class T>
void check_factors(const std::vector<double>& given, Index width, const char* what, double smallest) {
  require(given.size() <= 1 || static_cast<Index>(given.size()) == width, "[rescale] ", what, " has ", given.size(),
          " values, expected 1 or ", width);
  const char* dtype = sizeof(T) == 4 ? "float32" : "float64";
  const auto largest = static_cast<double>(std::numeric_limits<T>::max());
  for (std::size_t c = 0; c < given.size(); ++c) {
    const double size = std::abs(given[c]);
    require(size <= largest, "[rescale] ", what, " has ", given[c], " at ", c, ", which is infinite as ", dtype,
            "; expected at most ", largest);
    const bool zero = std::bit_cast<std::uint64_t>(size) == 0;  // in modes that take smaller numbers for zero, too
    require(zero || size >= smallest, "[rescale] ", what, " has ", given[c], " at ", c, ", which is zero as ", dtype,
            "; expected at least ", smallest, ", or 0");
  }
}

}  // namespace

template <class T>
Network<T>::Network(const std::vector<layers::Config>& configs, std::uint64_t seed) : seed_(seed) {
  Index width = input_width(configs);
  int position = 0;
  bool preparing = true;
  for (const auto& config : configs) {
    if (preparing && config.kind == "rescale") {
      require(scale_.size() == 0 && shift_.size() == 0, "[rescale] a network takes one Rescale, two came");
      rescale(config, width);
      continue;
    }
    if (preparing && config.kind == "flatten") {
      ++position;
      continue;
    }
    preparing = false;
    layers_.push_back(layers::make_layer<T>(config, width));
    kinds_.push_back(config.kind);
    layers_.back()->set_position(position++);
    width = layers_.back()->out();
  }
  require(!layers_.empty(), "[Network] has no layers");
  frozen_.assign(layers_.size(), false);
  allocate();
}

// All new numbers are made before the first is taken.
template <class T>
void Network<T>::rescale(const layers::Config& settings, Index width) {
  check_factors<T>(settings.scale, width, "scale", static_cast<double>(std::numeric_limits<T>::min()));
  check_factors<T>(settings.shift, width, "shift", 0);
  auto scale = per_column<T>(settings.scale, width), shift = per_column<T>(settings.shift, width);
  const bool none = settings.scale.empty() && settings.shift.empty();
  const auto filled = [&](const std::vector<double>& given, double otherwise) {
    return none ? Buffer<double>() : per_column<double>(given.empty() ? std::vector{otherwise} : given, width);
  };
  auto exact_scale = filled(settings.scale, 1), exact_shift = filled(settings.shift, 0);
  scale_ = std::move(scale), shift_ = std::move(shift);
  exact_scale_ = std::move(exact_scale), exact_shift_ = std::move(exact_shift);
}

template <class T>
void Network<T>::allocate() {
  Index size = 0;
  first_.push_back(0);
  for (int k = 0; k < depth(); ++k) {
    int index = 0;
    for (const auto& shape : layer(k).params()) {
      const Index stride = shape.rows > 1 ? row_stride<T>(shape.cols) : padded<T>(shape.cols);
      Parameter p{k,    layer(k).position(), index++,     shape.name, shape.rows, shape.cols, stride,
                  size, shape.trainable,     shape.matrix};
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
    layer(k).initialize(seed_);
  }
}

template <class T>
int Network<T>::at(int position) const {
  // Numbers rise from layer to layer.
  const auto found = std::ranges::lower_bound(layers_, position, {}, [](const auto& l) { return l->position(); });
  if (found != layers_.end() && (*found)->position() == position) return static_cast<int>(found - layers_.begin());
  std::vector<std::string> known;
  for (const auto& l : layers_) known.push_back(std::to_string(l->position()));
  require(false, "[Network] no layer has the number ", position, "; known: ", join(known));
  return 0;
}

template <class T>
void Network<T>::change(int position, const layers::Config& settings) {
  if (position == kRescale) {
    require(settings.kind == "rescale" && scale_.size() > 0, "[Network] has no Rescale that could change");
    return rescale(settings, n_features());
  }
  const auto k = static_cast<std::size_t>(at(position));
  require(kinds_[k] == settings.kind, "[Network] layer ", position, " is a ", kinds_[k], ", not a ", settings.kind);
  require(layers_[k]->change(settings.values), "[Network] a ", settings.kind, " has no settings that could change");
}

template <class T>
void Network<T>::set_frozen(int position, bool frozen) {
  frozen_[static_cast<std::size_t>(at(position))] = frozen;
}

template <class T>
int Network<T>::lowest_trained() const {
  for (const auto& p : parameters_)
    if (trains(p)) return p.layer;
  return depth();
}

template <class T>
double Network<T>::flops_per_row() const {
  double flops = 0;
  for (const auto& l : layers_) flops += l->flops_per_row();
  return flops;
}

template class Network<float>;
template class Network<double>;

}  // namespace fastnn::graph
