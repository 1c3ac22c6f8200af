{{- define "labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* A container that serves its greeting, and stops when told to. */ -}}
{{- define "container" -}}
name: main
image: {{ .Values.image | quote }}
command: [sh, -c, "mkdir -p /tmp/w; echo $GREETING > /tmp/w/index.html; httpd -p 8080 -h /tmp/w; trap 'exit 0' TERM; while :; do sleep 100 & wait; done"]
env: [{name: GREETING, value: {{ .Values.greeting | quote }}}]
envFrom: [{configMapRef: {name: {{ .Release.Name }}-settings}}]
ports: [{name: http, containerPort: 8080}]
readinessProbe:
  httpGet: {port: http, path: {{ if .broken }}/missing.html{{ else }}/index.html{{ end }}}
  periodSeconds: 1
resources: {requests: {cpu: 1m, memory: 1Mi}, limits: {cpu: 200m, memory: 32Mi}}
{{- end }}

{{- /* A container that says something and ends. */ -}}
{{- define "once" -}}
name: main
image: {{ .image | quote }}
command: [sh, -c, {{ .script | quote }}]
resources: {requests: {cpu: 1m, memory: 1Mi}, limits: {cpu: 200m, memory: 32Mi}}
{{- end }}
