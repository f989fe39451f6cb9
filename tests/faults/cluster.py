"""An Apache Kafka that tests may kill: one or three brokers in KRaft mode on loopback, with SASL_SSL listeners."""

from __future__ import annotations

import secrets
import signal
import subprocess
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient

from gradwatch.streams.transport.apache import LOGGING, free_ports, is_listening, new_cluster_id

from ..waiting import wait_until

USER = "gradwatch"
START_TIMEOUT_S = 300.0  # on a machine that others keep busy

PROPERTIES = """
node.id={node}
process.roles=broker,controller
listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{tls_port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{tls_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters={quorum}
ssl.keystore.type=PEM
ssl.keystore.location={certificates}/broker.pem
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={jaas}
log.dirs={folder}/data
default.replication.factor={replicas}
min.insync.replicas={insync}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={insync}
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""
JAAS = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


class Node:
    """One broker: a process that may be killed and started again on its data."""

    def __init__(self, folder: Path, java: list[str], port: int, tls_port: int) -> None:
        self.folder, self.port, self.tls_port = folder, port, tls_port
        self._java = java
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def log(self) -> Path:
        return self.folder / "broker.log"

    def format(self, cluster_id: str, password: str) -> None:
        scram = f"SCRAM-SHA-512=[name={USER},password={password}]"
        arguments = ["format", "-t", cluster_id, "-c", str(self.properties), "--add-scram", scram]
        with self.log.open("ab") as log:
            subprocess.run([*self._java, "kafka.tools.StorageTool", *arguments], check=True, stdout=log, stderr=log)

    def launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._java, "kafka.Kafka", str(self.properties)], stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        def said() -> str:
            return f"a broker on port {self.port}, whose log ends: {self.log.read_text()[-2000:]}"

        def is_up() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, said()
            return is_listening(self.port)

        wait_until(is_up, said, START_TIMEOUT_S, 0.1)

    def stop_answering(self) -> None:
        """SIGSTOP: connections stay and nothing comes."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL: no controlled shutdown, no goodbye to clients."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Cluster:
    """Brokers by number from 1; `bootstrap_servers` in plain text, `secure_servers` over SASL_SSL."""

    def __init__(self, home: Path, folder: Path, count: int) -> None:
        self.certificates = folder / "certificates"
        self.password = secrets.token_urlsafe(12)
        make_certificates(self.certificates)
        ports = free_ports(3 * count)
        quorum = ",".join(f"{i + 1}@127.0.0.1:{ports[2 * count + i]}" for i in range(count))
        (folder / "log4j2.properties").write_text(LOGGING)
        java = ["java", "-Xmx384m", f"-Dlog4j2.configurationFile={folder}/log4j2.properties"]
        java += ["-cp", str(home / "libs" / "*")]
        cluster_id = new_cluster_id()
        self.nodes: dict[int, Node] = {}
        for i in range(count):
            node = Node(folder / str(i + 1), java, ports[i], ports[count + i])
            node.folder.mkdir()
            text = PROPERTIES.format(
                node=i + 1,
                port=node.port,
                tls_port=node.tls_port,
                controller=ports[2 * count + i],
                quorum=quorum,
                certificates=self.certificates,
                jaas=JAAS,
                folder=node.folder,
                replicas=count,
                insync=min(2, count),
            )
            node.properties.write_text(text)
            # "[=" would be read as the start of a list: an id begins with a letter
            node.format("A" + cluster_id[1:], self.password)
            self.nodes[i + 1] = node

    def start(self) -> None:
        for node in self.nodes.values():
            node.launch()
        for node in self.nodes.values():
            node.wait()

    def kill(self, number: int) -> None:
        self.nodes[number].kill()

    def restart(self, number: int) -> None:
        self.nodes[number].launch()
        self.nodes[number].wait()

    def close(self) -> None:
        for node in self.nodes.values():
            node.kill()

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes.values())

    @property
    def secure_servers(self) -> str:
        return ",".join(f"127.0.0.1:{node.tls_port}" for node in self.nodes.values())

    @property
    def secure_settings(self) -> dict[str, Any]:
        """What a client needs to be let in at `secure_servers`."""
        return {
            "security_protocol": "SASL_SSL",
            "ssl_cafile": str(self.certificates / "ca.pem"),
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": USER,
            "sasl_plain_password": self.password,
        }

    def leader(self, topic: str, partition: int = 0) -> int:
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        try:
            (described,) = admin.describe_topics([topic])
        finally:
            admin.close()
        return next(p["leader_id"] for p in described["partitions"] if p["partition_index"] == partition)


def make_certificates(folder: Path) -> None:
    """`ca.pem` signs the brokers' `broker.pem` (key and certificate); `stranger.pem` is a CA that signed nothing."""
    folder.mkdir(parents=True)
    for name in ("ca", "stranger"):
        openssl(folder, "req", "-x509", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
    openssl(folder, "req", "-keyout", "broker.key", "-out", "broker.csr", "-subj", "/CN=broker")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    signed_by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "2"]
    run(folder, "x509", "-req", "-in", "broker.csr", "-out", "broker.crt", *signed_by)
    (folder / "broker.pem").write_text((folder / "broker.key").read_text() + (folder / "broker.crt").read_text())


def openssl(folder: Path, *arguments: str) -> None:
    """An elliptic key: an RSA one takes a second on a busy machine."""
    run(folder, *arguments, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


def run(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
