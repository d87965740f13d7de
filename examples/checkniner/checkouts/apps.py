"""The one business app besides Django's `auth`."""

from django.apps import AppConfig


class CheckoutsConfig(AppConfig):
    """Which pilots may land where, in what."""

    name = "checkouts"
