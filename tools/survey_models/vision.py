"""timm and torchvision, one model of each family, with random weights and 10 classes."""

import torch
from torch import nn

import models
from models import Case

TIMM = """
beit_base_patch16_224 beitv2_base_patch16_224 botnet26t_256 caformer_s18 cait_xxs24_224 coat_lite_tiny coat_tiny coatnet_pico_rw_224
convit_tiny convmixer_768_32 convnext_atto convnextv2_atto cpubone_t0 crossvit_tiny_240 csatv2 cspresnet50 darknet17 davit_tiny
deit3_small_patch16_224 deit_tiny_patch16_224 densenet121 dla46_c dpn68 eca_nfnet_l0 edgenext_xx_small efficientformer_l1
efficientformerv2_s0 efficientnet_lite0 efficientvit_b0 efficientvit_m0 ese_vovnet19b_dw eva02_tiny_patch14_224 fasternet_t0 fastvit_t8
fbnetv3_b flexivit_small focalnet_tiny_srf gcvit_xxtiny gemma4_vit_167m gernet_s ghostnet_050 ghostnetv2_100 ghostnetv3_050 gmlp_ti16_224
halonet26t hardcorenas_a hgnetv2_b0 hiera_tiny_224 hrnet_w18_small inception_next_atto inception_resnet_v2 inception_v4 lambda_resnet26t
lcnet_035 lcnetv2_small legacy_seresnet18 legacy_xception levit_128s lowformer_b0 mambaout_femto maxvit_rmlp_pico_rw_256 mixer_s16_224
mixnet_s mobilenetv3_small_050 mobilenetv4_conv_small mobilenetv4_hybrid_medium mobilenetv5_base mobileone_s0 mobilevit_xxs mobilevitv2_050
mvitv2_tiny naflexvit_base_patch16_gap nest_tiny nextvit_small nfnet_l0 pit_ti_224 pnasnet5large poolformer_s12 pvt_v2_b0 rdnet_tiny
regnety_002 repghostnet_050 repvgg_a0 repvit_m0_9 res2net50_26w_4s resmlp_12_224 resnest14d resnet26t resnetv2_18 rexnet_100 sam2_hiera_tiny
samvit_base_patch16_224 selecsls42b sequencer2d_s seresnet33ts shvit_s1 skresnet18 starnet_s1 swiftformer_xs swin_tiny_patch4_window7_224
swinv2_cr_tiny_224 swinv2_tiny_window8_256 test_vit3 tiny_vit_5m_224 tinynet_e tnt_s_patch16_224 tresnet_m twins_pcpvt_small
twins_svt_small visformer_tiny vit_relpos_small_patch16_224 vit_small_patch16_dinov3 vit_srelpos_small_patch16_224 vit_tiny_patch16_224
vit_tiny_r_s16_p8_224 vitamin_small_224 volo_d1_224 xception41 xcit_nano_12_p16_224
""".split()
CLASSIFIERS = """
alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3 maxvit_t mnasnet0_5 mnasnet1_0 mobilenet_v2
mobilenet_v3_large mobilenet_v3_small regnet_x_400mf regnet_y_400mf resnet18 resnet50 resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0
squeezenet1_0 squeezenet1_1 swin_t swin_v2_t vgg11 vgg11_bn vit_b_16 wide_resnet50_2
""".split()
DETECTORS = """
fasterrcnn_mobilenet_v3_large_fpn fasterrcnn_resnet50_fpn_v2 fcos_resnet50_fpn retinanet_resnet50_fpn retinanet_resnet50_fpn_v2 ssd300_vgg16
ssdlite320_mobilenet_v3_large
""".split()
SEGMENTERS = "deeplabv3_mobilenet_v3_large deeplabv3_resnet50 fcn_resnet50 lraspp_mobilenet_v3_large".split()
VIDEO = "mc3_18 mvit_v1_b mvit_v2_s r2plus1d_18 r3d_18 s3d swin3d_t".split()
FLOW = "raft_large raft_small".split()


def timm_model(name):
    models.torchvision()  # timm imports it
    import timm

    module = timm.create_model(name, pretrained=False, num_classes=10)
    return Case(module, [(torch.randn(1, *module.default_cfg.get("input_size", (3, 224, 224))),)])


def classifier(name):
    options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    size = {"inception_v3": 299}.get(name, 224)
    net = getattr(models.torchvision().models, name)(weights=None, num_classes=10, **options)
    for head in net.modules():
        if isinstance(head, nn.Linear) and not head.weight.any():
            nn.init.normal_(head.weight, std=0.05)  # vit_b_16 starts with a head of zeros
    return Case(net, [(torch.randn(1, 3, size, size),)])


class Leaves(nn.Module):
    """The tensors of what a module returns, flat: dictionaries and lists are no outputs of Core ML."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, *x):
        return tuple(torch.utils._pytree.tree_leaves(self.net(*x)))


class DenseDetector(nn.Module):
    """A detector up to its boxes and scores: what follows chooses boxes with nms, which torchvision has compiled code for."""

    def __init__(self, net):
        super().__init__()
        self.features, self.heads = net.backbone, net.rpn.head if hasattr(net, "rpn") else net.head

    def forward(self, image):
        return tuple(torch.utils._pytree.tree_leaves(self.heads(list(self.features(image).values()))))


def detector(name):
    net = getattr(models.torchvision().models.detection, name)(weights=None, weights_backbone=None)
    size = {"ssd300_vgg16": 300}.get(name, 320)
    return Case(DenseDetector(net), [(torch.randn(1, 3, size, size),)])


def segmenter(name):
    net = getattr(models.torchvision().models.segmentation, name)(weights=None, weights_backbone=None)
    return Case(Leaves(net), [(torch.randn(1, 3, 224, 224),)])


def video(name):
    frames, size = (16, 224) if name.startswith(("mvit", "s3d")) else (16, 112)
    return Case(getattr(models.torchvision().models.video, name)(weights=None, num_classes=10), [(torch.randn(1, 3, frames, size, size),)])


def flow(name):
    net = getattr(models.torchvision().models.optical_flow, name)(weights=None)
    return Case(Leaves(net), [(torch.rand(1, 3, 128, 128) * 2 - 1, torch.rand(1, 3, 128, 128) * 2 - 1)])


SUITES = {
    "torchvision": (CLASSIFIERS, classifier),
    "torchvision-seg": (SEGMENTERS, segmenter),
    "torchvision-det": (DETECTORS, detector),
    "torchvision-flow": (FLOW, flow),
    "torchvision-video": (VIDEO, video),
    "timm": (TIMM, timm_model),
}
