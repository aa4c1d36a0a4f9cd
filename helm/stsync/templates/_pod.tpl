{{- /* What the pods of workers and ingress have in common. Each takes a list of the root and "worker" or "webhook". */ -}}

{{- define "stsync.pod.metadata" -}}
{{- $root := index . 0 -}}
labels:
  {{- include "stsync.labels" . | nindent 2 }}
  {{- with $root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/config: {{ include "stsync.config" $root | sha256sum }}
  {{- with $root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "stsync.pod.settings" -}}
{{- with index . 0 -}}
serviceAccountName: {{ include "stsync.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
{{- end -}}

{{- /* Given constraints, or a spread over zones and nodes where that is possible: a third item of the list. */ -}}
{{- define "stsync.pod.spread" -}}
{{- $pods := list (index . 0) (index . 1) -}}
topologySpreadConstraints:
  {{- with index . 2 }}
  {{- toYaml . | nindent 2 }}
  {{- else }}
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "stsync.selector" $pods | nindent 8 }}
  {{- end }}
  {{- end }}
{{- end -}}

{{- define "stsync.container" -}}
{{- $root := index . 0 -}}
{{- with $root -}}
name: {{ index $ 1 }}
image: {{ include "stsync.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [{{ index $ 1 }}, --config, /etc/stsync/config/stsync.yaml]
livenessProbe:
  httpGet:
    path: /livez
    port: telemetry
  periodSeconds: {{ .Values.probes.periodSeconds }}
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet:
    path: /readyz
    port: telemetry
  periodSeconds: {{ .Values.probes.periodSeconds }}
  timeoutSeconds: 5
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}
{{- end -}}

{{- /* The configuration, and files of the root's secrets and configMaps. */ -}}
{{- define "stsync.mounts" -}}
- name: config
  mountPath: /etc/stsync/config
  readOnly: true
- name: spool
  mountPath: /tmp
{{- range $i, $secret := .Values.secrets }}
- name: secret-{{ $i }}
  mountPath: /run/secrets/stsync/{{ $secret.path }}
  readOnly: true
{{- end }}
{{- range $i, $map := .Values.configMaps }}
- name: files-{{ $i }}
  mountPath: /etc/stsync/{{ $map.path }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "stsync.volumes" -}}
- name: config
  configMap:
    name: {{ include "stsync.fullname" . }}
{{- range $i, $secret := .Values.secrets }}
- name: secret-{{ $i }}
  secret:
    secretName: {{ $secret.secretName }}
    defaultMode: 0440
{{- end }}
{{- range $i, $map := .Values.configMaps }}
- name: files-{{ $i }}
  configMap:
    name: {{ $map.name }}
{{- end }}
{{- end -}}
