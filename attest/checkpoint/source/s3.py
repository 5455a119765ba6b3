"""``s3://bucket/prefix``: the objects below a prefix, or one object, on S3 or a server that speaks as it does.

Credentials, region and endpoint come from where the AWS tools take them; without credentials requests are not signed.

References
----------
Amazon S3 API: ListObjectsV2; GetObject with ``Range`` and ``If-Match``. An ETag is no digest: that of a multipart
upload depends on its parts.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from attest.checkpoint.source.address import without_secrets
from attest.checkpoint.source.listing import check_listing
from attest.checkpoint.source.range_stream import MAX_PIECE, Interrupted, Patience, RangeStream
from attest.checkpoint.tree import Origin, Tree, TreeFile
from attest.errors import CheckpointError, InputError, NetworkError

__all__ = ["S3Tree", "objects_uri", "read_s3"]

_URI = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([^?#]{0,1024}))?")
_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_PUT_OFF = frozenset({"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded"})
"""Codes of errors that come with other statuses, too."""
_MAX_PAGES = 1000
_COPY = "download the checkpoint and measure the copy"


@dataclass(frozen=True, kw_only=True)
class S3Tree(Tree):
    """Objects of one bucket.

    Parameters
    ----------
    client : boto3 client
    bucket : str
    keys : mapping of str to str
        By path.
    look_again : callable
        Gives the tree anew.
    sleep : callable
        Waits some seconds.
    """

    client: Any = field(compare=False)
    bucket: str
    keys: Mapping[str, str]
    look_again: Callable[[], Tree] = field(compare=False)
    sleep: Callable[[float], None] = field(compare=False)

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """Open one of the objects as a stream over ranges."""
        if path not in self.keys:
            raise CheckpointError("unsafe-path", "is not one of its files", fix="ask for an intact copy", where=path)
        patience = Patience(path, self.sleep)
        with RangeStream(partial(self._ask, path), size=self.sizes[path], patience=patience) as stream:
            yield cast("BinaryIO", stream)

    def _ask(self, path: str, begin: int, end: int) -> _ObjectBody:
        answer = _call(
            path,
            self.client.get_object,
            Bucket=self.bucket,
            Key=self.keys[path],
            Range=f"bytes={begin}-{end - 1}",
            IfMatch=self.identities[path],
        )
        body = _ObjectBody(answer["Body"], end - begin)
        if answer.get("ContentRange") != f"bytes {begin}-{end - 1}/{self.sizes[path]}":
            body.close()
            raise NetworkError("no-ranges", "answers with other bytes than were asked for", fix=_COPY, where=path)
        return body

    def again(self) -> Tree:
        """The same objects, listed anew."""
        return self.look_again()


class _ObjectBody:
    """Bytes of one answer, at most as many as were asked for."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream = stream
        self._left = size

    def readinto(self, buffer: memoryview) -> int:
        """Fill a part of the buffer; 0 at the end."""
        try:
            data = self._stream.read(min(len(buffer), self._left, MAX_PIECE))
        except (BotoCoreError, HTTPError, OSError) as error:
            raise Interrupted(type(error).__name__) from error
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        """Give up the rest."""
        self._stream.close()


def read_s3(uri: str, *, sleep: Callable[[float], None] = time.sleep) -> S3Tree:
    """The object with this key; or all objects below it as a folder.

    Raises
    ------
    InputError
        The URI is none.
    NetworkError, CheckpointError
        The server refuses, or lists what no checkpoint can hold.
    """
    found = _URI.fullmatch(uri)
    if found is None:
        raise InputError(
            "bad-address", f"{without_secrets(uri)[:200]!r} names no bucket", fix="give s3://bucket/prefix"
        )
    bucket, key = found[1], (found[2] or "").rstrip("/")
    client = _connect(uri)
    objects = list(_list(client, bucket, key, uri, sleep))
    prefix = f"{key}/" if key else ""
    if any(one["Key"] == key for one in objects):
        prefix = f"{key.rpartition('/')[0]}/" if "/" in key else ""
        objects = [one for one in objects if one["Key"] == key]
    keys = {
        one["Key"].removeprefix(prefix): one
        for one in objects
        if one["Key"].startswith(prefix) and not (one["Key"].endswith("/") and not one["Size"])
    }
    files = (TreeFile(path=path, size=one["Size"], identity=one["ETag"]) for path, one in keys.items())
    return S3Tree(
        name=key.rpartition("/")[2] or bucket,
        files=check_listing(files, where=uri),
        origin=Origin(uri=objects_uri(client.meta.endpoint_url, bucket, key), revision=None, commit=None),
        client=client,
        bucket=bucket,
        keys={path: one["Key"] for path, one in keys.items()},
        look_again=partial(read_s3, uri, sleep=sleep),
        sleep=sleep,
    )


def objects_uri(endpoint: str, bucket: str, key: str) -> str:
    """Where the objects lie: at Amazon the bucket says it, at another server its address does."""
    host = urlsplit(endpoint).hostname or ""
    if host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return f"s3://{bucket}/{key}"
    return f"{without_secrets(endpoint).rstrip('/')}/{bucket}/{key}"


def _connect(uri: str) -> Any:
    try:
        session = boto3.Session()
        config = Config(
            connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 1},
            signature_version=None if session.get_credentials() else UNSIGNED,
        )  # fmt: skip
        return session.client("s3", config=config)
    except BotoCoreError as error:
        raise _refusal(str(error), uri) from error
    except ValueError as error:
        raise _refusal("AWS_ENDPOINT_URL is no address", uri) from error


def _list(client: Any, bucket: str, prefix: str, where: str, sleep: Callable[[float], None]) -> Iterator[Any]:
    """Objects of all pages."""
    patience = Patience(where, sleep)
    more: dict[str, str] = {}
    for _ in range(_MAX_PAGES):
        while True:
            try:
                page = _call(where, client.list_objects_v2, Bucket=bucket, Prefix=prefix, **more)
                break
            except Interrupted as trouble:
                patience.bear(trouble)
        yield from page.get("Contents", ())
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}
    raise CheckpointError(
        "too-many-files", f"lists more than {_MAX_PAGES} pages", fix="give a longer prefix", where=where
    )


def _call(where: str, method: Callable[..., Any], **arguments: str) -> Any:
    """Answer of one request; ``Interrupted`` where asking again may help."""
    try:
        return method(**arguments)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code"))
        answer = error.response.get("ResponseMetadata", {})
        if code in {"PreconditionFailed", "412", "InvalidRange"}:
            raise CheckpointError(
                "file-changed",
                "changed on its server while it was read",
                fix="measure again when nothing writes to it",
                where=where,
            ) from error
        if code in _PUT_OFF or answer.get("HTTPStatusCode") in _TRY_AGAIN:
            raise Interrupted(code, retry_after=answer.get("HTTPHeaders", {}).get("retry-after")) from error
        if code in {"NoSuchBucket", "NoSuchKey", "404"}:
            raise NetworkError("not-found", "is not there", fix="check the bucket and the key", where=where) from error
        raise _refusal(str(error), where) from error
    except BotoCoreError as error:
        if type(error).__name__ in {"NoCredentialsError", "ParamValidationError", "SSLError", "NoRegionError"}:
            raise _refusal(str(error), where) from error
        raise Interrupted(type(error).__name__) from error
    except RecursionError as error:  # botocore asks where the bucket is, and is led on
        raise _refusal("it redirects without end", where) from error


def _refusal(reason: str, where: str) -> NetworkError:
    return NetworkError(
        "access-denied", f"refuses access ({reason[:200]})", fix="check the address and your credentials", where=where
    )
