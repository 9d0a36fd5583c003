"""The commands of the documentation work, and its tables say what the code says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cerfevpr_core.cli import main
from cerfevpr_core.config import Config, settings

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / 'docs').rglob('*.md'))


def commands(page: Path) -> list[str]:
    """The `cerfevpr` lines of a page's shell blocks, in order."""
    blocks = re.findall(r'```sh\n(.*?)```', page.read_text(), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith('cerfevpr')]


@pytest.mark.slow
@pytest.mark.parametrize(
    'page',
    [
        'map.md',
        'evaluate.md',
        'landmarks.md',
        'settings.md',
        'train.md',
        'generators.md',
        'ablate.md',
        'relocalize.md',
        'robot.md',
        'loop_closure.md',
        'sequence.md',
        'decisions.md',
        'hooks/rtabmap.md',
    ],
)
def test_every_command_of_a_page_works_in_an_empty_folder(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = commands(ROOT / 'docs' / page)
    assert lines
    for line in lines:
        assert main(shlex.split(line)[1:]) == 0, line


def test_every_setting_is_documented_with_its_default() -> None:
    page = (ROOT / 'docs' / 'settings.md').read_text()
    rows = dict(re.findall(r'^\| `([\w.]+)` \| ([^|]+) \|', page, flags=re.MULTILINE))
    expected = {name: shown(value) for name, value in settings(Config()).items()}
    assert {name: text.strip() for name, text in rows.items()} == expected


def shown(value: object) -> str:
    if value == '':
        return 'empty'
    if isinstance(value, tuple):
        return str(list(value))
    return f'`{value}`' if isinstance(value, str) else str(value)


@pytest.mark.parametrize('page', [ROOT / 'README.md', *PAGES], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r'```.*?```', '', page.read_text(), flags=re.DOTALL)  # `](` is C++ there
    targets = re.findall(r'\]\((?!https?:)([^)#]+)', text)
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []
