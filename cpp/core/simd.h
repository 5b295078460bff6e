// Vec<T>: one vector register of T, of the instruction set that this copy of the engine is compiled for. It wraps
// Eigen's packet types, which are all that fastnn uses of Eigen; no other file names Eigen::internal. Nor does any other
// file name intrinsics: the few below have no counterpart in Eigen.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <Eigen/Core>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "core/types.h"

namespace fastnn {

namespace ei = Eigen::internal;

template <class T>
struct Vec {
  using Packet = typename ei::packet_traits<T>::type;
  static constexpr Index kLanes = ei::unpacket_traits<Packet>::size;
  // The same register as a vector type of the compiler: for comparisons lane by lane, and for the bits of each lane.
  using Bit = std::conditional_t<sizeof(T) == sizeof(float), std::uint32_t, std::uint64_t>;
  typedef T Lanes __attribute__((vector_size(sizeof(Packet))));
  typedef Bit Bits __attribute__((vector_size(sizeof(Packet))));
  Packet p;

  static Vec set(T s) { return {ei::pset1<Packet>(s)}; }
  static Vec zero() { return {ei::pzero(Packet{})}; }
  static Vec load(const T* at) { return {ei::pload<Packet>(at)}; }    // `at` aligned to the vector
  static Vec loadu(const T* at) { return {ei::ploadu<Packet>(at)}; }  // any address
  static Vec counting() { return {ei::plset<Packet>(T(0))}; }         // 0, 1, ...
  static Vec of_bits(Bits bits) { return {__builtin_bit_cast(Packet, bits)}; }
  void store(T* at) const { ei::pstore(at, p); }
  void storeu(T* at) const { ei::pstoreu(at, p); }
  Lanes lanes() const { return __builtin_bit_cast(Lanes, p); }
  Bits bits() const { return __builtin_bit_cast(Bits, p); }

  friend Vec operator+(Vec a, Vec b) { return {ei::padd(a.p, b.p)}; }
  friend Vec operator-(Vec a, Vec b) { return {ei::psub(a.p, b.p)}; }
  friend Vec operator*(Vec a, Vec b) { return {ei::pmul(a.p, b.p)}; }
  friend Vec operator/(Vec a, Vec b) { return {ei::pdiv(a.p, b.p)}; }
  friend Vec operator|(Vec a, Vec b) { return {ei::por(a.p, b.p)}; }  // bit by bit
  friend Vec operator-(Vec a) { return {ei::pnegate(a.p)}; }
  Vec& operator+=(Vec b) { return *this = *this + b; }
};

// Half a vector of float: as many as a vector of double has lanes. Where there is no packet of so few, the compiler's
// vector type takes its place; it needs more instructions for the conversions.
using Half = typename ei::find_packet_by_size<float, Vec<double>::kLanes>::type;
inline constexpr bool kHasHalf = ei::unpacket_traits<Half>::size == Vec<double>::kLanes;
typedef float HalfLanes __attribute__((vector_size(Vec<double>::kLanes * sizeof(float))));

// As many numbers as a vector of double has lanes, from any address.
[[gnu::always_inline]] inline Vec<double> load_doubles(const double* x) noexcept { return Vec<double>::loadu(x); }
[[gnu::always_inline]] inline Vec<double> load_doubles(const float* x) noexcept {
  if constexpr (kHasHalf) {
    return {ei::pcast<Half, Vec<double>::Packet>(ei::ploadu<Half>(x))};
  } else {
    HalfLanes some;
    std::memcpy(&some, x, sizeof(some));
    return {__builtin_bit_cast(Vec<double>::Packet, __builtin_convertvector(some, Vec<double>::Lanes))};
  }
}
// Stores all lanes, rounded to T.
[[gnu::always_inline]] inline void store_doubles(Vec<double> v, double* to) noexcept { v.storeu(to); }
[[gnu::always_inline]] inline void store_doubles(Vec<double> v, float* to) noexcept {
  if constexpr (kHasHalf) {
    ei::pstoreu(to, ei::pcast<Vec<double>::Packet, Half>(v.p));
  } else {
    const HalfLanes lanes = __builtin_convertvector(v.lanes(), HalfLanes);
    std::memcpy(to, &lanes, sizeof(lanes));
  }
}
// The first `count` lanes.
template <class T>
void store_doubles(Vec<double> v, T* to, Index count) noexcept {
  T lanes[Vec<double>::kLanes];
  store_doubles(v, lanes);
  std::memcpy(to, lanes, sizeof(T) * static_cast<std::size_t>(count));
}

// a * b + c, rounded once where the level has FMA (v3, v4), twice on v2.
template <class T>
Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
  return {ei::pmadd(a.p, b.p, c.p)};
}
// If one of the operands is NaN, the result of max and min is the first operand.
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
// The result of a comparison, lane by lane. Comparisons with NaN are false.
template <class T>
struct Mask {
  decltype(typename Vec<T>::Lanes{} < typename Vec<T>::Lanes{}) lanes;

  friend Mask operator|(Mask a, Mask b) { return {a.lanes | b.lanes}; }
  friend Mask operator&(Mask a, Mask b) { return {a.lanes & b.lanes}; }
};
template <class T>
Mask<T> less(Vec<T> a, Vec<T> b) {
  return {a.lanes() < b.lanes()};
}
template <class T>
Mask<T> at_most(Vec<T> a, Vec<T> b) {
  return {a.lanes() <= b.lanes()};
}
template <class T>
Vec<T> select(Mask<T> mask, Vec<T> if_true, Vec<T> if_false) {
  const typename Vec<T>::Lanes chosen = mask.lanes ? if_true.lanes() : if_false.lanes();
  return {__builtin_bit_cast(typename Vec<T>::Packet, chosen)};
}

// Is the comparison true in some lane?
template <class T>
bool any(Mask<T> mask) {
  std::uint64_t all = 0;
  for (const auto word : std::bit_cast<std::array<std::uint64_t, sizeof(mask.lanes) / 8>>(mask.lanes)) all |= word;
  return all != 0;
}

// The lanes whose number is not zero, of either sign, as bits; NaN is not zero.
inline std::uint64_t nonzero_lanes(Vec<double> a) {
#if defined(EIGEN_VECTORIZE_AVX512)
  return _mm512_cmp_pd_mask(a.p, _mm512_setzero_pd(), _CMP_NEQ_UQ);
#elif defined(EIGEN_VECTORIZE_AVX)
  return static_cast<std::uint64_t>(_mm256_movemask_pd(_mm256_cmp_pd(a.p, _mm256_setzero_pd(), _CMP_NEQ_UQ)));
#else
  return static_cast<std::uint64_t>(_mm_movemask_pd(_mm_cmpneq_pd(a.p, _mm_setzero_pd())));
#endif
}
inline std::uint64_t nonzero_lanes(Vec<float> a) {
#if defined(EIGEN_VECTORIZE_AVX512)
  return _mm512_cmp_ps_mask(a.p, _mm512_setzero_ps(), _CMP_NEQ_UQ);
#elif defined(EIGEN_VECTORIZE_AVX)
  return static_cast<std::uint64_t>(_mm256_movemask_ps(_mm256_cmp_ps(a.p, _mm256_setzero_ps(), _CMP_NEQ_UQ)));
#else
  return static_cast<std::uint64_t>(_mm_movemask_ps(_mm_cmpneq_ps(a.p, _mm_setzero_ps())));
#endif
}

// Is every lane zero, of either sign?
template <class T>
bool all_zero(Vec<T> a) {
  return nonzero_lanes(a) == 0;
}

#ifdef EIGEN_VECTORIZE_AVX512
namespace detail {
// 1 / sqrt(a) with an error below 2^-14, and 0 for a = 0. Returns false if a lane is neither 0 nor from `lowest` to the
// largest finite number; this compares the bits of the numbers, whose order is that of positive numbers.
inline bool near_inverse_root(Vec<double> a, double lowest, Vec<double>* root) {
  const auto bits = _mm512_castpd_si512(a.p), least = _mm512_castpd_si512(_mm512_set1_pd(lowest));
  const auto most = _mm512_castpd_si512(_mm512_set1_pd(std::numeric_limits<double>::max()));
  const auto positive = _mm512_cmple_epu64_mask(_mm512_sub_epi64(bits, least), _mm512_sub_epi64(most, least));
  root->p = _mm512_maskz_rsqrt14_pd(positive, a.p);
  return _kortestc_mask8_u8(positive, _mm512_testn_epi64_mask(bits, bits)) != 0;
}
inline bool near_inverse_root(Vec<float> a, float lowest, Vec<float>* root) {
  const auto bits = _mm512_castps_si512(a.p), least = _mm512_castps_si512(_mm512_set1_ps(lowest));
  const auto most = _mm512_castps_si512(_mm512_set1_ps(std::numeric_limits<float>::max()));
  const auto positive = _mm512_cmple_epu32_mask(_mm512_sub_epi32(bits, least), _mm512_sub_epi32(most, least));
  root->p = _mm512_maskz_rsqrt14_ps(positive, a.p);
  return _kortestc_mask16_u8(positive, _mm512_testn_epi32_mask(bits, bits)) != 0;
}

// The square root from 1 / sqrt(a) by Newton's method. The last step subtracts (root^2 - a) / (2 root), whose numerator
// has no rounding error, and brings the root so near that its rounding is that of the exact root;
// tests/engine/test_elementary.py has the nearest cases.
template <class T>
[[gnu::always_inline]] inline Vec<T> newton_root(Vec<T> a, Vec<T> inverse) {
  constexpr int kSteps = sizeof(T) == sizeof(float) ? 1 : 2;  // each doubles the number of correct bits
  auto root = a * inverse, minus_half_inverse = Vec<T>::set(T(-0.5)) * inverse;
#pragma GCC unroll 2
  for (int step = 0; step < kSteps; ++step) {
    const auto error = fma(root, minus_half_inverse, Vec<T>::set(T(0.5)));
    root = fma(root, error, root), minus_half_inverse = fma(minus_half_inverse, error, minus_half_inverse);
  }
  return fma(fma(root, root, -a), minus_half_inverse, root);
}
}  // namespace detail
#endif

// The square root, correctly rounded on every level. (With AVX-512 Eigen would use an approximation;
// cmake/FastnnDeps.cmake turns that off.) For vectors of 64 bytes the processor's instruction takes about as long as
// twenty multiplications, in which it cannot divide; the multiplications of Newton's method leave the divider to the
// quotient that follows in most optimizers. In very small numbers, root^2 - a would be subnormal.
template <class T>
[[gnu::always_inline]] inline Vec<T> sqrt(Vec<T> a) {
#ifdef EIGEN_VECTORIZE_AVX512
  using Limits = std::numeric_limits<T>;
  constexpr T kLowest = Limits::min() * 64 / Limits::epsilon() / Limits::epsilon();
  Vec<T> inverse;
  if (detail::near_inverse_root(a, kLowest, &inverse)) [[likely]]
    return detail::newton_root(a, inverse);
#endif
  return {ei::psqrt(a.p)};
}

// The lanes of the vector at column c that belong to a row of k columns. The comparison is with k - c, the number of
// columns left: column numbers themselves are not exact in float beyond 2^24, whereas k - c is exact where it is below
// the length of a vector, and larger than that otherwise.
template <class T>
Mask<T> inside(Index c, Index k) {
  return less(Vec<T>::counting(), Vec<T>::set(static_cast<T>(k - c)));
}

// GCC warns when a packet type is the argument of a class template, because template arguments ignore its alignment.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"
// Transposes kLanes vectors as a square matrix in registers: lane j of vector i becomes lane i of vector j.
template <class T>
[[gnu::always_inline]] inline void transpose_square(Vec<T> (&rows)[Vec<T>::kLanes]) {
  ei::PacketBlock<typename Vec<T>::Packet, static_cast<int>(Vec<T>::kLanes)> block;
  for (Index i = 0; i < Vec<T>::kLanes; ++i) block.packet[i] = rows[i].p;
  ei::ptranspose(block);
  for (Index i = 0; i < Vec<T>::kLanes; ++i) rows[i].p = block.packet[i];
}
#pragma GCC diagnostic pop

namespace detail {

// Where lane `lane` of a vector comes from that takes one half (0: lower, 1: upper) of each block of `size` lanes of two
// vectors: a lane of the first one, or kLanes + a lane of the second one. Blocks of up to 16 bytes stay within their 16
// bytes, which every instruction set can do at once.
template <class T>
constexpr int lane_of_half(Index size, Index half, Index lane) {
  constexpr Index kLanes = Vec<T>::kLanes, kUnit = 16 / static_cast<Index>(sizeof(T));
  const Index unit = size > kUnit ? kLanes : kUnit, blocks = unit / size;
  const Index block = lane % unit / (size / 2), in_block = lane % (size / 2);
  const Index vector = block / blocks;
  return static_cast<int>(vector * kLanes + lane / unit * unit + block % blocks * size + half * (size / 2) + in_block);
}

// Adds the halves of each block of kSize lanes of a and of b.
template <class T, Index kSize, int... kLane>
[[gnu::always_inline]] inline Vec<T> add_halves(Vec<T> a, Vec<T> b, std::integer_sequence<int, kLane...>) {
  const auto lower = __builtin_shufflevector(a.lanes(), b.lanes(), lane_of_half<T>(kSize, 0, kLane)...);
  const auto upper = __builtin_shufflevector(a.lanes(), b.lanes(), lane_of_half<T>(kSize, 1, kLane)...);
  return {__builtin_bit_cast(typename Vec<T>::Packet, lower + upper)};
}

// The sums of kSize vectors, whose blocks are kSize lanes long, in v[0].
template <class T, Index kSize = Vec<T>::kLanes>
[[gnu::always_inline]] inline void add_blocks(Vec<T>* v) {
  if constexpr (kSize > 1) {
    constexpr std::make_integer_sequence<int, static_cast<int>(Vec<T>::kLanes)> kLanes;
#pragma GCC unroll 8
    for (Index k = 0; k < kSize / 2; ++k) v[k] = add_halves<T, kSize>(v[2 * k], v[2 * k + 1], kLanes);
    add_blocks<T, kSize / 2>(v);
  }
}

// The lanes in which add_blocks leaves the sums of its vectors, by vector.
template <class T>
constexpr auto lanes_of_sums() {
  constexpr Index kLanes = Vec<T>::kLanes;
  Index vector[kLanes][kLanes] = {};  // whose numbers lane j of v[k] has
  for (Index k = 0; k < kLanes; ++k)
    for (Index j = 0; j < kLanes; ++j) vector[k][j] = k;
  for (Index size = kLanes; size > 1; size /= 2)
    for (Index k = 0; k < size / 2; ++k) {
      Index joined[kLanes] = {};
      for (Index j = 0; j < kLanes; ++j) {
        const Index from = lane_of_half<T>(size, 0, j);
        joined[j] = vector[2 * k + from / kLanes][from % kLanes];
      }
      for (Index j = 0; j < kLanes; ++j) vector[k][j] = joined[j];
    }
  std::array<Index, kLanes> lane{};
  for (Index j = 0; j < kLanes; ++j) lane[static_cast<std::size_t>(vector[0][j])] = j;
  return lane;
}

}  // namespace detail

// Lane i is the sum of the lanes of rows[i]: the upper half is added to the lower one, of what is left again, and so on.
template <class T>
[[gnu::always_inline]] inline Vec<T> sums_of_lanes(const Vec<T> (&rows)[Vec<T>::kLanes]) {
  constexpr auto kLane = detail::lanes_of_sums<T>();
  Vec<T> v[Vec<T>::kLanes];
#pragma GCC unroll 16
  for (Index k = 0; k < Vec<T>::kLanes; ++k) v[k] = rows[kLane[static_cast<std::size_t>(k)]];
  detail::add_blocks<T>(v);
  return v[0];
}

}  // namespace fastnn
