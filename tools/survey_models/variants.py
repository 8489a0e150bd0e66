"""The same models otherwise: with a key-value cache, quantised, and with sizes that are open."""

import torch
from torch import nn
from torch.export import Dim

import models
from models import Case

from . import tiny_transformers as tiny
from . import vision

CACHED = "gemma2 gemma3_text gpt2 llama mistral phi3 qwen2 qwen3 smollm3".split()


class Step(nn.Module):
    """One token of a decoder with a cache of fixed length: the module that transformers makes for ExecuTorch."""

    def __init__(self, exportable):
        super().__init__()
        self.exportable = exportable

    def forward(self, input_ids, cache_position):
        return self.exportable(input_ids=input_ids, cache_position=cache_position)


def cached(name):
    tf = models.transformers()
    from transformers.integrations.executorch import TorchExportableModuleForDecoderOnlyLM

    model = tf.AutoModelForCausalLM.from_config(tiny.config_of(name, {})).eval()
    model.generation_config = tf.GenerationConfig(use_cache=True, cache_implementation="static", max_length=32, cache_config={
        "batch_size": 1, "max_cache_len": 32})
    module = Step(TorchExportableModuleForDecoderOnlyLM(model, batch_size=1, max_cache_len=32).model)
    return Case(module, [(tiny.ids(length=1), torch.tensor([0])), (tiny.ids(length=1), torch.tensor([0]))])


def pt2e(case, quantizer):
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    if any(isinstance(m, nn.BatchNorm2d) for m in case.module.modules()):
        models.settle(case.module, case.inputs[0][0].shape[1:])
    prepared = prepare_pt2e(torch.export.export(case.module.eval(), case.inputs[0]).module(), quantizer)
    prepared(*case.inputs[0])
    module = convert_pt2e(prepared)
    module.eval = lambda: module  # an exported module has no mode; it is in evaluation mode already
    return Case(module, case.inputs)


def core_ml_quantizer():
    from coremltools.optimize.torch.quantization.quantization_config import LinearQuantizerConfig, QuantizationScheme
    from executorch.backends.apple.coreml.quantizer import CoreMLQuantizer

    return CoreMLQuantizer(LinearQuantizerConfig.from_dict({"global_config": {
        "quantization_scheme": QuantizationScheme.symmetric, "activation_dtype": torch.quint8, "weight_dtype": torch.qint8,
        "weight_per_channel": True}}))


def xnnpack_quantizer():
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config

    return XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))


def torchao(*configs):
    """Embedding, linear and linear, quantised by configs for the kinds of layer that they name."""
    from torchao.quantization import quantize_

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.up, self.down = nn.Embedding(64, 64), nn.Linear(64, 128), nn.Linear(128, 32)

        def forward(self, ids, x):
            return self.down(torch.relu(self.up(self.embedding(ids) + x)))

    net = Net()
    for kind, config in configs:
        quantize_(net, config, lambda m, name: isinstance(m, kind))
    return Case(net, [(torch.randint(0, 64, (1, 8)), torch.randn(1, 8, 64))])


def quantised(name):
    models.torchvision()
    kind, _, rest = name.partition("-")
    if kind == "pt2e":
        which, _, model = rest.partition("-")
        return pt2e(vision.classifier(model), {"coreml": core_ml_quantizer, "xnnpack": xnnpack_quantizer}[which]())
    import torchao.quantization as ao
    from torchao.prototype.quantization.codebook_coreml import CodebookWeightOnlyConfig

    def weights(dtype, granularity):
        return ao.IntxWeightOnlyConfig(weight_dtype=dtype, granularity=granularity)

    return torchao(*{
        "8da4w": lambda: [(nn.Linear, ao.Int8DynamicActivationIntxWeightConfig(weight_dtype=torch.int4, weight_granularity=ao.PerGroup(32)))],
        "8da8w": lambda: [(nn.Linear, ao.Int8DynamicActivationInt8WeightConfig())],
        "codebook": lambda: [(nn.Linear, CodebookWeightOnlyConfig(dtype=torch.uint2, block_size=[-1, 16]))],
        "emb": lambda: [(nn.Embedding, weights(torch.int8, ao.PerAxis(0))), (nn.Linear, weights(torch.int4, ao.PerGroup(32)))],
        "int4g": lambda: [(nn.Linear, weights(torch.int4, ao.PerGroup(32)))],
        "int8c": lambda: [(nn.Linear, weights(torch.int8, ao.PerAxis(0)))],
        "int8wo": lambda: [(nn.Linear, ao.Int8WeightOnlyConfig())],
    }[rest]())


QUANTISED = """
torchao-8da4w torchao-8da8w torchao-codebook torchao-emb torchao-int4g torchao-int8c torchao-int8wo
pt2e-xnnpack-mobilenet_v2 pt2e-xnnpack-resnet18 pt2e-xnnpack-vit_b_16 pt2e-coreml-resnet18 pt2e-coreml-mobilenet_v2
""".split()
DYNAMIC = """
bert[seq] clip_text[seq] distilbert[seq] gemma3_text[seq] gpt2[seq] llama[seq] mistral[seq] phi3[seq] qwen3[seq] roberta[seq] t5-encoder[seq]
wav2vec2[time] mobilenet_v3_small[batch] mobilenet_v3_small[hw] resnet18[batch] resnet18[hw] swin_t[batch] convnext_tiny[batch]
vit_b_16[batch] deeplabv3_mobilenet_v3_large[hw] lraspp_mobilenet_v3_large[hw]
""".split()


def dynamic(name):
    """Inputs of three sizes; the first is the one of the export."""
    model, _, what = name.rstrip("]").partition("[")
    if what in ("seq", "time"):
        case = tiny.make(model)
        if what == "time":
            return Case(case.module, [(torch.randn(1, n),) for n in (4000, 2000, 6400)], ((({1: Dim("time", min=1000, max=8000)}),),))
        sizes = [torch.randint(6, tiny.VOCABULARY, (1, n)) for n in (16, 5, 41)]
        inputs = [tuple(ids if i == 0 else torch.ones_like(ids) for i in range(len(case.inputs[0]))) for ids in sizes]
        return Case(case.module, inputs, (tuple({1: Dim("length", min=2, max=64)} for _ in case.inputs[0]),))
    case = (vision.segmenter if "v3_large" in model else vision.classifier)(model)
    if what == "batch":
        return Case(case.module, [(torch.randn(n, 3, 224, 224),) for n in (2, 1, 3)], ({0: Dim("batch", min=1, max=8)},))
    height, width = 32 * Dim("h", min=2, max=10), 32 * Dim("w", min=2, max=10)
    shapes = ({2: height, 3: width},)
    return Case(case.module, [(torch.randn(1, 3, h, w),) for h, w in ((224, 192), (96, 128), (256, 64))],
                (shapes,) if isinstance(case.module, vision.Leaves) else shapes)


SUITES = {"transformers-kvcache": (CACHED, cached), "quant": (QUANTISED, quantised), "dynamic": (DYNAMIC, dynamic)}
