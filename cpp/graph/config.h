// The configuration of one layer; a network is made from a list of them. The bindings fill them in from the registries.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/row.h"
#include "initializers/initializer.h"
#include "inputs/input.h"

namespace fastnn::graph {

struct Config {
  std::string kind;                // registry name of an input preparation, a layer, an activation or a container
  Values values = {};              // of the parameters in the layer's registry row
  inputs::Settings settings = {};  // of input preparation
  std::vector<std::pair<int, initializers::Chosen>> initials = {};  // by the number of the parameter in its layer
  std::vector<Config> layers = {};                                  // of a container
  std::vector<Config> shortcut = {};  // of a container that has one: the layer beside its layers, or none
};

}  // namespace fastnn::graph
