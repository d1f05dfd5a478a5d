package render

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Lookup is one question of a chart: the arguments of Helm's lookup. Without a
// name it is about all objects of the kind, without a namespace about those of
// all namespaces, or of a kind that lies in none.
type Lookup struct {
	APIVersion, Kind, Namespace, Name string
}

// String is such as "Secret shop/web", or "Secrets of shop" for a list.
func (q Lookup) String() string {
	if q.Name != "" {
		return ID(q).String()
	}
	all := "every " + ID{APIVersion: q.APIVersion, Kind: q.Kind}.String()
	if q.Namespace != "" {
		return all + "of " + q.Namespace
	}
	return all + "there is"
}

// Cluster answers what charts ask of a cluster.
type Cluster interface {
	// Lookup gives an object, or a list with its items; nil where there is none.
	// What can't be found out is an error, never nil: a chart that takes it for
	// missing makes passwords anew.
	Lookup(ctx context.Context, q Lookup) (map[string]any, error)
	// Capabilities are what the cluster says of itself.
	Capabilities(ctx context.Context) (Capabilities, error)
}

// Capabilities are what a chart knows of a cluster as .Capabilities.
type Capabilities struct {
	// Version, Major and Minor are the API server's, such as "v1.36.2", "1" and "36".
	Version, Major, Minor string
	// APIVersions are all that it serves, such as "apps/v1" and "apps/v1/Deployment".
	APIVersions []string
}

// query is a question of a child that renders a chart: about an object, or
// without one about the cluster's capabilities.
type query struct {
	Lookup *Lookup
}

// What an answer to a query begins with. JSON follows what was found, and words
// follow a refusal.
const (
	answerFound   = 'f'
	answerNothing = 'n'
	answerRefused = 'r'
)

// answering answers the queries of one chart, each once: whoever asks again gets
// the same. The first that can't be answered ends the render.
type answering struct {
	cluster Cluster
	src     *source
	known   map[string][]byte
	lookups int
	bytes   int64
	left    time.Duration // for all answers together
	fault   *Error
}

// newAnswering is nil where nobody answers.
func newAnswering(cluster Cluster, src *source) *answering {
	if cluster == nil {
		return nil
	}
	// The child's own time goes on meanwhile: what is slow here is told as that.
	return &answering{cluster: cluster, src: src, known: map[string][]byte{}, left: src.limits.Time / 2}
}

// asked says whether anything was.
func (a *answering) asked() bool { return a != nil && len(a.known) > 0 }

// answers are for [runJob].
func (a *answering) answers(ctx context.Context) func([]byte) []byte {
	if a == nil {
		return nil
	}
	return func(question []byte) []byte {
		key := string(question)
		answer, known := a.known[key]
		if !known {
			answer = a.answer(ctx, question)
			a.known[key] = answer
		}
		return answer
	}
}

func (a *answering) answer(ctx context.Context, question []byte) []byte {
	refuse := func(reason Reason, err error, help string) []byte {
		if a.fault == nil {
			a.fault = &Error{Reason: reason, Message: err.Error(), Help: help, Err: err}
		}
		return append([]byte{answerRefused}, a.fault.Message...)
	}
	if a.fault != nil {
		return refuse("", a.fault.Err, "")
	}
	var q query
	if err := json.Unmarshal(question, &q); err != nil {
		return refuse(ReasonInvalid, fmt.Errorf("a lookup that can't be read: %w", err), "")
	}
	if a.lookups++; a.lookups > a.src.limits.Lookups {
		return refuse(ReasonTooLarge, fmt.Errorf("the chart looks up more than the limit of %d things", a.src.limits.Lookups), "list them with one lookup")
	}
	timed, cancel := context.WithTimeout(ctx, a.left)
	defer cancel()
	began := time.Now()
	found, err := a.ask(timed, q)
	a.left -= time.Since(began)
	switch {
	case ctx.Err() != nil:
		return refuse(ReasonLookup, ctx.Err(), "")
	case timed.Err() != nil:
		return refuse(ReasonLookup, fmt.Errorf("what the chart looks up took longer than %s: %w", a.src.limits.Time/2, context.DeadlineExceeded), "")
	case err != nil:
		return refuse(ReasonLookup, err, "")
	case found == nil:
		return []byte{answerNothing}
	}
	data, err := json.Marshal(found)
	if err != nil {
		return refuse(ReasonLookup, err, "")
	}
	if a.bytes += int64(len(data)); a.bytes > a.src.limits.LookupBytes {
		return refuse(ReasonTooLarge, fmt.Errorf("the chart looks up more than the limit of %d bytes", a.src.limits.LookupBytes), "look up single objects, not lists")
	}
	return append([]byte{answerFound}, data...)
}

func (a *answering) ask(ctx context.Context, q query) (any, error) {
	if q.Lookup == nil {
		return a.cluster.Capabilities(ctx)
	}
	found, err := a.cluster.Lookup(ctx, *q.Lookup)
	if err != nil || found == nil {
		return nil, err
	}
	a.hide(found)
	return found, nil
}

// hide has the values of Secrets, or of a list of them, told nowhere.
func (a *answering) hide(found map[string]any) {
	items, _ := found["items"].([]any)
	for _, item := range slices.Concat(items, []any{found}) {
		object, _ := item.(map[string]any)
		if object["kind"] != "Secret" || object["apiVersion"] != "v1" {
			continue
		}
		data, _ := object["data"].(map[string]any)
		for _, value := range data {
			encoded, _ := value.(string)
			a.src.masks.add(encoded)
			if plain, err := base64.StdEncoding.DecodeString(encoded); err == nil {
				a.src.masks.add(string(plain))
			}
		}
	}
}

// over says what the render came to: what was refused, at the place where it was
// asked.
func (a *answering) over(err error) error {
	if a == nil || a.fault == nil || errors.Is(a.fault.Err, context.Canceled) {
		return err
	}
	fault := *a.fault
	if place, ok := errors.AsType[*Error](err); ok {
		fault.File, fault.Line = place.File, place.Line
	}
	return &fault
}
