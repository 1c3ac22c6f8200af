<?php
// Says who answers; every path that is no file comes here.
header('Content-Type: text/plain');
printf("%s from PHP, %s\n", getenv('GREETING') ?: 'Hello', getenv('WORKFLOW_RELEASE'));
