"""The example application's settings with django-dbbackup on top: its default (pg_dump's custom format), compressed and
encrypted, to the same S3 store."""

import os

from checkniner.settings import *  # noqa: F403
from checkniner.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "dbbackup"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "dbbackup": {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": os.environ["S3_BUCKET_NAME"],
            "endpoint_url": os.environ["S3_ENDPOINT_URL"],
            "region_name": "us-east-1",
            "location": "dbbackup",
            "addressing_style": "path",
        },
    },
}
DBBACKUP_FILENAME_TEMPLATE = "{datetime}-" + str(os.getpid()) + ".{extension}"
DBBACKUP_GPG_RECIPIENT = os.environ["RECIPIENT"]
DBBACKUP_GPG_ALWAYS_TRUST = True
