"""Write what is no business data: a backup that saves only changes must not wake up for it."""

from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """`touch_session`: what a visitor's click writes."""

    help = "Write one session, as any visitor does."

    def handle(self, *_args, **_options):
        """Save a new session and print how many there are."""
        session = SessionStore()
        session["visits"] = Session.objects.count() + 1
        session.save()
        self.stdout.write(f"{Session.objects.count()} sessions")
