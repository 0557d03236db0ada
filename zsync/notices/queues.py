"""Queues and topics: SQS and SNS, or what speaks like them, through botocore."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from zsync.errors import TargetError
from zsync.notices.webhook import place

if TYPE_CHECKING:
    from zsync.config import Storage
    from zsync.notices.message import Message

_ATTEMPTS = 3
_REGION_OF_HOST = re.compile(r"//(?:sqs\.)?([a-z]{2}(?:-[a-z]+)+-[0-9]+)\.")
_REGION_OF_TOPIC = re.compile(r"arn:[^:]*:sns:([^:]+):")


def send_to_queue(url: str, message: Message, storage: Storage, timeout_s: float) -> None:
    """Send a message to the SQS queue of a URL.

    Raises
    ------
    TargetError
        It was not taken.
    """
    said = {"QueueUrl": url, "MessageBody": message.data.decode(), **_labels(url, message)}
    _call(
        "sqs", "send_message", said, url=url, region=_REGION_OF_HOST.search(url), storage=storage, timeout_s=timeout_s
    )


def send_to_topic(url: str, topic: str, message: Message, storage: Storage, timeout_s: float) -> None:
    """Publish a message to an SNS topic, by the endpoint of a URL.

    Raises
    ------
    TargetError
        It was not taken.
    """
    subject = f"zsync: {message.kind}"
    said = {"TopicArn": topic, "Subject": subject, "Message": message.data.decode(), **_labels(topic, message)}
    _call("sns", "publish", said, url=url, region=_REGION_OF_TOPIC.match(topic), storage=storage, timeout_s=timeout_s)


def _labels(name: str, message: Message) -> dict[str, Any]:
    """Return what subscribers filter by, and what queues and topics want that keep messages in order."""
    labels: dict[str, Any] = {"MessageAttributes": {"event": {"DataType": "String", "StringValue": message.kind}}}
    if name.endswith(".fifo"):
        labels |= {"MessageGroupId": "zsync", "MessageDeduplicationId": message.delivery}
    return labels


def _call(
    service: str,
    operation: str,
    said: dict[str, Any],
    *,
    url: str,
    region: re.Match[str] | None,
    storage: Storage,
    timeout_s: float,
) -> None:
    """Ask a service for something, with the credentials of the run: those given, else those of the AWS chain."""
    keys = storage.access_key_id, storage.secret_access_key, storage.session_token
    given = [None if key is None else key.get_secret_value() for key in keys]
    try:
        session = Session(profile=storage.profile)
        client = session.create_client(
            service,
            endpoint_url=place(url),
            region_name=region[1] if region else storage.region or session.get_config_variable("region") or "us-east-1",
            aws_access_key_id=given[0],
            aws_secret_access_key=given[1],
            aws_session_token=given[2],
            config=Config(
                connect_timeout=timeout_s,
                read_timeout=timeout_s,
                retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
            ),
        )
        try:
            getattr(client, operation)(**said)
        finally:
            client.close()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "an error")
        raise TargetError(f"{service.upper()} answered {code}", place(url)) from None
    except BotoCoreError as error:  # its text may hold the URL
        raise TargetError(f"{service.upper()} could not be asked ({type(error).__name__})", place(url)) from None
