// One vector of T on whatever instruction set this copy is compiled for, over Eigen's packets.
// The only file that spells Eigen::internal packet names; formulas above it read like mathematics.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <Eigen/Core>
#include <cmath>

#include "core/types.h"

namespace fastnn {

namespace ei = Eigen::internal;

template <class T>
struct Vec {
  using Packet = typename ei::packet_traits<T>::type;
  static constexpr Index kLanes = ei::unpacket_traits<Packet>::size;
  Packet p;

  static Vec set(T s) { return {ei::pset1<Packet>(s)}; }
  static Vec zero() { return {ei::pzero(Packet{})}; }
  static Vec load(const T* at) { return {ei::pload<Packet>(at)}; }    // `at` aligned to the vector
  static Vec loadu(const T* at) { return {ei::ploadu<Packet>(at)}; }  // any address
  static Vec counting() { return {ei::plset<Packet>(T(0))}; }         // 0, 1, ...
  void store(T* at) const { ei::pstore(at, p); }
  void storeu(T* at) const { ei::pstoreu(at, p); }

  friend Vec operator+(Vec a, Vec b) { return {ei::padd(a.p, b.p)}; }
  friend Vec operator-(Vec a, Vec b) { return {ei::psub(a.p, b.p)}; }
  friend Vec operator*(Vec a, Vec b) { return {ei::pmul(a.p, b.p)}; }
  friend Vec operator/(Vec a, Vec b) { return {ei::pdiv(a.p, b.p)}; }
  friend Vec operator|(Vec a, Vec b) { return {ei::por(a.p, b.p)}; }  // bit by bit
  friend Vec operator-(Vec a) { return {ei::pnegate(a.p)}; }
  Vec& operator+=(Vec b) { return *this = *this + b; }
};

// a * b + c, rounded once where the level has FMA (v3, v4), twice on v2.
template <class T>
Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
  return {ei::pmadd(a.p, b.p, c.p)};
}
template <class T>
Vec<T> max(Vec<T> a, Vec<T> b) {
  return {ei::pmax(a.p, b.p)};
}
template <class T>
Vec<T> min(Vec<T> a, Vec<T> b) {
  return {ei::pmin(a.p, b.p)};
}
template <class T>
Vec<T> abs(Vec<T> a) {
  return {ei::pabs(a.p)};
}
template <class T>
Vec<T> sqrt(Vec<T> a) {
  return {ei::psqrt(a.p)};
}
template <class T>
Vec<T> exp(Vec<T> a) {
  return {ei::pexp(a.p)};
}
template <class T>
Vec<T> log(Vec<T> a) {
  return {ei::plog(a.p)};
}
template <class T>
Vec<T> tanh(Vec<T> a) {
  return {ei::ptanh(a.p)};
}
// Is every lane zero, of either sign?
template <class T>
bool all_zero(Vec<T> a) {
  alignas(kAlign) T lanes[Vec<T>::kLanes];
  a.store(lanes);
  bool zero = true;
  for (const T lane : lanes) zero = zero && lane == T(0);
  return zero;
}
// Masks are vectors of all-ones or all-zero lanes, as Eigen's comparisons give them.
template <class T>
Vec<T> less(Vec<T> a, Vec<T> b) {
  return {ei::pcmp_lt(a.p, b.p)};
}
template <class T>
Vec<T> select(Vec<T> mask, Vec<T> if_true, Vec<T> if_false) {
  return {ei::pselect(mask.p, if_true.p, if_false.p)};
}

// Lanes of the vector at column c that belong to a row of k columns. What becomes a T is what is left of the row, not a
// column's number, which float could not hold beyond 2^24: rounded, it is still more than a vector or exact.
template <class T>
Vec<T> inside(Index c, Index k) {
  return less(Vec<T>::counting(), Vec<T>::set(static_cast<T>(k - c)));
}

// GCC warns where a packet is the argument of a class template, because the type's alignment is no part of its name.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"
// Transposes a square of kLanes vectors in registers: lane j of vector i goes to lane i of vector j.
template <class T>
[[gnu::always_inline]] inline void transpose_square(Vec<T> (&rows)[Vec<T>::kLanes]) {
  ei::PacketBlock<typename Vec<T>::Packet, static_cast<int>(Vec<T>::kLanes)> block;
  for (Index i = 0; i < Vec<T>::kLanes; ++i) block.packet[i] = rows[i].p;
  ei::ptranspose(block);
  for (Index i = 0; i < Vec<T>::kLanes; ++i) rows[i].p = block.packet[i];
}
#pragma GCC diagnostic pop

}  // namespace fastnn
