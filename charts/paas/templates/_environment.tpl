{{/*
Every environment variable of every program, as docs/architecture.md lists them: this file is the one place.
Files of secrets are in /etc/paas, from the Secret <release>-keys; data is in /data.
*/}}

{{- define "paas.env.controller" -}}
{{- $name := include "paas.name" . -}}
- {name: DJANGO_SETTINGS_MODULE, value: controller.settings.deploy}
- {name: HOME, value: /tmp}
- {name: CONTROLLER_LISTEN, value: "0.0.0.0:8000"}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef: {name: {{ .Values.postgresql.urlSecret | default (printf "%s-keys" $name) }}, key: database-url}
- name: REDIS_URL
  valueFrom:
    secretKeyRef: {name: {{ .Values.redis.urlSecret | default (printf "%s-keys" $name) }}, key: redis-url}
- {name: SECRET_KEY_FILE, value: /etc/paas/django.key}
- {name: COLUMN_KEYS_FILE, value: /etc/paas/django.key.columns}
- {name: BUILDER_KEY_FILE, value: /etc/paas/builder.key}
- {name: PLATFORM_DOMAIN, value: {{ .Values.domain | quote }}}
- {name: PLATFORM_URL, value: {{ include "paas.url" . | quote }}}
- {name: APP_URL_TEMPLATE, value: {{ include "paas.appUrl" . | quote }}}
- {name: GIT_SSH_URL, value: {{ include "paas.gitUrl" . | quote }}}
- {name: REGISTRATION_MODE, value: {{ .Values.registration }}}
- {name: REGISTRY_HOST, value: {{ include "paas.registryHost" . | quote }}}
- {name: REGISTRY_URL, value: {{ include "paas.registryUrl" . | quote }}}
- {name: REGISTRY_CREDENTIALS_FILE, value: /etc/paas/registry.json}
{{- if .Values.registry.enabled }}
- {name: REGISTRY_TOKEN_KEY_FILE, value: /etc/paas/registry-tokens.key}
- {name: REGISTRY_TOKEN_CERT_FILE, value: /etc/paas/registry-tokens.crt}
- {name: REGISTRY_ADMIN_SOCKET, value: "tcp://{{ $name }}-registry:5001"}
{{- end }}
- {name: BUILDER_URL, value: "http://{{ $name }}-builder:8010"}
- {name: LOGGER_SOCKET, value: "tcp://{{ $name }}-logger:8020"}
- {name: ROUTER_METRICS_URL, value: "http://{{ $name }}-router-metrics:9100/metrics"}
{{- include "paas.env.trust" . }}
{{- include "paas.env.further" .Values.controller.settings }}
{{- end }}

{{- define "paas.env.builder" -}}
{{- $name := include "paas.name" . -}}
- {name: HOME, value: /tmp}
- {name: BUILDER_DATA, value: /data/builder}
- {name: BUILDER_SSH_LISTEN, value: "0.0.0.0:2222"}
- {name: BUILDER_HTTP_LISTEN, value: "0.0.0.0:8010"}
- {name: BUILDER_RUNTIME, value: kubernetes}
- {name: BUILDER_NAMESPACE, value: {{ include "paas.builds" . }}}
- {name: BUILDER_BUILDKIT_IMAGE, value: {{ .Values.builder.buildkitImage | quote }}}
- {name: BUILDER_INSTANCE, value: {{ include "paas.clusterName" . }}}
- {name: BUILDER_KEY_FILE, value: /etc/paas/builder.key}
- {name: CONTROLLER_URL, value: "http://{{ $name }}-controller:8000"}
- {name: LOGGER_INTAKE, value: "udp://{{ $name }}-logger:8020"}
- {name: REGISTRY_HOST, value: {{ include "paas.registryHost" . | quote }}}
- {name: REGISTRY_URL, value: {{ include "paas.registryUrl" . | quote }}}
- {name: REGISTRY_CREDENTIALS_FILE, value: /etc/paas/registry.json}
- {name: APP_URL_TEMPLATE, value: {{ include "paas.appUrl" . | quote }}}
- {name: BUILD_DENIED_NETWORKS, value: {{ join "," .Values.builder.deniedNetworks | quote }}}
{{- include "paas.env.trust" . }}
{{- include "paas.env.further" .Values.builder.settings }}
{{- end }}

{{- define "paas.env.logger" -}}
{{- $name := include "paas.name" . -}}
- {name: HOME, value: /tmp}
- {name: LOGGER_DATA, value: /data/logger}
- {name: LOGGER_LISTEN, value: "tcp://0.0.0.0:8020"}
- {name: CONTROLLER_URL, value: "http://{{ $name }}-controller:8000"}
- {name: BUILDER_KEY_FILE, value: /etc/paas/builder.key}
{{- include "paas.env.trust" . }}
{{- include "paas.env.further" .Values.logger.settings }}
{{- end }}

{{- define "paas.env.registry" -}}
{{- $name := include "paas.name" . -}}
- {name: HOME, value: /tmp}
- {name: REGISTRY_DATA, value: /data/registry}
- {name: REGISTRY_LISTEN, value: "0.0.0.0:5000"}
- {name: REGISTRY_ADMIN_LISTEN, value: "0.0.0.0:5001"}
- {name: REGISTRY_TOKEN_REALM, value: "http://{{ $name }}-controller:8000/v2/registry/token"}
- {name: REGISTRY_TOKEN_CERT_FILE, value: /etc/paas/registry-tokens.crt}
- {name: REGISTRY_NOTIFY_URL, value: "http://{{ $name }}-controller:8000/v2/hooks/registry/"}
- {name: REGISTRY_NOTIFY_KEY_FILE, value: /etc/paas/builder.key}
{{- include "paas.env.trust" . }}
{{- with .Values.registry.s3 }}
{{- if .bucket }}
- {name: REGISTRY_S3_BUCKET, value: {{ .bucket | quote }}}
{{- with .root }}
- {name: REGISTRY_S3_ROOT, value: {{ . | quote }}}   # an empty one would be the bucket's top
{{- end }}
- {name: REGISTRY_S3_REGION, value: {{ .region | quote }}}
- {name: REGISTRY_S3_ENDPOINT, value: {{ .endpoint | quote }}}
- {name: REGISTRY_S3_CREDENTIALS_FILE, value: /etc/paas-s3/s3.json}
{{- end }}
{{- end }}
{{- end }}

{{- define "paas.env.router" -}}
- {name: HOME, value: /tmp}
- {name: ROUTER_DATA, value: /data}
- {name: ROUTER_HTTP_LISTEN, value: "0.0.0.0:8080"}
- {name: ROUTER_HTTPS_LISTEN, value: "0.0.0.0:8443"}
- {name: ROUTER_METRICS_LISTEN, value: "0.0.0.0:9100"}
- {name: ROUTER_TRUSTED_PROXIES, value: {{ .Values.router.trustedProxies | quote }}}
- {name: PLATFORM_DOMAIN, value: {{ .Values.domain | quote }}}
- {name: ROUTER_STATIC, value: {{ include "paas.staticHosts" . | quote }}}
{{- end }}

{{- /* The platform's own hosts: the controller, the paths that are the builder's, and the registry. */}}
{{- define "paas.staticHosts" -}}
{{- $name := include "paas.name" . -}}
{{- $controller := printf "%s-controller:8000" $name -}}
{{- $builder := printf "%s-builder:8010" $name -}}
{{- $hosts := dict -}}
{{- range list .Values.domain (printf "deis.%s" .Values.domain) -}}
{{- $_ := set $hosts . $controller -}}
{{- $_ := set $hosts (printf "%s ~ ^/[a-z][a-z0-9-]*[.]git/" .) $builder -}}
{{- $_ := set $hosts (printf "%s ^~ /builder/" .) $builder -}}
{{- end -}}
{{- if .Values.registry.enabled -}}
{{- $public := list (printf "registry.%s" .Values.domain) ((include "paas.registryHost" .) | splitList ":" | first) | uniq -}}
{{- range $public -}}
{{- $_ := set $hosts . $controller -}}
{{- $_ := set $hosts (printf "%s = /v2/registry/token" .) $controller -}}
{{- $_ := set $hosts (printf "%s ^~ /v2/" .) (printf "%s-registry:5000" $name) -}}
{{- end -}}
{{- end -}}
{{- $hosts | toJson -}}
{{- end }}

{{- /* What comes to every program that speaks to others: what the operator set, and whom it trusts. */}}
{{- define "paas.env.trust" -}}
{{- if .Values.caConfigMap }}
- {name: SSL_CERT_FILE, value: /etc/paas-ca/ca.crt}
- {name: REQUESTS_CA_BUNDLE, value: /etc/paas-ca/ca.crt}
{{- end }}
{{- end }}

{{- define "paas.env.further" -}}
{{- range $name, $value := . }}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end }}
