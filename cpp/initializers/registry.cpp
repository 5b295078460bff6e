// The list of all initializers.
// SPDX-License-Identifier: BSD-3-Clause
#include "initializers/constants.h"
#include "initializers/initializer.h"
#include "initializers/normals.h"
#include "initializers/orthogonal.h"
#include "initializers/scaled.h"
#include "initializers/uniforms.h"

namespace fastnn::initializers {

namespace {

template <class M, class T>
void fill(const Values& values, Matrix<T> to, Fans fans, PhiloxStream& words) {
  made<M>(values).fill(to, fans, words);
}

template <class M>
constexpr Row entry(const char* name, const char* class_name, const char* formula) {
  bool needs_fans = false, for_vectors = true;
  if constexpr (requires { M::kNeedsFans; }) needs_fans = M::kNeedsFans;
  if constexpr (requires { M::kForVectors; }) for_vectors = M::kForVectors;
  return {row_of<M>(name, class_name, formula), needs_fans, for_vectors, fill<M, float>, fill<M, double>};
}

constexpr Row kRows[] = {
    entry<Default>(kDefault, "Default", "U(-1 / sqrt(in), 1 / sqrt(in)), which Linear has in torch"),
    entry<XavierUniform>("xavier_uniform", "XavierUniform", "U(-c, c) with c = gain sqrt(6 / (in + out))"),
    entry<XavierNormal>("xavier_normal", "XavierNormal", "N(0, s^2) with s = gain sqrt(2 / (in + out))"),
    entry<KaimingUniform>("kaiming_uniform", "KaimingUniform", "U(-c, c) with c = gain sqrt(3 / fan)"),
    entry<KaimingNormal>("kaiming_normal", "KaimingNormal", "N(0, s^2) with s = gain / sqrt(fan)"),
    entry<LecunUniform>("lecun_uniform", "LecunUniform", "U(-c, c) with c = sqrt(3 / in)"),
    entry<LecunNormal>("lecun_normal", "LecunNormal", "normal within two standard deviations, of variance 1 / in"),
    entry<Sklearn>("sklearn", "Sklearn", "U(-c, c) with c = sqrt(6 / (in + out)), 2 in place of 6 for logistic"),
    entry<Orthogonal>("orthogonal", "Orthogonal", "gain Q with orthonormal rows or columns"),
    entry<Normal>("normal", "Normal", "N(mean, std^2)"),
    entry<Uniform>("uniform", "Uniform", "U(a, b)"),
    entry<Zeros>("zeros", "Zeros", "0"),
    entry<Ones>("ones", "Ones", "1"),
    entry<Constant>("constant", "Constant", "val"),
};

}  // namespace

Registry<Row> registry() { return {"initializer", kRows}; }

}  // namespace fastnn::initializers
