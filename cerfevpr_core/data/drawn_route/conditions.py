"""What summer, winter, night and rain do to light, surfaces, air and the camera."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """One condition. Light colours are gains on painted colours, others are RGB in 0 to 255."""

    number: int  # part of every seed, so that each condition draws its own cars, clouds and noise
    sun: Colour
    sun_elevation_deg: float
    ambient: Colour
    lamps: float  # brightness of street lamps
    lit_windows: float  # share of windows with light behind them
    snow: bool
    leaves: bool
    wet: float  # strength of the ground's reflection
    zenith: Colour
    horizon: Colour
    cloud: Colour
    cloud_cover: float
    haze_m: float  # distance at which about 63 % of the light is the haze's
    streaks: int  # rain streaks or flakes in a 320 x 240 image
    exposure: float
    saturation: float
    noise: float  # standard deviation of the sensor's noise, in grey levels


LOOKS = {
    'summer': Look(
        number=0, sun=(0.78, 0.70, 0.52), sun_elevation_deg=48, ambient=(0.60, 0.64, 0.70),
        lamps=0, lit_windows=0, snow=False, leaves=True, wet=0,
        zenith=(74, 128, 200), horizon=(190, 214, 232), cloud=(250, 250, 250), cloud_cover=0.5,
        haze_m=650, streaks=0, exposure=1.0, saturation=1.05, noise=1.5,
    ),
    'winter': Look(
        number=1, sun=(0.10, 0.10, 0.10), sun_elevation_deg=30, ambient=(0.70, 0.74, 0.80),
        lamps=0, lit_windows=0.06, snow=True, leaves=False, wet=0,
        zenith=(168, 178, 190), horizon=(214, 219, 224), cloud=(226, 229, 233), cloud_cover=0.8,
        haze_m=210, streaks=70, exposure=1.0, saturation=0.75, noise=2.0,
    ),
    'night': Look(
        number=2, sun=(0, 0, 0), sun_elevation_deg=30, ambient=(0.10, 0.11, 0.155),
        lamps=1.0, lit_windows=0.30, snow=False, leaves=True, wet=0,
        zenith=(9, 12, 26), horizon=(38, 36, 46), cloud=(34, 34, 44), cloud_cover=0.5,
        haze_m=500, streaks=0, exposure=1.0, saturation=0.9, noise=6.5,
    ),
    'rain': Look(
        number=3, sun=(0, 0, 0), sun_elevation_deg=40, ambient=(0.58, 0.61, 0.65),
        lamps=0.12, lit_windows=0.14, snow=False, leaves=True, wet=0.75,
        zenith=(112, 120, 130), horizon=(158, 164, 170), cloud=(134, 140, 148), cloud_cover=0.9,
        haze_m=150, streaks=190, exposure=0.95, saturation=0.7, noise=3.0,
    ),
}  # fmt: skip
CONDITIONS = tuple(LOOKS)
