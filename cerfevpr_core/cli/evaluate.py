"""cerfevpr evaluate."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Column, Table

from cerfevpr_core.cli.options import STDOUT, add_settings, track, typed, write_json
from cerfevpr_core.config import TRAINING_FREE, Config, load_config, settings
from cerfevpr_core.errors import ConfigError

if TYPE_CHECKING:
    from cerfevpr_core.evaluation.evaluate import MethodResult
    from cerfevpr_core.evaluation.methods import NamedMethod
    from cerfevpr_core.evaluation.protocol import Positives


_METHODS = (
    f'{", ".join(TRAINING_FREE)}, cerfevpr, cerfevpr+lln, and with its landmarks rand, act, all; '
    'behind each +sequence'
)


def add_commands(commands: Any) -> None:
    """Put the commands of this file under the program's."""
    parser = commands.add_parser('evaluate', help='recall and precision of one or more methods')
    parser.add_argument('--database', type=Path, required=True, metavar='DIR')
    parser.add_argument('--queries', type=Path, required=True, metavar='DIR')
    rule = parser.add_mutually_exclusive_group(required=True)
    rule.add_argument(
        '--frame-tolerance', type=int, metavar='K', help='frames of equal number +-K'
    )
    rule.add_argument('--radius-m', type=float, metavar='R', help='images closer than R metres')
    parser.add_argument('--positions', type=Path, metavar='FILE', help='CSV name,x_m,y_m')
    parser.add_argument('--methods', default='', metavar='A,B', help=_METHODS)
    parser.add_argument('--backbone', metavar='NAME', help='instead of backbone.name')
    parser.add_argument('--seeds', type=int, default=1, metavar='N', help='vocabularies of vlad')
    parser.add_argument('--json', type=Path, metavar='FILE')
    parser.add_argument('--report', type=Path, metavar='DIR', help='write report.html')
    add_settings(parser)
    parser.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> None:
    from cerfevpr_core.evaluation.evaluate import evaluate_methods
    from cerfevpr_core.images import list_images
    from cerfevpr_core.trained import settled

    overrides = {'backbone.name': options.backbone} if options.backbone else {}
    config = load_config(options.config, options.assignments, overrides)
    methods = _methods(options.methods, config)
    if any(
        each.method == 'cerfevpr' for each in methods
    ):  # all methods on the trained descriptor's backbone
        config = settled(replace(config, method='cerfevpr'))
    if options.seeds < 1:
        raise ConfigError(f'--seeds {options.seeds}: expected 1 or more')
    database, queries = list_images(options.database), list_images(options.queries)
    positives = _positives(options, database, queries)
    results = evaluate_methods(methods, config, database, queries, positives, options.seeds, track)
    STDOUT.print(_table(results))
    if options.json:
        write_json(as_json(options, config, positives, results, database, queries), options.json)
    if options.report:
        from cerfevpr_core.evaluation.report import report_from_evaluation, write_report

        subtitle = f'{options.queries} in {options.database}, {positives.rule}'
        report = report_from_evaluation(
            results,
            database,
            queries,
            positives,
            subtitle,
            settings=settings(config),
            command=typed(),
        )
        write_report(report, options.report / 'report.html')
        print(f'report -> {options.report / "report.html"}')


def as_json(
    options: argparse.Namespace,
    config: Config,
    positives: Positives,
    results: list[MethodResult],
    database: list[Path],
    queries: list[Path],
) -> dict[str, Any]:
    """The protocol and the results as `--json` writes them."""
    return {
        'protocol': {
            'database': str(options.database),
            'queries': str(options.queries),
            'num_database': len(database),
            'num_queries': len(queries),
            'num_queries_without_positives': int((~positives.right.any(axis=1)).sum()),
            'positives': positives.rule,
            'image_size': list(config.backbone.image_size),
            'query_batch': 1,
            'backbone': config.backbone.name,
            'seeds': options.seeds,
        },
        'methods': [_method(result, positives, database, queries) for result in results],
    }


def _method(
    result: MethodResult, positives: Positives, database: list[Path], queries: list[Path]
) -> dict[str, Any]:
    firsts = result.ranked[:, 0]
    return {
        'name': result.name,
        'descriptor_dim': result.descriptor_dim,
        'recall': {str(k): v for k, v in result.scores.recall.items()},
        'recall_at_1_by_seed': list(result.recall_at_1_by_seed),
        'precision_at_full_recall': result.scores.precision_at_full_recall,
        'average_precision': result.scores.average_precision,
        'describe_ms_p50': float(np.median(result.describe_ms)),
        'search_ms_p50': float(np.median(result.search_ms)),
        'rerank_ms_p50': float(np.median(result.rerank_ms)),
        'sequence_ms_p50': float(np.median(result.sequence_ms)),
        'queries': [
            {
                'image': query.name,
                'keyframe': database[first].name,
                'similarity': float(result.similarity[row, first]),
                'right': bool(positives.right[row, first]),
            }
            for row, (query, first) in enumerate(zip(queries, firsts, strict=True))
        ],
    }


def _methods(text: str, config: Config) -> list[NamedMethod]:
    from cerfevpr_core.evaluation.methods import parse_method

    names = [name.strip() for name in text.split(',') if name.strip()] or [config.method]
    return [parse_method(name) for name in dict.fromkeys(names)]


def _positives(
    options: argparse.Namespace, database: list[Path], queries: list[Path]
) -> Positives:
    from cerfevpr_core.evaluation.protocol import positives_by_frame, positives_by_radius

    names = [f.name for f in queries], [f.name for f in database]
    if options.radius_m is not None:
        positives = positives_by_radius(*names, options.radius_m, options.positions)
    elif options.positions:
        raise ConfigError('--positions belongs to --radius-m; leave it out with --frame-tolerance')
    else:
        positives = positives_by_frame(*names, options.frame_tolerance)
    if not positives.right.any():
        raise ConfigError(
            f'no query has a right answer in {options.database} ({positives.rule}); check the '
            'numbers or positions of both folders, or allow more'
        )
    return positives


def _table(results: list[MethodResult]) -> Table:
    figures = ('R@1', 'R@5', 'R@10', 'R@20', 'P@100%R', 'AP', 'desc ms', 'rank ms')
    name = Column('method', no_wrap=True, min_width=max(len(r.name) for r in results))
    table = Table(name, 'dim', *figures, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for result in results:
        scores = result.scores
        shown = (*scores.recall.values(), scores.precision_at_full_recall)
        table.add_row(
            result.name,
            str(result.descriptor_dim),
            *(f'{value:.1f}' for value in (*shown, scores.average_precision)),
            f'{np.median(result.describe_ms):.1f}',
            f'{np.median(result.rerank_ms):.1f}',
        )
    return table
