package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write golden files, schemas and the README's table again")

var (
	sampleTime   = time.Date(2026, 11, 23, 20, 15, 4, 120e6, time.UTC)
	pushedAt     = time.Date(2026, 11, 23, 20, 15, 3, 0, time.UTC)
	sampleDigest = "sha256:" + strings.Repeat("9f2c", 16)
	sampleCommit = strings.Repeat("0a1b2c3d4e", 4)
	sampleImage  = "ghcr.io/acme/web:1.4.2@" + sampleDigest
)

// samples has one payload of each type with every field set: what a golden
// does not show may vanish unseen.
func samples() []Payload {
	artifact := Artifact{
		Registry: "ghcr.io", Repository: "acme/web", Tag: "1.4.2", Digest: sampleDigest,
		MediaType: "application/vnd.oci.image.index.v1+json", Provider: "github", Source: "ghcr-acme",
		DeliveryID: "72d3162e-cc78-11e3-81ab-4c9367dc0958", PushedAt: &pushedAt, Pusher: "octocat",
	}
	run := Run{Application: "production/shop/web", Commit: sampleCommit, Images: []string{sampleImage}}
	service := Service{
		Environment: "production", Artifact: "pkg:oci/web@" + strings.Replace(sampleDigest, ":", "%3A", 1) + "?repository_url=ghcr.io/acme/web&tag=1.4.2",
		Cluster: "production", Application: "production/shop/web", Commit: sampleCommit, Images: []string{sampleImage},
		HealthySince: &sampleTime, DurationSeconds: 1.25,
	}
	approval := Approval{
		ID: "0f5b2f0e-7f6e-5f0d-8d0f-2f4b8f1f6c11", Application: "production/shop/web", Image: "ghcr.io/acme/web",
		From: "1.4.1", To: "1.4.2@" + sampleDigest, Digest: sampleDigest, Rule: "shop[0]", RuleHash: "sha256:" + strings.Repeat("5d", 32),
		Needed: 2, Deadline: &sampleTime, Approvers: []string{"maria"},
	}
	removed, modified := service, service
	removed.Artifact, modified.Artifact = "", ""
	return []Payload{
		ArtifactPublished{artifact},
		ArtifactDeleted{artifact},
		RefUpdated{
			Repository: "git.example.com/acme/config", Ref: "refs/heads/main", Before: strings.Repeat("b", 40), After: sampleCommit,
			Forced: true, Provider: "gitea", Source: "config", DeliveryID: "131ac07a-b027-48b2-8a08-815f9062f3fe",
			Pusher: "maria", ChangedFiles: []string{"apps/web.yaml"},
		},
		DecisionMade{
			Application: "production/shop/web", Image: "ghcr.io/acme/web", From: "1.4.1", To: "1.4.2@" + sampleDigest,
			Outcome: Deploy, Rule: "shop[0]", Reason: "1.4.2 is the highest of ~1.4",
		},
		ApprovalCreated{approval, "octocat"},
		ApprovalUpdated{approval, Vote{Person: "maria", Decision: Approved, Comment: "seen in staging", OverridesFreeze: true}},
		ApprovalClosed{approval, Rejected, "rejected by maria: breaks the cart"},
		HoldEvent{HoldPlacedType, "production/shop/web", "ghcr.io/acme/web", sampleDigest, "1.4.2", &sampleTime, "5xx after 1.4.2", "maria@example.com", sampleCommit},
		HoldEvent{HoldReleasedType, "production/shop/web", "ghcr.io/acme/web", sampleDigest, "1.4.2", &sampleTime, "mended", "maria@example.com", sampleCommit},
		ChangeCreated{
			Repository: "git.example.com/acme/config", Branch: "main", Head: "slipway/production-shop-web", Number: 7,
			URL: "https://git.example.com/acme/config/pulls/7", Application: "production/shop/web",
			Image: "ghcr.io/acme/web", From: "1.4.1", To: "1.4.2@" + sampleDigest,
		},
		ChangeMerged{
			Repository: "git.example.com/acme/config", Branch: "main", Commit: sampleCommit, Application: "production/shop/web",
			Image: "ghcr.io/acme/web", From: "1.4.1", To: "1.4.2@" + sampleDigest,
		},
		PipelineRunStarted{run},
		PipelineRunFinished{
			Run: run, Outcome: Failure, Errors: "deployment web: not ready", LastHealthy: strings.Repeat("c", 40),
			Counts: Counts{Created: 1, Changed: 2, Unchanged: 3, Pruned: 4, Failed: 5},
		},
		ServiceEvent{ServiceDeployedType, service},
		ServiceEvent{ServiceUpgradedType, service},
		ServiceEvent{ServiceRolledBackType, service},
		ServiceEvent{ServiceRemovedType, removed},
		Incident{IncidentDetectedType, "production", "4 automatic rollbacks in 10 minutes: no more of them", "production/shop/web", sampleCommit, ""},
		Incident{IncidentResolvedType, "production", "healthy again", "production/shop/web", sampleCommit, ""},
		EnvironmentModified{modified},
		StateRequested{Cluster: "production", By: "automator"},
	}
}

func sampleEvent(t testing.TB, p Payload) Event {
	t.Helper()
	e, err := New(Meta{
		ID: "6f0c8a52-2c5e-5e0a-9a43-5d4b2f6b7a10", Source: "/registry-receiver/ghcr-acme", Time: sampleTime,
		ChainID:     "b1d7e1f4-0b6d-5c8f-8c1a-2f7a9d3e4b50",
		Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}, p)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func indent(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), '\n')
}

func goldenFile(t Type) string { return filepath.Join("testdata", string(t)+".json") }

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is no longer what is written:\n%s\nwant\n%s", file, got, want)
	}
}

func TestEachTypeIsWrittenAsItsGolden(t *testing.T) {
	for _, p := range samples() {
		t.Run(p.Type().Short(), func(t *testing.T) {
			data, err := json.Marshal(sampleEvent(t, p))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, goldenFile(p.Type()), indent(t, data))
		})
	}
}

// An old golden parses for ever: files of types and versions that are no
// longer written stay, and are read here too.
func TestEachGoldenIsReadBackAsItsEvent(t *testing.T) {
	files, err := filepath.Glob("testdata/dev.*.json")
	if err != nil || len(files) < len(Kinds) {
		t.Fatalf("%d goldens for %d types, %v", len(files), len(Kinds), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(samples(), func(p Payload) bool { return p.Type() == got.Type() })
			if i < 0 {
				t.Fatalf("no sample of %s", got.Type())
			}
			if want := sampleEvent(t, samples()[i]); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			again, err := json.Marshal(got)
			if err != nil || !bytes.Equal(indent(t, again), data) {
				t.Errorf("written again it differs (%v):\n%s", err, again)
			}
		})
	}
}

// edited is a golden with one place set to value; nil removes it.
func edited(t *testing.T, kind Type, path string, value any) []byte {
	t.Helper()
	data, err := os.ReadFile(goldenFile(kind))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	keys := strings.Split(path, ".")
	at := all
	for _, k := range keys[:len(keys)-1] {
		at = at[k].(map[string]any)
	}
	if last := keys[len(keys)-1]; value == nil {
		delete(at, last)
	} else {
		at[last] = value
	}
	out, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestParseTakesWhatIsToBeIgnoredAndRefusesTheRest(t *testing.T) {
	for _, c := range []struct {
		name, path string
		value      any
		want       error
	}{
		{"an unknown extension", "later", "x", nil},
		{"an unknown field of the context", "data.context.links", []any{}, nil},
		{"an unknown field of customData", "data.customData.later", map[string]any{"a": 1}, nil},
		{"no trace", "traceparent", nil, nil},
		{"no digest", "data.customData.digest", nil, nil},
		{"another version of a known type", "type", "dev.cdevents.artifact.published.9.0.0", ErrUnknownType},
		{"another CloudEvents version", "specversion", "0.3", ErrInvalid},
		{"no id", "id", nil, ErrInvalid},
		{"another id inside", "data.context.id", "x", ErrInvalid},
		{"another source inside", "data.context.source", "/x", ErrInvalid},
		{"another type inside", "data.context.type", string(ArtifactDeletedType), ErrInvalid},
		{"another time inside", "data.context.timestamp", "2026-11-23T20:15:05Z", ErrInvalid},
		{"another subject inside", "data.subject.id", "pkg:oci/x", ErrInvalid},
		{"no chain", "data.context.chainId", nil, ErrInvalid},
		{"no data", "data", nil, ErrInvalid},
		{"data that is no object", "data", "x", ErrInvalid},
		{"customData that is no object", "data.customData", "x", ErrInvalid},
		{"a shortened digest", "data.customData.digest", "sha256:9f2c", ErrInvalid},
		{"a tag with a line feed", "data.customData.tag", "1\n2", ErrInvalid},
		{"a repository in capitals", "data.customData.repository", "Acme/web", ErrInvalid},
		{"no provider", "data.customData.provider", nil, ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Parse(edited(t, ArtifactPublishedType, c.path, c.value)); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestPayloadsRefuseWhatTheyMustNotSay(t *testing.T) {
	for _, c := range []struct {
		kind  Type
		path  string
		value any
	}{
		{RefUpdatedType, "data.subject.content.ref", "main"},
		{RefUpdatedType, "data.subject.content.after", "HEAD"},
		{RefUpdatedType, "data.subject.content.repository", "https://user:secret@git.example.com/a"},
		{RefUpdatedType, "data.customData.source", nil},
		{DecisionMadeType, "data.subject.content.outcome", "perhaps"},
		{DecisionMadeType, "data.subject.content.reason", nil},
		{DecisionMadeType, "data.subject.content.application", "shop/web"},
		{ChangeMergedType, "data.customData.commit", nil},
		{ChangeMergedType, "data.customData.branch", nil},
		{PipelineRunStartedType, "data.customData.application", nil},
		{PipelineRunFinishedType, "data.subject.content.outcome", "done"},
		{ServiceDeployedType, "data.subject.content.environment.id", nil},
		{ServiceUpgradedType, "data.subject.content.artifactId", nil},
		{ServiceRemovedType, "data.customData.application", "a/b"},
		{EnvironmentModifiedType, "data.customData.application", nil},
	} {
		t.Run(c.kind.Short()+" "+c.path, func(t *testing.T) {
			if _, err := Parse(edited(t, c.kind, c.path, c.value)); !errors.Is(err, ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
		})
	}
}

func TestNewRefusesWhatParseWouldNotTakeBack(t *testing.T) {
	good := Meta{ID: "1", Source: "/a", ChainID: "c", Time: sampleTime}
	for name, spoil := range map[string]func(*Meta){
		"no id":                    func(m *Meta) { m.ID = "" },
		"no source":                func(m *Meta) { m.Source = "" },
		"a source that is no URI":  func(m *Meta) { m.Source = "/%zz" },
		"no chain":                 func(m *Meta) { m.ChainID = "" },
		"no time":                  func(m *Meta) { m.Time = time.Time{} },
		"a year of five digits":    func(m *Meta) { m.Time = time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600)) },
		"an id that isn't UTF-8":   func(m *Meta) { m.ID = "\xff" },
		"a trace that isn't UTF-8": func(m *Meta) { m.Traceparent = "\xff" },
	} {
		t.Run(name, func(t *testing.T) {
			m := good
			spoil(&m)
			if _, err := New(m, samples()[0]); !errors.Is(err, ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
		})
	}
	for name, p := range map[string]Payload{
		"no payload": nil, "a service event of no kind": ServiceEvent{}, "a service event of another kind": ServiceEvent{ArtifactPublishedType, Service{}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(good, p); !errors.Is(err, ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
		})
	}
}
