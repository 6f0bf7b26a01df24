{{/* What the release's own router is called. Names leave room for -router-health and a hash. */}}
{{- define "topology.fullname" -}}
{{- $name := default "rutta" .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "topology.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/part-of: rutta
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Metadata of (list $ name). */}}
{{- define "topology.metadata" -}}
{{- $top := index . 0 -}}
name: {{ index . 1 }}
namespace: {{ $top.Release.Namespace }}
labels: {{- merge (include "topology.labels" $top | fromYaml) $top.Values.commonLabels | toYaml | nindent 2 }}
{{- with $top.Values.commonAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Whether the release has a router of its own: "yes" or nothing. */}}
{{- define "topology.own" -}}
{{- $others := or .Values.routers .Values.shippers .Values.proxies -}}
{{- $said := toString .Values.router.enabled -}}
{{- if or (eq $said "true") (and (eq $said "auto") (not $others)) }}yes{{ end -}}
{{- end -}}
