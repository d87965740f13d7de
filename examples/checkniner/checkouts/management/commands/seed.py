"""Fill an empty database with data that depends on nothing but two numbers."""

import datetime
import itertools
import math
import random

from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from checkouts.models import AircraftType, Airstrip, Checkout, PilotWeight

BATCH = 5000
FIRST_DAY = datetime.datetime(2012, 3, 1, 6, 30, tzinfo=datetime.timezone.utc)
AIRCRAFT = ["Cessna 206", "Kodiak 100", "PC-6 Porter", "Twin Otter", "PC-12", "Caravan", "Islander", "Bonanza"]
FIRST_NAMES = ["Asa", "Björn", "Chiara", "Dewi", "Esther", "Finn", "Grace", "Hana", "Ike", "Józef", "Kaia", "Lúcia"]
LAST_NAMES = ["Ardent", "Böhm", "Castro", "Dunn", "Engel", "Faber", "Giay", "Hanke", "Ilić", "Jonsson", "O'Hara"]
SYLLABLES = ["ka", "ru", "wam", "bo", "té", "li", "nggu", "se", "mo", "ya", "pa", "dö", "ri", "o", "be"]


class Command(BaseCommand):
    """`seed --rows N --seed S`: the same numbers give the same rows."""

    help = "Fill an empty database; the same --rows and --seed give the same data."

    def add_arguments(self, parser):
        """Declare --rows and --seed."""
        parser.add_argument("--rows", type=int, default=1000, help="number of checkouts (default: 1000)")
        parser.add_argument("--seed", type=int, default=9, help="start of the random numbers (default: 9)")

    def handle(self, *_args, rows, seed, **_options):
        """Write pilots, airstrips, aircraft types, checkouts, weights, a group and log entries in one transaction."""
        if rows < 0:
            raise CommandError("--rows must not be negative")
        if Checkout.objects.exists() or Airstrip.objects.exists() or User.objects.exists():
            raise CommandError("the database holds data already: seed only fills an empty one")
        chance = random.Random(seed)
        # About as many pilots and airstrips as a real operator of that size has; room for rows without doubles.
        pilots_wanted = max(5, min(400, rows // 40))
        strips_wanted = max(10, math.ceil(rows * 2 / pilots_wanted / len(AIRCRAFT)))
        with transaction.atomic():
            types = self._aircraft_types()
            strips = self._airstrips(chance, strips_wanted)
            pilots = self._pilots(chance, pilots_wanted)
            self._checkouts(chance, rows, pilots, strips, types)
            self._log_entries(pilots, strips)
        self.stdout.write(f"{rows} checkouts of {len(pilots)} pilots on {len(strips)} airstrips")

    def _aircraft_types(self):
        AircraftType.objects.bulk_create(AircraftType(name=name, sorted_position=n) for n, name in enumerate(AIRCRAFT))
        return list(AircraftType.objects.order_by("pk").values_list("pk", flat=True))

    def _airstrips(self, chance, wanted):
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        idents = ("".join(word) for word in itertools.product(letters, repeat=4))
        strips = [
            Airstrip(
                ident=ident,
                name="".join(chance.choices(SYLLABLES, k=chance.randint(2, 4))).capitalize(),
                is_base=number % 20 == 0,
            )
            for number, ident in enumerate(itertools.islice(idents, wanted))
        ]
        Airstrip.objects.bulk_create(strips, batch_size=BATCH)
        keys = list(Airstrip.objects.order_by("ident").values_list("pk", flat=True))
        bases, link = keys[::20], Airstrip.bases.through
        link.objects.bulk_create(
            (
                link(from_airstrip_id=key, to_airstrip_id=base)
                for key in keys
                for base in sorted(chance.sample(bases, min(len(bases), chance.randint(1, 2))))
                if key != base
            ),
            batch_size=BATCH,
        )
        return keys

    def _pilots(self, chance, wanted):
        # Keys of real users have gaps: whoever numbers them anew in a restore must not pass a test by luck.
        User.objects.create(username="left-long-ago").delete()
        group = Group.objects.create(name="flight schedulers")
        group.permissions.set(Permission.objects.filter(content_type__app_label="checkouts").order_by("codename"))
        users = []
        for number in range(wanted):
            first, last = chance.choice(FIRST_NAMES), chance.choice(LAST_NAMES)
            joined = FIRST_DAY + datetime.timedelta(days=number, microseconds=chance.randrange(10**6))
            users.append(
                User(
                    username=f"pilot{number:04}",
                    first_name=first,
                    last_name=last,
                    email=f"pilot{number:04}@checkniner.example",
                    password="!" + "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=40)),
                    date_joined=joined,
                    last_login=joined + datetime.timedelta(days=chance.randrange(900)) if number % 3 else None,
                    is_staff=number == 0,
                    is_superuser=number == 0,
                )
            )
        User.objects.bulk_create(users, batch_size=BATCH)
        keys = list(User.objects.order_by("username").values_list("pk", flat=True))
        link = User.groups.through
        link.objects.bulk_create(link(user_id=key, group_id=group.pk) for key in keys[::10])
        PilotWeight.objects.bulk_create(
            (PilotWeight(pilot_id=key, weight=chance.randint(110, 260)) for key in keys), batch_size=BATCH
        )
        return keys

    def _checkouts(self, chance, rows, pilots, strips, types):
        # Plain SQL: a million model instances take a minute. Nothing but numbers and dates made here goes into it.
        days = [f"'{FIRST_DAY.date() + datetime.timedelta(days=day)}'" for day in range(4000)]
        triples = chance.sample(range(len(pilots) * len(strips) * len(types)), rows)
        into = "INSERT INTO checkouts_checkout (pilot_id, airstrip_id, aircraft_type_id, date) VALUES "
        with connection.cursor() as cursor:
            for start in range(0, rows, BATCH):
                values = []
                for triple in triples[start : start + BATCH]:
                    rest, pilot = divmod(triple, len(pilots))
                    kind, strip = divmod(rest, len(strips))
                    values.append(f"({pilots[pilot]},{strips[strip]},{types[kind]},{chance.choice(days)})")
                cursor.execute(into + ",".join(values))

    def _log_entries(self, pilots, strips):
        kind = ContentType.objects.get_for_model(Airstrip)
        LogEntry.objects.bulk_create(
            LogEntry(
                user_id=pilots[0],
                content_type=kind,
                object_id=str(key),
                object_repr=f"airstrip {key}",
                action_flag=ADDITION,
                change_message="[]",
                action_time=FIRST_DAY + datetime.timedelta(hours=number, microseconds=number),
            )
            for number, key in enumerate(strips[:50])
        )
