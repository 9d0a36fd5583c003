"""The C++ glue of docs/hooks, compiled against the published interfaces, and the ids it is fed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from maps import DIM, created
from samples import unit_vectors

from cerfevpr_core.cli import main
from cerfevpr_core.hooks.ids import to_unsigned
from cerfevpr_core.hooks.rtabmap import SCRIPT
from cerfevpr_core.place_map import Keyframe

ROOT = Path(__file__).parents[2]
SOURCES = Path(__file__).parent / 'hooks_cpp'
LARGEST = str(2**64 - 1)

needs_compiler = pytest.mark.skipif(shutil.which('g++') is None, reason='needs a C++ compiler')


def built(name: str, folder: Path) -> Path:
    """The page's own glue with the test's main, warnings as errors."""
    page = (ROOT / 'docs' / 'hooks' / f'{name}.md').read_text()
    [glue] = re.findall(r'```cpp\n(.*?)```', page, flags=re.DOTALL)
    (folder / 'glue.inc').write_text(glue)
    program = folder / name
    command = ['g++', '-std=c++17', '-O1', '-Wall', '-Wextra', '-Wshadow', '-Werror', '-pthread']
    command += [f'-I{SCRIPT.parent}', f'-I{SOURCES}', f'-I{folder}']
    subprocess.run([*command, SOURCES / f'{name}.cpp', '-o', program], check=True)
    return program


@pytest.fixture(scope='module')
def programs(tmp_path_factory) -> dict[str, Path]:
    return {
        name: built(name, tmp_path_factory.mktemp(name)) for name in ('orb_slam3', 'stella_vslam')
    }


def lines(program: Path, external_ids: list[str]) -> list[str]:
    done = subprocess.run([program, *external_ids], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


@needs_compiler
def test_orb_slam3_gets_its_own_keyframes_in_order(programs):
    # 9 is bad, 12 of another map, 30 of a bad map, 5 unknown; the others are no ids at all.
    asked = ['20', LARGEST, '9', '7', '', 'kf7', '5', '12', '30', '7', '-3', '3', '007', ' 3']
    told = lines(programs['orb_slam3'], asked)
    assert told == [
        f'relocalization 20 {LARGEST} 7 3',
        'late 0',
        f'loop {LARGEST} 7',  # itself and the connected 3 are none; two at most
        'merge 12',
    ]


@needs_compiler
def test_stella_vslam_relocalizes_by_known_ids_and_closes_loops_by_pairs(programs):
    asked = ['7', '4294967295', '4294967296', '9', '8', '', '0', LARGEST, '7', '3']
    told = lines(programs['stella_vslam'], asked)
    assert told == ['found 7 4294967295 0 3', 'late 0', 'loops 1 0 0: 9 3']
    assert lines(programs['stella_vslam'], ['8', ''])[0] == 'not found'


@needs_compiler
def test_ids_go_through_a_map_and_come_back_as_the_system_wrote_them(programs, tmp_path):
    wanted = ['3', LARGEST, '7', '20', '']
    vectors = unit_vectors(len(wanted), DIM)
    with created(tmp_path / 'map') as place_map:
        for external_id, vector in zip(wanted, vectors, strict=True):
            place_map.add([Keyframe(f'kf{external_id}', vector[None], external_id)])
        for external_id, vector in zip(wanted, vectors, strict=True):
            found = [c.external_id for c in place_map.search(vector, len(wanted))]
            assert found[0] == external_id
            assert sorted(found) == sorted(wanted)
            told = lines(programs['orb_slam3'], found)[0].split()[1:]
            assert told == [text for text in found if text]


@pytest.mark.parametrize('text', ['', 'a', '-1', '+1', '1.0', ' 1', '01', '١', str(2**64)])
def test_what_is_no_unsigned_number_is_no_id(text):
    assert to_unsigned(text) is None


def test_every_unsigned_number_is_an_id():
    assert [to_unsigned(str(n)) for n in (0, 7, 2**32, 2**64 - 1)] == [0, 7, 2**32, 2**64 - 1]
    assert to_unsigned(str(2**32), largest=2**32 - 1) is None


def test_the_command_prints_where_the_header_is(capsys):
    assert main(['hooks', 'include']) == 0
    assert (Path(capsys.readouterr().out.strip()) / 'cerfevpr_candidates.hpp').is_file()
