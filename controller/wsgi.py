"""The web application gunicorn serves."""

from django.core.wsgi import get_wsgi_application

from controller.settings.base import default_to_deploy

default_to_deploy()
_django = get_wsgi_application()
TAKEN = "paas.connection_taken"  # controller.api.upgrades sets it


def application(environ, start_response):
    """Django's answer; none for a connection that a view took over, which gunicorn gives up on StopIteration."""
    answer = _django(environ, start_response)
    if environ.get(TAKEN):
        raise StopIteration
    return answer
