{{- define "distillation.part" -}}
{{ .Values.nameOverride | default .Chart.Name }}
{{- end }}

{{- define "distillation.name" -}}
{{- $part := include "distillation.part" . }}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if contains $part .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $part | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "distillation.selector" -}}
app.kubernetes.io/name: {{ include "distillation.part" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "distillation.labels" -}}
{{ include "distillation.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "distillation.account" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "distillation.name" .) }}
{{- else -}}
{{ required "serviceAccount.name must be given with serviceAccount.create=false: all pods of the namespace run as \"default\"" .Values.serviceAccount.name }}
{{- end -}}
{{- end }}

{{- /* The images of operator and stages that can change under their name, one on a line. */}}
{{- define "distillation.byTag" -}}
{{- $images := list (include "distillation.image" .) .Values.stageImages.fetcher .Values.stageImages.converter .Values.stageImages.teacher .Values.stageImages.teacherTpu .Values.stageImages.trainer }}
{{- range compact $images }}
{{- if not (regexMatch "@sha256:[a-f0-9]{64}$" .) }}
  {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Refuses the names that values.yaml has for images: no registry has these. */}}
{{- define "distillation.imagesBuilt" -}}
{{- $unbuilt := list }}
{{- if eq (include "distillation.image" .) (printf "distillation-operator/operator:%s" .Chart.AppVersion) }}
{{- $unbuilt = append $unbuilt "image.repository" }}
{{- end }}
{{- range $name, $image := .Values.stageImages }}
{{- if hasPrefix "distillation-operator/" $image }}
{{- if hasSuffix (printf ":%s" $.Chart.AppVersion) $image }}
{{- $unbuilt = append $unbuilt (printf "stageImages.%s" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if $unbuilt }}
{{- fail (printf "no registry has the images that the chart names by default: build and push yours (images/README.md), then set %s" (join ", " $unbuilt)) }}
{{- end }}
{{- end }}

{{- /* Variables of the operator that values.extraEnv must leave alone: the chart's and the image's. */}}
{{- define "distillation.extraEnv" -}}
{{- $taken := list "POD_NAME" "POD_NAMESPACE" "POD_SERVICE_ACCOUNT" "KUBECONFIG" "PATH" "PYTHONPATH" "PYTHONHOME" "PYTHONUNBUFFERED" "PYTHONDONTWRITEBYTECODE" "HOME" }}
{{- range .Values.extraEnv }}
{{- if has .name $taken }}
{{- fail (printf "extraEnv must not set %s: it is the operator's own, or set twice" .name) }}
{{- end }}
{{- $taken = append $taken .name }}
{{- end }}
{{- toYaml .Values.extraEnv }}
{{- end }}

{{- define "distillation.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "distillation.subject" -}}
- kind: ServiceAccount
  name: {{ include "distillation.account" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{- /* Whether users' roles are made: null is false where nothing else of the release belongs to the cluster. */}}
{{- define "distillation.userRoles" -}}
{{- $wanted := toString .Values.rbac.userRoles }}
{{- if or (eq $wanted "true") (and (ne $wanted "false") (or .Values.crds.install (not .Values.namespaces))) -}}
true
{{- end -}}
{{- end }}

{{- /* CEL, after that of a restricted container c: what stagePods.acceleratorProfile lets a container with chips be instead. */}}
{{- define "distillation.profile" -}}
{{- $chips := "has(c.resources) && has(c.resources.limits) && 'google.com/tpu' in c.resources.limits" }}
{{- if eq .Values.stagePods.acceleratorProfile "LockedMemory" }}
      || ({{ $chips }} &&
      has(c.securityContext) && !(has(c.securityContext.privileged) && c.securityContext.privileged) &&
      has(c.securityContext.allowPrivilegeEscalation) && !c.securityContext.allowPrivilegeEscalation &&
      has(c.securityContext.capabilities) && has(c.securityContext.capabilities.drop) &&
      c.securityContext.capabilities.drop == ['ALL'] && has(c.securityContext.capabilities.add) &&
      c.securityContext.capabilities.add == ['SYS_RESOURCE'])
{{- else if eq .Values.stagePods.acceleratorProfile "Privileged" }}
      || ({{ $chips }})
{{- end }}
{{- end }}

{{- define "distillation.profileMessage" -}}
{{- if ne .Values.stagePods.acceleratorProfile "Restricted" }}, but what stagePods.acceleratorProfile {{ .Values.stagePods.acceleratorProfile }} gives those with chips{{ end }}
{{- end }}
