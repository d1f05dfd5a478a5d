package e2e_test

import (
	"maps"
	"strconv"
	"strings"

	"github.com/slipway-cd/slipway/e2e/local"
)

// unit is what is added to, changed in and taken from a random repo as one: an
// object, or a definition or namespace with what lies in it.
type unit struct {
	Name, Kind string
	Value      int
	Stage      int
	Keep       bool // slipway.dev/prune: disabled
	Once       bool // slipway.dev/apply: ifNotPresent
}

// unitKinds are what a unit may be; the more often, the likelier.
var unitKinds = []string{
	"configmap", "configmap", "configmap", "secret", "stringsecret", "service", "deployment", "account", "namespace", "definition", "forced",
}

// wishful says whether a unit may have wishes that come and go.
func (u unit) wishful() bool {
	return u.Kind != "namespace" && u.Kind != "definition" && u.Kind != "forced"
}

// metadata of a unit's object; what is there depends on its value, so that
// labels and annotations come and go.
func (u unit) metadata(name string) fields {
	labels, annotations := fields{"unit": u.Name}, fields{}
	if u.Value%2 == 0 {
		labels["even"] = "yes"
	}
	if u.Value%3 == 0 {
		annotations["example.com/third"] = strconv.Itoa(u.Value)
	}
	if u.Stage != 0 {
		annotations["slipway.dev/stage"] = strconv.Itoa(u.Stage)
	}
	if u.Keep {
		annotations["slipway.dev/prune"] = "disabled"
	}
	if u.Once {
		annotations["slipway.dev/apply"] = "ifNotPresent"
	}
	if u.Kind == "forced" { // since it can't be changed
		annotations["slipway.dev/force"] = "enabled"
	}
	m := fields{"name": name, "labels": labels}
	if len(annotations) > 0 {
		m["annotations"] = annotations
	}
	return m
}

func (u unit) data() fields {
	data := fields{"value": strconv.Itoa(u.Value), "left": "as Git says"}
	if u.Value%5 == 0 {
		data["variables"] = "${OWN:=none} ${SHARED:=none}"
	}
	for i := range u.Value % 4 {
		data["key"+strconv.Itoa(i)] = strings.Repeat(u.Name, 1+u.Value%3)
	}
	return data
}

func object(version, kind string, metadata, more fields) fields {
	o := fields{"apiVersion": version, "kind": kind, "metadata": metadata}
	maps.Copy(o, more)
	return o
}

// objects are a unit's documents.
func (u unit) objects(w *local.World) []fields {
	m := u.metadata(u.Name)
	switch u.Kind {
	case "secret":
		return []fields{object("v1", "Secret", m, fields{"data": fields{"value": "djE=", "turn" + strconv.Itoa(u.Value%3): "djI="}})}
	case "stringsecret":
		return []fields{object("v1", "Secret", m, fields{"stringData": u.data()})}
	case "service":
		return []fields{object("v1", "Service", m, fields{"spec": fields{
			"selector": fields{"app": u.Name}, "ports": []fields{{"name": "http", "port": 80 + u.Value%3, "targetPort": 8080}},
		}})}
	case "deployment":
		return []fields{object("apps/v1", "Deployment", m, fields{"spec": fields{
			"replicas": 0, "selector": fields{"matchLabels": fields{"app": u.Name}},
			"template": fields{"metadata": fields{"labels": fields{"app": u.Name}}, "spec": fields{"containers": []fields{
				{"name": "main", "image": w.Image(local.WebImage, "1.0.0"), "args": []string{strconv.Itoa(u.Value)}},
			}}},
		}})}
	case "account":
		return []fields{object("v1", "ServiceAccount", m, fields{"automountServiceAccountToken": u.Value%2 == 0})}
	case "namespace":
		in := unit{Name: u.Name, Value: u.Value}.metadata("inside")
		in["namespace"] = u.Name
		return []fields{object("v1", "Namespace", m, nil), object("v1", "ConfigMap", in, fields{"data": u.data()})}
	case "definition":
		return u.definition(m)
	}
	return []fields{object("v1", "ConfigMap", m, fields{"data": u.data(), "immutable": u.Kind == "forced"})}
}

// definition is a kind and an object of it.
func (u unit) definition(m fields) []fields {
	group, plural := u.Name+".example.com", strings.ReplaceAll(u.Name, "-", "")
	m["name"] = plural + "." + group
	delete(m, "annotations") // the object goes when the definition does
	kind := strings.ToUpper(plural[:1]) + plural[1:]
	return []fields{
		object("apiextensions.k8s.io/v1", "CustomResourceDefinition", m, fields{"spec": fields{
			"group": group, "scope": "Namespaced", "names": fields{"kind": kind, "plural": plural, "singular": plural, "listKind": kind + "List"},
			"versions": []fields{{"name": "v1", "served": true, "storage": true, "schema": fields{"openAPIV3Schema": fields{
				"type": "object", "properties": fields{"spec": fields{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}}}},
		}}),
		object(group+"/v1", kind, unit{Name: u.Name, Value: u.Value}.metadata(u.Name), fields{"spec": u.data()}),
	}
}

// runs is a pod, which is ready at once, or never.
func (a *randomApp) runs(w *local.World) fields {
	name, annotations := a.ID+"-runs", fields{"e2e.slipway.dev/behaviour": "ready-after=100ms"}
	if a.Sick {
		annotations["e2e.slipway.dev/behaviour"] = "never-ready"
	}
	return object("apps/v1", "Deployment", fields{"name": name, "labels": fields{"unit": name}}, fields{"spec": fields{
		"replicas": 1, "selector": fields{"matchLabels": fields{"app": name}},
		"template": fields{
			"metadata": fields{"labels": fields{"app": name}, "annotations": annotations},
			"spec":     fields{"containers": []fields{{"name": "main", "image": w.Image(local.WebImage, "1.0.0")}}},
		},
	}})
}
