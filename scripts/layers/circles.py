"""Circles and floors of a graph of files."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


def circles(graph: Mapping[Node, Mapping[Node, object]]) -> list[set[Node]]:
    """The sets of two or more nodes that all reach each other: strongly connected components, by Tarjan (1972)."""
    number: dict[Node, int] = {}
    lowest: dict[Node, int] = {}
    path: list[Node] = []
    found: list[set[Node]] = []

    def visit(node: Node) -> None:
        number[node] = lowest[node] = len(number)
        path.append(node)
        for other in graph.get(node, ()):
            if other not in number:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in path:
                lowest[node] = min(lowest[node], number[other])
        if lowest[node] == number[node]:
            start = path.index(node)
            circle = set(path[start:])
            del path[start:]
            if len(circle) > 1:
                found.append(circle)

    for node in graph:
        if node not in number:
            visit(node)
    return found


def floors(graph: Mapping[Node, Mapping[Node, object]]) -> int:
    """How many floors the files of a graph without circles take, when each stands above all that it uses."""
    height: dict[Node, int] = {}

    def stand(node: Node) -> int:
        if node not in height:
            height[node] = 1 + max((stand(other) for other in graph.get(node, ())), default=0)
        return height[node]

    return max(map(stand, graph), default=0)
