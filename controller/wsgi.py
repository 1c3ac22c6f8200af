"""The web application gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controller.settings.deploy")
application = get_wsgi_application()
