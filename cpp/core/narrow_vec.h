// NarrowVec<T>: a vector of half a cache line where Vec<T> fills one, and Vec<T> itself elsewhere. Columns that fill no
// more take fewer operations: a processor may compute two narrow vectors at the same time.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <type_traits>

#include "core/simd.h"

namespace fastnn {

// GCC warns when a packet type is the argument of a class template, because template arguments ignore its alignment.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"
template <class T>
struct HalfVec {
  using Packet = typename ei::unpacket_traits<typename Vec<T>::Packet>::half;
  static constexpr Index kLanes = ei::unpacket_traits<Packet>::size;
  Packet p;

  static HalfVec set(T s) { return {ei::pset1<Packet>(s)}; }
  static HalfVec zero() { return {ei::pzero(Packet{})}; }
  static HalfVec load(const T* at) { return {ei::pload<Packet>(at)}; }
  static HalfVec loadu(const T* at) { return {ei::ploadu<Packet>(at)}; }
  void store(T* at) const { ei::pstore(at, p); }
  void storeu(T* at) const { ei::pstoreu(at, p); }
};
#pragma GCC diagnostic pop

template <class T>
HalfVec<T> fma(HalfVec<T> a, HalfVec<T> b, HalfVec<T> c) {
  return {ei::pmadd(a.p, b.p, c.p)};
}

template <class T>
using NarrowVec = std::conditional_t<sizeof(Vec<T>) == kAlign, HalfVec<T>, Vec<T>>;

}  // namespace fastnn
