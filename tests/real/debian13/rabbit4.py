"""RabbitMQ 4, which speaks AMQP 1.0 by itself, from a root of Debian 13 that is made once and kept in build/."""

import os
import subprocess
from pathlib import Path

from tests.alerts.receivers import HOST, RabbitAmqp10

ROOT = Path(__file__).parents[3] / "build" / "debian13"
INSIDE = "/srv"
ENTER = """
mount --bind "$2" "$1/srv" && mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
exec chroot "$1" /usr/lib/rabbitmq/bin/rabbitmq-server
"""


def root() -> Path:
    """With the package in it. Nothing of it is started."""
    if not ROOT.exists():
        assert os.geteuid() == 0, "this needs root"
        ROOT.parent.mkdir(exist_ok=True)
        fresh = ROOT.with_suffix(".new")
        subprocess.run(["rm", "-rf", str(fresh)], check=True)
        options = ["--quiet", "--variant=minbase", "--include=rabbitmq-server", "--aptopt=Acquire::Retries 3"]
        subprocess.run(["mmdebstrap", *options, "trixie", str(fresh)], check=True)
        fresh.rename(ROOT)
    return ROOT


class Rabbit4(RabbitAmqp10):
    """In mounts of its own; its files are in the test's directory."""

    def argv(self):
        (self.directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = {HOST}:{self.port}\nloopback_users = none\nvm_memory_high_watermark.absolute = 1GB\n"
        )
        (self.directory / "plugins").write_text("[].\n")
        return ["unshare", "--mount", "sh", "-c", ENTER, "sh", str(root()), str(self.directory)]

    def env(self):
        return {key: value.replace(str(self.directory), INSIDE) for key, value in super().env().items()}

    def spec(self, **more):
        return super().spec(**{"target": "/queues/amqp", **more})
