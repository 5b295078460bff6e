// The registry of activations as everybody else sees it: rows of names, hyperparameters and whole loops.
// No vectors here: who reads the registry is compiled once, whatever the instruction set.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <span>
#include <string>

#include "core/hyper.h"
#include "core/types.h"

namespace fastnn::activations {

// What f' is computed from: the input z, or the output f(z) (then the layer works in place).
enum class Needs { kInput, kOutput };

template <class T>
struct Loops {
  // a = f(z) over whole padded rows; a may be z.
  void (*forward)(const double* hyper, ConstMatrix<T> z, Matrix<T> a) noexcept;
  // grad *= f'(saved); columns beyond `cols` stay zero as long as they come in as zero.
  void (*backward)(const double* hyper, ConstMatrix<T> saved, Matrix<T> grad) noexcept;
};

struct Row {
  const char* name;        // "leaky_relu": the word of configurations and of fastnn.functional
  const char* class_name;  // "LeakyReLU": torch's name, the class in fastnn.nn
  const char* formula;     // one line of documentation
  Needs needs;
  std::span<const Hyper> hypers;
  Loops<float> f32;
  Loops<double> f64;

  template <class T>
  const Loops<T>& loops() const {
    return of_type<T>(f32, f64);
  }
};

// The one list (registry.cpp), in the order of the documentation.
std::span<const Row> registry();
// The row called `name`, or nullptr.
const Row* find(const std::string& name);

}  // namespace fastnn::activations
