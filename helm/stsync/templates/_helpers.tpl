{{- define "stsync.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- /* 52: a StatefulSet adds a hash of 10 characters to a label that holds 63. */ -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* The names of the ingress's objects: room for "-webhook-metrics" in the 63 characters of a Service. */ -}}
{{- define "stsync.webhook.fullname" -}}
{{- printf "%s-webhook" (include "stsync.fullname" . | trunc 47 | trimSuffix "-") -}}
{{- end -}}

{{- define "stsync.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* Whose pods: a list of the root and "worker" or "webhook". Neither selects the other's. */ -}}
{{- define "stsync.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "stsync.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- /* Labels of what belongs to a component: the same list. */ -}}
{{- define "stsync.labels" -}}
{{ include "stsync.selector" . }}
{{ include "stsync.release" (index . 0) }}
{{- end -}}

{{- /* Labels of what both share. */ -}}
{{- define "stsync.sharedLabels" -}}
app.kubernetes.io/name: {{ include "stsync.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{ include "stsync.release" . }}
{{- end -}}

{{- define "stsync.release" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "stsync.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "stsync.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "stsync.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* The configuration with the values that the pods decide; one for workers and ingress. */ -}}
{{- define "stsync.config" -}}
{{- $ours := dict "telemetry" (dict "listen" (printf "0.0.0.0:%v" .Values.telemetry.port)) "worker" (dict "spool_dir" "/tmp") -}}
{{- if .Values.webhook.enabled -}}
{{- $_ := set $ours "webhook" (dict "listen" (printf "0.0.0.0:%v" .Values.webhook.port)) -}}
{{- end -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $ours) -}}
{{- end -}}

{{- /* Not empty: the pods of the ingress speak TLS themselves. */ -}}
{{- define "stsync.webhook.tls" -}}
{{- if or .Values.webhook.tls.secretName (dig "webhook" "tls" "" .Values.config) -}}yes{{- end -}}
{{- end -}}

{{- /* "30s" or "2m" in seconds; nothing of what is written another way. */ -}}
{{- define "stsync.seconds" -}}
{{- if regexMatch "^[0-9]+s$" . -}}{{- trimSuffix "s" . -}}
{{- else if regexMatch "^[0-9]+m$" . -}}{{- mul 60 (trimSuffix "m" . | int) -}}
{{- end -}}
{{- end -}}
