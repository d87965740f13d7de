"""The part that runs inside the application's interpreter: it reads and writes fixtures.

`program.py` of the engine zips the files of this folder, starts the application's Python on the zip and talks to it
through two pipes. So the rules differ from the rest of the engine: nothing but this folder, the standard library and
Django is imported; Django only inside functions; Python 3.8 and Django 3.2 are the floor.

* channel: frames on the two pipes
* registry: which apps and models there are, in which order
* plan: which models PostgreSQL can serialise by itself, and with which SQL (columns, plainness, statement)
* copyout, serializing: the fast way and Django's way
* dump: one snapshot, one member per app
* jsonstream: a fixture's objects, one after the other, from chunks of any size
* load: all members in one transaction (lookups)
* visit: the application's pages over old data (peek)
* main: the loop that takes commands
"""
