"""The door for a web server, which sources the virtualenv's `bin/activate` first."""

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
