"""The folder of a token file, and the files that are in it."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_sms_async import ApiKey, Campaigns, GatewayClient, GatewayError
from gateway_sms_async.testing import Simulator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def opened(tmp_path: Path) -> Path:
    """Return a folder that others may look into."""
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.fixture
def _no_umask() -> Iterator[None]:
    """Let every new file and folder be open to all, as in some containers."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_no_umask")
async def test_new_folders_are_the_owners_only(simulator: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "home" / ".config" / "gateway-sms" / "token.json"
    source = ApiKey(simulator.email, simulator.api_key, oauth_url=simulator.oauth_url, file=file)
    await source.token()
    assert mode(file) == 0o600
    folders = [one for one in file.parents if one.is_relative_to(tmp_path / "home")]
    assert {mode(one) for one in folders} == {0o700}
    assert len(folders) == 3


@pytest.mark.usefixtures("_no_umask")
async def test_folders_of_campaigns_are_the_owners_only(
    simulator: Simulator, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "campaigns"
    async with (
        GatewayClient(simulator.token, base_url=simulator.url) as gateway,
        Campaigns(gateway, folder),
    ):
        assert {mode(folder), mode(folder.parent)} == {0o700}


async def test_a_folder_that_exists_stays_as_it_is(simulator: Simulator, opened: Path) -> None:
    source = ApiKey(
        simulator.email,
        simulator.api_key,
        oauth_url=simulator.oauth_url,
        file=opened / "token.json",
    )
    await source.token()
    assert mode(opened) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_a_token_that_another_user_owns_is_refused(
    simulator: Simulator, tmp_path: Path
) -> None:
    file = tmp_path / "token.json"

    def source() -> ApiKey:
        return ApiKey(simulator.email, simulator.api_key, oauth_url=simulator.oauth_url, file=file)

    await source().token()
    os.chown(file, 65_534, -1)
    with pytest.raises(GatewayError, match="another user owns it; delete the file") as caught:
        await source().token()
    assert str(caught.value).startswith(f"{file}: ")
    os.chown(file, os.geteuid(), -1)
    assert await source().token()
