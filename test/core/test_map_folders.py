"""Services read and write maps below one folder alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from cerfevpr_core.errors import MapError
from cerfevpr_core.map_folders import MapRoot


@pytest.fixture
def root(tmp_path: Path) -> MapRoot:
    (tmp_path / 'maps').mkdir()
    (tmp_path / 'outside').mkdir()
    return MapRoot(tmp_path / 'maps')


def test_names_and_absolute_paths_below_the_root_are_taken(root: MapRoot) -> None:
    assert root.free('day/first') == root.folder / 'day' / 'first'
    assert root.free(str(root.folder / 'night')) == root.folder / 'night'


@pytest.mark.parametrize(
    ('path', 'said'),
    [
        ('', 'has 0 characters'),
        ('.', 'does not lead below'),
        ('/', 'does not lead below'),
        ('/etc', 'does not lead below'),
        ('../outside', 'has .. in it'),
        ('day/../../outside', 'has .. in it'),
        ('day/..', 'has .. in it'),
        ('nul\0byte', 'all printable'),
        ('line\nbreak', 'all printable'),
        ('x' * 300, 'a part of more than 255 bytes'),
        ('x' * 10_000_000, 'has 10000000 characters'),
        ('~/map/' + 'x/' * 100, ''),
    ],
)
def test_every_path_that_leads_elsewhere_is_refused_in_few_words(
    root: MapRoot, path: str, said: str
) -> None:
    if not said:  # a tilde is a name like any other
        assert root.below(path).is_relative_to(root.folder)
        return
    with pytest.raises(MapError) as error:
        root.below(path)
    assert said in str(error.value) and len(str(error.value)) < 500


def test_a_symbolic_link_that_leads_out_is_refused(root: MapRoot, tmp_path: Path) -> None:
    (root.folder / 'link').symlink_to(tmp_path / 'outside')
    (root.folder / 'loop').symlink_to(root.folder / 'loop')
    (root.folder / 'inside').symlink_to(root.folder / 'real')
    for path in ('link', 'link/new', 'loop', 'loop/x'):
        with pytest.raises(MapError):
            root.free(path)
    assert root.free('inside') == root.folder / 'real'


def test_a_map_whose_file_is_a_link_that_leads_out_is_refused(
    root: MapRoot, tmp_path: Path
) -> None:
    (root.folder / 'map').mkdir()
    (tmp_path / 'outside' / 'keyframes.sqlite').touch()
    (root.folder / 'map' / 'keyframes.sqlite').symlink_to(
        tmp_path / 'outside' / 'keyframes.sqlite'
    )
    with pytest.raises(MapError, match='leads out of'):
        root.existing('map')


def test_only_an_empty_or_new_folder_is_free(root: MapRoot) -> None:
    (root.folder / 'full').mkdir()
    (root.folder / 'full' / 'file').touch()
    (root.folder / 'file').touch()
    (root.folder / 'empty').mkdir()
    assert root.free('empty')
    for taken in ('full', 'file'):
        with pytest.raises(MapError, match='is there already'):
            root.free(taken)
