"""Every program and command of the guides runs against the simulator; every link has a target."""

import ast
import functools
import json
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway_sms_async.testing import Dialect, Fault, Simulator

from ..support.paths import ROOT
from ..support.programs import run

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [
    *DOCS,
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    ROOT / "examples" / "README.md",
]
# Pages without a Python program.
TEXT_ONLY = {"index", "performance"}
# A block that repeats a file names it in a comment: <!-- examples/recipe_anyio.py -->
BLOCK = re.compile(r"(?:<!-- (?P<file>\S+) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)```", re.DOTALL)


@dataclass
class Block:
    page: Path
    place: int
    kind: str
    text: str
    file: str | None

    def __str__(self) -> str:
        return f"{self.page.stem}-{self.place}"


BLOCKS = [
    Block(page, place, found["kind"], found["text"], found["file"])
    for page in DOCS
    for place, found in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")), start=1)
]
PROGRAMS = [one for one in BLOCKS if one.kind == "python" and one.file is None]
FILES = [one for one in BLOCKS if one.file is not None]
# The commands of one page belong together.
COMMANDS = {
    page.stem: [
        line
        for one in BLOCKS
        if one.page == page and one.kind == "sh"
        for line in one.text.splitlines()
    ]
    for page in DOCS
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "tests" / "data" / "campaign.csv", tmp_path)
    return tmp_path


def test_every_block_is_run_or_shows_output() -> None:
    assert {one.kind for one in BLOCKS} <= {"python", "sh", "console", "json", "text"}
    assert {one.page.stem for one in PROGRAMS + FILES} == {page.stem for page in DOCS} - TEXT_ONLY


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
async def test_programs(program: Block, folder: Path) -> None:
    example = folder / "test_example.py"
    example.write_text(program.text, encoding="utf-8")
    command = [sys.executable, "-X", "dev", "-W", "error", str(example)]
    if "def test_" in program.text:
        command[5:] = [
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "-p",
            "no:asyncio",
            str(example),
        ]
    async with Simulator(sent_after=0.0, delivered_after=0.1) as simulator:
        printed = await run(command, simulator, folder)
    assert printed
    assert "stopped" not in printed
    assert "Not sent" not in printed


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        (Dialect(opens_send_after=0.1), "1: it was sent by itself"),
        (Dialect(split_close=True), "2: it stayed open"),
        (Dialect(closed_takes_puts=True), "2: a closed message took more"),
        (Dialect(refusals_apply_half=True), "3: a refused request has added a recipient"),
        (Dialect(deletes_undone=True), "4: it came back"),
        (Dialect(closed_unreadable=True), "5: a closed message cannot be read"),
        (Dialect(list_limit=1), "5: the list of a closed message is not whole"),
    ],
    ids=[
        "sends-open",
        "splits-close",
        "takes-more",
        "applies-refused",
        "undoes-delete",
        "hides-closed",
        "hides-recipients",
    ],
)
async def test_the_check_of_the_promises_finds_each_broken_one(
    broken: Dialect, found: str, folder: Path
) -> None:
    [program] = [one for one in PROGRAMS if one.page.stem == "guarantees"]
    async with Simulator(dialect=broken) as simulator:
        # The simulator knows the invalid token and refuses it by a fault: only such a refusal
        # can be applied by halves.
        simulator.tokens.add("invalid-token")
        simulator.faults.add(Fault.status(401), on="append")
        with pytest.raises(AssertionError, match=found):
            await run([sys.executable, "-c", program.text], simulator, folder)


# --- the tests that the page of guarantees names -------------------------------------------------

GUARANTEES = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
NOTE = re.compile(r"^\[\^([\w-]+)\]: (.+(?:\n {4}.+)*)$", re.MULTILINE)
ENDS_WITH_A_NOTE = re.compile(r"\[\^[\w-]+\]$")


def section(title: str) -> str:
    """Return a section of the page of guarantees, with its subsections."""
    _, _, rest = GUARANTEES.partition(f"\n## {title}\n")
    assert rest, title
    return rest.partition("\n## ")[0]


def bullets(text: str) -> list[str]:
    return [" ".join(one.split()) for one in re.findall(r"^- (.+(?:\n  .+)*)", text, re.MULTILINE)]


@functools.cache
def names_of_tests(path: str) -> set[str]:
    """Return the tests in a file, as pytest names them after the file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in tree.body:
        within = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {
            prefix + one.name
            for one in within
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
        }
    return found


def test_every_guarantee_names_its_tests() -> None:
    limits = section("Limits").partition("\n### What cannot be known\n")[0]
    promises = bullets(section("What is guaranteed")) + bullets(limits)
    assert len(promises) > 30
    rows = section("What each outcome means").split("\n|")[3:]
    assert len(rows) == 6
    missing = [one for one in promises if not ENDS_WITH_A_NOTE.search(one)]
    missing += [row for row in rows if "[^" not in row]
    assert not missing


def test_every_test_that_a_guarantee_names_exists() -> None:
    notes = dict(NOTE.findall(GUARANTEES))
    used = set(re.findall(r"\[\^([\w-]+)\](?!:)", GUARANTEES))
    assert notes.keys() == used
    for note, tests in notes.items():
        named = re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)`", tests)
        assert named, note
        assert len(named) == tests.count("`") / 2, note
        for path, test in named:
            assert test in names_of_tests(path), f"{path}::{test}"
            assert test.rpartition("::")[2].startswith("test_"), test


# Up to 16 commands one after another, each a process of its own.
@pytest.mark.timeout(90)
@pytest.mark.parametrize("page", [page for page in COMMANDS if COMMANDS[page]])
async def test_commands(page: str, folder: Path) -> None:
    async with Simulator(sent_after=0.0, delivered_after=0.1) as simulator:
        for line in COMMANDS[page]:
            assert line.startswith("gateway-sms "), line
            # 3: finished, and the list holds invalid numbers on purpose.
            printed = await run(["sh", "-c", f"{line} || test $? -eq 3"], simulator, folder)
            assert printed or shlex.split(line)[1:3] == ["journal", "purge"]


def program_of(file: Path) -> str:
    """Return the text of a program; of a notebook, its cells with a blank line between two."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".ipynb":
        return text
    cells = [one for one in json.loads(text)["cells"] if one["cell_type"] == "code"]
    return "\n\n".join("".join(one["source"]) for one in cells) + "\n"


def test_programs_that_are_files_are_word_for_word() -> None:
    for block in FILES:
        assert block.file is not None
        assert block.text == program_of(ROOT / block.file), block


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the usual hosts derive them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one).strip().lower().replace(" ", "-") for one in headings}


@pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: str(page.relative_to(ROOT).with_suffix(""))
)
def test_links_have_a_target(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_the_index_names_every_guide() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in DOCS:
        assert page.stem == "index" or f"]({page.name})" in index
