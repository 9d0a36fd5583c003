"""Images -> CLS and patch grid, by a frozen network from timm."""

from cerfevpr_core.backbone.load import Backbone, Tokens, load_backbone

__all__ = ['Backbone', 'Tokens', 'load_backbone']
