"""Kafka, Loki and an OpenTelemetry collector in pods: real servers for a router's targets.

Their images are those that KAFKA_IMAGE, LOKI_IMAGE and OTELCOL_IMAGE name in the Docker engine (``apache/kafka``,
``grafana/loki``, ``otel/opentelemetry-collector``). Where one is not named it is made of a program on PATH (``loki``,
``otelcol``: static ones), or of the jars in the folder KAFKA_LIBS and a Java runtime that ``jlink`` makes.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import yaml

from harness.api import Object
from harness.clusters import Cluster
from harness.kubectl import Kubectl
from harness.shell import run, until

_BASE: Final = "python:3.11-slim"
_PROGRAMS: Final = {"loki": "LOKI_IMAGE", "otelcol": "OTELCOL_IMAGE"}
_JRE: Final = (
    "java.base,java.desktop,java.management,java.naming,java.security.jgss,java.security.sasl,java.sql,jdk.unsupported"
)
_USER: Final = 65532
_CONFIG: Final = "/etc/server"
_DATA: Final = "/tmp"

KAFKA_PORT, LOKI_PORT, OTLP_PORT = 9092, 3100, 4318


def missing() -> str | None:
    """Say what keeps the servers from being run."""
    for program, variable in _PROGRAMS.items():
        if not os.environ.get(variable) and shutil.which(program) is None:
            return f"{variable} names no image, and {program} is not on PATH"
    if not os.environ.get("KAFKA_IMAGE") and not (os.environ.get("KAFKA_LIBS") and shutil.which("jlink")):
        return "KAFKA_IMAGE names no image, and there is no folder of jars in KAFKA_LIBS, or no jlink on PATH"
    return None


def load(cluster: Cluster) -> dict[str, str]:
    """Bring the images to the cluster's nodes; returns them by server."""
    images = {name: os.environ.get(variable) or _of_program(name) for name, variable in _PROGRAMS.items()}
    images["kafka"] = os.environ.get("KAFKA_IMAGE") or _of_jars(Path(os.environ["KAFKA_LIBS"]))
    cluster.load(*images.values())
    return images


def build(name: str, lines: str, *content: Path) -> str:
    """Build an image of files and folders, and the lines of its Dockerfile that take them; returns its name."""
    image = f"rutta-e2e/{name}:built"
    with tempfile.TemporaryDirectory() as folder:
        for one in content:
            (shutil.copytree if one.is_dir() else shutil.copy2)(one, Path(folder) / one.name)  # type: ignore[operator]
        (Path(folder) / "Dockerfile").write_text(f"FROM {_BASE}\n{lines}", encoding="utf-8")
        run("docker", "build", "-q", "-t", image, folder, timeout=600)
    return image


def _of_program(name: str) -> str:
    program = Path(str(shutil.which(name))).resolve()
    return build(name, f'COPY {program.name} /usr/bin/{name}\nENTRYPOINT ["/usr/bin/{name}"]\n', program)


def _of_jars(folder: Path) -> str:
    with tempfile.TemporaryDirectory() as made:
        runtime = Path(made) / "jre"
        run("jlink", "--add-modules", _JRE, "--strip-debug", "--no-man-pages", "--output", str(runtime), timeout=300)
        lines = f"COPY jre /opt/java\nCOPY {folder.name} /opt/kafka/libs\nENV PATH=/opt/java/bin:$PATH\n"
        return build("kafka", lines, runtime, folder)


class Server:
    """A pod and a Service of one name, with a config file from a ConfigMap."""

    def __init__(self, kubectl: Kubectl, name: str, port: int, files: dict[str, str], container: Object) -> None:
        """Make them; returns when the port is open."""
        self.kubectl, self.name, self.port = kubectl, name, port
        meta = {"name": name, "labels": {"app": name}}
        kubectl.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": files},
            {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": _pod(name, port, container)},
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name},
                "spec": {"selector": {"app": name}, "ports": [{"port": port}], "publishNotReadyAddresses": True},
            },
        )
        until(self._is_ready, 120, f"{name} listens")

    @property
    def host(self) -> str:
        """Where it is, from any namespace."""
        return f"{self.name}.{self.kubectl.namespace}.svc"

    def _is_ready(self) -> bool:
        status = self.kubectl.get("Pod", self.name).get("status", {})
        ready = {one["type"]: one["status"] for one in status.get("conditions", [])}.get("Ready")
        assert ready == "True", status
        return True


def _pod(name: str, port: int, container: Object) -> Object:
    safe = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    mounts = [{"name": "config", "mountPath": _CONFIG}, {"name": "data", "mountPath": _DATA}]
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": name,
                "imagePullPolicy": "IfNotPresent",
                "ports": [{"containerPort": port}],
                "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
                "securityContext": safe,
                "volumeMounts": mounts,
                **container,
            }
        ],
        "volumes": [{"name": "config", "configMap": {"name": name}}, {"name": "data", "emptyDir": {}}],
    }


def kafka(kubectl: Kubectl, image: str) -> Server:
    """Start one broker, which is its own controller (KRaft)."""
    place = f"kafka.{kubectl.namespace}.svc:{KAFKA_PORT}"
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": "1@127.0.0.1:9093",
        "listeners": f"PLAINTEXT://0.0.0.0:{KAFKA_PORT},CONTROLLER://127.0.0.1:9093",
        "advertised.listeners": f"PLAINTEXT://{place}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": f"{_DATA}/kafka",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
    }
    text = "".join(f"{key}={value}\n" for key, value in properties.items())
    java = "java -Xmx384m -cp '/opt/kafka/libs/*'"
    steps = (
        f"{java} kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qk -c {_CONFIG}/server.properties"
        f" && exec {java} kafka.Kafka {_CONFIG}/server.properties"
    )
    return Server(
        kubectl, "kafka", KAFKA_PORT, {"server.properties": text}, {"image": image, "command": ["sh", "-c", steps]}
    )


class Loki(Server):
    """Loki, all in one process, on the pod's disk."""

    def __init__(self, kubectl: Kubectl, image: str) -> None:
        """Start it; returns when it listens."""
        config = {
            "auth_enabled": False,
            "server": {"http_listen_port": LOKI_PORT, "log_level": "warn"},
            "common": {
                "path_prefix": f"{_DATA}/loki",
                "replication_factor": 1,
                "ring": {"kvstore": {"store": "inmemory"}, "instance_addr": "127.0.0.1"},
                "storage": {"filesystem": {"chunks_directory": f"{_DATA}/chunks", "rules_directory": f"{_DATA}/rules"}},
            },
            "schema_config": {
                "configs": [
                    {
                        "from": "2024-01-01",
                        "store": "tsdb",
                        "object_store": "filesystem",
                        "schema": "v13",
                        "index": {"prefix": "index_", "period": "24h"},
                    }
                ]
            },
            "limits_config": {"max_entries_limit_per_query": 0},
        }
        words = [f"-config.file={_CONFIG}/loki.yaml"]
        files = {"loki.yaml": yaml.safe_dump(config)}
        super().__init__(kubectl, "loki", LOKI_PORT, files, {"image": image, "args": words})

    def lines(self, query: str, most: int) -> list[str]:
        """Return the lines of the last hour that a query finds."""
        asked = urlencode({"query": query, "limit": most, "since": "1h"})
        found = json.loads(self.kubectl.page(self.name, f"loki/api/v1/query_range?{asked}", LOKI_PORT))
        return [line for stream in found["data"]["result"] for _, line, *_ in stream["values"]]


def collector(kubectl: Kubectl, image: str) -> Server:
    """Start a collector that takes OTLP by HTTP and prints all that comes."""
    config = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"0.0.0.0:{OTLP_PORT}"}}}},
        "exporters": {"debug": {"verbosity": "detailed", "sampling_initial": 1_000_000}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {
                signal: {"receivers": ["otlp"], "exporters": ["debug"]} for signal in ("logs", "metrics", "traces")
            },
        },
    }
    words = [f"--config={_CONFIG}/config.yaml"]
    files = {"config.yaml": yaml.safe_dump(config)}
    return Server(kubectl, "collector", OTLP_PORT, files, {"image": image, "args": words})
