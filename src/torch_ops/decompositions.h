// How operators are taken apart for the CPU: one function an operator, or a group of them, named by the entry of the operator.
// Each rewrites its node with Decomposition, or says why not and leaves the graph as it was. Pure functions; any thread.
#pragma once

#include "torch_ops/decompose.h"

namespace cortland::torch_ops::decompositions {

// decompose_creation.cc
Status zeros_like(Decomposition& d);
Status ones_like(Decomposition& d);
Status new_zeros(Decomposition& d);
Status new_ones(Decomposition& d);
Status new_full(Decomposition& d);
Status rand_like(Decomposition& d);
Status exponential(Decomposition& d);
Status randn_like(Decomposition& d);
Status randint(Decomposition& d);
Status eye(Decomposition& d);
Status linspace(Decomposition& d);
Status tril_indices(Decomposition& d);
Status triu_indices(Decomposition& d);
Status triu(Decomposition& d);
Status cosine_embedding_loss(Decomposition& d);
Status triplet_margin_loss(Decomposition& d);
Status poisson_nll_loss(Decomposition& d);
Status hinge_embedding_loss(Decomposition& d);
Status diag(Decomposition& d);
Status diagonal_scatter(Decomposition& d);
Status diag_embed(Decomposition& d);
Status diagflat(Decomposition& d);
Status one_hot(Decomposition& d);
Status take_along_dim(Decomposition& d);
Status take(Decomposition& d);
Status index_copy(Decomposition& d);
Status index_add(Decomposition& d);
Status index_fill(Decomposition& d);
Status scatter_sum(Decomposition& d);
Status bucketize(Decomposition& d);
Status searchsorted(Decomposition& d);

// decompose_elimination.cc
Status inverse(Decomposition& d);
Status determinant(Decomposition& d);
Status logdet(Decomposition& d);
Status slogdet(Decomposition& d);
Status solve(Decomposition& d);
Status cholesky(Decomposition& d);
Status solve_triangular(Decomposition& d);
Status triangular_solve(Decomposition& d);
Status cholesky_solve(Decomposition& d);
Status cholesky_inverse(Decomposition& d);
Status matrix_power(Decomposition& d);

// decompose_matrix.cc
Status matmul(Decomposition& d);
Status matrix_vector(Decomposition& d);
Status dot(Decomposition& d);
Status outer(Decomposition& d);
Status inner(Decomposition& d);
Status vecdot(Decomposition& d);
Status baddbmm(Decomposition& d);
Status addbmm(Decomposition& d);
Status addmv(Decomposition& d);
Status addr(Decomposition& d);
Status kron(Decomposition& d);
Status bilinear(Decomposition& d);
Status einsum(Decomposition& d);
Status tensordot(Decomposition& d);
Status attention(Decomposition& d);
Status core_ml_attention(Decomposition& d);
Status weight_norm(Decomposition& d);

// decompose_bessel.cc
Status bessel_i0(Decomposition& d);
Status bessel_i0e(Decomposition& d);
Status bessel_i1(Decomposition& d);
Status bessel_i1e(Decomposition& d);
Status bessel_k0(Decomposition& d);
Status bessel_k0e(Decomposition& d);
Status bessel_k1(Decomposition& d);
Status bessel_k1e(Decomposition& d);
Status bessel_j0(Decomposition& d);
Status bessel_j1(Decomposition& d);
Status bessel_y0(Decomposition& d);
Status bessel_y1(Decomposition& d);
Status spherical_bessel_j0(Decomposition& d);

// decompose_nn.cc
Status conv(Decomposition& d);
Status conv_transpose(Decomposition& d);
Status convolution(Decomposition& d);
Status linear(Decomposition& d);
Status batch_norm(Decomposition& d);
Status group_norm(Decomposition& d);
Status instance_norm(Decomposition& d);
Status layer_norm(Decomposition& d);
Status rms_norm(Decomposition& d);
Status grid_sampler(Decomposition& d);
Status embedding_bag(Decomposition& d);

// decompose_pointwise.cc
Status silu(Decomposition& d);
Status hardswish(Decomposition& d);
Status hardsigmoid(Decomposition& d);
Status mish(Decomposition& d);
Status softplus(Decomposition& d);
Status prelu(Decomposition& d);
Status selu(Decomposition& d);
Status celu(Decomposition& d);
Status log_sigmoid(Decomposition& d);
Status softshrink(Decomposition& d);
Status hardshrink(Decomposition& d);
Status threshold(Decomposition& d);
Status relu6(Decomposition& d);
Status rrelu(Decomposition& d);
Status dropout(Decomposition& d);
Status native_dropout(Decomposition& d);
Status evaluated_dropout(Decomposition& d);
Status clamp_below(Decomposition& d);
Status clamp_above(Decomposition& d);
Status clamp_below_tensor(Decomposition& d);
Status clamp_above_tensor(Decomposition& d);
Status square(Decomposition& d);
Status rsub(Decomposition& d);
Status floor_divide_number(Decomposition& d);
Status remainder(Decomposition& d);
Status number_as_tensor(Decomposition& d);
Status addcmul(Decomposition& d);
Status addcdiv(Decomposition& d);
Status lerp(Decomposition& d);
Status where_number(Decomposition& d);
Status places(Decomposition& d);
Status places_by_axis(Decomposition& d);
Status masked_fill(Decomposition& d);
Status exp2(Decomposition& d);
Status erfc(Decomposition& d);
Status frac(Decomposition& d);
Status signbit(Decomposition& d);
Status isfinite(Decomposition& d);
Status nan_to_num(Decomposition& d);
Status fmax(Decomposition& d);
Status fmin(Decomposition& d);
Status isclose(Decomposition& d);
Status heaviside(Decomposition& d);
Status copysign(Decomposition& d);
Status hypot(Decomposition& d);
Status logaddexp(Decomposition& d);
Status xlogy(Decomposition& d);
Status ldexp(Decomposition& d);
Status sinc(Decomposition& d);
Status deg2rad(Decomposition& d);
Status rad2deg(Decomposition& d);
Status round_decimals(Decomposition& d);
Status isin(Decomposition& d);
Status isin_number(Decomposition& d);
Status isposinf(Decomposition& d);
Status isneginf(Decomposition& d);

// decompose_pool.cc
Status max_pool2d(Decomposition& d);
Status max_pool1d(Decomposition& d);
Status avg_pool1d(Decomposition& d);
Status max_pool3d(Decomposition& d);
Status avg_pool3d(Decomposition& d);
Status adaptive_avg_pool2d(Decomposition& d);
Status adaptive_avg_pool1d(Decomposition& d);
Status adaptive_avg_pool3d(Decomposition& d);
Status adaptive_max_pool1d(Decomposition& d);
Status adaptive_max_pool2d(Decomposition& d);
Status adaptive_max_pool3d(Decomposition& d);
Status nearest2d(Decomposition& d);
Status bilinear2d(Decomposition& d);
Status nearest1d(Decomposition& d);
Status nearest3d(Decomposition& d);
Status exact1d(Decomposition& d);
Status exact2d(Decomposition& d);
Status exact3d(Decomposition& d);
Status linear1d(Decomposition& d);
Status trilinear3d(Decomposition& d);
Status bicubic2d(Decomposition& d);
Status smooth_bilinear2d(Decomposition& d);
Status smooth_bicubic2d(Decomposition& d);

// decompose_recurrent.cc
Status lstm(Decomposition& d);
Status gru(Decomposition& d);
Status rnn_tanh(Decomposition& d);
Status rnn_relu(Decomposition& d);
Status lstm_cell(Decomposition& d);
Status gru_cell(Decomposition& d);
Status rnn_tanh_cell(Decomposition& d);
Status rnn_relu_cell(Decomposition& d);

// decompose_reduction.cc
Status sum_all(Decomposition& d);
Status nansum(Decomposition& d);
Status nanmean(Decomposition& d);
Status count_nonzero(Decomposition& d);
Status var(Decomposition& d);
Status std_deviation(Decomposition& d);
Status var_mean(Decomposition& d);
Status std_mean(Decomposition& d);
Status all(Decomposition& d);
Status vector_norm(Decomposition& d);
Status p_norm(Decomposition& d);
Status frobenius_norm(Decomposition& d);
Status linalg_norm(Decomposition& d);
Status matrix_norm(Decomposition& d);
Status cosine_similarity(Decomposition& d);
Status pairwise_distance(Decomposition& d);
Status cdist(Decomposition& d);
Status cross(Decomposition& d);
Status softmax_int(Decomposition& d);
Status log_softmax_int(Decomposition& d);
Status logsumexp(Decomposition& d);
Status of_one_number(Decomposition& d);
Status cumprod(Decomposition& d);
Status sort(Decomposition& d);
Status argsort(Decomposition& d);
Status msort(Decomposition& d);
Status kthvalue(Decomposition& d);
Status median(Decomposition& d);
Status aminmax(Decomposition& d);
Status mse_loss(Decomposition& d);
Status l1_loss(Decomposition& d);
Status smooth_l1_loss(Decomposition& d);
Status huber_loss(Decomposition& d);

// decompose_special.cc
Status lgamma(Decomposition& d);
Status digamma(Decomposition& d);
Status mvlgamma(Decomposition& d);
Status polygamma(Decomposition& d);
Status erfcx(Decomposition& d);
Status erfinv(Decomposition& d);
Status ndtr(Decomposition& d);
Status log_ndtr(Decomposition& d);
Status ndtri(Decomposition& d);
Status entr(Decomposition& d);
Status xlog1py(Decomposition& d);
Status gcd(Decomposition& d);
Status lcm(Decomposition& d);
Status chebyshev_t(Decomposition& d);
Status chebyshev_u(Decomposition& d);
Status hermite_h(Decomposition& d);
Status hermite_he(Decomposition& d);
Status laguerre_l(Decomposition& d);
Status legendre_p(Decomposition& d);

// decompose_sampling.cc
Status grid_sampler_3d(Decomposition& d);
Status affine_grid(Decomposition& d);

// decompose_shape.cc
Status reversed(Decomposition& d);
Status last_two(Decomposition& d);
Status unbind(Decomposition& d);
Status swapaxes(Decomposition& d);
Status swapdims(Decomposition& d);
Status movedim(Decomposition& d);
Status rot90(Decomposition& d);
Status fliplr(Decomposition& d);
Status flipud(Decomposition& d);
Status channel_shuffle(Decomposition& d);
Status cat(Decomposition& d);
Status hstack(Decomposition& d);
Status vstack(Decomposition& d);
Status dstack(Decomposition& d);
Status column_stack(Decomposition& d);
Status broadcast_tensors(Decomposition& d);
Status meshgrid(Decomposition& d);
Status cut(Decomposition& d);
Status diff(Decomposition& d);
Status trace(Decomposition& d);
Status product_of_nothing(Decomposition& d);
Status linalg_diagonal(Decomposition& d);
Status tile(Decomposition& d);
Status repeat_interleave(Decomposition& d);
Status repeat_interleave_each(Decomposition& d);
Status pad(Decomposition& d);
Status pad_or_crop(Decomposition& d);
Status roll(Decomposition& d);
Status im2col(Decomposition& d);

// decompose_statistics.cc
Status quantile(Decomposition& d);
Status trapezoid(Decomposition& d);
Status cumulative_trapezoid(Decomposition& d);
Status renorm(Decomposition& d);
Status cartesian_prod(Decomposition& d);
Status vander(Decomposition& d);
Status linalg_vander(Decomposition& d);

// decompose_windows.cc
Status hann_window(Decomposition& d);
Status hamming_window(Decomposition& d);
Status blackman_window(Decomposition& d);
Status bartlett_window(Decomposition& d);
Status kaiser_window(Decomposition& d);
Status fftfreq(Decomposition& d);
Status rfftfreq(Decomposition& d);

}  // namespace cortland::torch_ops::decompositions
