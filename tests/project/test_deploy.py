"""The files for Compose and Kubernetes: valid, and with commands that the command line knows."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..support.cli import invoke
from ..support.paths import ROOT

DEPLOY = ROOT / "docs" / "deploy"


def check(module: str, *arguments: object) -> None:
    pytest.importorskip(module, reason="it is in the extra `dev`")
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(60)
def test_compose() -> None:
    check("check_jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


@pytest.mark.timeout(60)
def test_kubernetes(tmp_path: Path) -> None:
    kubernetes_validate: Any = pytest.importorskip("kubernetes_validate", reason="in `dev`")
    yaml: Any = pytest.importorskip("yaml", reason="in `dev`")
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))
    assert [one["kind"] for one in documents] == ["Deployment", "PodDisruptionBudget"]
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes.yaml"])
def test_the_command_is_one(name: str, tmp_path: Path) -> None:
    text = (DEPLOY / name).read_text(encoding="utf-8")
    arguments = re.findall(r"^ +- (--\S+)$", text, re.MULTILINE)
    assert len(arguments) >= 4
    assert re.search(r"- gateway-sms\n +- worker\n", text)
    token = tmp_path / "token"
    token.write_text("abc")
    tried = [
        re.sub(r"\$\{\w+:-(\d+)\}", r"\1", one)
        .replace("@database.example.com/", "@localhost:1/")
        .replace("@database/", "@localhost:1/")
        for one in arguments
    ]
    tried = [f"--token-file={token}" if one.startswith("--token-file") else one for one in tried]
    result = invoke("worker", *tried)
    # All options are understood; only the database is not there.
    assert result.exit_code == 1, result.stderr
    assert "PostgreSQL" in result.stderr
