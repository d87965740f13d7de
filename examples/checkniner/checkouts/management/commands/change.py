"""Write business data: the next backup must save it."""

import datetime

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from checkouts.models import AircraftType, Airstrip, Checkout


class Command(BaseCommand):
    """`change`: a pilot passes a checkout on a new airstrip."""

    help = "Add an airstrip and one checkout on it."

    def handle(self, *_args, **_options):
        """Add the rows and print the checkout's key."""
        pilot, kind = get_user_model().objects.order_by("pk").first(), AircraftType.objects.order_by("pk").first()
        if pilot is None or kind is None:
            raise CommandError("the database is empty: run `manage.py seed` first")
        number = Airstrip.objects.filter(ident__startswith="new").count() + 1
        strip = Airstrip.objects.create(ident=f"new{number}", name=f"New strip {number}")
        today = datetime.datetime.now(tz=datetime.timezone.utc).date()
        checkout = Checkout.objects.create(pilot=pilot, airstrip=strip, aircraft_type=kind, date=today)
        self.stdout.write(f"checkout {checkout.pk}: {checkout}")
