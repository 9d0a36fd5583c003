"""How images and their variants are changed before they are learned from."""

from __future__ import annotations

import torch

from cerfevpr_core.changed_images.augment import augment
from cerfevpr_core.training.batches import Sample
from cerfevpr_core.training.pictures import Pictures


def test_augmentation_follows_its_seed_and_strength() -> None:
    image = torch.rand(1, 3, 48, 64)
    assert augment(image, 0.0, 1) is image
    one, again, other = (augment(image, 1.0, seed) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other, atol=0.05)
    assert one.shape == image.shape
    assert one.min() >= 0 and one.max() <= 1
    mild = (augment(image, 0.1, 1) - image).abs().mean()
    assert mild < (one - image).abs().mean()


def test_the_variants_of_an_image_change_alike() -> None:
    image = torch.rand(1, 3, 48, 64)
    changed = augment(image.expand(3, -1, -1, -1), 1.0, 5)
    assert torch.equal(changed[0], changed[2])


def test_a_sample_keeps_a_random_subset_of_its_variants_and_the_original() -> None:
    variants = torch.arange(4.0).view(4, 1, 1, 1)
    seen = set()
    for seed in range(40):
        kept = Pictures._keep(variants, Sample(0, 0, num_kept=1, seed=seed)).flatten().tolist()
        assert len(kept) == 2 and kept[-1] == 3
        seen.add(kept[0])
    assert seen == {0, 1, 2}
    assert len(Pictures._keep(variants, Sample(0, 0, num_kept=0, seed=1))) == 1
    assert len(Pictures._keep(variants, Sample(0, 0, num_kept=3, seed=1))) == 4
