"""The project: its dependencies, what CI runs, and what a release contains."""

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path, PurePosixPath

import pytest

import gateway_sms_async

from ..support.paths import ROOT

PACKAGE = ROOT / "gateway_sms_async"


def test_every_module_says_what_it_does() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_every_public_name_exists() -> None:
    assert sorted(gateway_sms_async.__all__) == list(gateway_sms_async.__all__)
    for name in gateway_sms_async.__all__:
        assert getattr(gateway_sms_async, name) is not None


def test_there_are_four_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    # The fork of backoff takes its place from Python 3.14 on.
    ours = [one for one in project["dependencies"] if not one.startswith("python-backoff")]
    names = {re.match(r"[a-z]+", one)[0] for one in ours}  # type: ignore[index]
    assert names == {"aiohttp", "anyio", "backoff", "msgspec"}
    assert version("gateway-sms-async") == gateway_sms_async.__version__


def test_ci_tests_the_lowest_versions_that_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    tested = dict(re.findall(r'"([a-z-]+(?:\[[a-z]+\])?)==([\d.]+)"', ci))
    ours = {"dev", "docs", "release", "test"}
    users = [one for name in extras.keys() - ours for one in extras[name]]
    # What is marked for newer Pythons is not installed on the oldest one.
    declared = [one for one in [*project["dependencies"], *users] if "python_version >=" not in one]
    floors = dict(one.partition(";")[0].split(">=") for one in declared)
    # The SDK that the tests use has the version of the API.
    assert tested.pop("opentelemetry-sdk") == tested["opentelemetry-api"]
    assert tested.keys() == floors.keys()
    for name, floor in floors.items():
        assert re.fullmatch(re.escape(floor) + r"(\.0)*", tested[name]), name


def test_ci_runs_the_readmes_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = re.findall(r"^pip install .*$", readme, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert command in ci


def build(kind: str, source: Path, target: Path) -> Path:
    """Build one distribution with the installed backend, without the network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", target]
    subprocess.run(command, check=True, capture_output=True, cwd=source)
    [built] = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


def files(folder: str, *suffixes: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in suffixes
    }


def test_the_sdist_holds_the_whole_checkout_and_nothing_else(tmp_path: Path) -> None:
    sdist = build("sdist", ROOT, tmp_path)
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert all(member.isfile() for member in members)
    names = [PurePosixPath(member.name) for member in members]
    assert {name.parts[0] for name in names} == {sdist.name.removesuffix(".tar.gz")}
    inside = {str(PurePosixPath(*name.parts[1:])) for name in names}
    assert {name.split("/")[0] for name in inside} == {
        ".ci",
        ".github",
        ".gitignore",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "SECURITY.md",
        "benchmarks",
        "docs",
        "examples",
        "gateway_sms_async",
        "pyproject.toml",
        "tests",
    }
    for folder in (
        "gateway_sms_async",
        "tests",
        "benchmarks",
        "docs",
        "examples",
        ".ci",
        ".github",
    ):
        assert {name for name in inside if name.startswith(folder + "/")} == files(
            folder,
            "",
            ".css",
            ".csv",
            ".db",
            ".in",
            ".ipynb",
            ".jinja2",
            ".json",
            ".jsonl",
            ".md",
            ".py",
            ".svg",
            ".txt",
            ".typed",
            ".yaml",
            ".yml",
        ) - {"benchmarks/results.json"}


def test_the_wheel_comes_from_the_sdist_and_works_without_the_checkout(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", ROOT, tmp_path)) as archive:
        archive.extractall(tmp_path / "sdist", filter="data")
    [source] = (tmp_path / "sdist").iterdir()
    wheel = build("wheel", source, tmp_path)
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == files(
        "gateway_sms_async", ".py", ".typed"
    )
    assert {name.partition(".dist-info/")[2] for name in names if ".dist-info/" in name} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }
    venv.create(tmp_path / "env", with_pip=False)
    [site] = (tmp_path / "env" / "lib").glob("python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    # The dependencies come from this environment, which is searched after the wheel's files.
    [installed] = {str(Path(ast.__file__).parent), *sys.path} & {
        path for path in sys.path if path.endswith("site-packages")
    }
    (site / "dependencies.pth").write_text(installed, encoding="utf-8")
    probe = (
        "import gateway_sms_async as g; "
        "g.GatewayClient('token'); "
        "from gateway_sms_async.testing import Simulator; "
        "print(g.__file__, g.__version__)"
    )
    answer = subprocess.run(
        [tmp_path / "env" / "bin" / "python", "-I", "-c", probe],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    ).stdout
    assert answer.startswith(str(tmp_path / "env"))
    assert answer.strip().endswith(gateway_sms_async.__version__)


# A full commit, with its version in a comment.
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


@pytest.mark.parametrize(
    "workflow", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.stem
)
def test_workflows_use_pinned_actions_and_least_privilege(workflow: Path) -> None:
    text = workflow.read_text(encoding="utf-8")
    actions = re.findall(r"uses: (.+)", text)
    assert actions
    assert [one for one in actions if not PINNED.fullmatch(one)] == []
    assert "\npermissions: {}\n" in text
    assert "secrets." not in text
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")


def jobs_of(name: str) -> dict[str, str]:
    """Return the text of each job of a workflow."""
    text = (ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8")
    _, *pieces = re.split(r"^  ([a-z]+):\n", text.partition("\njobs:\n")[2], flags=re.MULTILINE)
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def needs(job: str) -> set[str]:
    """Return the jobs that a job waits for."""
    found = re.search(r"^    needs: (.+)$", job, re.MULTILINE)
    return set(re.findall(r"[a-z]+", found[1])) if found else set()


def permissions(job: str) -> set[str]:
    [block] = re.findall(r"^    permissions:\n((?:      .+\n)+)", job, re.MULTILINE)
    return {line.split(" #")[0].strip() for line in block.splitlines()}


def test_a_release_is_built_alone_with_locked_tools() -> None:
    jobs = jobs_of("release.yml")
    build, sbom = jobs["build"], jobs["sbom"]
    # Nothing that another job made gets in, and the tests run elsewhere.
    assert not needs(build)
    assert "download-artifact" not in build
    assert "bash .ci/run" not in build
    assert "bash .ci/build dist" in build
    assert "bash .ci/sbom dist sbom" in sbom
    for job in (build, sbom):
        assert permissions(job) == {"contents: read"}
        assert "cache" not in job
        assert "secrets" not in job
        assert "environment:" not in job
        # No tool comes from elsewhere.
        assert "pip" not in job
        assert job.count("bash .ci/release-tools") == 1
    install = (ROOT / ".ci" / "release-tools").read_text(encoding="utf-8")
    assert "--require-hashes --no-deps --only-binary :all: -r .github/release-tools.txt" in install


def test_only_what_has_passed_is_published() -> None:
    jobs = jobs_of("release.yml")
    assert "bash .ci/run" in jobs["test"]
    assert not needs(jobs["test"])
    assert needs(jobs["attest"]) == {"test", "build", "sbom"}
    publish = jobs["publish"]
    assert needs(publish) == {"test", "build", "sbom", "attest"}
    assert permissions(jobs["test"]) == {"contents: read"}
    assert permissions(jobs["attest"]) == {"id-token: write", "attestations: write"}
    assert permissions(publish) == {"id-token: write"}
    # The jobs with these rights run no code of this project.
    for job in (jobs["attest"], publish):
        assert "run:" not in job
        assert "actions/checkout@" not in job
    assert "attestations: true" in publish
    assert "environment:" in publish


LOCKED = sorted((ROOT / ".github").glob("*-tools.txt"))


@pytest.mark.parametrize("path", LOCKED, ids=lambda path: path.stem)
def test_every_tool_is_pinned_with_hashes(path: Path) -> None:
    text = re.sub(r"#.*", "", path.read_text(encoding="utf-8")).replace("\\\n", " ")
    entries = [line.split() for line in text.splitlines() if line.strip()]
    names = set()
    for pin, *hashes in entries:
        name, equals, pinned = pin.partition("==")
        assert equals, pin
        assert re.fullmatch(r"[\w.]+", pinned), pin
        assert hashes, pin
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), pin
        names.add(name)
    wanted = path.with_suffix(".in").read_text(encoding="utf-8")
    asked = set(re.findall(r"^([a-z-]+)>=", wanted, re.MULTILINE))
    assert asked
    assert asked <= names


def test_the_locked_tools_are_those_of_the_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = (ROOT / ".github" / "release-tools.in").read_text(encoding="utf-8")
    asked = re.sub(r"^#.*\n", "", asked, flags=re.MULTILINE)
    assert asked.split() == project["optional-dependencies"]["release"]


def test_dependencies_are_audited_every_day() -> None:
    text = (ROOT / ".github" / "workflows" / "audit.yml").read_text(encoding="utf-8")
    assert re.search(r'cron: "\d+ \d+ \* \* \*"', text)
    [job] = jobs_of("audit.yml").values()
    assert permissions(job) == {"contents: read"}
    assert "--require-hashes --no-deps --only-binary :all: -r .github/audit-tools.txt" in job
    assert {path.name for path in LOCKED} == set(re.findall(r"[a-z]+-tools\.txt", job))


def test_new_versions_of_tools_wait_a_week() -> None:
    text = (ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8")
    updates = text.split("- package-ecosystem: ")[1:]
    assert [one.split()[0] for one in updates] == ["github-actions", "pip"]
    for one in updates:
        [days] = re.findall(r"cooldown:\n      default-days: (\d+)", one)
        assert int(days) >= 7
    [folder] = re.findall(r"directory: (.+)", updates[1])
    assert sorted((ROOT / folder.lstrip("/")).glob("*-tools.txt")) == LOCKED
