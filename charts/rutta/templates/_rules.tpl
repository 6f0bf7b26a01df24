{{/* What the operator does in the namespaces that it watches: rutta_operator/k8s/permissions.py, which a test compares. */}}
{{- define "rutta.rules.watched" -}}
- apiGroups: [""]
  resources: [configmaps, serviceaccounts, services]
  verbs: [create, delete, list, patch, watch]
- apiGroups: [apps]
  resources: [daemonsets, deployments]
  verbs: [create, delete, list, patch, watch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [create, delete, list, patch, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors, prometheusrules]
  verbs: [create, delete, list, patch, watch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [create, delete, list, patch, watch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [create, delete, list, patch, watch]
- apiGroups: [rutta.logary.tech]
  resources: [ruttaproxies, ruttarouters, ruttashippers]
  verbs: [list, watch]
- apiGroups: [rutta.logary.tech]
  resources: [ruttaproxies/status, ruttarouters/status, ruttashippers/status]
  verbs: [patch]
{{- end -}}

{{/* What it reads of the cluster, when it watches all of it. */}}
{{- define "rutta.rules.cluster" -}}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
{{- end -}}
