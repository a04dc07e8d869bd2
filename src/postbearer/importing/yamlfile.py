"""A YAML file as items that know their lines, and whether anybody asked for them.

YAML itself is PyYAML's work, which is needed for nothing else and so is an extra: quoting, anchors and
blocks of text are too much for a small reader of our own, which would misread passwords first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from postbearer.errors import ConfigError

if TYPE_CHECKING:
    import yaml

_DEEPEST = 20
_MOST = 10_000  # items: aliases of aliases would else grow without end
_NULL = "tag:yaml.org,2002:null"


@dataclass(slots=True)
class Item:
    """A scalar, a list or a table; what is not there is an empty scalar."""

    line: int = 0
    text: str = ""
    items: list[Item] = field(default_factory=list)
    table: dict[str, Item] = field(default_factory=dict)
    used: bool = False

    def at(self, *path: str) -> Item:
        """The item at `path`, or an empty one; it counts as asked for."""
        found = self
        for key in path:
            found = found.table.get(key, _NOTHING)
        if found is not _NOTHING:
            found.used = True
        return found

    @property
    def there(self) -> bool:
        return self.line > 0

    @property
    def on(self) -> bool:
        return self.text.casefold() in ("true", "yes", "on")

    def texts(self) -> list[str]:
        """The scalars of a list; one scalar is a list of one."""
        return [each.text for each in self.items] if self.items else [self.text] if self.text else []

    def unused(self, path: str = "") -> Iterator[tuple[str, int]]:
        """Path and line of everything that nobody asked for; of a table that nobody knows, only the table."""
        for key, each in self.table.items():
            here = f"{path}.{key}" if path else key
            if each.table and any(inner.used or inner.table for inner in each.table.values()):
                yield from each.unused(here)
            elif not each.used:
                yield here, each.line


_NOTHING = Item()


def read_yaml(text: str, file: str) -> Item:
    """The root of a YAML file. Raises `ConfigError`; it never repeats the line, which may be a secret."""
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise _wrong(file, "This is not YAML.", line) from None
    except (yaml.YAMLError, RecursionError):
        raise _wrong(file, "This is not YAML.", None) from None
    return _Walk(file).item(root, 0) if root is not None else Item()


@dataclass(slots=True)
class _Walk:
    file: str
    count: int = 0

    def item(self, node: yaml.Node, depth: int) -> Item:
        import yaml

        line = node.start_mark.line + 1
        self.count += 1
        if depth > _DEEPEST or self.count > _MOST:
            raise _wrong(self.file, "The file is nested too deep, or grows without end.", line)
        made = Item(line)
        match node:
            case yaml.MappingNode():
                for key, value in node.value:
                    item = self.item(value, depth + 1)
                    item.line = key.start_mark.line + 1
                    made.table[str(key.value)] = item
            case yaml.SequenceNode():
                made.items = [self.item(each, depth + 1) for each in node.value]
            case _:
                made.text = "" if node.tag == _NULL else str(node.value)
        return made


def _wrong(file: str, message: str, line: int | None) -> ConfigError:
    return ConfigError(message, file=file, line=line, hint="Correct it, and import again.")
