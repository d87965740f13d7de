"""What a store's refusals mean: errors of botocore in, errors of ours out.

Only the store's error code is repeated, never its free text: some stores answer with the signature or the key id.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from ..errors import BackupsError, DiskError, NotFoundError, SettingsError, StoreError
from ..settings import StoreSettings

_NO_BUCKET = ("NoSuchBucket",)
_WRONG_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "InvalidClientTokenId",
               "TokenRefreshRequired", "AuthFailure", "NotSignedUp")  # fmt: skip
_NO_RIGHT = ("AccessDenied", "403", "Forbidden", "AllAccessDisabled", "AccountProblem", "401", "Unauthorized")
_NO_KEY = ("NoSuchKey", "404", "NotFound", "NoSuchVersion")
_REGION = ("PermanentRedirect", "301", "307", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
_CLOCK = ("RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture")
_BUSY = ("SlowDown", "ServiceUnavailable", "503", "500", "InternalError", "RequestTimeout", "502", "504", "429")
_FULL = ("QuotaExceeded", "XMinioStorageFull", "InsufficientCapacity", "507", "StorageLimitExceeded")
_CHECKSUMS = ("411", "MissingContentLength", "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "501",
              "NotImplemented", "InvalidRequest", "InvalidArgument", "400", "BadRequest")  # fmt: skip
_OTHER_NAME = 62
_CERTIFICATES: tuple[tuple[tuple[int, ...], str], ...] = (
    ((10,), "the store's certificate has expired: renew it there; or this machine's clock is wrong (timedatectl)"),
    ((9,), "the store's certificate is not valid yet: this machine's clock may be wrong (timedatectl)"),
    ((_OTHER_NAME, 64), "the store's certificate is for another name: use the name that it has in the endpoint's URL"),
)
"""OpenSSL's codes of what is wrong with a certificate, and what to do."""
EXISTS = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
"""Codes that say: there is such a key already, or somebody is writing it now."""

_HINTS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (_WRONG_KEYS, "the store does not accept these credentials", "check S3_ACCESS_KEY and S3_SECRET_KEY"),
    (_NO_RIGHT, "the store refuses this",
     "these keys lack the right to do it, or are wrong: compare the user's policy with the one in the documentation"),
    (_REGION, "the bucket is in another region", "set the region, and an endpoint of that region"),
    (_CLOCK, "this machine's clock differs too much from the store's", "set the clock (timedatectl, NTP)"),
    (_BUSY, "the store is overloaded or faulty", "nothing is lost: the next run tries again"),
    (_FULL, "the store is full", "raise the quota, or remove old archives"),
    (_CHECKSUMS, "the store does not understand the request",
     "an S3-compatible store of some age may need checkniner_backups_s3_checksums: when_required; a storage class or "
     "server-side encryption that is set must be one that the store knows"),
    (EXISTS, "there is such an object already", "an archive is never overwritten"),
)  # fmt: skip


def check_settings(settings: StoreSettings) -> None:
    """Given the settings of a store, look at what can be known without asking it.

    :raises SettingsError: no bucket, or an endpoint that is no http or https URL
    """
    if not settings.bucket:
        raise SettingsError("S3_BUCKET_NAME is not set", "name the bucket that the archives go to")
    if not settings.endpoint_url:
        return
    hint = "use the form https://s3.example.org or http://127.0.0.1:8333, or nothing for Amazon"
    try:
        parts = urlsplit(settings.endpoint_url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    else:
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise SettingsError("the S3 endpoint holds more than a host, a port and a path", hint)
    if not usable:
        raise SettingsError(f"the S3 endpoint {settings.endpoint_url!r} is no http or https URL", hint)


def location(settings: StoreSettings) -> str:
    """Given the settings of a store, return how messages name it."""
    return f"bucket {settings.bucket} at {settings.endpoint_url or 'Amazon S3'}"


def code_of(error: BaseException) -> str:
    """Given an error of botocore, return the store's error code, or an empty string."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


@contextmanager
def translated(settings: StoreSettings, action: str, key: str = "") -> Iterator[None]:
    """Given what is being done and to which key, turn every error of botocore inside the block into one of ours.

    :raises NotFoundError: there is no such object
    :raises DiskError: the local disk is full or cannot be written
    :raises StoreError: everything else
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
    from s3transfer.exceptions import CancelledError, RetriesExceededError
    from urllib3.exceptions import HTTPError

    what = f"cannot {action} {key} in {location(settings)}" if key else f"cannot {action} {location(settings)}"
    try:
        yield
    except BackupsError:
        raise
    except ClientError as error:
        raise _of_the_store(error, what, key, settings) from None
    except ParamValidationError:
        raise StoreError(f"{what}: the name of the bucket or key is not valid", "check S3_BUCKET_NAME") from None
    except (BotoCoreError, Boto3Error, HTTPError, CancelledError, RetriesExceededError) as error:
        raise _of_the_way(error, what) from None
    except RecursionError:  # botocore asks again where it was sent, and is sent on without end
        raise StoreError(
            f"{what}: the store answers each request with a redirect",
            "set the endpoint to where it redirects to, such as https:// in place of http://, and the region",
        ) from None
    except OSError as error:
        # botocore wraps what goes wrong with sockets; what arrives here is the local file.
        raise DiskError(f"{what}: {error.strerror or type(error).__name__}", "look at the disk's free space") from None


def _of_the_store(error: BaseException, what: str, key: str, settings: StoreSettings) -> StoreError:
    code = code_of(error)
    if code in _NO_BUCKET:
        hint = "check the bucket's name and the endpoint; a new bucket has to be made before it is used"
        return StoreError(f"{what}: no such bucket", hint)
    if code in _NO_KEY:
        where = f"no object {key} in {location(settings)}" if key else f"{what}: nothing there"
        return NotFoundError(where, "list what is there; check the bucket's name and the prefix")
    for codes, meaning, hint in _HINTS:
        if code in codes:
            return StoreError(f"{what}: {meaning} ({code})", hint)
    if code.startswith("KMS"):
        return StoreError(f"{what}: the KMS key cannot be used ({code})", "check its id and the rights on it")
    return StoreError(f"{what}: {code or type(error).__name__}", "the store's documentation says what the code means")


def _of_tls(error: BaseException, what: str) -> StoreError:
    code, words = _certificate_fault(error)
    hint = next(
        (hint for codes, hint in _CERTIFICATES if code in codes),
        "for a store with a certificate of your own authority, set the CA bundle (checkniner_backups_s3_ca_bundle);"
        " check the endpoint",
    )
    return StoreError(f"{what}: the TLS connection failed{f': {words}' if words else ''}", hint)


def _certificate_fault(error: object) -> tuple[int, str]:
    """Given an error of botocore, return OpenSSL's code and words on the certificate, which are wrapped several times.

    Empty where it is not the certificate.
    """
    import ssl

    waiting, seen = [error], 0
    while waiting and seen < 20:
        each = waiting.pop(0)
        seen += 1
        if isinstance(each, ssl.SSLCertVerificationError):
            return each.verify_code, each.verify_message
        if type(each).__name__ == "CertificateError":  # urllib3 compares the names itself
            return _OTHER_NAME, str(each)
        if isinstance(each, BaseException):
            inner = getattr(each, "kwargs", {})
            waiting += [inner.get("error"), *each.args, getattr(each, "reason", None), each.__cause__, each.__context__]
    return 0, ""


def _of_the_way(error: BaseException, what: str) -> StoreError:
    name = type(error).__name__
    if name in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound",
                "TokenRetrievalError", "MetadataRetrievalError"):  # fmt: skip
        hint = "set S3_ACCESS_KEY and S3_SECRET_KEY, or what boto3's default chain reads"
        return StoreError(f"{what}: no usable credentials", hint)
    if name == "SSLError":
        return _of_tls(error, what)
    if "Checksum" in name:
        return StoreError(f"{what}: what arrived differs from what is stored (checksum)", "try again")
    if name in ("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError"):
        hint = "check the network, the name server, a firewall, and the endpoint"
        return StoreError(f"{what}: no connection", hint)
    return StoreError(f"{what}: the connection broke ({name})", "check the network; the next run tries again")
