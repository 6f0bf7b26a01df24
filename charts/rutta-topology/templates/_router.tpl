{{/* The listeners of the original's values as those of a RuttaRouter. */}}
{{- define "topology.listeners" -}}
{{- $top := . -}}
{{- $pairs := list -}}
{{- range .Values.router.listeners }}{{ $pairs = append $pairs (printf "%s-%s" .mode (default "json" .codec)) }}{{ end -}}
{{- range $index, $one := .Values.router.listeners }}
{{- $codec := default "json" $one.codec }}
{{- $name := index $pairs $index }}
{{- /* The original called two of one mode and codec the same, which no Service takes. */ -}}
{{- $same := 0 }}{{ range $pairs }}{{ if eq . $name }}{{ $same = add1 $same }}{{ end }}{{ end }}
{{- if gt (int $same) 1 }}{{ $name = printf "%s-%v" $one.mode $one.binding.port }}{{ end }}
{{- $settings := dict "codec" $codec }}
{{- if eq $one.mode "sub" }}
{{- $host := required (printf "router.listeners[%d].binding.ip is needed: a sub listener connects to a publisher" $index) $one.binding.ip }}
{{- $_ := set $settings "connect" (list (printf "%s:%v" $host $one.binding.port)) }}
{{- else }}
{{- $_ := set $settings "port" $one.binding.port }}
{{- if not (has (default "0.0.0.0" $one.binding.ip) (list "0.0.0.0" "*" "::")) }}
{{- fail (printf "router.listeners[%d].binding.ip is %s; a pod listens on all of its addresses, leave ip out" $index $one.binding.ip) }}
{{- end }}
{{- end }}
{{- if eq $one.mode "http" }}
{{- $_ := set $settings "path" (default "/i/logary" $one.path) }}
{{- if $top.Values.router.disableCORS }}{{ $_ := set $settings "cors" (dict "enabled" false) }}{{ end }}
{{- else if or $one.path $one.ingress }}
{{- fail (printf "router.listeners[%d] is %s; path and ingress are for http" $index $one.mode) }}
{{- end }}
- {{ toYaml (dict "name" $name $one.mode $settings) | nindent 2 | trim }}
{{- end }}
{{- end -}}

{{/* The original's target URIs as targets; each is called by its scheme. */}}
{{- define "topology.targets" -}}
{{- $names := list }}
{{- range .Values.router.targets }}
{{- if kindIs "string" . }}
{{- $scheme := splitList ":" . | first | lower | replace "_" "-" }}
{{- $name := $scheme }}
{{- $number := 2 }}
{{- range until 64 }}{{ if has $name $names }}{{ $name = printf "%s-%d" $scheme $number }}{{ $number = int (add1 $number) }}{{ end }}{{ end }}
{{- $names = append $names $name }}
- {{ toYaml (dict "name" $name "uri" .) | nindent 2 | trim }}
{{- else }}
{{- $names = append $names .name }}
- {{ toYaml . | nindent 2 | trim }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What its pods have beside what is typed. */}}
{{- define "topology.podTemplate" -}}
{{- $container := dict }}
{{- $spec := dict }}
{{- $metadata := dict }}
{{- if kindIs "map" .Values.deployment.env }}
{{- $env := list }}
{{- range $name, $value := .Values.deployment.env }}{{ $env = append $env (dict "name" $name "value" (toString $value)) }}{{ end }}
{{- with $env }}{{ $_ := set $container "env" . }}{{ end }}
{{- else if .Values.deployment.env }}
{{- $_ := set $container "env" .Values.deployment.env }}
{{- end }}
{{- if .Values.etc.data }}
{{- $mounts := list }}
{{- range $file, $_ := .Values.etc.data }}
{{- $mounts = append $mounts (dict "name" "etc" "mountPath" (printf "/etc/rutta/%s" $file) "subPath" $file "readOnly" true) }}
{{- end }}
{{- $_ := set $container "volumeMounts" $mounts }}
{{- $_ := set $spec "volumes" (list (dict "name" "etc" "secret" (dict "secretName" (printf "%s-etc" (include "topology.fullname" .)) "defaultMode" 288))) }}
{{- /* A file mounted by subPath does not follow its Secret: new content, new pods. */ -}}
{{- $_ := set $metadata "annotations" (dict "rutta.logary.tech/etc" (toJson .Values.etc.data | sha256sum | trunc 16)) }}
{{- end }}
{{- with .Values.affinity }}{{ $_ := set $spec "affinity" . }}{{ end }}
{{- with $container }}{{ $_ := set $spec "containers" (list (merge (dict "name" "rutta") .)) }}{{ end }}
{{- $template := dict }}
{{- with $metadata }}{{ $_ := set $template "metadata" . }}{{ end }}
{{- with $spec }}{{ $_ := set $template "spec" . }}{{ end }}
{{- toYaml $template }}
{{- end -}}

{{/* The spec of the release's own router. */}}
{{- define "topology.spec" -}}
{{- $spec := dict "replicas" .Values.replicaCount }}
{{- $_ := set $spec "listeners" (include "topology.listeners" . | fromYamlArray) }}
{{- $_ := set $spec "targets" (include "topology.targets" . | fromYamlArray) }}
{{- with .Values.image }}{{ $_ := set $spec "image" . }}{{ end }}
{{- with .Values.imagePullSecrets }}{{ $_ := set $spec "imagePullSecrets" . }}{{ end }}
{{- if .Values.verbose }}{{ $_ := set $spec "logLevel" "verbose" }}{{ end }}
{{- with .Values.resources }}{{ $_ := set $spec "resources" . }}{{ end }}
{{- with .Values.nodeSelector }}{{ $_ := set $spec "nodeSelector" . }}{{ end }}
{{- with .Values.tolerations }}{{ $_ := set $spec "tolerations" . }}{{ end }}
{{- with include "topology.podTemplate" . | fromYaml }}{{ $_ := set $spec "podTemplate" . }}{{ end }}
{{- $over := .Values.router.spec }}
{{- if or (hasKey $over "autoscaling") (eq (default "Deployment" $over.workload) "DaemonSet") }}{{ $_ := unset $spec "replicas" }}{{ end }}
{{- toYaml (mergeOverwrite $spec (deepCopy $over)) }}
{{- end -}}
