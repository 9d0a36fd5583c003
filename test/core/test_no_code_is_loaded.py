"""What must not be in the code."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_that_runs_code_is_ever_loaded():
    for file in (ROOT / 'cerfevpr_core').rglob('*.py'):
        text = file.read_text(encoding='utf-8')
        for call in ('pickle.load', 'allow_pickle=True', 'joblib', 'marshal.load', 'yaml.load('):
            assert call not in text, f'{file}: {call}'
        assert text.count('torch.load(') == text.count('weights_only=True'), file
