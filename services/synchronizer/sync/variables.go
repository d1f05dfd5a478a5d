package sync

import (
	"context"
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

	"github.com/slipway-cd/slipway/services/synchronizer/decrypt"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bases"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/render"
)

var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	secrets    = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
)

// variables are what an application is rendered with: values, and keys.
type variables struct {
	values map[string]string // nil: nothing is replaced
	// version names the ConfigMaps and Secrets and their versions: it changes
	// when a value may have.
	version string
	// secret are values that must not be told, by their variables' names.
	secret map[string]string
	// chartValues are those of the chart that lie in the cluster.
	chartValues []render.ClusterValues
	// decrypter has the keys; nil: there are none.
	decrypter render.Decrypter
	// masks are what was decrypted by it, looked up in Secrets, or is of Secrets
	// among chartValues.
	masks *render.Masks
	// charts brings the chart of a repository, which chart names, or those that
	// kustomizations name.
	charts charts.Source
	chart  string
	// bases brings what the kustomization names beyond its repository.
	bases bases.Source
	// cluster answers what the chart looks up; nil: nothing does.
	cluster render.Cluster
	// named is version without what was looked up.
	named string
}

// missingError says that a ConfigMap or Secret can't be had, or that a key in it
// can't be read, which somebody may mend.
type missingError struct {
	reason, message string
	absent          bool // it isn't there at all
}

func (e missingError) Error() string { return e.message }

// variables reads what an Application names, with its own rights and in its own
// namespace. Its sources wake it from then on.
func (b *Brain) variables(ctx context.Context, a *app, application *api.Application) (variables, error) {
	v := variables{secret: map[string]string{}, bases: b.basesHere(a, application), charts: kustomizeCharts{Brain: b, a: a, here: true}, cluster: b.lookups(a, application)}
	needs := v.needs(a.name.Namespace, application, slices.Contains(b.cfg.Trusted, a.name.Namespace))
	var sources []source
	for _, n := range needs {
		sources = append(sources, n.source)
	}
	b.apps.setSources(a.key, usedAsVariables, sources)
	if len(needs) == 0 {
		return v.own(application), nil
	}
	client, err := b.clientFor(a.name.Namespace, application.Spec)
	if err != nil {
		return variables{}, err
	}
	var versions []string
	for _, n := range needs {
		b.own.watches.Want(kube.Scope{Resource: n.resource}) //nolint:contextcheck // a watch outlives the work that wants it
		version, err := n.read(ctx, client)
		if err != nil {
			return variables{}, err
		}
		versions = append(versions, version)
	}
	v.version = strings.Join(versions, " ")
	return v.own(application), nil
}

// need is a ConfigMap or Secret that is read into variables; read gives its version.
type need struct {
	source
	read func(ctx context.Context, client dynamic.Interface) (version string, err error)
}

// needs are all that an Application of a namespace names, in the order in which it is read.
func (v *variables) needs(namespace string, application *api.Application, trusted bool) (all []need) {
	if substitute := application.Spec.Substitute; substitute != nil {
		v.values = map[string]string{}
		for _, from := range substitute.From {
			s := sourceOf(namespace, from)
			all = append(all, need{s, func(ctx context.Context, client dynamic.Interface) (string, error) {
				return v.read(ctx, client, s, from.Optional)
			}})
		}
	}
	if helm := application.Spec.Source.Helm; helm != nil {
		for i, from := range helm.ValuesFrom {
			s := sourceOf(namespace, from.VariableSource)
			all = append(all, need{s, func(ctx context.Context, client dynamic.Interface) (string, error) {
				return v.readChartValues(ctx, client, s, valuesField(i), from)
			}})
		}
	}
	if d := application.Spec.Decryption; d != nil {
		s := source{secrets, namespace, d.Secret}
		all = append(all, need{s, func(ctx context.Context, client dynamic.Interface) (string, error) {
			return v.readKeys(ctx, client, s, trusted)
		}})
	}
	return all
}

// own has the Application's own variables, too.
func (v variables) own(application *api.Application) variables {
	if substitute := application.Spec.Substitute; substitute != nil {
		maps.Copy(v.values, substitute.Vars)
	}
	return v
}

// request renders an application with them.
func (v variables) request(head Commit, application *api.Application) render.Request {
	r := render.Application(head.FS(), application)
	r.Vars, r.Decrypter, r.Charts, r.Bases, r.Cluster = v.values, v.decrypter, v.charts, v.bases, v.cluster
	r.Helm.ValuesFrom = v.chartValues
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

// get reads a source for a field of the spec. advice is what else there is to
// do than to make it.
func get(ctx context.Context, client dynamic.Interface, s source, field, reason, advice string) (*unstructured.Unstructured, error) {
	u, err := client.Resource(s.resource).Namespace(s.namespace).Get(ctx, s.name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, missingError{reason, fmt.Sprintf("%s needs %s, which is not there: make it%s", field, s, advice), true}
	case apierrors.IsForbidden(err):
		return nil, missingError{reason, fmt.Sprintf("%s needs %s, and the application's account may not get it: %v", field, s, err), false}
	case err != nil:
		return nil, fmt.Errorf("read %s for %s: %w", s, field, err)
	}
	return u, nil
}

// read takes the values of one source over those before, and gives its
// version.
func (v variables) read(ctx context.Context, client dynamic.Interface, s source, optional bool) (string, error) {
	u, err := get(ctx, client, s, "spec.substitute", reasonVariables, ", or set optional: true")
	if err != nil {
		if e, ok := errors.AsType[missingError](err); ok && e.absent && optional {
			return s.String() + "=absent", nil
		}
		return "", err
	}
	values, _, _ := unstructured.NestedStringMap(u.Object, "data")
	if s.resource == secrets {
		values = map[string]string{}
		for name, data := range dataOf(u) {
			if utf8.Valid(data) { // else a key store, say: who names it is told that it has no value
				values[name], v.secret[name] = string(data), string(data)
			}
		}
	}
	for name, value := range values {
		if api.VariableName(name) {
			v.values[name] = value
		}
	}
	return s.versionOf(u), nil
}

func (s source) versionOf(u *unstructured.Unstructured) string {
	return fmt.Sprintf("%s=%s@%s", s, u.GetUID(), u.GetResourceVersion())
}

// readKeys takes the keys of a Secret, and gives its version.
func (v *variables) readKeys(ctx context.Context, client dynamic.Interface, s source, trusted bool) (string, error) {
	u, err := get(ctx, client, s, "spec.decryption", reasonDecryption, " with the key, such as age.agekey")
	if err != nil {
		return "", err
	}
	keys, err := decrypt.Read(s.String(), dataOf(u), trusted)
	if err != nil {
		return "", missingError{reason: reasonDecryption, message: "spec.decryption: " + err.Error()}
	}
	v.decrypter = keys
	return s.versionOf(u), nil
}

// redacted is a text without the values of secrets: the API server's refusals
// hold what they refuse.
func (v variables) redacted(text string) string {
	text = v.masks.Hide(text)
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

// hide is an error without them.
func (v variables) hide(err error) error {
	if text := v.redacted(err.Error()); text != err.Error() {
		return errors.New(text)
	}
	return err
}

// missing says whether an error is for somebody to mend in the cluster, and
// what its reason is.
func missing(err error) (reason string, is bool) {
	e, ok := errors.AsType[missingError](err)
	return e.reason, ok
}
