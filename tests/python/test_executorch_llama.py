"""The decoders that ExecuTorch's examples export, small: each is one Core ML model, from token to token."""

import copy

import pytest
import torch
from executorch.examples.apple.coreml.llama import llama_transformer as core_ml_llama
from executorch.examples.models.llama.llama_transformer import construct_transformer
from executorch.examples.models.llama.model_args import ModelArgs
from executorch.examples.models.llama.source_transformation import sdpa
from executorch.examples.models.llama.source_transformation.rms_norm import replace_rms_norm_with_native_rms_norm

from calls import run_calls
from conftest import check_outputs, lower

SIZES = dict(dim=64, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=128, hidden_dim=128, max_seq_len=32)
CORE_ML = [sdpa.replace_sdpa_with_coreml_sdpa, sdpa.replace_kv_cache_with_coreml_kv_cache, replace_rms_norm_with_native_rms_norm]
DECODERS = {
    "plain": ({}, []),
    "core_ml": ({}, CORE_ML),
    "simple": ({}, [sdpa.replace_sdpa_with_simple_sdpa, sdpa.replace_kv_cache_with_simple_kv_cache]),
    "experts": (dict(moe=True), []),
    "hugging_face": (dict(use_hf_rope=True, use_qk_norm=True, qk_norm_before_rope=True), []),
    "several_tokens": (dict(enable_dynamic_shape=True), []),
}


def with_weights(module):
    torch.manual_seed(0)
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.1)
    return module.eval()


def decoder(name):
    options, changes = DECODERS[name]
    module = construct_transformer(ModelArgs(**SIZES, max_context_len=32, use_kv_cache=True, **options))
    for change in changes:
        change(module)
    return with_weights(module)


@pytest.mark.parametrize("precision, options", [("float16", []), ("float16", ["--no-take-over-mutable-buffer"]), ("float32", [])],
                         ids=["state", "passed", "float32"])
@pytest.mark.parametrize("name", DECODERS)
def test_decoding_with_a_cache(name, precision, options, folder):
    module, dynamic = decoder(name), name == "several_tokens"
    calls = [(3, 0), (1, 3), (4, 4)] if dynamic else [(1, 0), (1, 1), (1, 2)]
    inputs = [(torch.randint(0, 128, (1, n)), torch.tensor([at])) for n, at in calls]
    shapes = ({1: torch.export.Dim("n", max=31)}, {"input_pos": {0: 1}}) if dynamic else None
    with torch.no_grad():
        program = torch.export.export(copy.deepcopy(module), (inputs[0][0], {"input_pos": inputs[0][1]}), dynamic_shapes=shapes, strict=True)
        expected = [module(tokens, {"input_pos": at}) for tokens, at in inputs]
    torch.export.save(program, folder / "m.pt2")
    pte, report = lower(folder / "m.pt2", folder, precision, options=options)
    assert report["cpu_ops"] == [] and len(report["delegates"]) == 1
    for have, want in zip(run_calls(pte, inputs, folder), expected):
        check_outputs([have[0]], [want], precision)


@pytest.mark.parametrize("cache_list", [False, True])
def test_the_decoder_for_the_neural_engine(cache_list, folder):
    """Caches go in and out; the rotary table is cut where the position says."""
    module = with_weights(core_ml_llama.Transformer(core_ml_llama.ModelArgs(**SIZES, use_cache_list=cache_list)))
    manager = core_ml_llama.InputManager(n_layers=2, max_batch_size=1, n_kv_heads=2, max_seq_length=32, head_dim=16, use_cache_list=cache_list,
                                         seq_length=4, dtype=torch.float32, minus_infinity=-30000, cache_size=28)
    inputs = manager.get_inputs(tokens=[1, 2, 3])
    with torch.no_grad():
        torch.export.save(torch.export.export(module, inputs, strict=True), folder / "m.pt2")
        want = torch.utils._pytree.tree_leaves(module(*inputs))
    pte, report = lower(folder / "m.pt2", folder, options=["--lower-full-graph"])
    [have] = run_calls(pte, [[t for t in torch.utils._pytree.tree_leaves(inputs) if t is not None]], folder)
    check_outputs(have, want, "float16")
