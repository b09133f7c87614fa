"""ActiveMQ Classic 5.16 and later, with its KahaDB on shared storage.

Guarantees: a persistent message that was acknowledged to its producer (a synchronous JMS send, a STOMP receipt) is in
KahaDB's journal, synced to the disk: `journalDiskSyncStrategy="always"`, which no option can change.

Does not guarantee: anything for messages that are not persistent (the default of STOMP clients), and for asynchronous
sends, which nobody acknowledges.

ActiveMQ locks its directory, but by default looks at that lock only once, at its start. Here it looks again every
`lock_check_ms` and ends when the lock is not its own any more: a second line behind the member's lease, epoch and lock.
By default it would then start again by itself (`restartAllowed`); here that is for the member to decide.
A lock that a dead machine holds still, as NFS keeps it for its lease, is waited for, twice a second.

All protocols share one port: OpenWire and STOMP clients (and MQTT and AMQP ones, where the installation has what that
needs; Debian's has not) are told apart by what they say first. There is no web console and no JMX, so no password that
everybody knows.

Options
    user, password_file  name that clients must log in with, and the file on each data member, mode 0600, with its
                         password in the first line; without them anyone who reaches the port may connect
    heap_mb              Java heap in MiB; default 512
    lock_check_ms        how often it looks whether its lock is still its own; default 5000
    connectors           further ports, by name, such as {"tls" = "ssl://10.0.0.5:61617"}
    java_options         default ["-XX:TieredStopAtLevel=1"]: half the processor time at a start, against less speed of
                         a broker that is busy with its processor rather than its disk
    java                 the program; default "java"
    installation         default /usr/share/activemq
"""

import asyncio
import re
import zipfile
from pathlib import Path
from typing import Annotated
from xml.sax.saxutils import quoteattr

from msgspec import Meta, Struct

from standfast.errors import KeyFileError, MachineError
from standfast.managers import stomp
from standfast.managers.asking import ask
from standfast.managers.credentials import Credentials, pairing_problems, read_credentials
from standfast.managers.options import option_problems, read_options
from standfast.managers.programs import if_writable
from standfast.managers.tended import require_program
from standfast.ports import Durability, Launch, NotReady, Place, Remark

CONFIG = "activemq.xml"
_DATA = "activemq"
_LOCK_EVERY_MS = 500
_OLDEST_JAVA = 11
_MANIFEST = "META-INF/MANIFEST.MF"
_READ_BYTES = 65_536
_ALWAYS = "Standfast promises that an acknowledged message survives, so KahaDB always syncs before it acknowledges."
_REFUSED = {
    "journalDiskSyncStrategy": _ALWAYS,
    "enableJournalDiskSyncs": _ALWAYS,
    "sync": _ALWAYS,
    "persistent": "without it a move would lose every message.",
    "lockKeepAlivePeriod": "set lock_check_ms.",
}
_OPENED = (
    "java.base/java.security",
    "java.base/java.net",
    "java.base/java.lang",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.naming/javax.naming.spi",
    "java.rmi/sun.rmi.transport.tcp",
)
"""What its own start script opens for Java 9 and later."""
_LOG4J = """\
log4j.rootLogger=WARN, out
log4j.logger.org.apache.activemq.broker=INFO
log4j.logger.org.apache.activemq.store.SharedFileLocker=INFO
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %-5p %c{1}: %m%n
"""
"""Debian's package logs by log4j 1, Apache's by log4j 2."""
_LOG4J2 = """\
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=Out
logger.broker.name=org.apache.activemq.broker
logger.broker.level=INFO
logger.locker.name=org.apache.activemq.store.SharedFileLocker
logger.locker.level=INFO
appender.out.type=Console
appender.out.name=Out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %-5p %c{1}: %m%n
"""


class ActiveMqOptions(Struct, frozen=True, kw_only=True):
    """What the cluster file may set; see the module's docstring."""

    user: str = ""
    password_file: str = ""
    heap_mb: Annotated[int, Meta(ge=64)] = 512
    lock_check_ms: Annotated[int, Meta(ge=100)] = 5000
    connectors: dict[Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$")], str] = {}
    java_options: tuple[str, ...] = ("-XX:TieredStopAtLevel=1",)
    java: str = "java"
    installation: str = "/usr/share/activemq"


class ActiveMq:
    """Driver for ActiveMQ Classic; see the module's docstring."""

    kind = "activemq"
    durability = Durability.SYNCED
    durability_note = (
        'ActiveMQ syncs a persistent message to the disk before it acknowledges it (journalDiskSyncStrategy="always"); '
        "messages that are not persistent, which is the default of STOMP clients, are lost with the process."
    )
    option_names = frozenset(ActiveMqOptions.__struct_fields__)
    programs: tuple[str, ...] = ()

    def problems(self, place: Place) -> list[str]:
        """What is wrong with the options, a sentence each."""
        found = option_problems(place.options, ActiveMqOptions, _REFUSED)
        if not found:
            options = read_options(place.options, ActiveMqOptions)
            found += pairing_problems(options.user, options.password_file)
        return found

    def launch(self, place: Place) -> Launch:
        """The broker with a generated configuration; raises MachineError without it, KeyFileError for a bad password.

        Java is executed itself, not ActiveMQ's script, which would become another user and stay in between. SIGTERM is
        its graceful stop. On a directory that it can not write to ActiveMQ would wait for its lock for ever: a test in
        front of it refuses the start instead.
        """
        options, run_dir = read_options(place.options, ActiveMqOptions), place.run_dir
        given = {
            "java.awt.headless": "true",
            "java.io.tmpdir": str(run_dir),
            "log4j.configuration": f"file:{run_dir / 'log4j.properties'}",
            "log4j2.configurationFile": f"file:{run_dir / 'log4j2.properties'}",
            "activemq.home": options.installation,
            "activemq.base": str(run_dir),
            "activemq.conf": str(run_dir),
            "activemq.data": str(place.data_dir / _DATA),
        }
        return Launch(
            argv=if_writable(
                place.data_dir / _DATA,
                require_program(options.java, "java"),
                f"-Xmx{options.heap_mb}m",
                *options.java_options,
                *(f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED),
                *(f"-D{name}={value}" for name, value in given.items()),
                "-jar",
                str(_jar(options)),
                "start",
                f"xbean:file:{run_dir / CONFIG}",
            ),
            files={CONFIG: _config(place), "log4j.properties": _LOG4J, "log4j2.properties": _LOG4J2},
            also_writes=(_DATA,),
        )

    async def ready(self, place: Place, timeout_s: float) -> None:
        """Return when it lets the member in by STOMP; raises NotReady. It opens its port once its store is recovered.

        STOMP does not tell a broker's name: that it is this one follows from the port, on which only one can listen.
        """
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(place.address, place.port)
                try:
                    writer.write(stomp.connect_frame(place.name, _credentials(place)))
                    answer = await _one_frame(reader)
                finally:
                    writer.transport.abort()
        except TimeoutError:
            raise NotReady(f"no answer on {place.address}:{place.port} within {timeout_s:g} s") from None
        except (OSError, EOFError, stomp.ProtocolError) as error:
            raise NotReady(f"{place.address}:{place.port}: {error}") from error
        if answer.command != "CONNECTED":
            raise NotReady(f"the broker refused the connection: {answer.headers.get('message', answer.command)}")
        if not answer.headers.get("server", "").startswith("ActiveMQ"):
            raise NotReady(f"another broker listens there: {answer.headers.get('server', 'it does not tell its name')}")

    async def version(self, place: Place) -> str:
        """Version of ActiveMQ, from its program's archive; raises MachineError."""
        jar = _jar(read_options(place.options, ActiveMqOptions))
        try:
            with zipfile.ZipFile(jar) as archive:
                manifest = archive.read(_MANIFEST).decode(errors="replace")
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise MachineError(f"{jar} can not be read: {error}.") from error
        found = re.search(r"^Implementation-Version: (\S+)", manifest, re.MULTILINE)
        if found is None:
            raise MachineError(f"{jar} tells no version. Is it ActiveMQ's?")
        return found[1]

    async def examine(self, place: Place) -> list[Remark]:
        """Whether Java runs, and is new enough."""
        java = read_options(place.options, ActiveMqOptions).java
        answer = await ask(require_program(java, "java"), "-version")
        found = re.search(r'version "(\d+)', answer.output)
        if answer.code != 0 or found is None:
            return [Remark(f"{java} -version told no version: {answer.output.strip()[-200:]}")]
        if int(found[1]) < _OLDEST_JAVA:
            return [Remark(f"Java {found[1]} is older than {_OLDEST_JAVA}, which ActiveMQ needs. Install a newer one.")]
        return []


async def _one_frame(reader: asyncio.StreamReader) -> stomp.Frame:
    buffer = bytearray()
    while (frame := stomp.take_frame(buffer)) is None:
        data = await reader.read(_READ_BYTES)
        if not data:
            raise EOFError("the connection was closed")
        buffer += data
    return frame


def _jar(options: ActiveMqOptions) -> Path:
    path = Path(options.installation, "bin", "activemq.jar")
    if not path.is_file():
        raise MachineError(
            f"ActiveMQ is not in {options.installation}. Install it with: apt-get install activemq "
            "default-jre-headless; or set option 'installation'."
        )
    return path


def _credentials(place: Place) -> Credentials | None:
    options = read_options(place.options, ActiveMqOptions)
    found = read_credentials(options.user, options.password_file)
    # Spring, which reads the configuration, would carry that out.
    if found is not None and ("#{" in found.password or "#{" in found.user):
        raise KeyFileError(f"The password in {options.password_file} holds '#{{', which ActiveMQ can not read.")
    return found


def _host(place: Place) -> str:
    """Where it listens. Java takes 0.0.0.0 for every address of both versions of IP, as far as the machine has both."""
    if place.everywhere:
        return "0.0.0.0"
    return f"[{place.address}]" if ":" in place.address else place.address


def _config(place: Place) -> str:
    """The broker's configuration. ActiveMQ wants the parts of a broker in the order of the alphabet."""
    options, credentials = read_options(place.options, ActiveMqOptions), _credentials(place)
    data = place.data_dir / _DATA
    connectors = {"clients": f"auto+nio://{_host(place)}:{place.port}", **options.connectors}
    login = ""
    if credentials is not None:
        login = f"""
    <plugins>
      <simpleAuthenticationPlugin anonymousAccessAllowed="false">
        <users>
          <authenticationUser username={quoteattr(credentials.user)} password={quoteattr(credentials.password)}
                              groups="users,admins"/>
        </users>
      </simpleAuthenticationPlugin>
    </plugins>"""
    ports = "".join(
        f"\n      <transportConnector name={quoteattr(name)} uri={quoteattr(uri)}/>" for name, uri in connectors.items()
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- Written by Standfast at every start; changes belong into the cluster file. -->
<beans xmlns="http://www.springframework.org/schema/beans" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
       xsi:schemaLocation="http://www.springframework.org/schema/beans
                           http://www.springframework.org/schema/beans/spring-beans-2.0.xsd
                           http://activemq.apache.org/schema/core
                           http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" brokerName={quoteattr(place.name)}
          dataDirectory={quoteattr(str(data))} useJmx="false" persistent="true" restartAllowed="false">
    <persistenceAdapter>
      <kahaDB directory={quoteattr(str(data / "kahadb"))} journalDiskSyncStrategy="always"
              lockKeepAlivePeriod="{options.lock_check_ms}">
        <locker>
          <shared-file-locker lockAcquireSleepInterval="{_LOCK_EVERY_MS}"/>
        </locker>
      </kahaDB>
    </persistenceAdapter>{login}
    <transportConnectors>{ports}
    </transportConnectors>
  </broker>
</beans>
"""
