"""The manifests: what the restricted profile, a rolling update and a network policy need, and that all names meet."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from authserver.cli.sidecar import PREFIX
from authserver.cli.sidecar import sidecar as sidecar_command
from authserver.endpoints.metadata import INTROSPECTION_PATH, JWKS_PATH
from authserver.resource_server import VerifierConfig
from tests.deploy.documents import KUBERNETES, KUSTOMIZATIONS, UID, Document, containers, document, manifest, pods
from tests.server import RunningServer

PODS = pods()
BASE = manifest("base/deployment")["spec"]


@pytest.mark.parametrize("name", PODS)
def test_a_pod_is_allowed_by_the_restricted_profile(name: str) -> None:
    """Non-root by number, seccomp, no capability; and beyond it a read-only root, no token, a memory limit."""
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == UID
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert all(set(volume) - {"name"} <= {"secret", "emptyDir", "configMap"} for volume in pod["volumes"])
    for container in containers(pod):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", PODS)
def test_a_service_named_authserver_breaks_no_pod(name: str) -> None:
    """Service links would set AUTHSERVER_PORT to tcp://…, which is no port, and keep every instance from starting."""
    assert PODS[name]["enableServiceLinks"] is False


@pytest.mark.parametrize("name", PODS)
def test_an_image_is_pinned(name: str) -> None:
    """A version stands in each tag."""
    for container in containers(PODS[name]):
        tag = container["image"].rpartition(":")[2]
        assert tag.count(".") == 2, container["image"]


def test_the_probes_ask_pages_that_exist(server: RunningServer) -> None:
    """Each probe's page answers 200; liveness never depends on the database, readiness says what does."""
    probes = [
        (kind, probe) for pod in PODS.values() for c in containers(pod) for kind, probe in c.items() if "Probe" in kind
    ]
    pages = {(kind, page_of(probe)) for kind, probe in probes}
    assert ("livenessProbe", "/health/live") in pages
    assert ("readinessProbe", "/health/ready") in pages
    assert ("livenessProbe", "/health/ready") not in pages
    assert {server.get(page).status for _, page in pages} == {200}


def test_a_rolling_update_loses_no_request() -> None:
    """Never fewer instances than wanted, and the kubelet kills later than the server's delay and grace together."""
    assert BASE["replicas"] >= 2
    assert BASE["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    settings = literals(KUBERNETES / "base")
    delay, grace = (int(settings[f"AUTHSERVER_SHUTDOWN_{part}_SECONDS"]) for part in ("DELAY", "GRACE"))
    pod = BASE["template"]["spec"]
    assert delay + grace < pod["terminationGracePeriodSeconds"]
    readiness = pod["containers"][0]["readinessProbe"]
    assert delay > readiness["periodSeconds"] * readiness["failureThreshold"]
    assert "lifecycle" not in pod["containers"][0]


@pytest.mark.parametrize(
    ("name", "selects_migration"),
    [("network-policy", True), ("service", False), ("pod-disruption-budget", False), ("deployment", False)],
)
def test_selectors_select_what_they_mean(name: str, *, selects_migration: bool) -> None:
    """The policy covers instances and migration; traffic, budget and replicas count the instances alone."""
    spec = manifest(f"base/{name}")["spec"]
    selector = spec.get("podSelector") or spec["selector"]
    wanted = selector.get("matchLabels", selector)
    assert wanted.items() <= BASE["template"]["metadata"]["labels"].items()
    migration = manifest("base/migration-job")["spec"]["template"]["metadata"]["labels"]
    assert (wanted.items() <= migration.items()) is selects_migration


def test_the_network_policy_lets_in_the_one_port_and_out_what_is_needed() -> None:
    """In: the container's port. Out: names, PostgreSQL, Redis; nothing without a port."""
    spec = manifest("base/network-policy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert [port["port"] for rule in spec["ingress"] for port in rule["ports"]] == [
        port["containerPort"] for port in BASE["template"]["spec"]["containers"][0]["ports"]
    ]
    assert {port["port"] for rule in spec["egress"] for port in rule["ports"]} == {53, 5432, 6379, 26379}


def test_the_migration_migrates_and_knows_the_database_alone() -> None:
    """`authserver migrate up`, with one secret mounted, and gone by itself when done: a Job cannot be changed."""
    job = manifest("base/migration-job")["spec"]
    assert job["template"]["spec"]["containers"][0]["args"] == ["migrate", "up"]
    assert [item["key"] for item in job["template"]["spec"]["volumes"][0]["secret"]["items"]] == ["database-url"]
    assert job["ttlSecondsAfterFinished"] > 0


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: path.parent.name)
def test_a_kustomization_names_every_file_beside_it(path: Path) -> None:
    """No manifest is forgotten, none is missing."""
    listed = {name for name in document(path)["resources"] if not name.startswith("..")}
    assert listed == {file.name for file in path.parent.glob("*.yaml")} - {path.name}


def test_the_files_that_settings_name_are_mounted() -> None:
    """Each *_FILE of the ConfigMap lies below the mounted Secret, under a key that the example makes."""
    made = {line.partition("=")[0] for line in manifest("production/kustomization")["secretGenerator"][0]["files"]}
    files = [Path(value) for key, value in literals(KUBERNETES / "base").items() if key.endswith("_FILE")]
    assert {str(file.parent) for file in files} == {"/run/secrets/authserver"}
    assert {file.name for file in files} <= made


def test_the_sidecar_serves_its_own_pod_only() -> None:
    """It listens on the loopback, so that probes run inside; the service beside it sees no secret and finds it."""
    pod = PODS["sidecar/deployment.yaml"]
    sidecar, service = pod["initContainers"][0], pod["containers"][0]
    settings = literals(KUBERNETES / "sidecar")
    assert (sidecar["restartPolicy"], sidecar["args"]) == ("Always", ["sidecar"])
    listen = settings["AUTHSERVER_SIDECAR_LISTEN"]
    assert listen == f"127.0.0.1:{settings['AUTHSERVER_PORT']}"
    assert all("exec" in probe for kind, probe in sidecar.items() if "Probe" in kind)
    assert sidecar["resources"]["limits"]["memory"] == "64Mi"
    assert "volumeMounts" not in service
    urls = {variable["value"] for variable in service["env"]}
    assert urls == {f"http://{listen}{path}" for path in (INTROSPECTION_PATH, JWKS_PATH)}


def test_the_sidecar_finds_what_it_is_told() -> None:
    """Its settings are options of the command; its files are mounted; the configuration is one; no key that signs."""
    pod = PODS["sidecar/deployment.yaml"]
    settings = literals(KUBERNETES / "sidecar")
    options = {f"{PREFIX}_{option.name}".upper() for option in sidecar_command.params}
    assert settings.keys() <= options | {"AUTHSERVER_PORT"}
    mounted = {mount["name"]: mount["mountPath"] for mount in pod["initContainers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert settings["AUTHSERVER_SIDECAR_CONFIG"] == f"{mounted['verifier']}/verifier.json"
    (key,) = volumes["client-secret"]["secret"]["items"]
    assert settings["AUTHSERVER_SIDECAR_CLIENT_SECRET_FILE"] == f"{mounted['client-secret']}/{key['path']}"
    assert VerifierConfig.read(KUBERNETES / "sidecar" / "verifier.json").secrets == {}


@pytest.mark.parametrize("name", ["production", "sidecar"])
def test_kustomize_renders_it(name: str, tmp_path: Path) -> None:
    """The references between the files hold: image, ConfigMap and Secret are those that were generated."""
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed: the manifests were checked one by one")
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    secrets = tmp_path / "kubernetes" / "production" / "secrets"
    secrets.mkdir()
    for key in ("secret-key", "admin-token", "database-url", "redis-url"):
        (secrets / key).write_text("secret")
    done = subprocess.run(
        ["kubectl", "kustomize", str(tmp_path / "kubernetes" / name)], capture_output=True, text=True, check=True
    )
    rendered = list(yaml.safe_load_all(done.stdout))
    maps = {item["metadata"]["name"] for item in rendered if item["kind"] == "ConfigMap"}
    used = {
        source["configMapRef"]["name"]
        for item in rendered
        if item["kind"] == "Deployment"
        for c in containers(item["spec"]["template"]["spec"])
        for source in c.get("envFrom", ())
    }
    mounted = {
        volume["configMap"]["name"]
        for item in rendered
        if item["kind"] == "Deployment"
        for volume in item["spec"]["template"]["spec"]["volumes"]
        if "configMap" in volume
    }
    assert used | mounted == maps


def literals(directory: Path) -> dict[str, str]:
    """Return the settings of a kustomization's ConfigMap."""
    generators = document(directory / "kustomization.yaml")["configMapGenerator"]
    return dict(line.split("=", 1) for generator in generators for line in generator.get("literals", ()))


def page_of(probe: Document) -> str:
    """Return the page that a probe asks for, by HTTP or by the health check of the image."""
    if "httpGet" in probe:
        return str(probe["httpGet"]["path"])
    command = probe["exec"]["command"]
    assert command[0] == "healthcheck"
    return str(command[1])
