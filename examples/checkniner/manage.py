#!/usr/bin/env python3
"""Django's commands. The environment, DJANGO_SETTINGS_MODULE included, comes from the virtualenv's `bin/activate`."""

import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
