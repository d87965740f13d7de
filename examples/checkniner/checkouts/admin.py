"""All four models in Django's admin."""

from django.contrib import admin

from .models import AircraftType, Airstrip, Checkout, PilotWeight

admin.site.register([AircraftType, Airstrip, Checkout, PilotWeight])
