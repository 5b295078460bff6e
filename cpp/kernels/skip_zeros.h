// The first product of backpropagation and the gradient of its W on dense rows many of whose numbers are zero, such as
// pixels, counts and one-hot codes: the terms of zeros are skipped. The results have the bits of the dense products
// (kernels/gemm.h): an element is one chain of fused multiply-adds in the order of k, which the term of a zero leaves as
// it is. Several chains that read the same row of the other factor are computed together, and skip what is zero in all
// of them.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <type_traits>

#include "core/types.h"

namespace fastnn::kernels {

// Where the rows of a batch have numbers other than zero: a bit for each row, in words by column. The rows of a chunk
// have words of their own, so that threads can note chunks at the same time.
template <class T>
struct Nonzeros {
  using Word = std::conditional_t<sizeof(T) == sizeof(float), std::uint32_t, std::uint64_t>;
  static constexpr Index kRowsOfWord = 8 * sizeof(Word);

  Word* words = nullptr;  // chunks x words_of_chunk() x padded columns
  Index columns = 0, chunk_rows = 1;

  static constexpr Index words_of_chunk(Index chunk_rows) { return ceil_div(chunk_rows, kRowsOfWord); }
  static constexpr Index size(Index columns, Index chunks, Index chunk_rows) {
    return chunks * words_of_chunk(chunk_rows) * padded<T>(columns);
  }
  Word* of(Index chunk, Index word) const {
    return words + (chunk * words_of_chunk(chunk_rows) + word) * padded<T>(columns);
  }
};

// In which products zeros are skipped: in none, in y = x W + b, or in x^T dy as well.
enum class Skip { kNowhere, kForward, kEverywhere };

// Where skipping zeros of rows like these saves more than looking for them costs, if W has so many columns.
template <class T>
Skip worth_skipping(ConstMatrix<T> x, Index columns) noexcept;

// Notes where the rows of a chunk have numbers other than zero. x: these rows, with padding columns of zeros.
template <class T>
void note_nonzeros(ConstMatrix<T> x, Index chunk, const Nonzeros<T>& to) noexcept;

// y = x W + bias, as `product`.
template <class T>
void product_skipping_zeros(ConstMatrix<T> x, ConstMatrix<T> w, const T* bias, Matrix<T> y) noexcept;
template <class T>
void product_skipping_zeros(ConstMatrix<T> x, PackedMatrix<T> w, const T* bias, Matrix<T> y) noexcept;

// c = x^T y, or c += x^T y with `accumulate`, as `product_transposed`, where x are the rows from `row` on, as many as y
// has, and the columns from `column` on, as many as c has rows, of the batch x whose nonzeros are noted.
template <class T>
void product_transposed_skipping_zeros(const Nonzeros<T>& nonzeros, ConstMatrix<T> x, Index row, Index column,
                                       ConstMatrix<T> y, Matrix<T> c, bool accumulate,
                                       const PrefetchTargets<T>* prefetch) noexcept;

}  // namespace fastnn::kernels
