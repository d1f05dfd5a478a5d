package sync

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/render"
)

var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	secrets    = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
)

// variables are what an application is rendered with.
type variables struct {
	values map[string]string // nil: nothing is replaced
	// version names the ConfigMaps and Secrets and their versions: it changes
	// when a value may have.
	version string
	// secret are values that must not be told, by their variables' names.
	secret map[string]string
	// charts brings the chart of a repository, which chart names; nil: there is
	// none.
	charts charts.Source
	chart  string
}

// missingError says that a ConfigMap or Secret can't be had, which somebody may
// mend.
type missingError struct{ reason, message string }

func (e missingError) Error() string { return e.message }

// variables reads what an Application names, with its own rights and in its own
// namespace. Its sources wake it from then on.
func (b *Brain) variables(ctx context.Context, a *app, application *api.Application) (variables, error) {
	substitute := application.Spec.Substitute
	if substitute == nil {
		b.apps.setSources(a.key, usedAsVariables, nil)
		return variables{}, nil
	}
	v := variables{values: map[string]string{}, secret: map[string]string{}}
	var sources []source
	for _, from := range substitute.From {
		sources = append(sources, sourceOf(a.name.Namespace, from))
	}
	b.apps.setSources(a.key, usedAsVariables, sources)
	client, err := b.clientFor(a.name.Namespace, application.Spec)
	if err != nil {
		return variables{}, err
	}
	var versions []string
	for i, from := range substitute.From {
		b.watches.Want(kube.Scope{Resource: sources[i].resource}) //nolint:contextcheck // a watch outlives the work that wants it
		version, err := v.read(ctx, client, sources[i], from.Optional)
		if err != nil {
			return variables{}, err
		}
		versions = append(versions, version)
	}
	v.version = strings.Join(versions, " ")
	maps.Copy(v.values, substitute.Vars)
	return v, nil
}

// request renders an application with them.
func (v variables) request(head Commit, application *api.Application) render.Request {
	r := render.Application(head.FS(), application)
	r.Vars, r.Charts = v.values, v.charts
	return r
}

// source is a ConfigMap or Secret.
type source struct {
	resource        schema.GroupVersionResource
	namespace, name string
}

func sourceOf(namespace string, from api.VariableSource) source {
	if from.Secret != "" {
		return source{secrets, namespace, from.Secret}
	}
	return source{configMaps, namespace, from.ConfigMap}
}

// String is such as "Secret shop/keys".
func (s source) String() string {
	kind := "ConfigMap"
	if s.resource == secrets {
		kind = "Secret"
	}
	return kind + " " + s.namespace + "/" + s.name
}

// read takes the values of one source over those before, and gives its
// version.
func (v variables) read(ctx context.Context, client dynamic.Interface, s source, optional bool) (string, error) {
	u, err := client.Resource(s.resource).Namespace(s.namespace).Get(ctx, s.name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && optional:
		return s.String() + "=absent", nil
	case apierrors.IsNotFound(err):
		return "", missingError{reasonVariables, fmt.Sprintf("spec.substitute needs %s, which is not there: make it, or set optional: true", s)}
	case apierrors.IsForbidden(err):
		return "", missingError{reasonVariables, fmt.Sprintf("spec.substitute needs %s, and the application's account may not get it: %v", s, err)}
	case err != nil:
		return "", fmt.Errorf("read %s for spec.substitute: %w", s, err)
	}
	values, _, err := unstructured.NestedMap(u.Object, "data")
	if err != nil {
		return "", fmt.Errorf("read %s for spec.substitute: its data is no mapping", s)
	}
	for name, encoded := range values {
		value, _ := encoded.(string)
		if s.resource == secrets {
			data, err := base64.StdEncoding.DecodeString(value)
			if err != nil || !utf8.Valid(data) {
				continue // a key store, say: who names it is told that it has no value
			}
			value = string(data)
			v.secret[name] = value
		}
		if api.VariableName(name) {
			v.values[name] = value
		}
	}
	return fmt.Sprintf("%s=%s@%s", s, u.GetUID(), u.GetResourceVersion()), nil
}

// redacted is a text without the values of secrets: the API server's refusals
// hold what they refuse.
func (v variables) redacted(text string) string {
	// The longest first: one may be a part of another.
	names := slices.SortedFunc(maps.Keys(v.secret), func(a, b string) int {
		if d := len(v.secret[b]) - len(v.secret[a]); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		value := strings.TrimRight(v.secret[name], "\r\n")
		quoted := strconv.Quote(value)
		masked := "(the value of " + name + ")"
		text = strings.ReplaceAll(text, quoted, masked)
		const short = 4 // what is as short as this stands in any text
		if len(value) >= short {
			text = strings.ReplaceAll(text, quoted[1:len(quoted)-1], masked)
			text = strings.ReplaceAll(text, value, masked)
		}
	}
	return text
}

// missing says whether an error is for somebody to mend in the cluster.
func missing(err error) bool {
	_, ok := errors.AsType[missingError](err)
	return ok
}

// setSources notes which ConfigMaps and Secrets wake an application, of those
// that it uses for one thing.
func (a *applications) setSources(key, use string, sources []source) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(sources) == 0 && len(a.uses[key][use]) == 0 {
		return
	}
	for _, all := range a.uses[key] {
		for _, s := range all {
			if delete(a.sourced[s], key); len(a.sourced[s]) == 0 {
				delete(a.sourced, s)
			}
		}
	}
	if a.uses[key] == nil {
		a.uses[key] = map[string][]source{}
	}
	if a.uses[key][use] = sources; len(sources) == 0 {
		delete(a.uses[key], use)
	}
	for _, all := range a.uses[key] {
		for _, s := range all {
			if a.sourced[s] == nil {
				a.sourced[s] = map[string]bool{}
			}
			a.sourced[s][key] = true
		}
	}
	if len(a.uses[key]) == 0 {
		delete(a.uses, key)
	}
}

// wakeSourced wakes the applications whose variables come from a source.
func (a *applications) wakeSourced(s source) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key := range a.sourced[s] {
		a.wakeups.Add(wakeup{key, ReasonVariables, false})
	}
}
