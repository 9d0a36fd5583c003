"""Nothing that we read can run code: no pickle, no eval, no shell; found in the syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    *(file for name in ('cerfevpr_core', 'cerfevpr_ros') for file in (ROOT / name).rglob('*.py')),
    *(ROOT / 'launch').glob('*.py'),
    *(ROOT / 'tools').glob('*.py'),
    ROOT / 'setup.py',
]

LOADERS = {'marshal', 'shelve', 'dill', 'cloudpickle', 'joblib', 'jsonpickle'}
BUILTINS = {'eval', 'exec', 'compile', '__import__'}
CALLS = {
    'os.system',
    'os.popen',
    'subprocess.getoutput',
    'subprocess.getstatusoutput',
    'torch.hub.load',
    'torch.jit.load',
    'yaml.full_load',
    'yaml.load',
    'yaml.unsafe_load',
}


def dangers(source: str) -> list[str]:
    """What in a module could run code that comes from data."""
    return [danger for node in ast.walk(ast.parse(source)) for danger in _of(node)]


def _of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = [n.name for n in node.names]
        if isinstance(node, ast.ImportFrom):
            modules = [f'{node.module}.{name}' for name in modules]
        for module in modules:
            if module.split('.')[0] in LOADERS or module.startswith('pickle.'):
                yield f'imports {module}'
    elif isinstance(node, ast.Attribute) and _name(node).startswith('pickle.'):
        if _name(node) != 'pickle.UnpicklingError':  # what torch raises, and we catch
            yield f'uses {_name(node)}'
    elif isinstance(node, ast.Call):
        yield from _of_call(node)


def _of_call(call: ast.Call) -> Iterator[str]:
    name = _name(call.func)
    options = {k.arg: k.value for k in call.keywords}
    if name in BUILTINS or name in CALLS:
        yield f'calls {name}'
    if name == 'torch.load' and not _is(options.get('weights_only'), True):
        yield 'calls torch.load without weights_only=True'
    if 'allow_pickle' in options and not _is(options['allow_pickle'], False):
        yield f'calls {name} with allow_pickle'
    if 'shell' in options and not _is(options['shell'], False):
        yield f'calls {name} through a shell'
    if name.endswith('import_module') and not all(isinstance(a, ast.Constant) for a in call.args):
        yield 'imports a module that data names'


def _name(node: ast.AST) -> str:
    """`a.b.c` of an expression, empty where it has no such form."""
    if isinstance(node, ast.Attribute):
        return f'{_name(node.value)}.{node.attr}'
    return node.id if isinstance(node, ast.Name) else ''


def _is(node: ast.AST | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize('file', SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_that_runs_code_is_ever_loaded(file):
    assert not dangers(file.read_text(encoding='utf-8'))


@pytest.mark.parametrize('file', SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_and_messages_become_pixels_in_one_place_that_knows_its_limits(file):
    decoders = {'open', 'imread', 'imdecode', 'imreadmulti', 'VideoCapture'}
    tree = ast.parse(file.read_text(encoding='utf-8'))
    calls = [_name(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    images = ('cv2', 'Image', 'PilImage', 'imageio', 'plt')
    found = {c for c in calls if c.split('.')[0] in images and c.split('.')[-1] in decoders}
    # tools/ and the truth of a benchmark read what we chose ourselves, in other formats too.
    chosen = file.parent.name in ('pixel_formats', 'tools') or file.name == 'truth.py'
    assert not found or chosen, found


@pytest.mark.parametrize(
    'source',
    [
        'import pickle\npickle.load(file)',
        'import pickle\nread = pickle.loads',
        'from pickle import loads',
        'import joblib',
        'from marshal import loads',
        'torch.load(file)',
        'torch.load(file, weights_only=False)',
        'torch.load(file, weights_only=flag)',
        'np.load(file, allow_pickle=True)',
        'numpy.lib.npyio.load(file, allow_pickle=flag)',
        'yaml.load(text, Loader=yaml.Loader)',
        'eval(text)',
        'exec(text)',
        'os.system(text)',
        'subprocess.run(text, shell=True)',
        'importlib.import_module(name)',
    ],
)
def test_the_search_finds_what_it_looks_for(source):
    assert dangers(source)


def test_the_search_lets_through_what_is_harmless():
    harmless = (
        'import pickle\n'
        'try:\n'
        "    torch.load(file, map_location='cpu', weights_only=True)\n"
        'except pickle.UnpicklingError:\n'
        '    pass\n'
        'model.eval()\n'
        're.compile(text)\n'
        'yaml.safe_load(text)\n'
        "np.load(file, mmap_mode='r', allow_pickle=False)\n"
        'subprocess.run([program, text])\n'
    )
    assert not dangers(harmless)
