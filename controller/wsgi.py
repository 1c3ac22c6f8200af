"""The web application gunicorn serves."""

from django.core.wsgi import get_wsgi_application

from controller.settings.base import default_to_deploy

default_to_deploy()
application = get_wsgi_application()
