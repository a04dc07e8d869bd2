"""What README.md and docs/ show happens, when a reader types it; and every link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from house.reader import Reader, matches
from house.tree import ROOT
from support.local import short_folder

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROSE = [*PAGES, *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"))]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def reader() -> Iterator[Reader]:
    with short_folder() as folder:  # a relay makes sockets in it
        home = folder / "home"
        home.mkdir()
        yield Reader(home)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_page_does_what_it_shows(page: Path, reader: Reader) -> None:
    with reader:
        reader.follow(page.read_text())


def test_what_providers_announced_was_looked_up_this_quarter() -> None:
    """Dates move. Look the page's facts up again, mend what changed (presets, too), and set its date."""
    page = (ROOT / "docs/explanation/end-of-2026.md").read_text()
    checked = re.search(r"Last checked on ([0-9-]{10})\.", page)
    assert checked is not None
    assert datetime.now(UTC).date() - date.fromisoformat(checked[1]) <= timedelta(days=120)


@pytest.mark.parametrize("page", PROSE, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text)
    assert [target for target in targets if not (page.parent / target).exists()] == []


GOOD = """
<!-- file: hello.txt -->
```text
hello
```

```console
$ cat hello.txt
hello
$ export NAME=world; mkdir here; cd here
$ echo "one
> two" | cat
```

```console
$ echo "$NAME in $(basename $PWD)"; date; echo end
world in here
...
end
```

1. In a list:

   ```python
   import os
   open("../made", "w").write(os.environ["NAME"])
   ```

```sh
test "$(cat ../made)" = world
sleep 60 &
```

<!-- not run: needs a tenant -->
```console
$ false
```

<!-- exits: 3 -->
```console
$ exit 3
```
"""


def test_a_reader_keeps_variables_folder_and_files(reader: Reader) -> None:
    with reader:
        reader.follow(GOOD.replace('$ echo "one\n> two" | cat', "$ echo one \\\n> two\none two"))
    assert (reader.home / "made").read_text() == "world"


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("```console\n$ false\n```\n", "exit code 1, not 0"),
        ("```console\n$ echo yes\nno\n```\n", "other output"),
        ("```sh\nfalse\ntrue\n```\n", "exit code 1"),
        ("```python\nraise SystemExit(4)\n```\n", "exit code 4"),
        ("```console\necho\n```\n", "without a `\\$ ` command"),
    ],
)
def test_a_reader_complains(page: str, complaint: str, reader: Reader) -> None:
    with reader, pytest.raises(AssertionError, match=complaint):
        reader.follow(page)


def test_dots_stand_for_anything() -> None:
    assert matches("a ... c\n...\nend", "a b c\nx\ny\nend\n")
    assert not matches("a ... c", "a b d")
    assert matches("a    b", "a  b")
    assert not matches("a    b", "a b")
