"""How gunicorn serves the controller: `gunicorn -c python:controller.gunicorn controller.wsgi`.

One process with threads: requests mostly wait for the database, the cluster or a deploy.
"""

import os

bind = os.environ.get("CONTROLLER_LISTEN", "127.0.0.1:8000")
worker_class = "gthread"
workers = 1
threads = 32
preload_app = False  # one worker: preloading would keep a second copy of everything in the master
timeout = 60  # seconds without a sign of the worker's main loop; waiting requests sit in threads and don't count
graceful_timeout = 30
keepalive = 75  # seconds; longer than the proxy keeps idle connections, which so never meet their end
max_requests = 0
limit_request_line = 8190
accesslog = None  # controller.middleware.Observed logs each request
errorlog = "-"
loglevel = "warning"
control_socket_disable = True  # it would be in the home of the user, outside PAAS_HOME and one for all instances
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None
