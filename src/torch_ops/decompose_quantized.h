// Quantisation by blocks taken apart into plain arithmetic. Pure functions; any thread.
#pragma once

#include "torch_ops/decompose.h"

namespace cortland::torch_ops::decompositions {

Status choose_qparams_affine(Decomposition& d);
Status dequantize_affine(Decomposition& d);
Status dequantize_codebook(Decomposition& d);
Status int_mm(Decomposition& d);
Status quantize_affine(Decomposition& d);

}  // namespace cortland::torch_ops::decompositions
