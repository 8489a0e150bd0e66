"""The models that are measured: full sizes, random weights from a fixed seed, nothing is downloaded.

`build(name)` gives the module and its inputs. Vision models and their settled batch norms come from the Python suite.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "python"))

import models as suite  # noqa: E402

FACTORIES = {}


def model(f):
    FACTORIES[f.__name__] = f
    return f


def build(name):
    torch.manual_seed(suite.SEED)
    with torch.no_grad():
        module, inputs = FACTORIES[name]()
    return module.eval(), inputs


def vision_model(name):
    def factory():
        case = suite.image_model(name)
        return case.module, case.inputs[0]

    FACTORIES[name] = factory


for name in ("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "vit_b_16"):
    vision_model(name)


@model
def bert_base():
    """110 million parameters, one sequence of 128 tokens."""
    tf = suite.transformers()
    ids = torch.randint(0, 30522, (1, 128))
    return suite.Bert(tf.BertModel(tf.BertConfig())), (ids, torch.ones_like(ids))


@model
def gpt2():
    """124 million parameters, a prompt of 64 tokens, logits of all of them."""
    tf = suite.transformers()
    return suite.Gpt2(tf.GPT2LMHeadModel(tf.GPT2Config())), (torch.randint(0, 50257, (1, 64)),)


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(256, 512, num_layers=2, batch_first=True)
        self.head = nn.Linear(512, 100)

    def forward(self, x):
        return self.head(self.lstm(x)[0])


@model
def lstm():
    """Two layers of 512 over 32 steps."""
    return Lstm(), (torch.randn(1, 32, 256),)


def rotated(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-b, a], dim=-1) * sin


class LlamaLayer(nn.Module):
    """RMS norms, rotary positions, grouped queries, a gated feed-forward net, as in Llama 3."""

    def __init__(self, width, heads, kv_heads, hidden):
        super().__init__()
        self.heads, self.kv_heads, self.size = heads, kv_heads, width // heads
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, kv_heads * self.size, bias=False)
        self.v = nn.Linear(width, kv_heads * self.size, bias=False)
        self.o = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.attention_norm = nn.RMSNorm(width, eps=1e-5)
        self.mlp_norm = nn.RMSNorm(width, eps=1e-5)

    def forward(self, x, cos, sin, mask, position, keys, values):
        """Gives the new activations; `keys` and `values` are written in place."""
        batch, tokens, width = x.shape
        y = self.attention_norm(x)
        q = self.q(y).view(batch, tokens, self.heads, self.size).transpose(1, 2)
        k = self.k(y).view(batch, tokens, self.kv_heads, self.size).transpose(1, 2)
        v = self.v(y).view(batch, tokens, self.kv_heads, self.size).transpose(1, 2)
        keys.index_copy_(2, position, rotated(k, cos, sin))
        values.index_copy_(2, position, v)
        group = self.heads // self.kv_heads
        all_keys, all_values = (c.repeat_interleave(group, dim=1) for c in (keys, values))
        y = F.scaled_dot_product_attention(rotated(q, cos, sin), all_keys, all_values, attn_mask=mask)
        x = x + self.o(y.transpose(1, 2).reshape(batch, tokens, width))
        y = self.mlp_norm(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Llama(nn.Module):
    """Decodes one token; the key/value cache lies in buffers."""

    def __init__(self, layers=8, width=1024, heads=16, kv_heads=4, hidden=2816, vocabulary=32000, length=512):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(LlamaLayer(width, heads, kv_heads, hidden) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.head = nn.Linear(width, vocabulary, bias=False)
        size = width // heads
        for i in range(layers):
            self.register_buffer(f"keys{i}", torch.zeros(1, kv_heads, length, size))
            self.register_buffer(f"values{i}", torch.zeros(1, kv_heads, length, size))
        angle = torch.arange(length)[:, None] * 10000.0 ** (-torch.arange(0, size, 2) / size)
        self.register_buffer("cos", torch.cat([angle.cos(), angle.cos()], dim=-1))
        self.register_buffer("sin", torch.cat([angle.sin(), angle.sin()], dim=-1))
        self.register_buffer("causal", torch.tril(torch.ones(length, length, dtype=torch.bool)))

    def caches(self):
        return [getattr(self, f"{kind}{i}") for i in range(len(self.layers)) for kind in ("keys", "values")]

    def decode(self, token, position, caches):
        x = self.embedding(token)
        cos, sin, mask = self.cos[position], self.sin[position], self.causal[position]
        for i, layer in enumerate(self.layers):
            x = layer(x, cos, sin, mask, position, caches[2 * i], caches[2 * i + 1])
        return self.head(self.norm(x))

    def forward(self, token, position):
        return self.decode(token, position, self.caches())


class LlamaWithoutState(nn.Module):
    """The same with the cache as inputs and outputs: for runtimes whose models have no state (ONNX)."""

    def __init__(self, llama):
        super().__init__()
        self.llama = llama

    def forward(self, token, position, caches):
        caches = [c.clone() for c in caches]
        return self.llama.decode(token, position, caches), *caches


@model
def llama_decode():
    """150 million parameters, a cache of 512 tokens, one token."""
    return Llama(), (torch.randint(0, 32000, (1, 1)), torch.tensor([100]))


def without_state(module, inputs):
    """The module and inputs for a runtime without state."""
    if not isinstance(module, Llama):
        return module, inputs
    return LlamaWithoutState(module), (*inputs, [c.clone() for c in module.caches()])


NAMES = tuple(FACTORIES)

# Weights of 4 bits in blocks of 32, for each runtime in the form that it has.
FOUR_BITS = {"llama_decode"}
