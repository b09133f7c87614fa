"""The metadata service of an EC2 instance, version 2 (IMDSv2): who this instance is, and what is planned for it.

Format: "Use the Instance Metadata Service" in the EC2 User Guide: PUT /latest/api/token, then GET with that token; 404
means that there is no such item. Version 1 is never used. Blocks, for DEADLINE_S at most per request: call it in a
thread or a child. `AWS_EC2_METADATA_SERVICE_ENDPOINT` names another service, as botocore understands it.
"""

import http.client
import json
import os
from typing import Any
from urllib.parse import urlsplit

DEADLINE_S = 1.0
_DEFAULT = "http://169.254.169.254"
_TOKEN_S = 300
_OK, _ABSENT = 200, 404


class NoMetadata(Exception):  # noqa: N818 - an answer, not a mistake
    """The service did not answer, or not as one does; the message says what to do."""


class Metadata:
    """One conversation; the token lives for its time."""

    def __init__(self) -> None:
        parts = urlsplit(os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _DEFAULT)
        self._where = (parts.hostname or "", parts.port or 80)
        self._token = ""

    def get(self, path: str) -> str | None:
        """An item below `/latest/`; None when there is none; raises NoMetadata."""
        if not self._token:
            head = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_S)}
            self._token = self._ask("PUT", "/latest/api/token", head) or ""
        return self._ask("GET", f"/latest/{path}", {"X-aws-ec2-metadata-token": self._token})

    def wanted(self, path: str) -> str:
        """The same, of an item that each instance has."""
        found = self.get(path)
        if found is None:
            raise NoMetadata(f"The metadata service knows no {path}.")
        return found

    def region(self) -> str:
        """Where this instance runs."""
        return self.wanted("meta-data/placement/region")

    def instance(self) -> str:
        """Its id."""
        return self.wanted("meta-data/instance-id")

    def interface(self) -> str:
        """The id of its first network interface."""
        return self.wanted(f"meta-data/network/interfaces/macs/{self.wanted('meta-data/mac')}/interface-id")

    def document(self, path: str) -> Any:
        """A JSON item; None when there is none."""
        found = self.get(path)
        try:
            return None if found is None else json.loads(found)
        except ValueError as error:
            raise NoMetadata(f"The metadata service's {path} is not JSON.") from error

    def _ask(self, method: str, path: str, head: dict[str, str]) -> str | None:
        connection = http.client.HTTPConnection(*self._where, timeout=DEADLINE_S)
        try:
            connection.request(method, path, headers=head)
            answer = connection.getresponse()
            body = answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise NoMetadata(
                f"The metadata service does not answer: {error}. Is this an EC2 instance? Containers need "
                "a hop limit of 2."
            ) from error
        finally:
            connection.close()
        if answer.status == _ABSENT:
            return None
        if answer.status != _OK:
            raise NoMetadata(f"The metadata service answered {answer.status} to {path}.")
        return body
