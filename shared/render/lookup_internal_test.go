package render

import (
	"context"
	"encoding/json"
	"maps"
	"testing"
)

// echo finds whatever it is asked for, in a list of which it has made one.
type echo struct{}

func (echo) Lookup(_ context.Context, q Lookup) (map[string]any, error) {
	if q.Name == "none" {
		return nil, nil
	}
	own := map[string]any{"name": "own"}
	if q.Name != "" {
		return map[string]any{"kind": q.Kind, "name": q.Name}, nil
	}
	return map[string]any{"kind": q.Kind, "items": []any{own, map[string]any{"name": "other"}}}, nil
}

func (echo) Capabilities(context.Context) (Capabilities, error) {
	return Capabilities{Version: "v1.2.3"}, nil
}

func (echo) Own(object map[string]any) bool { return object["name"] == "own" }

// What the parent answers is what the child reads, with its own and without.
func TestAnswersAreRead(t *testing.T) {
	t.Parallel()
	answers := newAnswering(echo{}, &source{limits: Limits{}.orDefault()}).answers(t.Context())
	loud, silent := &asking{ask: answers}, &asking{ask: answers, silent: true}
	for name, want := range map[string][2]string{
		"other": {`{"kind":"A","name":"other"}`, `{"kind":"A","name":"other"}`},
		"own":   {`{"kind":"A","name":"own"}`, `{}`},
		"none":  {`{}`, `{}`},
		"":      {`{"items":[{"name":"own"},{"name":"other"}],"kind":"A"}`, `{"items":[{"name":"other"}],"kind":"A"}`},
	} {
		for i, k := range []*asking{loud, silent} {
			found, err := k.lookup("v1", "A", "n", name)
			got, bad := json.Marshal(found)
			if err != nil || bad != nil || string(got) != want[i] {
				t.Errorf("%q is read as %s, %v, want %s", name, got, err, want[i])
			}
		}
	}
}

// FuzzQuery asks what no child of ours would: it is answered, and the parent
// lives.
func FuzzQuery(f *testing.F) {
	for _, q := range []query{{}, {Lookup: &Lookup{"v1", "Secret", "shop", "own"}}, {Lookup: &Lookup{Kind: "Node"}}} {
		data, err := json.Marshal(q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, question []byte) {
		a := newAnswering(echo{}, &source{limits: Limits{}.orDefault()})
		answer := a.answers(t.Context())(question)
		before := maps.Clone(a.known)
		if len(answer) == 0 || (answer[0] == answerRefused) != (a.fault != nil) {
			t.Fatalf("%q is answered %q, with the fault %v", question, answer, a.fault)
		}
		if again := a.answers(t.Context())(question); string(again) != string(answer) || len(a.known) != len(before) {
			t.Fatalf("%q is answered otherwise the second time: %q", question, again)
		}
	})
}
