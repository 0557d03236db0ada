"""A policy of IAM that allows what a configuration needs, and no more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from zsync.config import Location
from zsync.publication.state import StateKeys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zsync.config import ResolvedProduct, RunConfig

_LISTS = ("s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads")
_OBJECTS = (
    "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)  # fmt: skip
_KEYS = ("kms:GenerateDataKey", "kms:Decrypt")
_ARN = re.compile(r"arn:aws[\w-]*:")
_QUEUE = re.compile(r"https://sqs\.([\w-]+)\.amazonaws\.com(?:\.cn)?/([0-9]+)/([\w.-]+)$")


def policy_for(config: RunConfig) -> dict[str, Any]:
    """Return a policy that allows what a configuration needs: to publish, verify, read snapshots, roll back and pull.

    It follows from the configuration alone; nobody is asked.

    Raises
    ------
    ConfigError
        The configuration is incomplete.
    """
    statements: list[dict[str, Any]] = []
    for site in config.by_site().values():
        by_bucket: dict[str, list[ResolvedProduct]] = {}
        for product in site.resolve():
            if product.location.scheme == "s3":
                by_bucket.setdefault(product.location.bucket, []).append(product)
        for bucket, mine in by_bucket.items():
            statements += _for_bucket(site, bucket, mine)
        statements += [found for item in site.notify if (found := _for_notice(item)) is not None]
    unique = {repr(statement): statement for statement in statements}
    return {"Version": "2012-10-17", "Statement": list(unique.values())}


def _for_bucket(config: RunConfig, bucket: str, products: list[ResolvedProduct]) -> list[dict[str, Any]]:
    states = {StateKeys.of(product.location).prefix for product in products}
    paths = sorted({product.location.path for product in products} | states)
    # Where `zsync log` finds products by a prefix, which may be a product itself.
    listed = {*paths, *(state.rpartition("/")[0] for state in states)}
    if config.target is not None and (above := Location.parse(config.target)).bucket == bucket:
        listed.add(StateKeys.of(above).prefix)
    objects = list(_OBJECTS)
    if config.storage.tags:
        objects += ["s3:GetObjectTagging", "s3:PutObjectTagging"]
    place = f"arn:aws:s3:::{bucket}"
    prefixes = sorted({form for path in listed for form in ((path, f"{path}/*") if path else ("*",))})
    found: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Action": list(_LISTS),
            "Resource": place,
            "Condition": {"StringLike": {"s3:prefix": prefixes}},
        },
        {
            "Effect": "Allow",
            "Action": objects,
            "Resource": [f"{place}/{path}/*" if path else f"{place}/*" for path in paths],
        },
    ]
    if (config.storage.sse or "").startswith("aws:kms"):
        key = config.storage.sse_kms_key_id or ""
        found.append({"Effect": "Allow", "Action": list(_KEYS), "Resource": key if _ARN.match(key) else "*"})
    return found


def _for_notice(item: Any) -> dict[str, Any] | None:
    """Return the statement for a queue or a topic."""
    if item.format == "sns":
        return {"Effect": "Allow", "Action": "sns:Publish", "Resource": item.topic}
    if item.format == "sqs":
        queue = _QUEUE.match(item.url.get_secret_value())
        place = f"arn:aws:sqs:{queue[1]}:{queue[2]}:{queue[3]}" if queue else "*"
        return {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": place}
    return None


def actions_in(policy: Mapping[str, Any]) -> set[str]:
    """Return the actions that a policy allows."""
    told = (statement["Action"] for statement in policy["Statement"])
    return {action for actions in told for action in ([actions] if isinstance(actions, str) else actions)}
