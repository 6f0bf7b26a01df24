{{/* What the objects are called: the release, if that says it already, or release and chart. */}}
{{- define "rutta.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- printf "%s-operator" .Release.Name | replace "-operator-operator" "-operator" | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s-operator" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels of its pods, which never change: its Deployment selects them, and a selector cannot be changed. */}}
{{- define "rutta.selector" -}}
app.kubernetes.io/name: rutta-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "rutta.labels" -}}
{{ include "rutta.selector" . }}
app.kubernetes.io/part-of: rutta
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "rutta.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "rutta.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed when serviceAccount.create is false; name the one to use" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* An image of (list $ image): registry, repository, and digest or tag. */}}
{{- define "rutta.image" -}}
{{- $top := index . 0 -}}
{{- $image := index . 1 -}}
{{- with $top.Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default $top.Chart.AppVersion $image.tag }}{{ end -}}
{{- end -}}
