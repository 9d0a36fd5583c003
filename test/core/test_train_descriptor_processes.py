"""A training in several processes, and on what it can run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from samples import (
    assignments,
    write_places,
    write_traverse,
)
from trainings import losses, tiny_training

from cerfevpr_core.checkpoint import load_network
from cerfevpr_core.cli import main
from cerfevpr_core.config import Config, RuntimeConfig, TrainConfig
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.training.descriptor import train_descriptor
from cerfevpr_core.training.log import read_log
from cerfevpr_core.training.processes import start_processes

CPU = Config(runtime=RuntimeConfig(device='cpu'))


def test_half_precision_wants_a_gpu_and_devices_a_number_that_divides() -> None:
    with pytest.raises(ConfigError, match=r'train.amp = fp16: expected a GPU; use bf16 or off'):
        start_processes(replace(CPU, train=TrainConfig(amp='fp16')), 1)
    with pytest.raises(ConfigError, match=r'num_places = 3: expected a multiple of --devices 2'):
        start_processes(replace(CPU, train=TrainConfig(num_places=3)), 2)
    with pytest.raises(ConfigError, match=r'--devices 0: expected 1 or more on cpu'):
        start_processes(CPU, 0)


def test_reading_in_other_processes_changes_nothing(spots, train_config, tmp_path: Path) -> None:
    train_descriptor(spots, tmp_path / 'one', train_config(train__epochs=1))
    train_descriptor(spots, tmp_path / 'two', train_config(train__epochs=1, train__num_workers=2))
    assert losses(tmp_path / 'one') == losses(tmp_path / 'two')


def run_command(arguments: list[str], out: Path, num_processes: int, launcher: list[str]) -> None:
    command = [*launcher, '-m', 'cerfevpr_core', 'train', 'descriptor', *arguments]
    process = subprocess.Popen(
        [*command, '--out', str(out), '--devices', str(num_processes)],
        env=os.environ | {'OMP_NUM_THREADS': '1'},
        start_new_session=True,
    )
    try:
        assert process.wait(timeout=120) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a launcher that hangs has children


@pytest.mark.slow
@pytest.mark.parametrize('launcher', ['fabric', 'torchrun'])
def test_two_processes_give_the_numbers_of_one(tmp_path, weights, launcher: str) -> None:
    spots = write_places(tmp_path / 'spots')
    held_out = write_traverse(tmp_path / 'held_out', write_places(tmp_path / 'other', 3))
    named = tiny_training(weights, train__num_places=4, train__chunk_size=3)
    arguments = ['--places', str(spots), '--validation', str(held_out), *assignments(named)]
    torchrun = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    how = [sys.executable, *(torchrun if launcher == 'torchrun' else [])]
    run_command(arguments, tmp_path / 'two', 2, how)
    assert main(['train', 'descriptor', *arguments, '--out', str(tmp_path / 'one')]) == 0
    one, two = (read_log(tmp_path / out / 'log.csv') for out in ('one', 'two'))
    assert len(one) == len(two) == 4
    for row, other in zip(one, two, strict=True):
        row.pop('images_per_s', 0), other.pop('images_per_s', 0)
        assert other == pytest.approx(row, rel=1e-4)
    state, other_state = (
        load_network(tmp_path / out / 'best.safetensors').state for out in ('one', 'two')
    )
    for name, tensor in state.items():
        assert (other_state[name] - tensor).abs().mean() < 1e-5, name  # of a rate of 1e-3
