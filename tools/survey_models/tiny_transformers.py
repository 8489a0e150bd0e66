"""The architectures of transformers in tiny configurations: what a configuration class calls its sizes is set to small ones, and a
row says only what its architecture needs besides. Random weights.
"""

import inspect

import torch
from torch import nn

import models
from models import Case

VOCABULARY, LENGTH = 99, 16

# Sizes by the names that configuration classes give them. A size is set only where the class has it, and no list there.
TINY = {
    "hidden_size": 64, "d_model": 64, "n_embd": 64, "dim": 64, "embed_dim": 64, "hidden_dim": 64, "num_hidden_layers": 2, "n_layer": 2,
    "n_layers": 2, "num_layers": 2, "encoder_layers": 2, "decoder_layers": 2, "num_decoder_layers": 2, "num_attention_heads": 4, "n_head": 4,
    "n_heads": 4, "num_heads": 4, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "d_kv": 16, "d_ff": 96, "d_inner": 96, "intermediate_size": 96, "ffn_dim": 96, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96, "n_inner": 96,
    "vocab_size": VOCABULARY, "decoder_vocab_size": VOCABULARY, "vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 16,
    "max_position_embeddings": 128, "n_positions": 128, "n_ctx": 128, "max_source_positions": 128, "max_target_positions": 128,
    "embedding_size": 32, "sliding_window": 8, "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "moe_intermediate_size": 48, "shared_expert_intermediate_size": 48, "state_size": 8, "mamba_d_state": 8, "projection_dim": 32,
    "image_size": 64, "patch_size": 16, "num_frames": 4, "decoder_hidden_size": 32, "decoder_num_hidden_layers": 2,
    "decoder_num_attention_heads": 4, "decoder_intermediate_size": 48, "num_queries": 10, "encoder_feedforward_dim": 96,
    "dim_feedforward": 96, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4, "pooler_hidden_size": 64,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "decoder_start_token_id": 1, "forced_eos_token_id": 2, "sep_token_id": 3,
    "cls_token_id": 4, "question_token_id": 5, "eod_token_id": 3, "initializer_range": 0.05,
}
# Rows of one architecture: what follows its name is what its configuration needs besides TINY. `kind` is the configuration where the row is
# named otherwise, `auto` the class that makes the model, `inputs` the arguments where the main input does not say them.
ROWS = {}


def rows(text, **options):
    for name in text.split():
        ROWS[name] = options


def row(name, **options):
    ROWS[name] = options


def config_of(kind, options):
    """The configuration of a kind with small sizes; `text_config` and the like get them too, a backbone where the row says so."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    cls = CONFIG_MAPPING[kind]
    known = cls().to_dict()
    layers = options.get("num_hidden_layers", TINY["num_hidden_layers"])
    sizes = {k: v for k, v in TINY.items() if k in known and isinstance(known[k], (int, float, type(None)))}
    if isinstance(known.get("layer_types"), list) and "layer_types" not in options:
        kinds = list(dict.fromkeys(known["layer_types"]))
        sizes["layer_types"] = (kinds * layers)[:max(layers, len(kinds))]
        sizes["num_hidden_layers"] = len(sizes["layer_types"])
    parts = {k: config_of(v["model_type"], options.get(k, {})) for k, v in known.items()
             if isinstance(v, dict) and v.get("model_type") in CONFIG_MAPPING and (k in options or k != "backbone_config")}
    return cls(**{**sizes, **options, **parts})


def ids(vocabulary=VOCABULARY, length=LENGTH):
    return torch.randint(6, vocabulary, (1, length))


def inputs_of(module, config):
    """The arguments by name, as the model's main input and signature say."""
    takes = inspect.signature(module.forward).parameters
    main = module.main_input_name
    if main == "pixel_values":
        size = getattr(config, "image_size", 64)
        size = size if isinstance(size, (list, tuple)) else (size, size)
        channels = getattr(config, "num_channels", 3)
        return {"pixel_values": torch.randn(1, channels, *size)}
    if main == "input_values":
        return {"input_values": torch.randn(1, 4000)}
    given = {"input_ids": ids(getattr(config, "vocab_size", VOCABULARY)), "attention_mask": torch.ones(1, LENGTH, dtype=torch.int64)}
    if getattr(config, "is_encoder_decoder", False):
        given["decoder_input_ids"] = ids(getattr(config, "vocab_size", VOCABULARY), 8)
    return {k: v for k, v in given.items() if k in takes}

def tokens(length=LENGTH, **more):
    """The arguments of a text model, and what `more` gives besides."""
    return lambda: {"input_ids": ids(length=length), "attention_mask": torch.ones(1, length, dtype=torch.int64), **{k: f() for k, f in more.items()}}


def values(name="pixel_values", *shape):
    return lambda: {name: torch.randn(1, *(shape or (3, 64, 64)))}


def whole(low, high, *shape):
    return lambda: torch.randint(low, high, (1, *shape))


def boxes(scale=1000):
    """Corners of the tokens' boxes on the page, in order."""
    return lambda: (torch.tensor([[1, 2, 7, 9]]) * torch.arange(1, LENGTH + 1)[:, None] * scale // 1000)[None]


def decoder_ids():
    return ids(length=8)


rows("""albert apertus arcee bamba bart beit bert big_bird bigbird_pegasus biogpt bit bitnet blenderbot bloom camembert canine
cohere cohere2 convbert ctrl cvt conditional_detr dab-detr data2vec-audio data2vec-text data2vec-vision deberta deberta-v2 deformable_detr deit detr
diffllama dinov2 dinov2_with_registers dinov3_vit distilbert electra ernie ernie4_5 esm exaone4 falcon falcon_mamba fastspeech2_conformer fnet
focalnet fsmt gemma gemma2 gemma3_text gemma4_text glm glm4 glm4_moe glpn gpt2 gpt_bigcode gpt_neox gpt_oss granite granitemoe helium hgnet_v2
hiera hubert hunyuan_v1_dense ibert ijepa imagegpt internvl_vision jamba layoutlm led levit lfm2 llama llama4_text longformer
longt5 m2m_100 mamba marian mask2former maskformer mbart megatron-bert minimax ministral mistral mixtral mlcd_vision_model mobilebert
mobilenet_v1 mobilenet_v2 mobilevit modernbert mpnet mpt mra mvp nanochat nemotron nomic_bert nystromformer olmo olmo2 olmo3 olmoe
openai-gpt opt pegasus persimmon phi phi3 phimoe pixio plbart poolformer pvt pvt_v2 qwen2 qwen2_moe qwen3 qwen3_5_text qwen3_moe qwen3_next
recurrent_gemma regnet rembert resnet roberta roformer rt_detr rwkv seed_oss segformer sew siglip_vision_model smollm3 splinter
stablelm starcoder2 swiftformer switch_transformers t5 table-transformer tapas unispeech unispeech-sat visual_bert vit
vit_msn vitdet vits wav2vec2 wav2vec2-conformer wavlm xglm xlm-roberta xlnet xlstm yolos yoso""")
rows("aimv2_vision_model")
row("audio-spectrogram-transformer", num_mel_bins=32, max_length=64, inputs=values("input_values", 64, 32))
row("bert-cls", kind="bert", auto="AutoModelForSequenceClassification")
row("bert-mlm", kind="bert", auto="AutoModelForMaskedLM")
row("bert-qa", kind="bert", auto="AutoModelForQuestionAnswering")
row("blip_vision_model", auto="BlipVisionModel")
row("bros", dim_bbox_sinusoid_emb_2d=32, dim_bbox_sinusoid_emb_1d=4, dim_bbox_projection=16, inputs=tokens(bbox=lambda: torch.rand(1, LENGTH, 8)))
row("clap_audio", kind="clap_audio_model", auto="ClapAudioModel", spec_size=64, num_mel_bins=16, patch_size=4, patch_embeds_hidden_size=32, hidden_size=64,
    depths=[1, 1], num_attention_heads=[2, 4], window_size=4, inputs=values("input_features", 1, 64, 16))
row("clip", inputs=tokens(pixel_values=lambda: torch.randn(1, 3, 64, 64)))
row("clip_text", kind="clip_text_model", auto="CLIPTextModel")
row("clip_vision_model", auto="CLIPVisionModel")
row("clipseg", auto="CLIPSegForImageSegmentation", extract_layers=[0, 1], reduce_dim=16, inputs=tokens(pixel_values=lambda: torch.randn(1, 3, 64, 64)))
rows("codegen gptj", rotary_dim=8)
rows("convnext convnextv2", hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 2, 1], patch_size=4)
row("dac-decoder", kind="dac", auto="DacModel", part="decoder", hidden_size=64, decoder_hidden_size=64, encoder_hidden_size=8,
    inputs=values("hidden_state", 64, 8))
row("dac-encoder", kind="dac", auto="DacModel", part="encoder", hidden_size=64, decoder_hidden_size=64, encoder_hidden_size=8,
    inputs=values("hidden_state", 1, 2048))
row("deberta-rel", kind="deberta", relative_attention=True, pos_att_type=["c2p", "p2c"], position_biased_input=False)
row("decision_transformer", state_dim=5, act_dim=3, max_ep_len=32, inputs=lambda: {
    "states": torch.randn(1, 8, 5), "actions": torch.randn(1, 8, 3), "rewards": torch.randn(1, 8, 1), "returns_to_go": torch.randn(1, 8, 1),
    "timesteps": torch.arange(8)[None], "attention_mask": torch.ones(1, 8)})
rows("deepseek_v2 deepseek_v3", kv_lora_rank=16, q_lora_rank=24, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=16, head_dim=8,
     num_key_value_heads=4, n_group=2, topk_group=1, first_k_dense_replace=1)
row("depth_anything", auto="AutoModelForDepthEstimation", patch_size=16, reassemble_hidden_size=64, neck_hidden_sizes=[16, 24, 32, 48],
    fusion_hidden_size=16, head_hidden_size=8, backbone_config={"out_indices": [1, 2, 3, 4], "num_hidden_layers": 4, "reshape_hidden_states": False})
rows("donut-swin swin swinv2", embed_dim=32, depths=[1, 2], num_heads=[2, 4], window_size=4, patch_size=4)
row("dots1", n_shared_experts=1)
row("dpt", hidden_size=64, neck_hidden_sizes=[16, 24, 32, 48], fusion_hidden_size=16, backbone_out_indices=[0, 1, 1, 1])
row("efficientnet", hidden_dim=1280, width_coefficient=1.0, depth_coefficient=1.0)
row("encodec", num_filters=8, hidden_size=32, codebook_dim=32, inputs=values("input_values", 1, 640))
row("encodec-decoder", kind="encodec", part="decoder", num_filters=8, hidden_size=32, codebook_dim=32, inputs=values("hidden_states", 32, 8))
row("funnel", auto="FunnelModel", block_sizes=[1, 1], block_repeats=[1, 1], d_head=16)
row("gemma3n_text", num_hidden_layers=4, num_kv_shared_layers=2, layer_types=["sliding_attention", "full_attention"] * 2,
    intermediate_size=[96] * 4, activation_sparsity_pattern=[0.9, 0.0, 0.0, 0.0], laurel_rank=8)
row("git_vision_model", auto="GitVisionModel")
row("gpt_neo", attention_types=[[["global", "local"], 1]], window_size=8)
row("idefics3_vision", auto="Idefics3VisionTransformer", inputs=values())
row("layoutlmv3", coordinate_size=8, shape_size=16, input_size=64, inputs=tokens(bbox=boxes(), pixel_values=lambda: torch.randn(1, 3, 64, 64)))
row("lilt", hidden_size=96, inputs=tokens(bbox=boxes()))
row("mamba2", num_heads=8, head_dim=16, n_groups=2, chunk_size=8)
row("metaclip_2_vision_model", auto="MetaClip2VisionModel")
row("mimi", hidden_size=64, num_filters=8, vector_quantization_hidden_dimension=32, upsample_groups=64, codebook_dim=32, num_quantizers=2,
    inputs=values("input_values", 1, 1920))
row("mobilevitv2", patch_size=2)
row("moonshine", hidden_size=64, encoder_num_hidden_layers=2, decoder_num_hidden_layers=2, encoder_num_attention_heads=4,
    encoder_num_key_value_heads=4, decoder_num_key_value_heads=4, inputs=lambda: {"input_values": torch.randn(1, 4000), "decoder_input_ids": decoder_ids()})
row("musicgen_decoder", auto="MusicgenForCausalLM", inputs=lambda: {"input_ids": torch.randint(6, VOCABULARY, (4, LENGTH))})
row("owlv2_vision_model", auto="Owlv2VisionModel")
row("parakeet_encoder", num_mel_bins=32, subsampling_conv_channels=16, inputs=values("input_features", 64, 32))
row("patchtsmixer", inputs=values("past_values", 32, 1))
row("patchtst", inputs=values("past_values", 32, 1))
row("perceiver", num_latents=8, d_latents=32, num_self_attends_per_block=2, num_self_attention_heads=4, num_cross_attention_heads=4,
    inputs=values("inputs", 12, 64))
row("pp_lcnet", auto="PPLCNetForImageClassification")
row("qwen2_vl_vision", kind="qwen2_vl", part="visual", vision_config={"hidden_size": 64, "depth": 2},
    inputs=lambda: {"hidden_states": torch.randn(16, 3 * 2 * 16 * 16), "grid_thw": torch.tensor([[1, 4, 4]])})
row("reformer", axial_pos_embds_dim=[16, 48], axial_pos_shape=[4, 4], attn_layers=["local", "lsh"], attention_head_size=16, feed_forward_size=96,
    local_attn_chunk_length=4, lsh_attn_chunk_length=4, num_buckets=4)
row("rf_detr_or_lw_detr_vit", kind="lw_detr_vit", auto="LwDetrViTBackbone", pretrain_image_size=64, window_block_indices=[0], inputs=values())
row("sam2_vision", kind="sam2_vision_model", auto="Sam2VisionModel", fpn_hidden_size=32, backbone_channel_list=[64, 48, 32, 16],
    backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]], backbone_config={
        "hidden_size": 16, "num_attention_heads": 1, "image_size": [128, 128], "embed_dim_per_stage": [16, 32, 48, 64],
        "blocks_per_stage": [1, 1, 2, 1], "num_attention_heads_per_stage": [1, 2, 2, 4], "global_attention_blocks": [3],
        "window_size_per_stage": [8, 4, 4, 2]},
    inputs=values("pixel_values", 3, 128, 128))
row("sam_vision", kind="sam_vision_model", auto="SamVisionModel", output_channels=16, global_attn_indexes=[1], window_size=3, mlp_dim=96)
row("seamless_m4t_v2-speech-encoder", kind="seamless_m4t_v2", auto="SeamlessM4Tv2Model", part="speech_encoder", speech_encoder_layers=2,
    speech_encoder_attention_heads=4, speech_encoder_intermediate_size=96, t2u_vocab_size=VOCABULARY, char_vocab_size=VOCABULARY,
    t2u_encoder_layers=1, t2u_decoder_layers=1, speech_encoder_chunk_size=8, t2u_encoder_ffn_dim=96, t2u_decoder_ffn_dim=96,
    inputs=values("input_features", 32, 160))
row("siglip", inputs=lambda: {"input_ids": ids(), "pixel_values": torch.randn(1, 3, 64, 64)})
row("siglip2_vision", kind="siglip2_vision_model", auto="Siglip2VisionModel", num_patches=16, inputs=lambda: {
    "pixel_values": torch.randn(1, 16, 3 * 16 * 16), "pixel_attention_mask": torch.ones(1, 16, dtype=torch.int64),
    "spatial_shapes": torch.tensor([[4, 4]])})
row("siglip_text", kind="siglip_text_model", auto="SiglipTextModel", inputs=lambda: {"input_ids": ids()})
row("speech_to_text", input_feat_per_channel=16, conv_channels=32,
    inputs=lambda: {"input_features": torch.randn(1, 32, 16), "decoder_input_ids": decoder_ids()})
row("speecht5-hifigan", kind="speecht5_hifigan", auto="SpeechT5HifiGan", initializer_range=0.1, upsample_initial_channel=32, inputs=values("spectrogram", 16, 80))
row("squeezebert", embedding_size=64)
row("superpoint", auto="SuperPointForKeypointDetection", encoder_hidden_sizes=[8, 8, 16, 16], inputs=values())
row("swin2sr", embed_dim=32, depths=[2, 2], num_heads=[2, 2], window_size=4, patch_size=1, image_size=16, inputs=values("pixel_values", 3, 16, 16))
rows("t5-encoder", kind="t5", auto="T5EncoderModel")
rows("umt5-encoder", kind="umt5", auto="UMT5EncoderModel")
rows("timesformer videomae", inputs=values("pixel_values", 4, 3, 64, 64))
row("trocr", auto="TrOCRForCausalLM")
row("univnet", model_in_channels=16, model_hidden_channels=8, num_mel_bins=16, kernel_predictor_hidden_channels=16,
    inputs=lambda: {"input_features": torch.randn(1, 8, 16), "noise_sequence": torch.randn(1, 8, 16)})
row("upernet", auto="UperNetForSemanticSegmentation", hidden_size=32, auxiliary_channels=16, backbone_config={
    "hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1], "out_features": ["stage1", "stage2", "stage3", "stage4"]})
row("vit_mae", inputs=lambda: {"pixel_values": torch.randn(1, 3, 64, 64), "noise": torch.rand(1, 16)})
row("vilt", inputs=tokens(pixel_values=lambda: torch.randn(1, 3, 64, 64)))
row("vitpose_backbone", auto="VitPoseBackbone", part_features=16, num_experts=1, image_size=[64, 64], patch_size=[16, 16])
row("vivit", tubelet_size=[2, 16, 16], inputs=values("pixel_values", 4, 3, 64, 64))
row("vjepa2", crop_size=64, frames_per_clip=4, pred_hidden_size=48, pred_num_attention_heads=4, pred_num_hidden_layers=2,
    inputs=values("pixel_values_videos", 4, 3, 64, 64))
row("wav2vec2-bert", feature_projection_input_dim=32, inputs=values("input_features", 24, 32))
row("wav2vec2-ctc", kind="wav2vec2", auto="AutoModelForCTC")
row("wav2vec2-layernorm", kind="wav2vec2", feat_extract_norm="layer", do_stable_layer_norm=True)
row("whisper", num_mel_bins=16, inputs=lambda: {"input_features": torch.randn(1, 16, 256), "decoder_input_ids": decoder_ids()})
row("whisper-encoder", kind="whisper", part="encoder", num_mel_bins=16, inputs=values("input_features", 16, 256))
row("whisper-decoder", kind="whisper", part="decoder",
    inputs=lambda: {"input_ids": ids(), "encoder_hidden_states": torch.randn(1, 12, 64)})
row("zamba2", num_hidden_layers=4, layers_block_type=["linear_attention", "hybrid"] * 2, mamba_ngroups=1, n_mamba_heads=8, chunk_size=8, adapter_rank=8)


class Keywords(nn.Module):
    """Calls a model with its tensors by name, and gives the tensors it returns, flat."""

    def __init__(self, module, names, **fixed):
        super().__init__()
        self.module, self.names, self.fixed = module, list(names), fixed

    def forward(self, *tensors):
        out = self.module(**dict(zip(self.names, tensors)), **self.fixed)
        return tuple(t for t in torch.utils._pytree.tree_leaves(out) if isinstance(t, torch.Tensor))


def make(name):
    tf = models.transformers()
    options = dict(ROWS[name])
    kind, auto, given = options.pop("kind", name), options.pop("auto", "AutoModel"), options.pop("inputs", None)
    part = options.pop("part", None)
    config = config_of(kind, options)
    cls = getattr(tf, auto)
    module = (cls.from_config(config) if auto.startswith("Auto") else cls(config)).eval()
    whole = module
    for step in (part or "").split("."):
        module = getattr(module, step) if step else module
    given = given() if given else inputs_of(whole, config)
    fixed = {k: v for k, v in {"use_cache": False}.items() if k in inspect.signature(module.forward).parameters}
    return Case(Keywords(module, given, **fixed), [tuple(given.values())])
SUITES = {"transformers": (sorted(ROWS), make)}
