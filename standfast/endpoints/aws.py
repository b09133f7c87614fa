"""Calls of the AWS API, by botocore (the extra `aws`): credentials, signatures and service models are its business.

Every call has a deadline, and one repeat at most; what is tried again after that is the caller's decision. Only ever
imported in a child process: botocore takes tens of megabytes and half a second. `AWS_ENDPOINT_URL` names another
service, as botocore documents.
"""

from collections.abc import Callable
from functools import wraps
from importlib.util import find_spec
from typing import Any

from standfast.endpoints.imds import Metadata, NoMetadata
from standfast.endpoints.kind import Outcome, State
from standfast.ports import Remark

CONNECT_S = 2.0
ANSWER_S = 5.0
_CHANGED = frozenset(
    {
        "InvalidAssociationID.NotFound",
        "InvalidChangeBatch",
        "InvalidInput",
        "PriorRequestNotComplete",
        "Resource.AlreadyAssociated",
    }
)
"""Refusals that mean that somebody else has changed it since it was looked at."""


def client(service: str, region: str = "") -> Any:
    """A botocore client; the region: given, of the environment, or that in which this instance runs."""
    from botocore.config import Config  # noqa: PLC0415 - see the head
    from botocore.session import get_session  # noqa: PLC0415

    session = get_session()
    where = region or session.get_config_variable("region") or Metadata().region()
    settings = Config(connect_timeout=CONNECT_S, read_timeout=ANSWER_S, retries={"mode": "standard", "max_attempts": 2})
    return session.create_client(service, region_name=where, config=settings)


def judged(lead: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Turns what the API refuses into an outcome: try again, or a refusal with its words."""

    @wraps(lead)
    def judge(*arguments: Any, **named: Any) -> Outcome:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError  # noqa: PLC0415

        try:
            return lead(*arguments, **named)
        except ClientError as error:
            told = error.response.get("Error", {})
            code, status = told.get("Code", ""), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
            passing = code in _CHANGED or status >= 500 or "Throttl" in code or code == "RequestLimitExceeded"  # noqa: PLR2004
            return Outcome(State.AGAIN if passing else State.REFUSED, f"{code}: {told.get('Message', '')}")
        except NoCredentialsError as error:
            return Outcome(State.REFUSED, f"{error}: give the instance a role")
        except (BotoCoreError, NoMetadata) as error:
            return Outcome(State.AGAIN, str(error))

    return judge


def obstacles() -> list[Remark]:
    """What is missing on this machine for any call."""
    if find_spec("botocore") is None:
        return [Remark("the AWS API needs the package botocore: pip install 'standfast[aws]'.")]
    return []
