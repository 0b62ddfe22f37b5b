"""The file that a wheel has of the licences of others: a table, then each text once."""

from __future__ import annotations

from crates import Component, Failed

HEAD = """\
Third-party licences of {name}
{line}

{name} itself is under the licence in the file LICENSE. Below is what others wrote and is linked into its wheels, with
version, licence (an SPDX expression) and the numbers of the texts that follow. Where a licence offers a choice, all
texts are here.

libzmq is under the Mozilla Public License 2.0. Its source, with the changes that were made to it, is what the source
distribution of ipclusterz builds: third-party/zeromq-src/, and the crate zeromq-src that Cargo.lock names there.
"""

MPL = "\nlibzmq is under"


def write(name: str, libraries: list[Component], crates: list[Component]) -> str:
    """The whole file."""
    texts = _Texts([*libraries, *crates])
    head = HEAD.format(name=name, line="=" * len(f"Third-party licences of {name}"))
    if not any(library.name == "libzmq" for library in libraries):
        head = head.partition(MPL)[0]
    parts = [head]
    for title, components in (("Libraries", libraries), ("Crates", crates)):
        lines = [_line(component, texts.numbers(component)) for component in components]
        parts.append(f"\n{title}\n{'-' * len(title)}\n\n" + "\n".join(lines) + "\n")
    parts.append("\nTexts\n-----\n")
    parts += [f"\n{'=' * 78}\n[{number}]\n\n{text}\n" for number, text in texts.all()]
    return "".join(parts)


def _line(component: Component, numbers: list[int]) -> str:
    what = f"{component.name} {component.version}".strip()
    return f"{what:<36} {component.license:<56} {' '.join(f'[{number}]' for number in numbers)}"


class _Texts:
    """Each text once, however its lines are broken, numbered in the order in which they are first needed."""

    def __init__(self, components: list[Component]) -> None:
        self._numbers: dict[str, int] = {}
        self._texts: list[str] = []
        for component in components:
            for text in component.texts:
                self._add(text)
        self._apache = next((text for text in self._texts if _is_apache(text)), "")

    def _add(self, text: str) -> None:
        if _key(text) not in self._numbers:
            self._texts.append(_clean(text))
            self._numbers[_key(text)] = len(self._texts)

    def numbers(self, component: Component) -> list[int]:
        """Those of a component; the common text where its authors packed none."""
        texts = component.texts or (self._apache,)
        if not component.texts and not (self._apache and "Apache-2.0" in component.license):
            raise Failed(
                f"{component.name} {component.version}: no text of {component.license} in its folder\n"
                "hint: put one in third-party/licenses/ and name it in scripts/licenses/libraries.py"
            )
        return sorted({self._numbers[_key(text)] for text in texts})

    def all(self) -> list[tuple[int, str]]:
        """Number and text of each."""
        return list(enumerate(self._texts, start=1))


def _is_apache(text: str) -> bool:
    """Whether it is the Apache License itself, without exceptions and other licences."""
    return text.lstrip().startswith("Apache License") and "Exceptions" not in text


def _key(text: str) -> str:
    return " ".join(text.split()).lower()


def _clean(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.expandtabs().splitlines()).strip("\n")
