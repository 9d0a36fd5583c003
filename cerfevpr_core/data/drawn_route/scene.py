"""A street under one condition: painted, lit and ready to be looked at."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .atlas import Atlas, cover_levels
from .canvas import Picture
from .conditions import Look
from .lighting import Light
from .panels import Panel, Parts, Texture

Array = NDArray[np.float64]
LIGHT_PX_PER_M = 2.5  # fine enough for the edge of a shadow
LIGHT_CELL_M = 16.0


@dataclass(frozen=True)
class Scene:
    """P panels as arrays, in the map frame and in metres.

    `corners` (P, 4, 3), `normals` (P, 3); `planes` (P, 3, 3) has the columns (step of one texel
    right, step of one texel down, top left corner of the picture); `places` (P, 4) is where the
    picture lies in the `atlas`; `gains` (P, 3) in 1/64; `covers` are masks of see-through panels.
    """

    corners: Array
    normals: Array
    planes: Array
    two_sided: NDArray[np.bool_]
    ground: NDArray[np.bool_]
    places: NDArray[np.float32]
    gains: NDArray[np.uint8]
    covers: list[list[NDArray[np.uint8]] | None]
    atlas: Atlas
    lamps: Array


def build_scene(parts: Parts, look: Look, light: Light) -> Scene:
    """Paint every picture that some panel shows, light it, and lay out the panels."""
    names = sorted({panel.texture for panel in parts.panels})
    numbers = {name: i for i, name in enumerate(names)}
    pictures = [parts.textures[name].paint(look) for name in names]
    textures = [parts.textures[name] for name in names]
    lit = [_lit(p, t, light) for p, t in zip(pictures, textures, strict=True)]
    covers = [None if p.cover is None else cover_levels(p.cover) for p in pictures]
    atlas = Atlas(lit)
    index = np.array([numbers[panel.texture] for panel in parts.panels])
    corners = np.stack([panel.corners for panel in parts.panels])
    normals = _normals(corners)
    planes = np.stack(
        [
            _plane(panel, textures[i], pictures[i])
            for panel, i in zip(parts.panels, index, strict=True)
        ]
    )
    return Scene(
        corners=corners,
        normals=normals,
        planes=planes,
        two_sided=np.array([panel.two_sided for panel in parts.panels]),
        ground=np.array([panel.ground for panel in parts.panels]),
        places=atlas.places[index],
        gains=_gains(parts, pictures, index, corners, normals, light),
        covers=[covers[i] for i in index],
        atlas=atlas,
        lamps=light.obstacles.lamps,
    )


def _lit(picture: Picture, texture: Texture, light: Light) -> NDArray[np.uint8]:
    """The picture under its light; what glows does not need any."""
    if texture.place is None:
        return picture.colour
    width, height = texture.size_m
    columns, rows = max(2, int(width * LIGHT_PX_PER_M)), max(2, int(height * LIGHT_PX_PER_M))
    x, y = np.meshgrid(
        (np.arange(columns) + 0.5) * width / columns, (np.arange(rows) + 0.5) * height / rows
    )
    points = texture.place(x, y).reshape(-1, 3)
    gain = light.at(points, np.array(texture.normal)).reshape(rows, columns, 3)
    size = (picture.colour.shape[1], picture.colour.shape[0])
    fine = cv2.resize(gain.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    glow = picture.glow[..., None] * np.float32(1 / 255)
    return np.clip(picture.colour * (fine + glow * (1 - fine)), 0, 255).astype(np.uint8)


def _normals(corners: Array) -> Array:
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 0] - corners[:, 3])
    return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True))


def _plane(panel: Panel, texture: Texture, picture: Picture) -> Array:
    """Texels to the map, from three corners."""
    height, width = picture.colour.shape[:2]
    texels = panel.picture_m[[0, 1, 3]] * np.array([width, height]) / np.array(texture.size_m)
    homogeneous = np.concatenate([texels, np.ones((3, 1))], axis=1)
    return np.asarray(np.linalg.solve(homogeneous, panel.corners[[0, 1, 3]]).T)


def _gains(
    parts: Parts,
    pictures: list[Picture],
    index: NDArray[np.int64],
    corners: Array,
    normals: Array,
    light: Light,
) -> NDArray[np.uint8]:
    """One light for each panel whose picture is shared; 64 means unchanged."""
    gains = np.full((len(index), 3), 64.0)
    centres = corners.mean(axis=1)
    shared = [
        i
        for i, panel in enumerate(parts.panels)
        if parts.textures[panel.texture].place is None and not pictures[index[i]].glow.any()
    ]
    facing = normals.copy()
    facing[[pictures[i].cover is not None for i in index]] = (0, 0, 1)  # leaves face everywhere
    cells = np.rint(centres[shared, :2] / LIGHT_CELL_M)
    _, cell = np.unique(cells, axis=0, return_inverse=True)
    for number in range(cell.max() + 1):  # light is asked for many near points at a time
        some = np.array(shared)[cell.ravel() == number]
        gains[some] = 64 * light.at(centres[some] + 0.02 * normals[some], facing[some])
    return np.clip(gains, 0, 255).astype(np.uint8)
