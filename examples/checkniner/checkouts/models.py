"""Which pilots are checked out to land on which airstrips, in which aircraft."""

from django.conf import settings
from django.db import models


class Airstrip(models.Model):
    """A place to land. Some are bases; an airstrip is served from one or more bases."""

    ident = models.CharField(max_length=8, unique=True)
    name = models.CharField(max_length=255)
    is_base = models.BooleanField(default=False)
    bases = models.ManyToManyField(
        "self", symmetrical=False, blank=True, related_name="attached", limit_choices_to={"is_base": True}
    )

    class Meta:
        ordering = ["ident"]

    def __str__(self):
        return f"{self.ident} ({self.name})"


class AircraftType(models.Model):
    """A type of aircraft, in the order in which lists show it."""

    name = models.CharField(max_length=255, unique=True)
    sorted_position = models.IntegerField(default=5)

    class Meta:
        ordering = ["sorted_position", "name"]

    def __str__(self):
        return self.name


class Checkout(models.Model):
    """A pilot has shown, on a date, to be able to land an aircraft type on an airstrip."""

    pilot = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    airstrip = models.ForeignKey(Airstrip, on_delete=models.CASCADE)
    aircraft_type = models.ForeignKey(AircraftType, on_delete=models.CASCADE)
    date = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pilot", "airstrip", "aircraft_type"], name="one_checkout_of_each_kind")
        ]

    def __str__(self):
        return f"{self.pilot} at {self.airstrip} in {self.aircraft_type}"


class PilotWeight(models.Model):
    """What a pilot weighs with flight bag, in pounds: goes into the loading of the aircraft."""

    pilot = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    weight = models.PositiveIntegerField()

    def __str__(self):
        return f"{self.pilot}: {self.weight} lb"
