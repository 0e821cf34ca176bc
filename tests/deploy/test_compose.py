"""compose.yaml: what it promises, and that its parts that are programs run."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.deploy.documents import COMPOSE, DEPLOY, Document
from tests.server import free_port

SERVICES: dict[str, Document] = COMPOSE["services"]
INSTANCES = ("authserver-1", "authserver-2")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_change_nothing_of_its_host(name: str) -> None:
    """Read-only root, no capability, no new privilege, no root user, nothing of the engine mounted."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "network_mode", "devices"} & set(service)
    assert service.get("user") not in {"root", "0", "0:0"}
    assert service.get("user") or service["image"].startswith("authserver:")


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned_and_ours_is_never_fetched(name: str) -> None:
    """A version stands in each tag; a public image that happens to be called authserver must not run."""
    image = SERVICES[name]["image"]
    assert re.fullmatch(r"[a-z]+:\d+\.\d+(\.\d+)?(-[a-z]+)?|postgres:\d+-[a-z]+", image)
    assert (SERVICES[name].get("pull_policy") == "never") == image.startswith("authserver:")


def test_the_migration_comes_first_and_knows_the_database_alone() -> None:
    """No instance starts before it has ended well, and it not before the database answers."""
    assert SERVICES["migrate"]["command"] == ["migrate", "up"]
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert SERVICES["migrate"]["secrets"] == ["database_url"]
    for name in INSTANCES:
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert SERVICES[name]["depends_on"]["redis"] == {"condition": "service_healthy"}


def test_only_nginx_is_reached_from_outside_and_only_nginx_is_trusted() -> None:
    """One published port; the trusted proxy is the address that nginx has; the stores are on an internal network."""
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    subnet = ip_network(COMPOSE["networks"]["front"]["ipam"]["config"][0]["subnet"])
    addresses = {name: SERVICES[name]["networks"]["front"]["ipv4_address"] for name in ("nginx", *INSTANCES)}
    assert all(ip_address(address) in subnet for address in addresses.values())
    assert len(set(addresses.values())) == len(addresses)
    trusted = SERVICES["authserver-1"]["environment"]["AUTHSERVER_TRUSTED_PROXIES"]
    assert trusted == f"{addresses['nginx']}/32"
    assert COMPOSE["networks"]["back"] == {"internal": True}
    assert all(set(SERVICES[name]["networks"]) == {"back"} for name in ("postgres", "redis", "migrate"))


def test_an_instance_has_time_to_finish() -> None:
    """The engine kills later than the server's own delay and grace together."""
    for name in INSTANCES:
        environment = SERVICES[name]["environment"]
        seconds = [int(environment[f"AUTHSERVER_SHUTDOWN_{part}_SECONDS"]) for part in ("DELAY", "GRACE")]
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > sum(seconds)


def test_no_secret_stands_in_the_file(tmp_path: Path) -> None:
    """Each secret is a file that make-secrets makes, and each mounted path is the name of a secret of that service."""
    made = make_secrets(tmp_path)
    assert {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()} <= made.keys()
    for name, service in SERVICES.items():
        mounted = set(re.findall(r"/run/secrets/(\w+)", str(service)))
        assert mounted <= set(service.get("secrets", ())), name
        secret = re.compile(r"PASSWORD|SECRET|TOKEN|DATABASE_URL|REDIS_URL")
        assert all(key.endswith("_FILE") for key in service.get("environment", ()) if secret.search(key)), name


def test_secrets_are_made_once_and_for_the_owner(tmp_path: Path) -> None:
    """A second run changes nothing; nobody else enters the directory; git does not see it."""
    first = make_secrets(tmp_path)
    assert make_secrets(tmp_path) == first
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert first[".gitignore"] == "*\n"
    assert all(len(first[name].strip()) == 64 for name in ("secret_key", "admin_token"))
    assert first["postgres_password"].strip() in first["database_url"]


def test_redis_never_forgets_and_asks_for_the_password(tmp_path: Path) -> None:
    """A real Redis, started by the very command of the file: noeviction, append-only, no access without password."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    password, port = "0123456789abcdef", free_port()
    (tmp_path / "redis_password").write_text(password + "\n")
    script = SERVICES["redis"]["command"][2].replace("$$", "$").replace("/run/secrets", str(tmp_path))
    script = script.replace("dir /data", f"dir {tmp_path}\nport {port}\nbind 127.0.0.1")
    with subprocess.Popen(["sh", "-euc", script], stdout=subprocess.DEVNULL) as process:
        try:
            assert redis_answer(port, password, "PING") == "PONG"
            assert "noeviction" in redis_answer(port, password, "CONFIG", "GET", "maxmemory-policy")
            assert "yes" in redis_answer(port, password, "CONFIG", "GET", "appendonly")
            assert "NOAUTH" in redis_answer(port, "", "PING")
            assert password not in Path(f"/proc/{process.pid}/cmdline").read_text()
        finally:
            process.terminate()
    assert process.returncode == 0


def make_secrets(directory: Path) -> dict[str, str]:
    """Run make-secrets, which has nothing to complain of; return each file that it made with its content."""
    done = subprocess.run([str(DEPLOY / "make-secrets"), str(directory)], check=True, capture_output=True)
    assert done.stderr == b""
    return {path.name: path.read_text(encoding="utf-8") for path in directory.iterdir()}


def redis_answer(port: int, password: str, *command: str) -> str:
    """Return what Redis answers; waits for it to listen."""
    environment = {"REDISCLI_AUTH": password} if password else {}
    deadline = time.monotonic() + 10
    while True:
        done = subprocess.run(
            [shutil.which("redis-cli") or "redis-cli", "-p", str(port), *command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if "refused" not in done.stdout + done.stderr or time.monotonic() > deadline:
            return done.stdout.strip()
        time.sleep(0.05)
