"""The descriptor that is fitted on each map: words that move there, and a basis of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from samples import fitted_settings, picture
from torch import Tensor

from cerfevpr_core.config import Config, EncoderConfig, FusionConfig, load_config
from cerfevpr_core.describer import Describer
from cerfevpr_core.errors import ImageError, MapError
from cerfevpr_core.fusion import PyramidFusion
from cerfevpr_core.model import new_model
from cerfevpr_core.projection import MapProjection

DIM, CELLS, WORDS = 16, 5, 3


def unfitted(descriptor_dim: int = 20, token_dim: int = 0, words: int = WORDS) -> MapProjection:
    config = EncoderConfig(descriptor_dim=descriptor_dim, token_dim=token_dim, word_weight=0.8)
    return MapProjection(config, CELLS, words, DIM)


def tokens_of(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, CELLS + WORDS, DIM, generator=generator), dim=2)


def test_before_it_is_fitted_cells_and_words_have_their_weights() -> None:
    found = unfitted()(tokens_of(4))
    assert found.shape == (4, (CELLS + WORDS) * DIM)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(found[:, CELLS * DIM :].norm(dim=1), torch.full((4,), 0.8))


def test_up_to_as_many_keyframes_as_numbers_nothing_is_lost() -> None:
    projection = unfitted(descriptor_dim=20)
    known, asked = tokens_of(12), tokens_of(5, seed=1)
    before = projection(asked) @ projection(known).T
    projection.fit(known)
    mapped, queries = projection(known), projection(asked)
    assert mapped.shape == (12, 20)
    similarity = queries @ mapped.T
    # A query is brought to unit length in what is left of it, which changes no order.
    scale = similarity.norm(dim=1, keepdim=True) / before.norm(dim=1, keepdim=True)
    torch.testing.assert_close(similarity, scale * before, atol=3e-3, rtol=0)
    assert torch.equal(similarity.argsort(dim=1)[:, -1], before.argsort(dim=1)[:, -1])


def test_what_is_added_later_is_still_told_apart() -> None:
    projection = unfitted(descriptor_dim=100)
    projection.fit(tokens_of(3))
    later = tokens_of(30, seed=2)
    nearby = F.normalize(later + 0.05 * tokens_of(30, seed=3), dim=2)
    found = (projection(nearby) @ projection(later).T).argmax(dim=1)
    assert found.tolist() == list(range(30))


def test_equal_images_span_one_direction_and_are_fitted_all_the_same() -> None:
    projection = unfitted()
    projection.fit(tokens_of(1).repeat(6, 1, 1))
    found = projection(tokens_of(4, seed=1))
    assert found.shape == (4, 20) and found.isfinite().all()


def test_more_keyframes_than_numbers_keep_the_strongest_directions() -> None:
    projection = unfitted(descriptor_dim=10)
    known = tokens_of(40)
    joined = projection(known)
    projection.fit(known)
    strongest = F.normalize(joined @ torch.linalg.svd(joined)[2][:10].T, dim=1)
    found = projection(known)
    torch.testing.assert_close(found @ found.T, strongest @ strongest.T, atol=1e-2, rtol=0)


def test_narrow_keeps_what_the_tokens_of_the_map_have_in_common() -> None:
    projection = unfitted(token_dim=4)
    plane = torch.linalg.qr(torch.randn(DIM, 4))[0]
    known = F.normalize(tokens_of(12) @ plane @ plane.T, dim=2)  # all tokens lie in 4 dimensions
    before = projection(known) @ projection(known).T
    projection.fit(known)
    assert projection.basis.shape == (20, (CELLS + WORDS) * 4)
    torch.testing.assert_close(projection(known) @ projection(known).T, before, atol=3e-3, rtol=0)


def test_what_another_model_fitted_is_refused() -> None:
    projection = unfitted()
    with pytest.raises(MapError, match=r'projection of \(2, 16, 16\) and \(3, 4\).*build the map'):
        projection.load(np.zeros((2, DIM, DIM), np.float32), np.zeros((3, 4), np.float32))


def words_near(centres: Tensor, count: int) -> Tensor:
    """Patches (1, D, count, number of centres) around centres (W, D)."""
    noise = 0.02 * torch.randn(count, *centres.shape)
    return F.normalize(centres + noise, dim=2).permute(2, 0, 1)[None]


def test_words_move_to_what_the_map_shows_and_stay_where_it_shows_nothing() -> None:
    torch.manual_seed(0)
    fusion = PyramidFusion(FusionConfig(levels=(2,), num_words=3), DIM)
    trained = torch.eye(3, DIM)
    fusion.load_words(trained.numpy())
    moved = F.normalize(trained[:2] + 0.4 * F.normalize(torch.randn(2, DIM), dim=1), dim=1)
    fusion.fit_words([words_near(moved, 400)])
    assert fusion.words is not None
    torch.testing.assert_close(fusion.words[:2], moved, atol=0.05, rtol=0)
    torch.testing.assert_close(fusion.words[2], trained[2])


def test_words_of_another_size_are_refused() -> None:
    fusion = PyramidFusion(FusionConfig(levels=(2,), num_words=3), DIM)
    with pytest.raises(MapError, match=r'words of \(4, 16\), expected \(3, 16\); build the map'):
        fusion.load_words(np.zeros((4, DIM), np.float32))


@pytest.fixture
def model(weights):
    """A tiny network whose descriptor is fitted on the map."""
    torch.manual_seed(0)
    return new_model(load_config(overrides=fitted_settings(weights))).eval()


def test_a_fitted_model_describes_alike_after_its_map_was_loaded(model) -> None:
    images = torch.rand(6, 3, 56, 56)
    assert model.needs_fit
    words = model.fusion.words.detach().clone()
    model.fit(images)
    assert not model.needs_fit and not torch.equal(model.fusion.words, words)
    with torch.inference_mode():
        before = model(images[:, None])
    kept = model.fitted()
    with torch.no_grad():
        model.fusion.words.copy_(words)
    model.load_fitted(kept)
    with torch.inference_mode():
        torch.testing.assert_close(model(images[:, None]), before, atol=0, rtol=0)


def test_a_map_that_lacks_what_is_fitted_says_so(model) -> None:
    with pytest.raises(MapError, match='lacks the narrow that its method fits; build the map'):
        model.load_fitted({})


def test_the_shipped_descriptor_is_fitted_on_a_map_and_then_has_its_size() -> None:
    describer = Describer(Config(method='cerfevpr'))
    assert describer.needs_fit
    with pytest.raises(ImageError, match='nothing to fit on'):
        describer.fit([])
    images = [picture(seed) for seed in range(5)]
    describer.fit(images)
    rows = np.stack([describer.describe(image) for image in images])
    assert rows.shape == (5, describer.descriptor_dim) == (5, 1024)
    assert (rows @ rows.T).argmax(axis=1).tolist() == list(range(5))
