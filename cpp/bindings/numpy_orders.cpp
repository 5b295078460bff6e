// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/numpy_orders.h"

#include <pybind11/numpy.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <numeric>

#include "core/check.h"

namespace fastnn::bindings {

namespace {

// The interface of NumPy's generators: numpy/random/bitgen.h.
struct NumpyBits {
  void* state;
  std::uint64_t (*next_uint64)(void*);
  std::uint32_t (*next_uint32)(void*);
  double (*next_double)(void*);
  std::uint64_t (*next_raw)(void*);
};

NumpyBits& bits_of(const py::object& generator) {
  const py::object capsule = generator.attr("capsule");
  auto* bits = static_cast<NumpyBits*>(PyCapsule_GetPointer(capsule.ptr(), "BitGenerator"));
  if (!bits) throw py::error_already_set();
  return *bits;
}

void draw_bits(void* bits, std::uint32_t* out, Index count) noexcept {
  const auto& generator = *static_cast<const NumpyBits*>(bits);
  for (Index k = 0; k < count; ++k) out[k] = generator.next_uint32(generator.state);
}

void draw_twister(void* state, std::uint32_t* out, Index count) noexcept {
  static_cast<MersenneTwister*>(state)->draw(out, count);
}

// Is the state of a numpy.random.MT19937 stored as a MersenneTwister? It is if what NumPy shows of it is found there.
// That takes longer than to draw an order, so the answer, which is the same for all of them, is kept.
bool has_known_layout(const py::object& generator) {
  static std::atomic<int> known{-1};
  if (known < 0) {
    const py::object shown = generator.attr("state")["state"];
    const auto key = shown["key"].cast<py::array_t<std::uint32_t, py::array::c_style | py::array::forcecast>>();
    const auto& state = *static_cast<const MersenneTwister*>(bits_of(generator).state);
    known = key.size() == MersenneTwister::kWords && std::equal(state.key, std::end(state.key), key.data()) &&
            state.pos == shown["pos"].cast<int>();
  }
  return known == 1;
}

}  // namespace

NumpyOrders::NumpyOrders(const py::object& generator, Index n, bool shared) : generator_(generator) {
  require(n >= 0 && n <= Index{1} << 32, "[NumpyOrders] n = ", n, "; expected 0 to 2^32");
  NumpyBits& bits = bits_of(generator);
  const py::object lock = generator.attr("lock");
  if (shared) lock_ = lock;
  const py::object twister = py::module_::import("numpy.random").attr("MT19937");
  const bool fast = py::type::of(generator).is(twister) && [&] {
    lock.attr("acquire")();
    const bool known = has_known_layout(generator);
    lock.attr("release")();
    return known;
  }();
  numbers_ = fast ? Numbers{draw_twister, bits.state} : Numbers{draw_bits, &bits};
  order_.resize(static_cast<std::size_t>(n));
  shuffled_.resize(order_.size());
  std::iota(shuffled_.begin(), shuffled_.end(), std::uint32_t{0});
}

const std::int64_t* NumpyOrders::next() {
  const auto draw = [&] {
    shuffle(shuffled_.data(), rows(), numbers_);
    std::ranges::copy(shuffled_, order_.begin());
  };
  if (!lock_) {
    draw();
    return order_.data();
  }
  const WithGil gil;
  lock_.attr("acquire")();
  draw();
  lock_.attr("release")();
  return order_.data();
}

void register_orders(py::module_& m) {
  using py::arg;
  py::class_<NumpyOrders>(m, "NumpyOrders",
                          "The orders of n rows that a bit generator of numpy.random draws: one array, shuffled again "
                          "for each epoch as by\n"
                          "RandomState.shuffle. shared: others may draw from the generator meanwhile.")
      .def(py::init<const py::object&, Index, bool>(), arg("generator"), arg("n"), arg("shared") = true)
      .def(
          "next",
          [](NumpyOrders& orders) {
            const std::int64_t* next = nullptr;
            {
              const WithoutGil free;
              next = orders.next();
            }
            return py::array_t<std::int64_t>(orders.rows(), next);
          },
          "Draws the next order and returns a copy of it.");
}

}  // namespace fastnn::bindings
