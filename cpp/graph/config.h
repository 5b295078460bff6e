// The configuration of one layer; a network is made from a list of them. The bindings fill them in from the registries.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>
#include <vector>

#include "core/row.h"
#include "inputs/input.h"

namespace fastnn::graph {

struct Config {
  std::string kind;                 // registry name of an input preparation, a layer, an activation or a container
  Values values = {};               // of the parameters in the layer's registry row
  inputs::Settings settings = {};   // of input preparation
  std::vector<Config> layers = {};  // of a container
};

}  // namespace fastnn::graph
