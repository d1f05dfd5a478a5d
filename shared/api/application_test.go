package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/api/crd"
)

// TestCRDHasTheTypesFields holds the schema to the Go types, so that neither
// has a field that the other doesn't.
func TestCRDHasTheTypesFields(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text []byte
		typ  reflect.Type
	}{
		"Application": {crd.Applications, reflect.TypeFor[api.Application]()},
		"Project":     {crd.Projects, reflect.TypeFor[api.Project]()},
	} {
		var def struct {
			Spec struct {
				Versions []struct {
					Schema struct {
						Root map[string]any `yaml:"openAPIV3Schema"`
					}
				}
			}
		}
		if err := yaml.Unmarshal(c.text, &def); err != nil {
			t.Fatal(err)
		}
		compareFields(t, name, c.typ, def.Spec.Versions[0].Schema.Root)
	}
}

func compareFields(t *testing.T, at string, typ reflect.Type, schema map[string]any) {
	t.Helper()
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() == reflect.Slice {
		items, _ := schema["items"].(map[string]any)
		compareFields(t, at+"[]", typ.Elem(), items)
		return
	}
	if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() || typ == reflect.TypeFor[api.Metadata]() {
		return
	}
	properties, _ := schema["properties"].(map[string]any)
	var fields []string
	for _, f := range reflect.VisibleFields(typ) {
		if f.Anonymous {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields = append(fields, name)
		property, _ := properties[name].(map[string]any)
		compareFields(t, at+"."+name, f.Type, property)
	}
	slices.Sort(fields)
	if got := slices.Sorted(maps.Keys(properties)); !slices.Equal(got, fields) {
		t.Errorf("%s: the CRD has %q, the type %q", at, got, fields)
	}
}

func TestSyncDefaults(t *testing.T) {
	t.Parallel()
	var s api.SyncOptions
	if !s.Prunes() || !s.Waits() || s.TimeoutOrDefault() != 5*time.Minute || s.ResyncOrDefault() != 10*time.Minute {
		t.Errorf("defaults of %+v", s)
	}
	if err := json.Unmarshal([]byte(`{"prune":false,"wait":false,"timeout":"90s","resync":"1h"}`), &s); err != nil {
		t.Fatal(err)
	}
	if s.Prunes() || s.Waits() || s.TimeoutOrDefault() != 90*time.Second || s.ResyncOrDefault() != time.Hour {
		t.Errorf("read %+v", s)
	}
	for _, bad := range []string{`5`, `"5"`, `"-1s"`, `""`} {
		var d api.Duration
		if json.Unmarshal([]byte(bad), &d) == nil {
			t.Errorf("%s is read as a duration", bad)
		}
	}
}

func TestHistoryAndConditions(t *testing.T) {
	t.Parallel()
	var s api.ApplicationStatus
	for i := range 30 {
		s.Remember(api.HistoryEntry{Commit: fmt.Sprint(i), Outcome: api.OutcomeFailed})
		s.Remember(api.HistoryEntry{Commit: fmt.Sprint(i), Outcome: api.OutcomeHealthy})
	}
	if len(s.History) != api.MaxHistory || s.History[0].Commit != "29" || s.History[1].Commit != "28" || s.History[0].Outcome != api.OutcomeHealthy {
		t.Errorf("history %+v", s.History)
	}
	first, second := time.Unix(1, 0), time.Unix(2, 0)
	s.SetCondition(api.Condition{Type: api.ConditionReady, Status: "False", LastTransitionTime: first})
	s.SetCondition(api.Condition{Type: api.ConditionReady, Status: "False", LastTransitionTime: second, Reason: "x"})
	if c := s.Condition(api.ConditionReady); !c.LastTransitionTime.Equal(first) || c.Reason != "x" {
		t.Errorf("condition %+v", c)
	}
	s.SetCondition(api.Condition{Type: api.ConditionReady, Status: "True", LastTransitionTime: second})
	if c := s.Condition(api.ConditionReady); !c.LastTransitionTime.Equal(second) {
		t.Errorf("condition %+v", c)
	}
	s.RemoveCondition(api.ConditionReady)
	if s.Condition(api.ConditionReady) != nil {
		t.Error("the condition is still there")
	}
}
