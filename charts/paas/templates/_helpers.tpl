{{/* Names, labels and what every pod has in common. */}}

{{- define "paas.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "paas.builds" -}}
{{- .Values.builder.namespace | default (printf "%s-builds" (include "paas.name" .)) -}}
{{- end }}

{{- /* Cluster-wide names: two releases of one name in two namespaces stay apart. */}}
{{- define "paas.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "paas.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "paas.selector" -}}
app.kubernetes.io/name: paas
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "paas.labels" -}}
{{ include "paas.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "paas.metadata" -}}
name: {{ include "paas.name" .root }}-{{ .part }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "paas.labels" . | nindent 2 }}
{{- end }}

{{- define "paas.image" -}}
{{- $images := .root.Values.images -}}
{{- with $images.registry }}{{ . | trimSuffix "/" }}/{{ end }}{{ .image }}:{{ $images.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- /* Of a pod: not root, and nothing of its files but what is mounted can be written. */}}
{{- define "paas.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .user }}
fsGroup: {{ .user }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "paas.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "paas.podMetadata" -}}
labels:
  {{- include "paas.labels" . | nindent 2 }}
{{- with .root.Values.podAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "paas.scheduling" -}}
serviceAccountName: {{ include "paas.name" .root }}-{{ .part }}
enableServiceLinks: false
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{- /* Replicas on different nodes, where there are several. */}}
{{- define "paas.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "paas.selector" . | nindent 8 }}
{{- end }}

{{- define "paas.claim" -}}
metadata:
  name: data
  labels:
    {{- include "paas.selector" . | nindent 4 }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .storage.className }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests: {storage: {{ .storage.size }}}
{{- end }}

{{- define "paas.budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "paas.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "paas.selector" . | nindent 6 }}
{{- end }}

{{- /* The platform's address, from what was said or from the router's port. */}}
{{- define "paas.httpPort" -}}
{{- with .Values.router.service }}{{ if eq .type "NodePort" }}{{ .httpNodePort | default .httpPort }}{{ else }}{{ .httpPort }}{{ end }}{{ end -}}
{{- end }}

{{- define "paas.origin" -}}
{{- $port := include "paas.httpPort" .root -}}
{{- printf "http://%s%s" .host (eq $port "80" | ternary "" (printf ":%s" $port)) -}}
{{- end }}

{{- define "paas.url" -}}
{{- .Values.platformUrl | default (include "paas.origin" (dict "root" . "host" .Values.domain)) | trimSuffix "/" -}}
{{- end }}

{{- define "paas.appUrl" -}}
{{- .Values.appUrlTemplate | default (include "paas.origin" (dict "root" . "host" (printf "{app}.%s" .Values.domain))) -}}
{{- end }}

{{- define "paas.gitUrl" -}}
{{- $service := .Values.git.service -}}
{{- $port := eq $service.type "NodePort" | ternary ($service.nodePort | default $service.port) $service.port -}}
{{- .Values.gitSshUrl | default (printf "ssh://git@%s:%v" .Values.domain $port) -}}
{{- end }}

{{- define "paas.registryHost" -}}
{{- .Values.registry.host | default (printf "127.0.0.1:%v" .Values.registry.nodePort) -}}
{{- end }}

{{- define "paas.registryUrl" -}}
{{- if .Values.registry.url -}}
{{ .Values.registry.url }}
{{- else if .Values.registry.enabled -}}
http://{{ include "paas.name" . }}-registry:5000
{{- else -}}
https://{{ required "registry.host is needed with registry.enabled=false: the registry that images go to" .Values.registry.host }}
{{- end -}}
{{- end }}

{{- define "paas.credentialsSecret" -}}
{{- if .Values.registry.enabled -}}
{{ include "paas.name" . }}-keys
{{- else -}}
{{ required "registry.credentialsSecret is needed with registry.enabled=false: a Secret with registry.json" .Values.registry.credentialsSecret }}
{{- end -}}
{{- end }}

{{- /* The files of /etc/paas that a program reads, and no others: keys of <release>-keys. */}}
{{- define "paas.keys" -}}
{{- $login := has "registry.json" .files -}}
{{- $own := .files -}}
{{- if $login }}{{ $own = without .files "registry.json" }}{{ end -}}
name: keys
projected:
  defaultMode: 0440
  sources:
    - secret:
        name: {{ include "paas.name" .root }}-keys
        items:
          {{- range $own }}
          - {key: {{ . }}, path: {{ . }}}
          {{- end }}
    {{- if $login }}
    - secret:
        name: {{ include "paas.credentialsSecret" .root }}
        items:
          - {key: registry.json, path: registry.json}
    {{- end }}
{{- end }}

{{- define "paas.controllerKeys" -}}
{{- $files := list "django.key" "django.key.columns" "builder.key" "registry.json" -}}
{{- if .Values.registry.enabled }}{{ $files = concat $files (list "registry-tokens.key" "registry-tokens.crt") }}{{ end -}}
{{- include "paas.keys" (dict "root" . "files" $files) -}}
{{- end }}

{{- /* A container of the controller's code: the API, its worker, what migrates. */}}
{{- define "paas.controllerContainer" -}}
image: {{ include "paas.image" (dict "root" . "image" "paas") }}
imagePullPolicy: {{ .Values.images.pullPolicy }}
securityContext: {{- include "paas.security" . | nindent 2 }}
env: {{- include "paas.env.controller" . | nindent 2 }}
{{- with .Values.controller.settingsSecret }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
volumeMounts:
  {{- include "paas.trustMount" . | nindent 2 }}
  - {name: keys, mountPath: /etc/paas, readOnly: true}
  - {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "paas.trustMount" -}}
{{- if .Values.caConfigMap }}
- {name: trust, mountPath: /etc/paas-ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "paas.trustVolume" -}}
{{- with .Values.caConfigMap }}
- name: trust
  configMap: {name: {{ . }}}
{{- end }}
{{- end }}

{{- /* Waits until the database answers and has the tables that this code expects. */}}
{{- define "paas.awaitMigrations" -}}
- name: await-migrations
  command: [python, manage.py, await_database, --migrated]
  {{- include "paas.controllerContainer" . | nindent 2 }}
{{- end }}

{{- define "paas.redisConfig" -}}
port 6379
bind * -::*
protected-mode yes
requirepass {{ .password }}
dir /data
appendonly yes
appendfsync everysec
save ""
maxmemory 384mb
maxmemory-policy noeviction
{{ end }}
