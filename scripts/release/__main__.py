"""Releases, and the version of the project: `python scripts/release`, or the goals of the Makefile that call it.

versions  compares all places that have the version: make check
set       writes a version to all of them: make version VERSION=0.3.0
check     prints what has to be so before a release, with ok or not ok: make release-check VERSION=0.3.0
dist      checks what is in dist/
make      makes the release, if all of that is so: make release VERSION=0.3.0
"""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path

import artefacts
import checklist
import steps
import versions

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    options = _arguments()
    try:
        return options.run(options)
    except versions.Failed as error:
        print(f"release: {error}", file=sys.stderr)
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python scripts/release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run in (_versions, _set, _check, _dist, _make):
        command = commands.add_parser(run.__name__[1:], help=run.__doc__)
        command.set_defaults(run=run)
        if run in (_set, _check, _make):
            command.add_argument("version", help="three numbers, such as 0.3.0")
        if run in (_check, _make):
            command.add_argument("--branch", default="main", help="the branch of releases")
        if run is _make:
            today = datetime.datetime.now(datetime.UTC).date().isoformat()
            command.add_argument("--date", default=today, help="for CHANGELOG.md [default: today in UTC]")
            command.add_argument("--make", default="make", help=f"called with {', '.join(steps.GOALS)}")
    return parser.parse_args()


def _versions(options: argparse.Namespace) -> int:
    """compare all places that have the version"""
    return _say(versions.problems(ROOT), f"hint: make version VERSION={versions.current(ROOT)}")


def _set(options: argparse.Namespace) -> int:
    """write a version to all of them"""
    for file in versions.set_all(ROOT, options.version):
        print(file)
    return _say(versions.problems(ROOT))


def _check(options: argparse.Namespace) -> int:
    """print what has to be so before a release"""
    return 0 if checklist.check(_release(options)) else 1


def _dist(options: argparse.Namespace) -> int:
    """check what is in dist/"""
    return _say(artefacts.problems(ROOT / "dist", versions.current(ROOT)))


def _make(options: argparse.Namespace) -> int:
    """make the release"""
    release = _release(options)
    if not checklist.check(release):
        raise versions.Failed("nothing was done\nhint: put right what is not ok above")
    steps.commit(release, options.date)
    steps.build(release, options.make)
    steps.finish(release)
    return 0


def _release(options: argparse.Namespace) -> checklist.Release:
    return checklist.Release(ROOT, options.version, options.branch)


def _say(problems: list[str], hint: str = "") -> int:
    for problem in problems:
        print(f"release: {problem}", file=sys.stderr)
    if problems and hint:
        print(hint, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
