"""cerfevpr variants: a picture of an image under other conditions."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from cerfevpr_core.cli.options import add_settings, config_of
from cerfevpr_core.errors import ConfigError


def add_commands(commands: Any) -> None:
    """Put the command of this file under the program's."""
    parser = commands.add_parser('variants', help='show an image under other conditions')
    parser.add_argument('image', type=Path, metavar='IMAGE', help='a jpg or png file')
    parser.add_argument('--out', type=Path, required=True, metavar='FILE', help='jpg or png')
    add_settings(parser)
    parser.set_defaults(run=_variants)


def _variants(options: argparse.Namespace) -> None:
    from cerfevpr_core.gan.condition import conditions
    from cerfevpr_core.images import SUFFIXES, read_image
    from cerfevpr_core.model import device_of
    from cerfevpr_core.variant_sheet import write_sheet
    from cerfevpr_core.variants import VariantMaker

    config = config_of(options)
    if options.out.suffix.lower() not in SUFFIXES:
        raise ConfigError(f'--out {options.out}: expected a name that ends in jpg or png')
    image = read_image(options.image)
    named = config.variants.conditions or conditions(config.variants.generators)
    chosen = replace(config.variants, conditions=named)
    maker = VariantMaker(chosen, image.shape[:2], device_of(config))
    write_sheet(maker.stack(image), [*named, 'original'], options.out)
    print(f'{", ".join(named)} and the original -> {options.out}')
