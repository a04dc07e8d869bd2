"""The Compose files and the manifests: by their schemas, and run with the options that stand in them.

Docker and Kubernetes are not at hand: the kernel runs what they say, with a sandbox for the provider.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from house.containers import Image, Mount, Network, Options, first_process, volume
from house.deployed import (
    COMPOSE,
    KUBERNETES,
    Provider,
    balancer,
    composed_mounts,
    database,
    documents,
    give_to_group,
    kubelet_volume,
    pod_mounts,
    provider,
    send,
    status,
    with_client,
    written,
)
from house.machine import VERSION
from house.tree import ROOT
from postbearer.daemon.relay import DRAIN
from relay.running import eventually

OUR_IMAGE = f"postbearer:{VERSION}"
MANIFESTS = sorted(KUBERNETES.glob("*.yaml"))
COMPOSED = sorted(COMPOSE.glob("*.yaml"))
HEALTH = ["/usr/bin/postbearer", "status", "--relay-only"]
GATEWAY, RELAY, DATABASE = "172.30.25.1", "172.30.25.2", "172.30.25.20"


def seconds(text: str) -> float:
    """A duration of Compose's."""
    return sum(
        float(number) * {"s": 1, "m": 60, "h": 3600}[unit] for number, unit in re.findall(r"(\d+)(\w)", text)
    )


def of_kind(path: Path, *kinds: str) -> dict[str, Any]:
    [found] = [each for each in documents(path) if each["kind"] in kinds]
    return found


def pod_of(path: Path) -> dict[str, Any]:
    spec: dict[str, Any] = of_kind(path, "StatefulSet", "Deployment")["spec"]["template"]["spec"]
    return spec


def relays(path: Path) -> list[dict[str, Any]]:
    return [
        each for each in yaml.safe_load(path.read_text())["services"].values() if each["image"] == OUR_IMAGE
    ]


@pytest.mark.parametrize("path", COMPOSED, ids=lambda path: path.name)
def test_compose_files_keep_to_the_specification(path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", ["1.30", "1.37"])
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_keep_to_their_schemas(path: Path, version: str) -> None:
    for each in documents(path):
        kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("path", COMPOSED, ids=lambda path: path.name)
def test_a_composed_relay_can_nothing_that_it_need_not(path: Path) -> None:
    whole = yaml.safe_load(path.read_text())
    for service in whole["services"].values():
        assert all(each.startswith("127.0.0.1:") for each in service.get("ports", ()))
        assert service["logging"]["options"]["max-size"]
        assert "PASSWORD" not in {key for key in service.get("environment", {}) if not key.endswith("_FILE")}
    assert len(relays(path)) >= 1
    for relay in relays(path):
        assert relay["read_only"] is True
        assert relay["cap_drop"] == ["ALL"]
        assert relay["security_opt"] == ["no-new-privileges:true"]
        assert seconds(relay["stop_grace_period"]) >= DRAIN


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_pod_can_nothing_that_it_need_not(path: Path) -> None:
    pod = pod_of(path)
    [container] = pod["containers"]
    wait = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert pod["terminationGracePeriodSeconds"] >= DRAIN + wait
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert "runAsUser" not in pod["securityContext"]  # whoever the image, or the cluster, says
    assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
    assert container["image"] == OUR_IMAGE
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {each["name"] for each in container["volumeMounts"]} <= {
        *(each["name"] for each in pod["volumes"]),
        *(each["metadata"]["name"] for each in volume_claims(path)),
    }


def volume_claims(path: Path) -> list[dict[str, Any]]:
    claims: list[dict[str, Any]] = of_kind(path, "StatefulSet", "Deployment")["spec"].get(
        "volumeClaimTemplates", []
    )
    return claims


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_what_a_manifest_names_is_there(path: Path) -> None:
    """Labels, ports and probes name the pod, its ports, and what our relay answers."""
    workload = of_kind(path, "StatefulSet", "Deployment")["spec"]
    labels = workload["template"]["metadata"]["labels"]
    [container] = workload["template"]["spec"]["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    selectors = [workload["selector"]["matchLabels"], of_kind(path, "Service")["spec"]["selector"]]
    policy = of_kind(path, "NetworkPolicy")["spec"]
    selectors.append(policy["podSelector"]["matchLabels"])
    if "replicas" in workload and workload["replicas"] > 1:
        selectors.append(of_kind(path, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"])
    assert all(each.items() <= labels.items() for each in selectors)
    assert {each["targetPort"] for each in of_kind(path, "Service")["spec"]["ports"]} <= ports.keys()
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == ports.keys()
    assert container["readinessProbe"]["httpGet"]["port"] in ports
    assert container["livenessProbe"]["exec"] == container["startupProbe"]["exec"] == {"command": HEALTH}


def reached(image: Image, options: Options, bridge: int, health: list[str]) -> None:
    """The ports of the image are answered from elsewhere, and the health command says so from within."""
    code, said = image.run(replace(options, command=tuple(health)))
    assert code == 0, said
    assert status(bridge, f"https://{RELAY}:2580/console/login") == 200
    for path in ("/healthz", "/readyz", "/metrics"):
        assert status(bridge, f"http://{RELAY}:2581{path}") == 200


@pytest.mark.servers
def test_the_composed_relay_sends(image: Image, shared: Path) -> None:
    whole = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    service = whole["services"]["relay"]
    assert service["healthcheck"]["test"] == image.config["config"]["Healthcheck"]["Test"] == ["CMD", *HEALTH]
    user = image.config["config"]["User"]
    with Network(GATEWAY) as network:
        pod = network.join(RELAY)
        with provider(pod, shared) as sandbox:
            queue = with_authority(volume(shared, "queue", user), sandbox, user)
            sources = {
                "queue": queue,
                "postbearer": written(
                    shared / "own.toml", sandbox.configured((COMPOSE / "postbearer.toml").read_text())
                ),
                "alerts": written(shared / "alerts", sandbox.told["client_secret"], user),
            }
            options = Options(
                service.get("user", user), mounts=composed_mounts(service, whole, sources), network=pod
            )
            # A secret of somebody else's is named, and what was taken waits for it.
            os.chown(sources["alerts"], 7, 7)
            with image.running(options, shared / "log"):
                send(network.bridge, RELAY, 2525, queue / "self-signed.pem")
                unread = "/run/secrets/alerts cannot be read: Permission denied"
                eventually(lambda: unread in (shared / "log").read_text())
            written(sources["alerts"], sandbox.told["client_secret"], user)
            with image.running(options, shared / "log") as process:
                reached(image, options, network.bridge, service["healthcheck"]["test"][1:])
                for each in service["ports"]:
                    assert f"{each.rpartition(':')[2]}/tcp" in image.config["config"]["ExposedPorts"]
                resumed = ("accounts", "resume", "alerts")
                assert image.run(replace(options, arguments=resumed))[0] == 0
                eventually(lambda: len(sandbox.arrived()) == 1)
                os.kill(first_process(process), signal.SIGTERM)
                assert process.wait(60) == 0


def with_authority(folder: Path, sandbox: Provider, user: str) -> Path:
    """A volume on which lies what the sandbox is known by."""
    written(folder / "ca.pem", sandbox.authority, user)
    return folder


@pytest.mark.servers
@pytest.mark.parametrize("somebody", [False, True], ids=["as the image says", "as OpenShift does"])
def test_the_pod_with_a_volume_sends(image: Image, shared: Path, somebody: bool) -> None:
    """With the volumes as the kubelet makes them: links, foreign owners, and a group that nobody knows."""
    path = KUBERNETES / "sqlite.yaml"
    pod = pod_of(path)
    [container] = pod["containers"]
    user = f"{random.randrange(20_000, 2_000_000)}:0" if somebody else image.config["config"]["User"]
    group = random.randrange(20_000, 2_000_000) if somebody else pod["securityContext"]["fsGroup"]
    with Network(GATEWAY) as network:
        joined = network.join(RELAY)
        with provider(joined, shared) as sandbox:
            queue = volume(shared, "queue", "0:0")
            give_to_group(queue, group)
            with_authority(queue, sandbox, user)
            shown = of_kind(path, "ConfigMap")["data"]
            files = {name: sandbox.configured(text) for name, text in shown.items()}
            chain, key = certificate(shared)
            sources = {
                "queue": queue,
                "configuration": kubelet_volume(shared / "configuration", files, group, 0o644),
                "secrets": kubelet_volume(
                    shared / "secrets", {"alerts": sandbox.told["client_secret"]}, group, 0o440
                ),
                "certificate": kubelet_volume(
                    shared / "tls", {"tls.crt": chain.read_text(), "tls.key": key.read_text()}, group, 0o440
                ),
            }
            options = Options(
                user,
                groups=(group,),
                mounts=pod_mounts(pod, sources),
                arguments=tuple(container["args"]),
                network=joined,
            )
            for number in range(1, 3):
                with image.running(options, shared / "log") as process:
                    reached(image, options, network.bridge, container["livenessProbe"]["exec"]["command"])
                    send(network.bridge, RELAY, 2525, chain)
                    eventually(lambda count=number: len(sandbox.arrived()) == count)
                    os.kill(first_process(process), signal.SIGTERM)
                    assert process.wait(60) == 0
                give_to_group(queue, group)  # as it is where the policy is Always


@pytest.mark.servers
def test_the_composed_cluster_takes_mail_while_a_relay_stops(image: Image, shared: Path) -> None:
    """What one took behind the balancer the other has, with the client's own address."""
    whole = yaml.safe_load((COMPOSE / "cluster.yaml").read_text())
    services = whole["services"]
    user = image.config["config"]["User"]
    addresses = {
        name: each["networks"]["mail"]["ipv4_address"]
        for name, each in services.items()
        if isinstance(each["networks"], dict)
    }
    chain, key = certificate(shared)
    secrets = {
        "alerts": "wrong",
        "database": os.urandom(24).hex(),
        "key": base64.b64encode(os.urandom(32)).decode(),
        "relay.pem": chain.read_text() + key.read_text(),
    }
    assert secrets.keys() == whole["secrets"].keys()
    sources = {name: written(shared / name, text, user) for name, text in secrets.items()}
    sources["relay"] = written(shared / "cluster.toml", with_client((COMPOSE / "cluster.toml").read_text()))
    with Network(GATEWAY) as network, contextlib.ExitStack() as stack:
        # The names of a Compose network: here the database's, which has no address of its own in the file.
        joined = {name: network.join(address) for name, address in addresses.items()}
        stack.enter_context(database(network.join(DATABASE), shared / "postgresql", sources["database"]))
        hosts = written(shared / "hosts", f"127.0.0.1 localhost\n{DATABASE} database\n")
        started = {}
        for name in ("relay-1", "relay-2"):
            service = services[name]
            [state] = [each.split(":")[0] for each in service["volumes"]]
            sources[state] = volume(shared, state, user)
            options = Options(
                user,
                mounts=(*composed_mounts(service, whole, sources), Mount.bound(hosts, "/etc/hosts")),
                network=joined[name],
                hostname=service["hostname"],
            )
            log = shared / f"{name}.log"
            started[name] = options, stack.enter_context(image.running(options, log))
        stack.enter_context(balancer(joined["balancer"], COMPOSE / "haproxy.cfg", shared))
        by_relays = {status(network.bridge, f"http://{addresses[name]}:2581/readyz") for name in started}
        assert by_relays == {200}
        assert status(network.bridge, f"https://{addresses['balancer']}:2580/console/login") == 200
        for _ in range(2):
            send(network.bridge, addresses["balancer"], 2525, chain)
        _, process = started["relay-1"]
        os.kill(first_process(process), signal.SIGTERM)
        assert process.wait(60) == 0
        eventually(lambda: sent(network.bridge, addresses["balancer"], chain))
        second, _ = started["relay-2"]
        code, said = image.run(replace(second, arguments=("queue", "list", "--all", "--json")))
        assert code == 0, said
        assert [each["client"] for each in json.loads(said)["messages"]] == ["shop"] * 3


def sent(network: int, host: str, authority: Path) -> bool:
    """Whether the balancer has somebody who takes it."""
    try:
        send(network, host, 2525, authority)
    except AssertionError:
        return False
    return True


def certificate(folder: Path) -> tuple[Path, Path]:
    chain, key = folder / "tls.crt", folder / "tls.key"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=postbearer"
    command = [
        "openssl",
        *words.split(),
        "-addext",
        "subjectAltName=DNS:postbearer",
        "-keyout",
        key,
        "-out",
        chain,
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return chain, key


def test_the_files_are_in_every_package() -> None:
    shared = (ROOT / "pyproject.toml").read_text()
    for folder in (COMPOSE, KUBERNETES):
        assert f'"packaging/{folder.name}" = "share/postbearer/{folder.name}"' in shared
