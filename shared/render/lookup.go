package render

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	// Own says of an object that was found that what is rendered has made it.
	Own(object map[string]any) bool
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

// What an answer to a query begins with. JSON follows what was found; where
// some of that is the chart's own, its length and, behind it, the JSON of the rest,
// if there is any; words follow a refusal.
const (
	answerFound   = 'f'
	answerOwn     = 'o'
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
	found, rest, err := a.ask(timed, q)
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
	answer, err := found.encode(rest)
	if err != nil {
		return refuse(ReasonLookup, err, "")
	}
	if a.bytes += int64(len(answer)); a.bytes > a.src.limits.LookupBytes {
		return refuse(ReasonTooLarge, fmt.Errorf("the chart looks up more than the limit of %d bytes", a.src.limits.LookupBytes), "look up single objects, not lists")
	}
	return answer
}

// ask gives what is found, and what of it isn't the chart's own.
func (a *answering) ask(ctx context.Context, q query) (found, rest answer, err error) {
	if q.Lookup == nil {
		c, err := a.cluster.Capabilities(ctx)
		found = answer{"capabilities": c}
		return found, found, err
	}
	object, err := a.cluster.Lookup(ctx, *q.Lookup)
	if err != nil || object == nil {
		return nil, nil, err
	}
	a.hide(object)
	return object, a.others(object), nil
}

// answer is what is told of a query.
type answer map[string]any

func (a answer) encode(rest answer) ([]byte, error) {
	data, err := json.Marshal(a)
	if err != nil || len(rest) == len(a) && len(itemsOf(rest)) == len(itemsOf(a)) {
		return append([]byte{answerFound}, data...), err
	}
	data = slices.Concat(binary.BigEndian.AppendUint64([]byte{answerOwn}, uint64(len(data))), data)
	if rest == nil {
		return data, nil
	}
	more, err := json.Marshal(rest)
	return append(data, more...), err
}

func itemsOf(object map[string]any) []any {
	items, _ := object["items"].([]any)
	return items
}

// others is what was found without what is the chart's own; nil where that is all.
func (a *answering) others(found map[string]any) map[string]any {
	if a.cluster.Own(found) {
		return nil
	}
	if itemsOf(found) == nil {
		return found
	}
	rest := maps.Clone(found)
	rest["items"] = slices.DeleteFunc(slices.Clone(itemsOf(found)), func(item any) bool {
		object, _ := item.(map[string]any)
		return a.cluster.Own(object)
	})
	return rest
}

// hide has the values of Secrets, or of a list of them, told nowhere.
func (a *answering) hide(found map[string]any) {
	for _, item := range slices.Concat(itemsOf(found), []any{found}) {
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
