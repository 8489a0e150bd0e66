"""Further architectures in small configurations, for tools/compare_ops.py: what models.py tests for numbers, these widen for the
shape of the program. Random weights, seeded; the smallest sizes that keep every kind of layer.
"""

import torch
import torch.nn.functional as F
from torch import nn

import models
from models import Case

FACTORIES = {}


def model(f):
    FACTORIES[f.__name__] = f
    return f


def names():
    return list(FACTORIES)


def build(name):
    return models.build(name, FACTORIES)


def image(size):
    return [(torch.randn(1, 3, size, size),)]


def torchvision_model(name, size=224, **options):
    return Case(getattr(models.torchvision().models, name)(weights=None, **options), image(size))


def timm_model(name, size=224, **options):
    models.torchvision()  # timm imports it
    import timm

    return Case(timm.create_model(name, pretrained=False, exportable=True, **options), image(size))


def torchvision_case(name, *args, **options):
    def factory():
        return torchvision_model(name, *args, **options)

    factory.__name__ = name
    model(factory)


def timm_case(name, *args, **options):
    def factory():
        return timm_model(name, *args, **options)

    factory.__name__ = name
    model(factory)


for name in ("squeezenet1_1", "shufflenet_v2_x0_5", "densenet121", "regnet_y_400mf", "convnext_tiny", "swin_t"):
    torchvision_case(name)
torchvision_case("googlenet", aux_logits=False, init_weights=False)


class Dense(nn.Module):
    """A segmentation model gives a dictionary; Core ML gives tensors."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, image):
        return self.net(image)["out"]


@model
def lraspp_mobilenet_v3_large():
    net = models.torchvision().models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)
    return Case(Dense(net), image(224))


for name in ("mobilenetv4_conv_small", "ghostnet_100", "repvgg_a0", "poolformer_s12", "edgenext_xx_small", "levit_128s", "fastvit_t8"):
    timm_case(name)
timm_case("mobilevit_xxs", 256)


class Output(nn.Module):
    """Takes one field of what a transformers model returns."""

    def __init__(self, net, field, **fixed):
        super().__init__()
        self.net, self.field, self.fixed = net, field, fixed

    def forward(self, x):
        return self.net(x, **self.fixed)[self.field]


TEXT = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, vocab_size=500)


def ids(length=16):
    return [(torch.randint(3, 500, (1, length)),)]


def causal_lm(kind, **options):
    tf = models.transformers()
    config = getattr(tf, f"{kind}Config")(**{**TEXT, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, **options})
    return Case(Output(getattr(tf, f"{kind}ForCausalLM")(config), "logits", use_cache=False), ids())


@model
def llama():
    return causal_lm("Llama", num_key_value_heads=2)


@model
def qwen3():
    return causal_lm("Qwen3", num_key_value_heads=2, head_dim=16)


@model
def gemma():
    return causal_lm("Gemma", num_key_value_heads=1, head_dim=16)


@model
def distilbert():
    tf = models.transformers()
    config = tf.DistilBertConfig(dim=64, n_layers=2, n_heads=4, hidden_dim=128, vocab_size=500)
    return Case(Output(tf.DistilBertModel(config), "last_hidden_state"), ids())


@model
def albert():
    tf = models.transformers()
    config = tf.AlbertConfig(**TEXT, embedding_size=32)
    return Case(Output(tf.AlbertModel(config), "last_hidden_state"), ids())


class EncoderDecoder(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, input_ids, decoder_input_ids):
        return self.net(input_ids=input_ids, decoder_input_ids=decoder_input_ids, use_cache=False).logits


@model
def t5():
    tf = models.transformers()
    config = tf.T5Config(d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4, vocab_size=500)
    return Case(EncoderDecoder(tf.T5ForConditionalGeneration(config)), [ids()[0] + ids(8)[0]])


class Clip(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, input_ids, pixel_values):
        out = self.net(input_ids=input_ids, pixel_values=pixel_values)
        return out.logits_per_image, out.text_embeds, out.image_embeds


@model
def clip():
    tf = models.transformers()
    text = dict(TEXT, max_position_embeddings=16, eos_token_id=2, projection_dim=32)
    vision = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, image_size=64, patch_size=16, projection_dim=32)
    config = tf.CLIPConfig(text_config=text, vision_config=vision, projection_dim=32)
    return Case(Clip(tf.CLIPModel(config)), [ids()[0] + image(64)[0]])


@model
def whisper_encoder():
    tf = models.transformers()
    config = tf.WhisperConfig(d_model=64, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=128, num_mel_bins=80, max_source_positions=150)
    return Case(Output(tf.models.whisper.modeling_whisper.WhisperEncoder(config), "last_hidden_state"), [(torch.randn(1, 80, 300),)])


@model
def wav2vec2():
    tf = models.transformers()
    config = tf.Wav2Vec2Config(**TEXT, conv_dim=(32,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4)
    return Case(Output(tf.Wav2Vec2Model(config), "last_hidden_state"), [(torch.randn(1, 4000),)])


@model
def segformer():
    tf = models.transformers()
    config = tf.SegformerConfig(hidden_sizes=[16, 32, 64, 128], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 4, 8], decoder_hidden_size=64)
    return Case(Output(tf.SegformerForSemanticSegmentation(config), "logits"), image(128))


class Block(nn.Sequential):
    def __init__(self, channels_in, channels_out, norm, activation):
        super().__init__(nn.Conv2d(channels_in, channels_out, 3, padding=1), norm(channels_out), activation)


class UNet(nn.Module):
    """Down and up again: transposed convolutions, instance and group norms, prelu, leaky_relu, reflection padding."""

    def __init__(self, width=16):
        super().__init__()
        self.first = Block(3, width, nn.InstanceNorm2d, nn.LeakyReLU(0.2))
        self.second = Block(width, 2 * width, lambda c: nn.GroupNorm(4, c), nn.PReLU(2 * width))
        self.pool = nn.MaxPool2d(2)
        self.bottom = Block(2 * width, 2 * width, nn.BatchNorm2d, nn.Hardswish())
        self.up = nn.Sequential(nn.ConvTranspose2d(2 * width, width, 2, stride=2), nn.BatchNorm2d(width), nn.ReLU())
        self.pad = nn.ReflectionPad2d(1)
        self.last = nn.Conv2d(2 * width, 4, 3)

    def forward(self, image):
        a = self.first(image)
        b = self.bottom(self.second(self.pool(a)))
        return self.last(self.pad(torch.cat([a, self.up(b)], 1))).softmax(1)


@model
def unet():
    return Case(UNet(), image(64))
